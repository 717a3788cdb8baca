//! Findings as JSON, schema `coldcase.findings/1`: the keys are a promise to those who call coldcase.
//!
//! The form has types of its own ([`dto`]), so that the analysis can change without changing the promise.
//! Names stand here as the capture has them, since programs compare names; what could steer a terminal that shows the
//! text is written as an escape, which every reader of JSON undoes.

mod convert;
mod dto;

use coldcase_analyze::findings::Findings;

/// Findings as JSON, indented, with a line feed at the end.
#[must_use]
pub fn json(findings: &Findings) -> String {
    let document = dto::Document::from(findings);
    let text = serde_json::to_string_pretty(&document)
        .expect("plain structs with string keys always serialise");
    escaped(text) + "\n"
}

/// JSON escapes of itself what is below a blank. Beyond that, DEL, the second block of control characters, and what turns
/// the direction of reading around stand in strings only.
fn escaped(text: String) -> String {
    let unfit = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(unfit) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if unfit(character) {
            safe.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_reads_as_it_was() {
        let name = "a\u{9b}31mb\u{7f}\u{202e}c\u{2069}\u{1b}\n\u{e9}";
        let text = escaped(serde_json::to_string_pretty(&[name]).unwrap());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n') && text.contains("\\u202e"));
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [name]);
    }
}
