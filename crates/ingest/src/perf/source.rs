//! Where a capture's bytes come from: memory, or a file of which only a part is in memory at a time.
//!
//! A file is read with pread(2) and not mapped: where another program makes a mapped file shorter, touching
//! what is gone ends this one with a signal, and nothing in safe Rust can take that back.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::error::Problem;

/// A capture's bytes.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// All of them.
    Memory(&'a [u8]),
    /// A file, and how long it was when it was opened.
    File {
        /// Open for reading.
        file: &'a File,
        /// In bytes.
        length: usize,
    },
}

impl<'a> Source<'a> {
    pub fn len(self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File { length, .. } => length,
        }
    }

    /// Some of the bytes; `None` if not all of them are there.
    pub fn get(self, range: Range<usize>) -> Result<Option<Cow<'a, [u8]>>, Problem> {
        match self {
            Self::Memory(bytes) => Ok(bytes.get(range).map(Cow::Borrowed)),
            Self::File { file, length } => {
                if range.start > range.end || range.end > length {
                    return Ok(None);
                }
                let mut bytes = vec![0; range.len()];
                read_at(file, range.start, &mut bytes)?;
                Ok(Some(Cow::Owned(bytes)))
            }
        }
    }

    /// Fills a buffer from a place on, where so many bytes were when the source was opened.
    pub fn read(self, at: usize, buffer: &mut [u8]) -> Result<(), Problem> {
        match self {
            Self::Memory(bytes) => {
                buffer.copy_from_slice(&bytes[at..at + buffer.len()]);
                Ok(())
            }
            Self::File { file, .. } => read_at(file, at, buffer),
        }
    }

    /// The bytes from the beginning, as many as there are up to a number.
    pub fn front(self, most: usize) -> Result<Cow<'a, [u8]>, Problem> {
        Ok(self.get(0..most.min(self.len()))?.unwrap_or_default())
    }
}

/// Fills a buffer from a place in a file that was long enough when it was opened.
fn read_at(file: &File, at: usize, buffer: &mut [u8]) -> Result<(), Problem> {
    file.read_exact_at(buffer, at as u64).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Problem::at(at, "the file was made shorter while it was read")
        }
        _ => Problem::Io(error),
    })
}
