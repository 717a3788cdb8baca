//! Findings as a document: sections, figures and rows of finished text.
//!
//! Terminal, Markdown and HTML render this and differ only where the formats differ. Every text in it has
//! gone through [`names`](crate::names); what is left to a format is its own escaping.

mod about;
mod chain;
mod culprit;
mod memory;
mod tables;
mod tiles;

pub(crate) use about::About;
pub(crate) use chain::{Chain, Step};
pub(crate) use culprit::{CulpritView, frame_row};
pub(crate) use memory::{MemoryLine, MemoryTable, is_everyday};
pub(crate) use tables::{BlameLine, ProgramLine, SiteLine, WaitLine, WindowLine};
pub(crate) use tiles::Tile;

use coldcase_analyze::findings::{Findings, Grade, Outcome, Remedy};

use coldcase_ingest::capture::Sentence;

use crate::{names, words};

/// A whole report.
pub(crate) struct Document {
    pub headline: String,
    pub summary: String,
    /// From when to when it froze, on the wall's clock where that is known.
    pub when: Option<String>,
    /// What the alarm saw that the capture was recorded for.
    pub alarm: Option<String>,
    /// Why it came to be, beyond who did it.
    pub because: Option<String>,
    pub fingerprint: Option<String>,
    /// None where nothing froze.
    pub badge: Option<Badge>,
    pub tiles: Vec<Tile>,
    pub evidence: Vec<String>,
    pub culprit: Option<CulpritView>,
    pub chain: Option<Chain>,
    pub blame: Vec<BlameLine>,
    pub blame_total: String,
    pub windows: Vec<WindowLine>,
    pub waits: Vec<WaitLine>,
    pub waits_left: usize,
    pub sites: Vec<SiteLine>,
    pub sites_left: usize,
    /// Whether sites and stacks are those of the freeze, or of the whole capture.
    pub of_the_freeze: bool,
    /// What was looked at, where nothing froze.
    pub programs: Vec<ProgramLine>,
    pub memory: MemoryTable,
    pub ruled_out: Vec<Pair>,
    pub cannot_tell: Vec<Pair>,
    pub remedies: Vec<Pair>,
    pub about: About,
}

/// How sure the verdict is, in words and as a class for colour.
pub(crate) struct Badge {
    pub label: &'static str,
    pub meaning: String,
    pub class: &'static str,
}

/// Two texts that belong together: a cause and its finding, an action and its cost.
pub(crate) struct Pair {
    pub left: String,
    pub right: String,
}

impl Document {
    pub(crate) fn new(findings: &Findings) -> Self {
        let worst = findings.worst();
        let verdict = &findings.verdict;
        let (sites, sites_left) = tables::sites(findings);
        let (waits, waits_left) = tables::waits(findings);
        Self {
            headline: words::headline(findings),
            summary: words::findings_summary(findings),
            when: words::when(findings),
            alarm: words::alarm(findings),
            because: words::because(findings),
            fingerprint: verdict.fingerprint.as_deref().map(names::name),
            badge: badge(findings),
            tiles: tiles::tiles(findings),
            evidence: worst.map_or_else(Vec::new, |window| texts(&window.evidence)),
            culprit: worst.and_then(culprit::culprit),
            chain: worst.and_then(|window| chain::chain(findings, window)),
            blame: worst.map_or_else(Vec::new, tables::blame),
            blame_total: worst.map_or_else(String::new, tables::blame_total),
            windows: tables::windows(findings),
            waits,
            waits_left,
            sites,
            sites_left,
            of_the_freeze: worst.is_some(),
            programs: if worst.is_none() { tables::programs(findings) } else { Vec::new() },
            memory: memory::memory(findings),
            ruled_out: joined(pairs(&verdict.ruled_out, |row| {
                (words::cause_label(row.cause), &row.finding)
            })),
            cannot_tell: joined(pairs(&verdict.cannot_tell, |row| {
                (words::cause_label(row.cause), &row.missing)
            })),
            remedies: remedies(findings),
            about: about::about(&findings.capture),
        }
    }
}

fn badge(findings: &Findings) -> Option<Badge> {
    let window = findings.worst()?;
    let (label, grade) = match findings.verdict.outcome {
        Outcome::CauseFound => (words::grade_label(window.grade), window.grade),
        _ => (words::CAUSE_UNKNOWN, Grade::Undetermined),
    };
    Some(Badge { label, meaning: words::grade_meaning(window, grade), class: grade.word() })
}

/// What to change: for the worst freeze, and the first for each other that needs something else.
fn remedies(findings: &Findings) -> Vec<Pair> {
    let Some(worst) = findings.worst() else { return Vec::new() };
    let mut pairs = pairs(&worst.remedies, |row| (&row.action, &row.cost));
    let mut told: Vec<&Remedy> = worst.remedies.iter().collect();
    for window in &findings.windows {
        let Some(first) = window.remedies.first() else { continue };
        if !told.iter().any(|remedy| remedy.action == first.action) {
            told.push(first);
            let left = format!("{}: {}", words::other_freeze(window), names::text(&first.action));
            pairs.push(Pair { left, right: names::text(&first.cost) });
        }
    }
    pairs
}

fn pairs<'a, T>(rows: &'a [T], texts: impl Fn(&'a T) -> (&'a str, &'a str)) -> Vec<Pair> {
    rows.iter()
        .map(|row| {
            let (left, right) = texts(row);
            Pair { left: names::text(left), right: names::text(right) }
        })
        .collect()
}

/// Pairs in the order in which their right sides first appear, the left sides of equal ones joined: ten
/// causes that one figure rules out are one line.
fn joined(pairs: Vec<Pair>) -> Vec<Pair> {
    let mut joined: Vec<Pair> = Vec::new();
    for pair in pairs {
        match joined.iter_mut().find(|known| known.right == pair.right) {
            Some(known) => {
                known.left.push_str(", ");
                known.left.push_str(&pair.left);
            }
            None => joined.push(pair),
        }
    }
    joined
}

fn texts(raw: &[Sentence]) -> Vec<String> {
    raw.iter().map(|text| names::text(text)).collect()
}
