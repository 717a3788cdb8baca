//! A stretch of a file, read ahead by a thread of its own into a few blocks that are used again and again.
//!
//! ```text
//! buffer:   |....... unused .......|-- rest --|---------------- block ----------------|
//!                                  what of the last block was not used yet, so that a record lies in one piece
//! ```
//!
//! Blocks are small enough that what was read is still in the cache when it is used.

use std::fs::File;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use super::source::read_at;
use crate::error::Problem;

/// How much is read at a time, in bytes.
const BLOCK: usize = 1 << 18;
/// Room in front of a block for what is left of the one before.
pub(super) const REST: usize = 1 << 20;
/// Blocks on their way.
const BLOCKS: usize = 3;

/// Blocks of a stretch, in order.
pub(super) struct Blocks {
    full: Receiver<Result<Vec<u8>, Problem>>,
    empty: SyncSender<Vec<u8>>,
    buffer: Vec<u8>,
    /// What of the buffer has not been used.
    unused: Range<usize>,
    /// Bytes of the stretch that have not been in a buffer.
    to_come: usize,
}

impl Blocks {
    /// Begins to read ahead.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        file: &'scope File,
        range: Range<usize>,
    ) -> Self {
        let (send_full, full) = sync_channel(BLOCKS);
        let (empty, take_empty) = sync_channel(BLOCKS);
        for _ in 0..BLOCKS {
            // There is room for all of them.
            let _ = empty.send(Vec::new());
        }
        let to_come = range.len();
        scope.spawn(move || read_ahead(file, range, &take_empty, &send_full));
        Self { full, empty, buffer: Vec::new(), unused: 0..0, to_come }
    }

    /// What has been read and not been used, with another block behind it; and whether it is the last of the stretch.
    /// `None` at the end.
    pub fn next(&mut self) -> Result<Option<(&[u8], bool)>, Problem> {
        if self.to_come == 0 {
            return Ok(None);
        }
        // The reader sends every block or an error.
        let Ok(block) = self.full.recv() else { return Ok(None) };
        let mut block = block?;
        let rest = &self.buffer[self.unused.clone()];
        let start = REST - rest.len();
        block[start..REST].copy_from_slice(rest);
        self.to_come -= block.len() - REST;
        self.unused = start..block.len();
        // At the end there is nobody left who would want it.
        let _ = self.empty.send(std::mem::replace(&mut self.buffer, block));
        Ok(Some((&self.buffer[self.unused.clone()], self.to_come == 0)))
    }

    /// So many bytes were used; at most [`REST`] may be left.
    pub fn used(&mut self, count: usize) {
        self.unused.start += count;
    }
}

fn read_ahead(
    file: &File,
    range: Range<usize>,
    empty: &Receiver<Vec<u8>>,
    full: &SyncSender<Result<Vec<u8>, Problem>>,
) {
    for at in range.clone().step_by(BLOCK) {
        let Ok(mut buffer) = empty.recv() else { return };
        buffer.resize(REST + BLOCK.min(range.end - at), 0);
        let read = read_at(file, at, &mut buffer[REST..]).map(|()| buffer);
        let failed = read.is_err();
        if full.send(read).is_err() || failed {
            return;
        }
    }
}
