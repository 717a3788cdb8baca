//! Bundles: a capture and what was noted beside it, as `coldcase trap` writes them.
//!
//! A bundle is a tar archive, compressed with zstd as a whole. Its first entry is [`MANIFEST`], by which it is
//! recognised; what else it holds stands under the names below. Entries with other names are for people.

mod manifest;
mod statistics;

use std::io::Read;

pub use manifest::{
    AlarmNote, ClockNote, CostNote, DroppedEvent, Machine, Manifest, ProcessNote, RecordingNote,
};

use crate::capture::{Incident, Sentence, Timestamp};
use crate::error::Problem;

/// What is known of the incident, as JSON ([`Manifest`]).
pub const MANIFEST: &str = "coldcase-bundle.json";
/// The capture, a perf.data.
pub const CAPTURE: &str = "capture.data";
/// The kernel's symbols when it was captured.
pub const KALLSYMS: &str = "kallsyms";
/// Statistics over the minutes before and after: lines of `seconds, what, of whom, value`, split by tabs; seconds are
/// CLOCK_MONOTONIC.
pub const HISTORY: &str = "history.tsv";
/// The last lines of the kernel's log, as `/dev/kmsg` has them.
pub const KERNEL_LOG: &str = "kernel.log";
/// What [`HISTORY`] calls the resident size of a process, in bytes; of whom is `PID:COMM`.
pub const RESIDENT: &str = "rss";
/// The format that this version writes, and the only one there is.
pub const FORMAT: &str = "coldcase.bundle/1";

/// Above this, a manifest is not one.
const LARGEST_MANIFEST: usize = 1 << 20;

/// What is in a bundle.
pub(crate) struct Contents {
    pub capture: Vec<u8>,
    pub kallsyms: Option<Box<[u8]>>,
    pub incident: Incident,
    /// What a person must know of the recording, and what of the bundle could not be read.
    pub notes: Vec<Sentence>,
}

/// Whether these bytes, already unpacked, are a bundle's archive.
pub(crate) fn is_bundle(bytes: &[u8]) -> bool {
    /// Where a tar header has its magic (POSIX.1-1988, ustar).
    const MAGIC: usize = 257;
    bytes.starts_with(MANIFEST.as_bytes())
        && bytes.get(MANIFEST.len()) == Some(&0)
        && bytes.get(MAGIC..).is_some_and(|rest| rest.starts_with(b"ustar"))
}

/// Takes a bundle's archive apart. A cut one gives what comes before the cut.
pub(crate) fn open(bytes: &[u8]) -> Result<Contents, Problem> {
    let mut parts = Parts::default();
    let cut = parts.collect(bytes).err();
    let mut notes: Vec<Sentence> = Vec::new();
    notes.extend(cut.map(|error| format!("the bundle is damaged: {error}").into()));
    let manifest = parts.manifest.as_deref().map(Manifest::parse).transpose();
    let manifest = manifest.unwrap_or_else(|error| {
        notes.push(format!("the bundle's {MANIFEST} cannot be read: {error}").into());
        None
    });
    let manifest = manifest.unwrap_or_default();
    let Some(capture) = parts.capture else {
        let reason = format!("the bundle holds no {CAPTURE}");
        return Err(Problem::at(bytes.len(), reason));
    };
    notes.extend(manifest.recording.notes.iter().map(|note| sentence(note)));
    let pids = manifest.alarm.watched_pids.iter();
    let incident = Incident {
        alarm: manifest.alarm.monotonic_ns.map(Timestamp),
        watched: pids.filter_map(|&pid| i32::try_from(pid).ok()).collect(),
        saw: manifest.alarm.saw,
        well_again: manifest.alarm.well_again_ns.map(Timestamp),
        sizes: parts.history.as_deref().map_or_else(Vec::new, statistics::sizes),
        readings: parts.history.as_deref().map_or_else(Vec::new, statistics::readings),
        kernel_log: parts.kernel_log.as_deref().map_or_else(Vec::new, statistics::warnings),
    };
    Ok(Contents { capture, kallsyms: parts.kallsyms.map(Vec::into_boxed_slice), incident, notes })
}

