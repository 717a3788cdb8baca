//! Names as others gave them, where they stand in text: nothing in them may change what stands around them.

use std::borrow::Cow;

/// Whether a character does something to the text around it: control characters steer a terminal or end a line, and marks turn the
/// direction of reading around (Unicode Standard Annex #9, explicit directional formatting).
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of one line, or a part of it, in which U+FFFD stands for each such character.
#[must_use]
pub fn inert(text: &str) -> String {
    text.chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect()
}

/// The same of a text of several lines, which stay.
#[must_use]
pub fn inert_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(inert).collect();
    lines.join("\n")
}

/// Text for HTML or SVG, in content and in quoted attributes.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A JSON text in which each such character is an escape, which every reader of JSON undoes. Line feeds stay: between values they mean
/// nothing, and inside of strings JSON has none.
#[must_use]
pub fn inert_json(json: &str) -> Cow<'_, str> {
    let unfit = |character| steers(character) && character != '\n';
    if !json.contains(unfit) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if unfit(character) {
            safe.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_reads_as_it_was() {
        let name = "a\u{9b}31mb\u{7f}\u{202e}c\u{2069}\u{1b}\n\u{e9}";
        assert_eq!(inert(name), "a\u{fffd}31mb\u{fffd}\u{fffd}c\u{fffd}\u{fffd}\u{fffd}\u{e9}");
        // What is below a blank, JSON escapes of itself.
        let json = "[\n\"a\u{9b}31mb\u{7f}\u{202e}c\u{2069}\u{e9}\"\n]";
        assert_eq!(inert_json(json), "[\n\"a\\u009b31mb\\u007f\\u202ec\\u2069\u{e9}\"\n]");
    }
}
