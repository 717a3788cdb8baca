//! The verdict for a terminal: what froze, who did it, how sure that is, and what to do.
//!
//! It is meant to fit a screen, so lists are cut; the HTML report has everything.

use coldcase_analyze::findings::Findings;

use crate::document::{Document, Pair, SiteLine, Step};

/// Lines are broken here.
const WIDTH: usize = 96;
/// Longest lists.
const EVIDENCE: usize = 4;
const STEPS: usize = 5;
const SITES: usize = 5;
const PAIRS: usize = 6;
const REMEDIES: usize = 3;

/// The verdict for a terminal, with or without colour.
#[must_use]
pub fn terminal(findings: &Findings, color: bool) -> String {
    let document = Document::new(findings);
    let mut page = Page { text: String::new(), color };
    page.verdict(&document);
    page.bullets(document.evidence_title(), &document.evidence, EVIDENCE);
    page.chain(&document);
    page.sites(&document);
    page.pairs("Ruled out", &document.ruled_out);
    page.pairs("This capture cannot tell", &document.cannot_tell);
    page.remedies(&document.remedies);
    page.bullets("Note", &document.about.warnings, EVIDENCE);
    page.text
}

#[derive(Clone, Copy)]
enum Style {
    Strong,
    Faint,
    Grade(&'static str),
}

struct Page {
    text: String,
    color: bool,
}

impl Page {
    fn verdict(&mut self, document: &Document) {
        let headline = self.styled(&document.headline, Style::Strong);
        let badge = document.badge.as_ref().map_or_else(String::new, |badge| {
            self.styled(&format!("  [{}]", badge.label), Style::Grade(badge.class))
        });
        self.line(&format!("{headline}{badge}"));
        self.wrapped(&document.summary, "  ", "  ");
        if let Some(when) = &document.when {
            self.wrapped(when, "  ", "  ");
        }
        for other in &document.others {
            self.wrapped(other, "  ", "  ");
        }
        if let Some(alarm) = &document.alarm {
            self.wrapped(alarm, "  ", "  ");
        }
        if let Some(because) = &document.because {
            self.wrapped(because, "  ", "  ");
        }
        if let Some(fingerprint) = &document.fingerprint {
            self.faint(&format!("  fingerprint {fingerprint}"));
        }
    }

    fn bullets(&mut self, title: &str, texts: &[String], limit: usize) {
        if texts.is_empty() {
            return;
        }
        self.heading(title);
        for text in texts.iter().take(limit) {
            self.wrapped(text, "  - ", "    ");
        }
        self.left_out(texts.len().saturating_sub(limit));
    }

    fn chain(&mut self, document: &Document) {
        let Some(chain) = &document.chain else { return };
        self.heading("Who waited for whom");
        // The end of the chain names the culprit, so the middle is what can be left out.
        let cut = chain.steps.len().saturating_sub(STEPS);
        let hidden = cut + chain.left_out;
        let width = chain.steps.iter().map(|step| step.who.chars().count()).max().unwrap_or(0);
        for (index, step) in chain.steps.iter().enumerate() {
            if index >= 2 && index < 2 + cut {
                continue;
            }
            if index == 2 + cut && hidden > 0 {
                self.faint(&format!("  ... {hidden} more"));
            }
            self.step(step, width.min(40));
        }
    }

    fn step(&mut self, step: &Step, width: usize) {
        let who = padded(&step.who, width);
        self.line(&format!("  {who}  {:>8}  {}", step.time, step.what));
        if !step.ended.is_empty() {
            self.faint(&format!("  {}  {:>8}  {}", " ".repeat(width), "", step.ended));
        }
    }

    fn sites(&mut self, document: &Document) {
        if document.sites.is_empty() {
            return;
        }
        let scope = document.sites_scope.to_lowercase();
        self.heading(&format!("Where threads waited, {scope}"));
        for site in document.sites.iter().take(SITES) {
            self.site(site);
        }
        let left = document.sites.len().saturating_sub(SITES) + document.sites_left;
        self.left_out(left);
    }

    fn site(&mut self, site: &SiteLine) {
        let plural = if site.threads == "1" { "" } else { "s" };
        let mut line = format!("  {:>8}  {}", site.blocked, site.site);
        line.push_str(&format!("  ({} thread{plural}", site.threads));
        if site.longest != "–" {
            line.push_str(&format!(", longest {}", site.longest));
        }
        line.push(')');
        self.line(&line);
    }

    fn pairs(&mut self, title: &str, pairs: &[Pair]) {
        if pairs.is_empty() {
            return;
        }
        self.heading(title);
        for pair in pairs.iter().take(PAIRS) {
            self.wrapped(&format!("{}: {}", pair.left, pair.right), "  - ", "    ");
        }
        self.left_out(pairs.len().saturating_sub(PAIRS));
    }

    fn remedies(&mut self, remedies: &[Pair]) {
        if remedies.is_empty() {
            return;
        }
        self.heading("What to change");
        for (index, remedy) in remedies.iter().take(REMEDIES).enumerate() {
            let number = format!("  {}. ", index + 1);
            self.wrapped(&remedy.left, &number, "     ");
            self.wrapped(&format!("Cost: {}", remedy.right), "     ", "     ");
        }
        self.left_out(remedies.len().saturating_sub(REMEDIES));
    }

    fn heading(&mut self, title: &str) {
        let title = self.styled(title, Style::Strong);
        self.line("");
        self.line(&title);
    }

    fn left_out(&mut self, count: usize) {
        if count > 0 {
            self.faint(&format!("  ... {count} more"));
        }
    }

    fn faint(&mut self, text: &str) {
        let text = self.styled(text, Style::Faint);
        self.line(&text);
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// A paragraph, broken between words.
    fn wrapped(&mut self, text: &str, first: &str, other: &str) {
        let mut line = first.to_owned();
        let mut empty = true;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = other.to_owned();
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.line(&line);
    }

    fn styled(&self, text: &str, style: Style) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match style {
            Style::Strong => "1",
            Style::Faint => "2",
            Style::Grade("proven") => "1;32",
            Style::Grade("strong") => "1;36",
            Style::Grade("circumstantial") => "1;33",
            Style::Grade(_) => "1;35",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

fn padded(text: &str, width: usize) -> String {
    let length = text.chars().count();
    format!("{text}{}", " ".repeat(width.saturating_sub(length)))
}
