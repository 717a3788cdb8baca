//! Names again, for the key's owner.

use coldcase_ingest::capture::{escape_html, inert, inert_json};

use crate::key::{Key, Space, Token};

/// How a text treats characters that mean something to it.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Terminal text, folded stacks: control characters of a name become visible.
    Plain,
    /// Markdown: names are escaped, by the function that wrote it.
    Markdown(fn(&str) -> String),
    /// Names stand inside quotation marks.
    Json,
    /// Names stand in text, attributes, and in JSON inside `<script>`.
    Html,
}

impl Form {
    /// What a text looks like; `markdown` escapes a name for Markdown.
    #[must_use]
    pub fn of(text: &str, markdown: fn(&str) -> String) -> Self {
        let start = text.trim_start();
        if start.starts_with(['{', '[']) {
            Self::Json
        } else if start.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("<!doctype")) {
            Self::Html
        } else if start.starts_with("# ") {
            Self::Markdown(markdown)
        } else {
            Self::Plain
        }
    }
}

/// A redacted text with the names that the key knows; tokens that it does not know stay.
#[must_use]
pub fn restore(key: &Key, text: &str, form: Form) -> String {
    match form {
        Form::Plain => replaced(key, text, inert),
        Form::Markdown(escape) => replaced(key, text, |name| escape(&inert(name))),
        Form::Json => replaced(key, text, json),
        Form::Html => restore_html(key, text),
    }
}

fn restore_html(key: &Key, text: &str) -> String {
    let (mut restored, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(begin) = rest.find("<script") {
        let end = rest[begin..].find("</script").map_or(rest.len(), |length| begin + length);
        restored.push_str(&replaced(key, &rest[..begin], html));
        restored.push_str(&replaced(key, &rest[begin..end], json_in_html));
        rest = &rest[end..];
    }
    restored + &replaced(key, rest, html)
}

fn replaced(key: &Key, text: &str, escape: impl Fn(&str) -> String) -> String {
    let mut restored = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let begins = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        match token_at(key, &text[at..]).filter(|_| begins) {
            Some((length, name)) => {
                restored.push_str(&escape(name));
                at += length;
            }
            None => {
                restored.push(next);
                at += next.len_utf8();
            }
        }
    }
    restored
}

/// The token that a text begins with: its length, and the name that it stands for. `thread-2.1` goes before `thread-2`.
fn token_at<'k>(key: &'k Key, text: &str) -> Option<(usize, &'k str)> {
    let space = Space::ALL
        .into_iter()
        .find(|space| text.strip_prefix(space.word()).is_some_and(|rest| rest.starts_with('-')))?;
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let short = digits(space.word().len() + 1);
    let long = if text[short..].starts_with('.') { digits(short + 1) } else { short };
    [long, short].into_iter().find_map(|end| {
        let name = Token::parse(&text[..end]).and_then(|token| key.name(token))?;
        Some((end, name))
    })
}

fn json(name: &str) -> String {
    let quoted = serde_json::Value::from(name).to_string();
    inert_json(&quoted[1..quoted.len() - 1]).into_owned()
}

fn html(name: &str) -> String {
    escape_html(&inert(name))
}

fn json_in_html(name: &str) -> String {
    json(&inert(name)).replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(names: &[(Space, &str)]) -> Key {
        let mut key = Key::default();
        names.iter().for_each(|(space, name)| {
            key.token(*space, name);
        });
        key
    }

    #[test]
    fn tokens_become_names_and_other_words_stay() {
        let key = key(&[
            (Space::Thread, "serve-7"),
            (Space::Thread, "serve-8"),
            (Space::File, "libledger"),
            (Space::Process, "db"),
        ]);
        for (text, restored) in [
            ("thread-1.2 woke thread-1.1.", "serve-8 woke serve-7."),
            ("/opt/file-1.so.6", "/opt/libledger.so.6"),
            ("proc-1 and proc-1.", "db and db."),
            (
                "proc-2, subproc-1, multi-proc-1, proc-11",
                "proc-2, subproc-1, multi-proc-1, proc-11",
            ),
        ] {
            assert_eq!(restore(&key, text, Form::Plain), restored);
        }
    }

    #[test]
    fn hostile_names_stay_names() {
        let key = key(&[(Space::Process, "</script><b>\"\u{1b}[1m\\")]);
        assert_eq!(restore(&key, "proc-1", Form::Plain), "</script><b>\"\u{fffd}[1m\\");
        assert_eq!(
            restore(&key, r#"{"comm": "proc-1"}"#, Form::Json),
            r#"{"comm": "</script><b>\"\u001b[1m\\"}"#
        );
        assert_eq!(
            restore(&key, "<!doctype html>proc-1<script>[\"proc-1\"]</script>proc-1", Form::Html),
            "<!doctype html>&lt;/script&gt;&lt;b&gt;&quot;\u{fffd}[1m\\<script>[\"\\u003c/script>\\u003cb>\\\"\u{fffd}[1m\\\\\"]</script>\
             &lt;/script&gt;&lt;b&gt;&quot;\u{fffd}[1m\\"
        );
    }

    #[test]
    fn forms_are_told_by_their_first_bytes() {
        let of = |text| Form::of(text, str::to_uppercase);
        assert!(matches!(of("\n{\"schema\": 1}"), Form::Json));
        assert!(matches!(of("<!DOCTYPE html>"), Form::Html));
        assert!(matches!(of("db froze"), Form::Plain));
        let key = key(&[(Space::Process, "db")]);
        assert_eq!(restore(&key, "# proc-1 froze", of("# proc-1 froze")), "# DB froze");
    }
}
