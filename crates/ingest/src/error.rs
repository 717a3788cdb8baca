//! Why a capture could not be read at all. What could be read in part is no error, but a capture with
//! losses and warnings.

use std::path::PathBuf;

/// A capture that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {problem}", path.display())]
pub struct IngestError {
    /// Which file.
    pub path: PathBuf,
    /// Where in it, and why.
    pub problem: Problem,
}

/// What is wrong with a capture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file could not be opened or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The path names a folder that is neither a recording nor a row of profiles.
    #[error("it is a folder; name the capture file in it")]
    Folder,
    /// A folder of profiles whose names tell their order and not their times.
    #[error(
        "it is a folder; name the capture file in it, or, if it holds profiles of one time after the other, say how many milliseconds each file covers: --every MS"
    )]
    UnknownStep,
    /// Nothing is in it.
    #[error("at byte 0: the file is empty")]
    Empty,
    /// The first bytes belong to no format that coldcase reads.
    #[error("at byte 0: {0}")]
    UnknownFormat(String),
    /// The file says something about itself that cannot be.
    #[error("at byte {offset}: {reason}")]
    Malformed {
        /// Offset from the file's start, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
}

impl Problem {
    /// Something impossible at a byte.
    pub(crate) fn at(offset: usize, reason: impl Into<String>) -> Self {
        Self::Malformed { offset: offset as u64, reason: reason.into() }
    }
}
