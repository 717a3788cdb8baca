//! The bundles that are there: their names, their order, and which have to go.
//!
//! A bundle's name begins with a number that only grows, so that no jump of the wall's clock makes a new bundle look old.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use rustix::fs::statvfs;

const PREFIX: &str = "coldcase-";
const ENDING: &str = ".tar.zst";

/// What may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many bundles.
    pub bundles: usize,
    /// So many bytes, all together.
    pub bytes: u64,
}

/// A bundle that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// Which: a later one has a larger number.
    pub number: u64,
    /// Its size.
    pub bytes: u64,
}

/// The bundles in a folder, oldest first.
pub fn bundles(folder: &Path) -> Vec<Kept> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let mut bundles: Vec<Kept> = entries.flatten().filter_map(|entry| kept(&entry)).collect();
    bundles.sort_by_key(|bundle| bundle.number);
    bundles
}

fn kept(entry: &fs::DirEntry) -> Option<Kept> {
    let name = entry.file_name().into_string().ok()?;
    let (number, _) = name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?.split_once('-')?;
    let (number, metadata) = (number.parse().ok()?, entry.metadata().ok()?);
    metadata.is_file().then_some(Kept { path: entry.path(), number, bytes: metadata.len() })
}

/// The next bundle's name: its number, and the time in UTC.
pub fn next_name(folder: &Path, wall_ns: u64) -> String {
    let number = bundles(folder).last().map_or(1, |last| last.number + 1);
    let seconds = i64::try_from(wall_ns / 1_000_000_000).unwrap_or(0);
    let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    format!("{PREFIX}{number:06}-{}{ENDING}", time.format("%Y%m%dT%H%M%SZ"))
}

/// Removes the oldest bundles until the rest is within the limits, and gives what was removed. The newest stays.
pub fn prune(folder: &Path, limits: Limits) -> Vec<PathBuf> {
    let mut bundles = bundles(folder);
    let mut removed = Vec::new();
    let size = |bundles: &[Kept]| bundles.iter().map(|bundle| bundle.bytes).sum::<u64>();
    while bundles.len() > 1 && (bundles.len() > limits.bundles || size(&bundles) > limits.bytes) {
        let oldest = bundles.remove(0);
        if fs::remove_file(&oldest.path).is_ok() {
            removed.push(oldest.path);
        }
    }
    removed
}

/// Removes the oldest bundle; `None` if there is none.
pub fn remove_oldest(folder: &Path) -> Option<PathBuf> {
    let oldest = bundles(folder).into_iter().next()?;
    fs::remove_file(&oldest.path).ok()?;
    Some(oldest.path)
}

/// Bytes that are free where the folder is; all there are if the system does not say.
pub fn free_bytes(folder: &Path) -> u64 {
    statvfs(folder).map_or(u64::MAX, |system| system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(folder: &Path) -> Vec<u64> {
        bundles(folder).iter().map(|bundle| bundle.number).collect()
    }

    #[test]
    fn two_hundred_bundles_stay_within_the_limits() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { bundles: 20, bytes: 10_000 };
        for number in 0..200_u64 {
            // The wall's clock runs backwards.
            let name = next_name(folder.path(), (1000 - number) * 1_000_000_000_000);
            fs::write(folder.path().join(name), vec![0; 1000]).unwrap();
            prune(folder.path(), limits);
            let sum: u64 = bundles(folder.path()).iter().map(|bundle| bundle.bytes).sum();
            assert!(sum <= limits.bytes);
        }
        assert_eq!(numbers(folder.path()), (191..=200).collect::<Vec<_>>());
        prune(folder.path(), Limits { bundles: 3, bytes: 10_000 });
        assert_eq!(numbers(folder.path()), [198, 199, 200]);
        // One that is larger than the limit is kept: it is the newest.
        prune(folder.path(), Limits { bundles: 3, bytes: 1 });
        assert_eq!(numbers(folder.path()), [200]);
    }

    #[test]
    fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["coldcase-000001-a.tar.zst", "notes.tar.zst", "coldcase-x-y.tar.zst"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(numbers(folder.path()), [1]);
        assert!(remove_oldest(folder.path()).is_some() && remove_oldest(folder.path()).is_none());
        assert!(folder.path().join("notes.tar.zst").exists());
        assert_eq!(
            next_name(folder.path(), 1_795_297_338_000_000_000),
            "coldcase-000001-20261121T214218Z.tar.zst"
        );
    }
}
