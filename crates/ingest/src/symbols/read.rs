//! Whole files into memory, within limits: a file's own words about its size are never believed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::unpack::{Packing, Stop};

/// Files above this are refused.
pub(super) const LARGEST_FILE: u64 = 4 << 30;
/// A compressed file may expand to this.
const LARGEST_EXPANDED: u64 = 1 << 30;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder, a pipe, a device.
    #[error("is not a regular file")]
    NotAFile,
    /// Larger than any binary.
    #[error("has {size} bytes, more than the limit of {LARGEST_FILE}")]
    TooLarge {
        /// The file's size.
        size: u64,
    },
    /// Damaged compressed data.
    #[error("is not valid {0} data: {1}")]
    Compressed(&'static str, io::Error),
    /// Compressed data that expands without an end.
    #[error("expands to more than {LARGEST_EXPANDED} bytes")]
    ExpandsTooFar,
}

/// A file's bytes; decompressed if it begins as gzip, xz or zstd data does.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    let metadata = std::fs::metadata(path)?;
    // Before opening: opening a pipe would wait for its writer.
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    if metadata.len() > LARGEST_FILE {
        return Err(ReadError::TooLarge { size: metadata.len() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // Files in /proc give no size, so the limit is kept while reading, too.
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > LARGEST_FILE {
        return Err(ReadError::TooLarge { size });
    }
    match Packing::of(&bytes) {
        Some(packing) => expand(packing, &bytes, LARGEST_EXPANDED),
        None => Ok(bytes),
    }
}

fn expand(packing: Packing, packed: &[u8], limit: u64) -> Result<Vec<u8>, ReadError> {
    let unpacked = packing.unpack(packed, limit);
    match unpacked.stop {
        None => Ok(unpacked.bytes),
        Some(Stop::Damaged(error)) => Err(ReadError::Compressed(packing.name(), error)),
        Some(Stop::Limit) => Err(ReadError::ExpandsTooFar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_data_stops_at_the_limit() {
        let zeros = zstd::encode_all(&vec![0; 100_000][..], 3).unwrap();
        assert_eq!(expand(Packing::Zstd, &zeros, 100_000).unwrap().len(), 100_000);
        assert!(matches!(expand(Packing::Zstd, &zeros, 99_999), Err(ReadError::ExpandsTooFar)));
    }

    #[test]
    fn damaged_compressed_data_is_an_error() {
        let zeros = zstd::encode_all(&vec![7; 100_000][..], 3).unwrap();
        assert!(matches!(
            expand(Packing::Zstd, &zeros[..zeros.len() / 2], 1 << 20),
            Err(ReadError::Compressed(..))
        ));
    }

    #[test]
    fn a_folder_is_not_read() {
        assert!(matches!(read_file(Path::new("/")), Err(ReadError::NotAFile)));
    }
}
