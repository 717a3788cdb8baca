//! Why the trap cannot do what it should.

use std::io;
use std::path::{Path, PathBuf};

/// Something that ends the trap.
#[derive(Debug, thiserror::Error)]
pub enum TrapError {
    /// A file or folder.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was tried: `write`, `make`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Another trap is at work.
    #[error("another trap writes into {}", .0.display())]
    Busy(PathBuf),
    /// perf, or a right, is missing; the text says which and how to get it.
    #[error("{0}")]
    Missing(String),
    /// perf did not do what it was told; what it said.
    #[error("perf: {0}")]
    Perf(String),
    /// Nothing could be written: too little space.
    #[error("no space: {0}")]
    Full(String),
    /// A signal's handler could not be set.
    #[error("cannot take signals: {0}")]
    Signals(io::Error),
}

impl TrapError {
    /// For [`Result::map_err`] on a file.
    pub fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { what, path, error }
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File { error, .. } => {
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Full(_) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        let error = |kind: io::ErrorKind| TrapError::file("write", Path::new("x"))(kind.into());
        assert!(error(io::ErrorKind::StorageFull).is_full());
        assert!(error(io::ErrorKind::QuotaExceeded).is_full());
        assert!(!error(io::ErrorKind::ReadOnlyFilesystem).is_full());
        assert!(TrapError::Full("x".to_owned()).is_full());
    }
}
