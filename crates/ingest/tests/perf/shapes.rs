//! The same counts as `perf report --stats`, and what each shape can tell.

use std::collections::BTreeMap;
use std::fs;

use coldcase_ingest::capture::{Capture, TaskState};

use crate::{data, open};

/// Records by kind and samples by event, with both programs' names made alike.
fn counts<'a>(rows: impl Iterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (name, count) in rows {
        let name = name.trim_start_matches("PERF_RECORD_").trim_start_matches("HEADER_");
        // Rounds have no content, and what perf calls SAMPLE is the sum of the rest.
        if count > 0 && !matches!(name, "FINISHED_ROUND" | "SAMPLE" | "TOTAL") {
            *counts.entry(name.to_owned()).or_default() += count;
        }
    }
    counts
}

fn counted(capture: &Capture) -> BTreeMap<String, u64> {
    counts(capture.events.iter().map(|event| (event.name.as_str(), event.count)))
}

/// perf 6.1 does not count a pipe with tracepoints, but prints it: `COUNT NAME:` of each event.
fn printed_by_perf(name: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(data(&format!("{name}.script.txt"))).unwrap();
    counts(text.lines().filter_map(|line| {
        let (count, name) = line.trim().split_once(' ')?;
        Some((name.trim().trim_end_matches(':'), count.parse().ok()?))
    }))
}

/// `NAME stats:` begins an event, of which the samples count; before the first one come the records.
fn counted_by_perf(name: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(data(&format!("{name}.stats.txt"))).unwrap();
    let mut event = "";
    counts(text.lines().filter_map(|line| {
        if let Some(name) = line.strip_suffix(" stats:") {
            event = if name == "Aggregated" { "" } else { name };
            return None;
        }
        let (kind, rest) = line.trim().split_once(" events:")?;
        let count = rest.split_whitespace().next()?.parse().ok()?;
        Some((if kind == "SAMPLE" && !event.is_empty() { event } else { kind }, count))
    }))
}

#[test]
fn every_shape_has_as_many_records_of_each_kind_as_perf_counts() {
    for (file, stats) in [
        ("plain.data.zst", "plain"),
        ("plain.data.gz", "plain"),
        ("plain.data.xz", "plain"),
        ("compressed.data.zst", "compressed"),
        ("threads", "threads"),
        ("overwrite.data.zst", "overwrite"),
        ("switch.data.zst", "switch"),
        ("sampled.data.zst", "sampled"),
        ("layouts.data.zst", "layouts"),
        ("inject.data.zst", "inject"),
        ("big-endian.data.zst", "big-endian"),
        ("arm64/chains.data.zst", "arm64/chains"),
    ] {
        let capture = open(file);
        assert_eq!(counted(&capture), counted_by_perf(stats), "{file}");
        let sampled = capture.warnings.iter().filter(|warning| warning.contains("were sampled"));
        assert_eq!(
            sampled.count(),
            usize::from(stats == "sampled"),
            "{file}: {:?}",
            capture.warnings
        );
        assert_eq!(
            capture.warnings.len(),
            usize::from(stats == "sampled"),
            "{:?}",
            capture.warnings
        );
    }
}

#[test]
fn a_pipe_has_as_many_samples_of_each_event_as_perf_prints() {
    for name in ["pipe", "pipe-compressed"] {
        let capture = open(&format!("{name}.data.zst"));
        let mut counted = counted(&capture);
        counted.retain(|name, _| name.starts_with("sched:"));
        assert_eq!(counted, printed_by_perf(name));
        assert!(capture.warnings.is_empty(), "{:?}", capture.warnings);
    }
}

#[test]
fn switches_come_in_order_of_time_whatever_the_order_in_the_file() {
    for file in ["plain.data.zst", "threads", "overwrite.data.zst", "pipe-compressed.data.zst"] {
        let capture = open(file);
        assert!(capture.switches.len() > 60 && capture.wakeups.len() > 30, "{file}");
        assert!(capture.switches.is_sorted_by_key(|switch| switch.time), "{file}");
        assert!(capture.switches.iter().all(|switch| switch.stack.is_some()), "{file}");
    }
}

#[test]
fn the_byte_order_makes_no_difference() {
    let (little, big) = (open("plain.data.zst"), open("big-endian.data.zst"));
    assert_eq!(format!("{:?}", little.switches), format!("{:?}", big.switches));
    assert_eq!(format!("{:?}", little.wakeups), format!("{:?}", big.wakeups));
    assert!(little.frames.iter().eq(big.frames.iter()));
    let names = |capture: &Capture| -> Vec<String> {
        capture.threads.iter().map(|(_, thread)| thread.comm().to_owned()).collect()
    };
    assert_eq!(names(&little), names(&big));
}

#[test]
fn records_of_switches_alone_tell_when_and_not_why() {
    let capture = open("switch.data.zst");
    assert!(capture.switches.len() > 100);
    assert!(capture.switches.iter().all(|switch| switch.stack.is_none()));
    let known = |switch: &&coldcase_ingest::capture::Switch| {
        !matches!(switch.state, TaskState::Unknown | TaskState::Preempted)
    };
    assert_eq!(capture.switches.iter().filter(known).count(), 0);
}

#[test]
fn events_with_differing_layouts_keep_their_own_stacks() {
    let capture = open("layouts.data.zst");
    assert!(capture.switches.iter().all(|switch| switch.stack.is_some()));
    assert!(!capture.wakeups.is_empty());
    assert!(capture.wakeups.iter().all(|wakeup| wakeup.stack.is_none()));
}

#[test]
fn a_folder_without_a_recording_is_refused() {
    let options = coldcase_ingest::ReadOptions::default();
    let error = coldcase_ingest::read(&data(""), options, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("it is a folder"), "{error}");
}
