//! The report as Markdown for an issue tracker (GitHub's dialect).
//!
//! Names are escaped so that they stay text: no markup, no HTML, no links, and nobody is notified.

use coldcase_analyze::findings::Findings;

use crate::document::{BlameLine, Document, MemoryLine, Pair, SiteLine, Step};

/// Longest tables in an issue; the HTML report has more.
const ROWS: usize = 10;

/// The report as Markdown.
#[must_use]
pub fn markdown(findings: &Findings) -> String {
    let document = Document::new(findings);
    let mut page = String::new();
    verdict(&mut page, &document);
    list(&mut page, document.evidence_title(), &document.evidence);
    list(&mut page, "Note", &document.about.warnings);
    remedies(&mut page, &document.remedies);
    chain(&mut page, &document);
    blame(&mut page, &document);
    folded(&mut page, &sites_title(&document), |page| sites(page, &document));
    folded(&mut page, memory_title(&document), |page| memory(page, &document));
    folded(&mut page, "Ruled out", |page| pairs(page, &document.ruled_out));
    folded(&mut page, "What this capture cannot tell", |page| pairs(page, &document.cannot_tell));
    folded(&mut page, "About the capture", |page| pairs(page, &document.about.facts));
    page
}

/// A section that opens with a click; left out if it is empty.
fn folded(page: &mut String, title: &str, content: impl FnOnce(&mut String)) {
    let mut inner = String::new();
    content(&mut inner);
    if !inner.is_empty() {
        push(page, "");
        push(page, &format!("<details><summary><b>{title}</b></summary>"));
        push(page, "");
        push(page, inner.trim());
        push(page, "");
        push(page, "</details>");
    }
}

fn verdict(page: &mut String, document: &Document) {
    push(page, &format!("# {}", escape(&document.headline)));
    push(page, "");
    if let Some(badge) = &document.badge {
        push(page, &format!("**{}.** {}", badge.label, badge.meaning));
        push(page, "");
    }
    push(page, &escape(&document.summary));
    if let Some(when) = &document.when {
        push(page, "");
        push(page, when);
    }
    for other in &document.others {
        push(page, "");
        push(page, &escape(other));
    }
    if let Some(alarm) = &document.alarm {
        push(page, "");
        push(page, &escape(alarm));
    }
    if let Some(because) = &document.because {
        push(page, "");
        push(page, &escape(because));
    }
    if let Some(fingerprint) = &document.fingerprint {
        push(page, "");
        // No name of the capture is in it, so it needs no escaping.
        push(page, &format!("Fingerprint: `{fingerprint}`"));
    }
    table(page, None, &["Figure", "Value", ""], &["---", "---:", "---"], &document.tiles, |tile| {
        vec![tile.label.to_owned(), format!("**{}**", escape(&tile.value)), escape(&tile.note)]
    });
}

fn list(page: &mut String, title: &str, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    heading(page, title);
    for text in texts {
        push(page, &format!("- {}", escape(text)));
    }
}

fn chain(page: &mut String, document: &Document) {
    let Some(chain) = &document.chain else { return };
    heading(page, "Who waited for whom");
    for (index, step) in chain.steps.iter().enumerate() {
        push(page, &format!("{}. {}", index + 1, step_text(step)));
    }
    if chain.left_out > 0 {
        push(page, "");
        push(page, &format!("{} steps in the middle are not shown.", chain.left_out));
    }
}

fn step_text(step: &Step) -> String {
    let (who, what, time) = (escape(&step.who), escape(&step.what), &step.time);
    if step.culprit {
        format!("**{who}** {what}, {time}")
    } else {
        format!("**{who}** waited {time}: {what}, {}", escape(&step.ended))
    }
}

fn blame(page: &mut String, document: &Document) {
    if document.blame.is_empty() {
        return;
    }
    let columns = ["Who", "Doing what", "Waiting caused", "Share"];
    let align = ["---", "---", "---:", "---:"];
    let row = |line: &BlameLine| {
        vec![escape(&line.who), escape(&line.doing), line.time.clone(), line.share.clone()]
    };
    table(page, Some("Where the waiting ends"), &columns, &align, &document.blame, row);
    push(page, &format!("| **Sum** | | **{}** | **100 %** |", document.blame_total));
}

fn remedies(page: &mut String, remedies: &[Pair]) {
    if remedies.is_empty() {
        return;
    }
    heading(page, "What to change");
    for (index, remedy) in remedies.iter().enumerate() {
        let (action, cost) = (escape(&remedy.left), escape(&remedy.right));
        push(page, &format!("{}. {action}", index + 1));
        push(page, &format!("   - *Cost:* {cost}"));
    }
}

