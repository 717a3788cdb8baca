//! However a capture is read, the same comes out of it: from memory or from a file in blocks, and as
//! linux-perf-data sees it.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Cursor, Write as _};
use std::path::Path;

use coldcase_ingest::capture::{Capture, LossKind, SpinCounts};
use coldcase_ingest::{Problem, ReadOptions, read, read_bytes};
use linux_perf_data::linux_perf_event_reader::EventRecord;
use linux_perf_data::{PerfFileReader, PerfFileRecord};

/// A real capture of several blocks.
fn capture() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/hashmap-resize/capture.data.zst");
    zstd::decode_all(&fs::read(path).unwrap()[..]).unwrap()
}

fn from_memory(bytes: &[u8]) -> Capture {
    read_bytes(bytes, ReadOptions::default(), &mut |_, _| {}).unwrap()
}

fn from_file(bytes: &[u8]) -> Capture {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    read(file.path(), ReadOptions::default(), &mut |_, _| {}).unwrap()
}

fn number(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
}

#[test]
fn a_file_gives_what_its_bytes_give() {
    let bytes = capture();
    assert!(bytes.len() > 2 << 20, "it should take several blocks");
    assert_eq!(format!("{:?}", from_file(&bytes)), format!("{:?}", from_memory(&bytes)));
}

#[test]
fn an_overview_is_the_capture_without_its_rows() {
    let others = ["switch.data.zst", "dwarf.data.zst", "sampled.data.zst"].map(crate::unpacked);
    for bytes in [&[capture()][..], &others].concat() {
        let options = ReadOptions { overview: true, ..ReadOptions::default() };
        let overview = read_bytes(&bytes, options, &mut |_, _| {}).unwrap();
        let mut whole = from_memory(&bytes);
        let mut stacks = BTreeSet::new();
        whole.switches.retain(|row| row.stack.is_some_and(|stack| stacks.insert(stack)));
        whole.wakeups.clear();
        whole.contention.clear();
        whole.spins = SpinCounts::default();
        whole.mmap_locks.clear();
        whole.syscalls.clear();
        whole.samples.clear();
        whole.activities.clear();
        whole.resident.clear();
        assert_eq!(format!("{overview:?}"), format!("{whole:?}"));
    }
}

#[test]
fn damage_has_the_same_place_in_a_file_as_in_its_bytes() {
    let mut bytes = capture();
    // Around the border of the first block of records, and further on.
    for at in [(1 << 20) - 500, (1 << 20) + 700_003] {
        bytes[at..at + 1000].fill(0xff);
    }
    let (file, memory) = (from_file(&bytes), from_memory(&bytes));
    let damaged = file.losses.iter().filter(|loss| loss.kind == LossKind::Damaged).count();
    assert_eq!(damaged, 2, "{:?}", file.losses);
    assert_eq!(format!("{file:?}"), format!("{memory:?}"));
}

#[test]
fn a_file_that_is_made_shorter_meanwhile_is_an_error() {
    let bytes = capture();
    let (start, size) = (number(&bytes, 40), number(&bytes, 48));
    // So long that its end is not read before its beginning is used.
    let mut long = bytes[..start].to_vec();
    long[48..56].fill(0);
    (0..16).for_each(|_| long.extend_from_slice(&bytes[start..start + size]));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&long).unwrap();
    let writer = OpenOptions::new().write(true).open(file.path()).unwrap();
    let outcome = read(file.path(), ReadOptions::default(), &mut |done, total| {
        if done < total / 2 {
            writer.set_len(1 << 20).unwrap();
        }
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error.problem, Problem::Malformed { .. }), "{error}");
    assert!(error.to_string().contains("made shorter while it was read"), "{error}");
}

/// linux-perf-data reads records on its own, and sorts them by its own rounds.
#[test]
fn another_reader_counts_the_same_samples_and_has_them_in_the_same_order() {
    let bytes = capture();
    let PerfFileReader { mut perf_file, mut record_iter } =
        PerfFileReader::parse_file(Cursor::new(&bytes[..])).unwrap();
    let names: Vec<String> = perf_file
        .event_attributes()
        .iter()
        .map(|attribute| attribute.name().unwrap_or_default().to_owned())
        .collect();
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); names.len()];
    while let Some(record) = record_iter.next_record(&mut perf_file).unwrap() {
        if let PerfFileRecord::EventRecord { attr_index, record } = record
            && let EventRecord::Sample(sample) = record.parse().unwrap()
        {
            times[attr_index].push(sample.timestamp.unwrap());
        }
    }
    let ours = from_memory(&bytes);
    for (name, times) in names.iter().zip(&times) {
        let count = ours.events.iter().find(|event| event.name == *name).map(|event| event.count);
        assert_eq!(count, Some(times.len() as u64), "{name}");
    }
    let of = |name: &str| &times[names.iter().position(|known| known == name).unwrap()];
    let switches: Vec<u64> = ours.switches.iter().map(|row| row.time.0).collect();
    let wakeups: Vec<u64> = ours.wakeups.iter().map(|row| row.time.0).collect();
    assert_eq!(&switches, of("sched:sched_switch"));
    assert_eq!(&wakeups, of("sched:sched_waking"));
}
