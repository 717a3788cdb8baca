//! Writing a bundle: whole under its final name, or not at all.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use coldcase_ingest::bundle::{CAPTURE, HISTORY, KALLSYMS, MANIFEST, Manifest};

use crate::error::TrapError;
use crate::keep;

/// Ending of a file that is not whole yet.
const UNFINISHED: &str = ".unfinished";
/// zstd's own default: 60 MB take a quarter of a second.
const LEVEL: i32 = 3;
/// A mapped file above this is left out.
const LARGEST_BINARY: u64 = 1 << 30;

/// What goes into a bundle.
#[derive(Default)]
pub struct Parts {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The capture's file.
    pub capture: PathBuf,
    /// Further files: their names in the bundle, and what they hold.
    pub texts: Vec<(String, String)>,
    /// The table of statistics.
    pub history: String,
    /// Programs and libraries: their names in the bundle, and where they are.
    pub binaries: Vec<(String, PathBuf)>,
}

/// What writing came to.
#[derive(Debug)]
pub struct Written {
    /// The bundle.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Bundles that had to go to make room.
    pub removed: Vec<PathBuf>,
}

/// Writes a bundle into the folder. If the disk is full, the oldest bundles go.
pub fn write(folder: &Path, parts: &Parts) -> Result<Written, TrapError> {
    let name = keep::next_name(folder, parts.manifest.clocks.wall_ns);
    let (path, unfinished) = (folder.join(&name), folder.join(format!(".{name}{UNFINISHED}")));
    let mut removed = Vec::new();
    loop {
        let attempt = write_file(&unfinished, parts);
        let attempt = attempt.and_then(|()| {
            let renamed =
                fs::rename(&unfinished, &path).and_then(|()| File::open(folder)?.sync_all());
            renamed.map_err(TrapError::file("write", &path))
        });
        let Err(error) = attempt else { break };
        // What is not whole is nobody's use; if it cannot be removed, it is at the next start.
        fs::remove_file(&unfinished).ok();
        if !error.is_full() {
            return Err(error);
        }
        match keep::remove_oldest(folder) {
            Some(oldest) => removed.push(oldest),
            None => return Err(error),
        }
    }
    let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    Ok(Written { path, bytes, removed })
}

/// Removes what an earlier trap did not come to finish.
pub fn remove_unfinished(folder: &Path) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".coldcase-") && name.ends_with(UNFINISHED) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn write_file(path: &Path, parts: &Parts) -> Result<(), TrapError> {
    let failed = || TrapError::file("write", path);
    let file = File::create(path).map_err(failed())?;
    let written = write_archive(&file, parts);
    written.and_then(|()| file.sync_all()).map_err(failed())
}

fn write_archive(file: &File, parts: &Parts) -> io::Result<()> {
    let mut zstd = zstd::Encoder::new(file, LEVEL)?;
    zstd.include_checksum(true)?;
    let mut tar = tar::Builder::new(zstd);
    let time = parts.manifest.clocks.wall_ns / 1_000_000_000;
    let manifest = serde_json::to_vec_pretty(&parts.manifest)?;
    // First: it is what a bundle is recognised by.
    put(&mut tar, MANIFEST, time, manifest.len() as u64, &manifest[..])?;
    let capture = File::open(&parts.capture)?;
    put(&mut tar, CAPTURE, time, capture.metadata()?.len(), BufReader::new(capture))?;
    // Files of /proc do not say how long they are.
    let symbols = fs::read("/proc/kallsyms").unwrap_or_default();
    put(&mut tar, KALLSYMS, time, symbols.len() as u64, &symbols[..])?;
    put(&mut tar, HISTORY, time, parts.history.len() as u64, parts.history.as_bytes())?;
    for (name, text) in &parts.texts {
        put(&mut tar, name, time, text.len() as u64, text.as_bytes())?;
    }
    for (name, path) in &parts.binaries {
        // One that is gone or changes meanwhile is no reason to lose the bundle.
        let Ok(binary) = File::open(path) else { continue };
        let size = binary.metadata()?.len();
        if size <= LARGEST_BINARY {
            put(&mut tar, name, time, size, binary)?;
        }
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

/// One entry. What is shorter than it was is filled with zeros: the archive's size must be what its header says.
fn put(
    tar: &mut tar::Builder<impl io::Write>,
    name: &str,
    time: u64,
    size: u64,
    bytes: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(time);
    tar.append_data(&mut header, name, bytes.chain(io::repeat(0)).take(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(folder: &Path) -> Parts {
        let capture = folder.join("capture");
        fs::write(&capture, "PERFILE2").unwrap();
        Parts {
            capture,
            texts: vec![("kernel.log".to_owned(), "x\n".to_owned())],
            binaries: vec![("binaries/gone".to_owned(), folder.join("gone"))],
            ..Parts::default()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_bundle_begins_with_its_manifest_and_leaves_nothing_beside() {
        let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let written = write(folder.path(), &parts(source.path())).unwrap();
        let bytes = zstd::decode_all(File::open(&written.path).unwrap()).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap();
        let names: Vec<String> = entries
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, [MANIFEST, CAPTURE, KALLSYMS, HISTORY, "kernel.log"]);
        assert_eq!(self::names(folder.path()).len(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let (source, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let lost = Parts { capture: source.path().join("nowhere"), ..parts(source.path()) };
        assert!(write(folder.path(), &lost).is_err());
        assert_eq!(names(folder.path()), [""; 0]);
        assert!(write(&folder.path().join("missing"), &parts(source.path())).is_err());
    }

    #[test]
    fn what_an_earlier_trap_left_unfinished_goes() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".coldcase-000001-a.tar.zst.unfinished", "notes.unfinished"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(folder.path());
        assert_eq!(names(folder.path()), ["notes.unfinished"]);
    }
}
