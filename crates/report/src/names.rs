//! Names out of a capture, made fit to be shown.
//!
//! A capture comes from somebody else's machine, and a thread may call itself anything: terminal escapes,
//! marks that turn the reading direction around, ten kilobytes. What leaves this file has no control or
//! format characters and a bounded length. Escaping for HTML or Markdown is each format's own matter.

use std::fmt::Write;

/// Longest name in a sentence or a table.
const NAME: usize = 48;
/// Longest function name; C++ and Rust generics run to kilobytes.
const FUNCTION: usize = 160;
/// Longest sentence or other free text.
const TEXT: usize = 600;

/// A thread's or process's name; `unnamed` if it is empty.
pub(crate) fn name(raw: &str) -> String {
    if raw.trim().is_empty() { "unnamed".to_owned() } else { isolated(shown(raw, NAME)) }
}

/// A function, module or file name.
pub(crate) fn function(raw: &str) -> String {
    isolated(shown(raw, FUNCTION))
}

/// A sentence that the analysis wrote, perhaps with names in it.
pub(crate) fn text(raw: &str) -> String {
    isolated(shown(raw, TEXT))
}

/// Cuts a text to `limit` characters, with an ellipsis in its middle: both ends of a name tell something.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let tail = limit.saturating_sub(1) / 3;
    let head = limit.saturating_sub(1) - tail;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

fn shown(raw: &str, limit: usize) -> String {
    // Only as much as can be shown is looked at, from both ends, so that a huge name costs little.
    let bounded = shorten(raw, limit);
    let mut text = String::with_capacity(bounded.len());
    for character in bounded.chars() {
        match character {
            '\t' | '\n' | '\r' => text.push(' '),
            character if is_unfit(character) => {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
            }
            character => text.push(character),
        }
    }
    shorten(&text, limit)
}

/// Keeps right-to-left letters from moving the words around the name.
fn isolated(text: String) -> String {
    if text.chars().any(is_right_to_left) { format!("\u{2068}{text}\u{2069}") } else { text }
}

/// Characters that change how what stands around them is shown, or that show as nothing.
fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn is_right_to_left(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefe}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_marks_become_visible() {
        assert_eq!(name("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(name("exe\u{202e}cod"), "exe\\u{202e}cod");
        assert_eq!(text("one\ntwo\tthree"), "one two three");
        assert_eq!(name(" \u{a0}"), "unnamed");
    }

    #[test]
    fn long_names_keep_both_ends() {
        let long = format!("begin{}end", "x".repeat(10_000));
        let short = name(&long);
        assert_eq!(short.chars().count(), NAME);
        assert!(short.starts_with("begin") && short.ends_with("end"));
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefg", 6).chars().count(), 6);
    }

    #[test]
    fn escapes_do_not_outgrow_the_limit() {
        assert!(name(&"\u{1b}".repeat(500)).chars().count() <= NAME);
    }

    #[test]
    fn right_to_left_names_are_kept_apart() {
        assert_eq!(name("שרת"), "\u{2068}שרת\u{2069}");
    }
}