/// A note as a sentence in which paths are known as such.
fn sentence(note: &str) -> Sentence {
    note.split_inclusive(' ').fold(Sentence::default(), |sentence, word| {
        if word.contains('/') { sentence.path(word) } else { sentence.words(word) }
    })
}

/// The entries that are read.
#[derive(Default)]
struct Parts {
    manifest: Option<Vec<u8>>,
    capture: Option<Vec<u8>>,
    kallsyms: Option<Vec<u8>>,
    history: Option<Vec<u8>>,
    kernel_log: Option<Vec<u8>>,
}

impl Parts {
    /// Only regular files are read, by exact name; nothing is written anywhere, so no path can lead astray.
    fn collect(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for entry in tar::Archive::new(bytes).entries()? {
            let mut entry = entry?;
            if entry.header().entry_type() != tar::EntryType::Regular {
                continue;
            }
            let place = match &*entry.path_bytes() {
                name if name == MANIFEST.as_bytes() => &mut self.manifest,
                name if name == CAPTURE.as_bytes() => &mut self.capture,
                name if name == KALLSYMS.as_bytes() => &mut self.kallsyms,
                name if name == HISTORY.as_bytes() => &mut self.history,
                name if name == KERNEL_LOG.as_bytes() => &mut self.kernel_log,
                _ => continue,
            };
            // What was read before a cut is kept.
            entry.read_to_end(place.insert(Vec::new()))?;
        }
        Ok(())
    }
}

impl Manifest {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > LARGEST_MANIFEST {
            return Err(format!("it has more than {LARGEST_MANIFEST} bytes"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if manifest.format == FORMAT {
            Ok(manifest)
        } else {
            Err(format!("its format is {:?}, not {FORMAT}", manifest.format))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    const NOTE: &[u8] = br#"{"format": "coldcase.bundle/1", "alarm": {"saw": "no answer for 2 s",
        "monotonic_ns": 5000000000}, "recording": {"notes": ["the ring was small"]}}"#;
    const SIZES: &[u8] = b"4.5\trss\t7:db\t1000\n4.0\tpsi\tmemory\t3\nx\n4.25\trss\t7:db\t500\n";

    #[test]
    fn a_bundle_gives_its_capture_and_what_the_alarm_saw() {
        let bytes = archive(&[(MANIFEST, NOTE), (CAPTURE, b"PERF"), (HISTORY, SIZES)]);
        assert!(is_bundle(&bytes));
        let contents = open(&bytes).unwrap();
        assert_eq!(contents.capture, b"PERF");
        assert_eq!(contents.incident.alarm, Some(Timestamp(5_000_000_000)));
        assert_eq!(contents.incident.saw, "no answer for 2 s");
        let sizes: Vec<u64> = contents.incident.sizes.iter().map(|size| size.bytes).collect();
        assert_eq!(sizes, [500, 1000]);
        let notes: Vec<String> = contents.notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes, ["the ring was small"]);
    }

    #[test]
    fn a_cut_bundle_gives_what_comes_before_the_cut() {
        let bytes = archive(&[(MANIFEST, NOTE), (CAPTURE, &[7; 5000])]);
        let contents = open(&bytes[..3000]).unwrap();
        assert!((1..5000).contains(&contents.capture.len()));
        let note = contents.notes[0].to_string();
        assert!(note.starts_with("the bundle is damaged"), "{note}");
        assert!(open(&bytes[..1000]).is_err());
    }

    #[test]
    fn another_archive_is_no_bundle_and_another_format_is_named() {
        assert!(!is_bundle(&archive(&[("README", b"x"), (MANIFEST, NOTE)])));
        let other = archive(&[(MANIFEST, br#"{"format": "x/9"}"#), (CAPTURE, b"PERF")]);
        let notes = open(&other).unwrap().notes;
        assert!(notes[0].to_string().contains("x/9"), "{notes:?}");
    }
}