fn sites_title(document: &Document) -> String {
    format!("Where threads waited, {}", document.sites_scope.to_lowercase())
}

fn sites(page: &mut String, document: &Document) {
    let columns = ["Group", "Site", "Cause", "Blocked", "Waits", "Threads", "Longest"];
    let align = ["---", "---", "---", "---:", "---:", "---:", "---:"];
    table(page, None, &columns, &align, &document.sites, |line: &SiteLine| {
        let group = if line.opens_group { format!("**{}**", line.group) } else { String::new() };
        vec![
            group,
            escape(&line.site),
            line.cause.to_owned(),
            line.blocked.clone(),
            line.waits.clone(),
            line.threads.clone(),
            line.longest.clone(),
        ]
    });
}

fn memory_title(document: &Document) -> &'static str {
    if document.of_the_freeze {
        "Memory calls, their start counted from that of the freeze"
    } else {
        "Memory calls"
    }
}

fn memory(page: &mut String, document: &Document) {
    let columns = ["Call", "Who", "Size", "Bytes", "Began", "Took", "In a freeze", "Resident"];
    let align = ["---", "---", "---:", "---:", "---:", "---:", "---:", "---:"];
    // What is known of no call is no column.
    let count = if document.memory.steps { columns.len() } else { columns.len() - 1 };
    let (columns, align) = (&columns[..count], &align[..count]);
    table(page, None, columns, align, &document.memory.lines, |line: &MemoryLine| {
        let mut cells = vec![
            escape(&format!("{} {}", line.operation, line.flags)).trim_end().to_owned(),
            escape(&line.who),
            line.size.clone(),
            line.exact.clone(),
            line.when.clone(),
            line.duration.clone(),
            line.overlap.clone(),
            line.resident.clone(),
        ];
        cells.truncate(count);
        cells
    });
    if !document.memory.left_out.is_empty() {
        push(page, "");
        push(page, &escape(&document.memory.left_out));
    }
}

fn pairs(page: &mut String, pairs: &[Pair]) {
    for pair in pairs {
        push(page, &format!("- **{}**: {}", escape(&pair.left), escape(&pair.right)));
    }
}

fn table<T>(
    page: &mut String,
    title: Option<&str>,
    columns: &[&str],
    align: &[&str],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) {
    if rows.is_empty() {
        return;
    }
    match title {
        Some(title) => heading(page, title),
        None => push(page, ""),
    }
    push(page, &format!("| {} |", columns.join(" | ")));
    push(page, &format!("| {} |", align.join(" | ")));
    for row in rows.iter().take(ROWS) {
        push(page, &format!("| {} |", cells(row).join(" | ")));
    }
}

fn heading(page: &mut String, title: &str) {
    push(page, "");
    push(page, &format!("## {title}"));
    push(page, "");
}

fn push(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

/// Text that stays text: every character that Markdown or GitHub could take for more is disarmed.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // Bare addresses become links, and @ and # notify people, unless something stands between.
            ':' if rest.starts_with("://") => escaped.push_str("&#58;"),
            '.' if ends_with_www(&escaped) => escaped.push_str("&#46;"),
            '@' | '#' => {
                escaped.push('\\');
                escaped.push(character);
                escaped.push('\u{2060}');
            }
            // Between letters an underscore is only itself, and kernel names are full of them.
            '_' if inside_word(&escaped, rest) => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
        rest = &rest[character.len_utf8()..];
    }
    escaped
}

fn inside_word(before: &str, rest: &str) -> bool {
    let after = rest.chars().nth(1);
    before.ends_with(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
}

fn ends_with_www(text: &str) -> bool {
    text.len() >= 3
        && text.is_char_boundary(text.len() - 3)
        && text[text.len() - 3..].eq_ignore_ascii_case("www")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_text() {
        assert_eq!(escape("a_b*c|d _e_"), "a_b\\*c\\|d \\_e\\_");
        assert_eq!(escape("<img src=x>"), "&lt;img src=x&gt;");
        assert_eq!(escape("[x](http://e)"), "\\[x\\](http&#58;//e)");
        assert_eq!(escape("@all #1"), "\\@\u{2060}all \\#\u{2060}1");
        assert_eq!(escape("WWW.e"), "WWW&#46;e");
        assert_eq!(
            escape("mmap of 3.36 GB (3,355,447,296 bytes)"),
            "mmap of 3.36 GB (3,355,447,296 bytes)"
        );
    }
}
