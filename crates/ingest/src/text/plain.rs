//! Text as it went through other programs: byte order marks, UTF-16, Windows' line ends, colours of a terminal.

use std::borrow::Cow;

const ESCAPE: u8 = 0x1b;

/// The text as the tool wrote it, and what was taken away, for a person.
pub(super) fn plain(bytes: &[u8]) -> (Cow<'_, [u8]>, Option<&'static str>) {
    let utf16 = match bytes {
        [0xff, 0xfe, rest @ ..] => Some(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(utf16(rest, u16::from_be_bytes)),
        _ => None,
    };
    if let Some(text) = utf16 {
        let text = unix_lines(text.as_bytes()).into_owned();
        return (Cow::Owned(text), Some("the text was UTF-16: bytes are counted as in UTF-8"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if memchr::memchr(ESCAPE, bytes).is_some() {
        let text = unix_lines(&without_escapes(bytes)).into_owned();
        return (
            Cow::Owned(text),
            Some("the text held a terminal's control codes: bytes are counted without them"),
        );
    }
    (unix_lines(bytes), None)
}

fn utf16(bytes: &[u8], number: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|&unit| number(unit));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn unix_lines(bytes: &[u8]) -> Cow<'_, [u8]> {
    let first = memchr::memchr(b'\n', bytes);
    if first.is_none_or(|at| at == 0 || bytes[at - 1] != b'\r') {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        match line {
            [line @ .., b'\r', b'\n'] => {
                out.extend_from_slice(line);
                out.push(b'\n');
            }
            line => out.extend_from_slice(line),
        }
    }
    Cow::Owned(out)
}

/// Without `ESC [ ... letter`, as terminals take colours and movements (ECMA-48), and without other escapes' first byte.
fn without_escapes(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(ESCAPE, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(codes) = rest.strip_prefix(b"[") {
            let length = codes.iter().take_while(|byte| (0x20..0x40).contains(*byte)).count();
            rest = &codes[(length + 1).min(codes.len())..];
        }
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_programs_added_is_taken_away() {
        let utf16: Vec<u8> =
            "\u{feff}a;b 1\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, text) in [
            (&b"a;b 1\n"[..], "a;b 1\n"),
            (b"\xef\xbb\xbfa;b 1\r\nc 2\r\n", "a;b 1\nc 2\n"),
            (b"\x1b[1;32ma;\x1b[0mb 1\n", "a;b 1\n"),
            (b"a\x1b[", "a"),
            (b"a\x1b", "a"),
            (&utf16, "a;b 1\n"),
        ] {
            assert_eq!(plain(bytes).0, text.as_bytes());
        }
    }
}
