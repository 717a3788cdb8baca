//! Lines of a text with their place in it, and what is wrong with some of them.

use crate::capture::{Capture, Loss, LossKind};

/// A line longer than this is no line of any tool: a file without line ends, or damage.
const LONGEST: usize = 1 << 20;

/// A line with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Of its first byte in the text.
    pub offset: usize,
    /// Without the line's end.
    pub bytes: &'a [u8],
}

/// The lines of a text, one at a time.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    number: u64,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, offset: 0, number: 0 }
    }

    /// The next lines that begin with a blank, as one piece without its last line end: a callchain as it stands in the text.
    pub fn block(&mut self) -> &'a [u8] {
        let (start, mut end) = (self.offset, self.offset);
        while matches!(self.text.get(self.offset), Some(b'\t' | b' ')) {
            let rest = &self.text[self.offset..];
            end = self.offset + memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            self.offset = (end + 1).min(self.text.len());
            self.number += 1;
        }
        &self.text[start..end]
    }

    /// The next line, which stays the next.
    pub fn next_line(&self) -> &'a [u8] {
        let rest = &self.text[self.offset..];
        &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
    }

    /// The next line's first byte; `None` at the end of the text.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.offset).copied()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.text.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let bytes = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        let offset = self.offset;
        self.offset += (length + 1).min(rest.len());
        self.number += 1;
        Some(Line { number: self.number, offset, bytes })
    }
}

/// Lines that could not be read, counted by reason.
#[derive(Default)]
pub(super) struct Complaints(Vec<Complaint>);

struct Complaint {
    reason: &'static str,
    count: u64,
    bytes: u64,
    line: u64,
    offset: usize,
}

impl Complaints {
    /// A line that could not be read, and why.
    pub fn add(&mut self, line: Line<'_>, reason: &'static str) {
        let reason = if line.bytes.len() > LONGEST { "longer than 1 MiB" } else { reason };
        let bytes = line.bytes.len() as u64;
        match self.0.iter_mut().find(|known| known.reason == reason) {
            Some(known) => {
                known.count += 1;
                known.bytes += bytes;
            }
            None => self.0.push(Complaint {
                reason,
                count: 1,
                bytes,
                line: line.number,
                offset: line.offset,
            }),
        }
    }

    /// How many lines could not be read.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|complaint| complaint.count).sum()
    }

    /// Tells the capture's reader.
    pub fn hand_over(self, capture: &mut Capture) {
        for Complaint { reason, count, bytes, line, offset } in self.0 {
            let lines = if count == 1 { "1 line is" } else { &format!("{count} lines are") };
            let note = format!("{lines} {reason}; the first is line {line}, at byte {offset}");
            capture.losses.push(Loss {
                time: None,
                kind: LossKind::Damaged,
                count: bytes,
                note: note.clone(),
            });
            capture.warn(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_know_their_place() {
        let lines = Lines::new(b"a\r\nbc\n\nd");
        let all: Vec<_> = lines.map(|line| (line.number, line.offset, line.bytes)).collect();
        assert_eq!(all, [(1, 0, &b"a"[..]), (2, 3, b"bc"), (3, 6, b""), (4, 7, b"d")]);
    }

    #[test]
    fn a_block_ends_where_a_line_begins_without_a_blank() {
        let mut lines = Lines::new(b"head\n\ta\n\tb\n\nhead\n\tc");
        lines.next();
        assert_eq!(lines.block(), b"\ta\n\tb");
        assert_eq!(lines.next().map(|line| (line.number, line.bytes)), Some((4, &b""[..])));
        assert_eq!(lines.next().map(|line| (line.number, line.bytes)), Some((5, &b"head"[..])));
        assert_eq!(lines.block(), b"\tc");
        assert!(lines.next().is_none());
        assert_eq!(lines.block(), b"");
    }
}
