//! Whole files into memory, within limits: a file's own words about its size are never believed.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use object::read::{Object, ObjectSection, ReadCache};

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
    let mut file = File::open(path)?;
    let unread = unread(&file);
    file.rewind()?;
    if !unread.is_empty() {
        return Ok(with_holes(&file, metadata.len(), unread)?);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    // Files in /proc give no size, so the limit is kept while reading, too.
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    let size = bytes.len() as u64;
    if size > LARGEST_FILE {
        return Err(ReadError::TooLarge { size });
    }
    match Packing::of(&bytes) {
        Some(packing) => expand(packing, &bytes, LARGEST_EXPANDED),
        None => Ok(bytes),
    }
}

/// Where in a large program or debug file sections lie that names, lines and unwinding do not need: a fifth of 1 GB, in order.
fn unread(file: &File) -> Vec<Range<u64>> {
    const NAMES: [&str; 10] = [
        ".debug_loc",
        ".debug_loclists",
        ".debug_macinfo",
        ".debug_macro",
        ".debug_names",
        ".debug_pubnames",
        ".debug_pubtypes",
        ".debug_gnu_pubnames",
        ".debug_gnu_pubtypes",
        ".gdb_index",
    ];
    const LARGE: u64 = 1 << 20;
    let cache = ReadCache::new(file);
    let Ok(parsed) = object::File::parse(&cache) else { return Vec::new() };
    let sections = parsed.sections();
    let unread = sections.filter(|section| section.name().is_ok_and(|name| NAMES.contains(&name)));
    let ranges =
        unread.filter_map(|section| section.file_range()).filter(|(_, size)| *size > LARGE);
    let mut ranges: Vec<_> =
        ranges.filter_map(|(at, size)| Some(at..at.checked_add(size)?)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

/// A file's bytes, with zeros for these ranges, which take no memory: the system gives pages only where something is written.
fn with_holes(file: &File, size: u64, holes: Vec<Range<u64>>) -> io::Result<Vec<u8>> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let mut bytes = vec![0; usize::try_from(size).map_err(too_large)?];
    let mut at = 0;
    for hole in holes.into_iter().chain(std::iter::once(size..size)) {
        // Ranges can overlap or lie outside in a damaged file; what lies between is read.
        let end = hole.start.clamp(at, size);
        let (from, to) = (usize::try_from(at), usize::try_from(end));
        if let (Ok(from), Ok(to)) = (from, to) {
            file.read_exact_at(&mut bytes[from..to], at)?;
        }
        at = hole.end.clamp(end, size);
    }
    Ok(bytes)
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
    fn what_lies_between_holes_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = File::open(&path).unwrap();
        let read = |holes: &[(u64, u64)]| {
            let holes = holes.iter().map(|&(from, to)| from..to).collect();
            let bytes = with_holes(&file, 10, holes).unwrap();
            String::from_utf8(bytes).unwrap().replace('\0', "-")
        };
        assert_eq!(read(&[(2, 4), (7, 8)]), "01--456-89");
        assert_eq!(read(&[(0, 3), (2, 5), (4, 4)]), "-----56789");
        assert_eq!(read(&[(8, u64::MAX)]), "01234567--");
        assert_eq!(read(&[(20, 30)]), "0123456789");
        assert!(with_holes(&file, 11, Vec::new()).is_err(), "it became shorter");
    }

    #[test]
    fn a_folder_is_not_read() {
        assert!(matches!(read_file(Path::new("/")), Err(ReadError::NotAFile)));
    }
}
