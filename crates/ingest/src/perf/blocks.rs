//! A stretch of a file, read into one buffer that is used again and again.
//!
//! ```text
//! buffer:   |....... unused .......|-- rest --|---------------- block ----------------|
//!                                  what of the last block was not used yet, so that a record lies in one piece
//! ```
//!
//! Whoever uses a block reads it: what another processor has read would have to come out of that one's cache.

use std::ops::Range;

use super::source::Source;
use crate::error::Problem;

/// How much is read at a time, in bytes.
const BLOCK: usize = 1 << 17;
/// Room in front of a block for what is left of the one before.
pub(super) const REST: usize = 1 << 20;

/// Blocks of a stretch, in order.
pub(super) struct Blocks<'a> {
    source: Source<'a>,
    /// What of the stretch has not been read.
    to_come: Range<usize>,
    buffer: Vec<u8>,
    /// What of the buffer has not been used.
    unused: Range<usize>,
}

impl<'a> Blocks<'a> {
    pub fn new(source: Source<'a>, range: Range<usize>) -> Self {
        let buffer = vec![0; REST + BLOCK];
        Self { source, to_come: range, buffer, unused: REST..REST }
    }

    /// What has been read and not been used, with another block behind it; and whether it is the last of the stretch.
    /// `None` at the end.
    pub fn next(&mut self) -> Result<Option<(&[u8], bool)>, Problem> {
        if self.to_come.is_empty() {
            return Ok(None);
        }
        let start = REST - self.unused.len();
        self.buffer.copy_within(self.unused.clone(), start);
        let length = BLOCK.min(self.to_come.len());
        self.source.read(self.to_come.start, &mut self.buffer[REST..REST + length])?;
        self.to_come.start += length;
        self.unused = start..REST + length;
        Ok(Some((&self.buffer[self.unused.clone()], self.to_come.is_empty())))
    }

    /// So many bytes were used; at most [`REST`] may be left.
    pub fn used(&mut self, count: usize) {
        self.unused.start += count;
    }
}
