//! Folders of profiles, one for each second or so.

#![allow(clippy::unwrap_used, reason = "a test that cannot make its folder has failed")]

use std::fs;
use std::path::Path;

use coldcase_ingest::capture::{Capture, Nanos};
use coldcase_ingest::{IngestError, ReadOptions, read};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn open(folder: &Path, every: Option<Nanos>) -> Result<Capture, IngestError> {
    read(folder, ReadOptions { every, ..ReadOptions::default() }, &mut |_, _| {})
}

/// Each slice's start and length, in milliseconds.
fn slices(capture: &Capture) -> Vec<(u64, u64)> {
    let millis = |nanos: u64| nanos / 1_000_000;
    capture.slices.iter().map(|span| (millis(span.start.0), millis(span.duration().0))).collect()
}

/// Each row's slice, thread and microseconds.
fn rows(capture: &Capture) -> Vec<(u32, &str, u64)> {
    let rows = capture.profile.iter();
    rows.map(|row| {
        (row.slice.unwrap(), capture.threads.get(row.thread).comm(), row.off_cpu.0 / 1000)
    })
    .collect()
}

#[test]
fn rows_lie_in_the_slice_of_their_file() {
    let folder = folder(&[
        ("12:00:03.folded", "b;main;do_syscall_64;schedule 30\na;main;schedule 31\n"),
        ("12:00:01.folded", "a;main;schedule 10\n"),
        ("12:00:02.folded", ""),
        ("12:00:04.folded", "a;main;schedule 40\n"),
        // Files are missing: a loop that was interrupted.
        ("12:00:09.folded", "a;main;schedule;--;up_write;do_syscall_64;main;c 90\n"),
        ("notes-3.txt", "Recorded by hand.\n"),
        (".12:00:05.swp", "a;main;schedule 50\n"),
    ]);
    let capture = open(folder.path(), None).unwrap();
    let begin = 12 * 3_600_000;
    let seconds = [1, 2, 3, 4, 9].map(|second| (begin + second * 1000, 1000));
    assert_eq!(slices(&capture), seconds);
    assert_eq!(
        rows(&capture),
        [(0, "a", 10), (2, "b", 30), (2, "a", 31), (3, "a", 40), (4, "a", 90)]
    );
    // The same stack is one row of the table, whichever file it came from.
    assert_eq!(capture.profile[0].stack, capture.profile[3].stack);
    let waker = capture.profile[4].waker.unwrap();
    assert_eq!(capture.threads.get(waker.thread).comm(), "c");
    assert_eq!(capture.events.len(), 1);
    assert_eq!(capture.events[0].count, 5);
    let warned: Vec<&str> = capture.warnings.iter().map(|warning| &**warning).collect();
    let warned = warned.join("\n");
    assert!(warned.contains("1 of 5 files count as seconds in which nothing waited"), "{warned}");
    assert!(warned.contains("known to 1.0 s only"), "{warned}");
}

#[test]
fn numbers_need_a_step() {
    let folder = folder(&[("00007.txt", "a;f 1\n"), ("00008.txt", "a;f 2\n")]);
    let error = open(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("--every MS"), "{error}");
    let capture = open(folder.path(), Some(Nanos::from_millis(500))).unwrap();
    assert_eq!(slices(&capture), [(3500, 500), (4000, 500)]);
}

#[test]
fn two_files_of_one_time_are_one_slice() {
    let folder = folder(&[
        ("app-1700000000.folded", "a;f 1\n"),
        ("db-1700000000.folded", "b;f 2\n"),
        ("app-1700000001.1.folded", "a;f 3\n"),
        ("db-1700000001.1.folded", "b;f 4\n"),
    ]);
    let capture = open(folder.path(), None).unwrap();
    assert_eq!(slices(&capture), [(1_700_000_000_000, 1100), (1_700_000_001_100, 1100)]);
    assert_eq!(rows(&capture), [(0, "a", 1), (0, "b", 2), (1, "a", 3), (1, "b", 4)]);
}

#[test]
fn what_is_no_profile_is_not_taken_for_one() {
    let script = "a 1 [000] 5.000001: sched:sched_switch: prev_comm=a prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=b next_pid=2 next_prio=120\n";
    let no_profiles = folder(&[("12:00:01.txt", script), ("12:00:02.txt", script)]);
    let error = open(no_profiles.path(), None).unwrap_err().to_string();
    assert!(error.contains("no off-CPU profile"), "{error}");
    for files in [&[][..], &[("notes.txt", "a;f 1\n")], &[("12:00:01.txt", "a;f 1\n")]] {
        let error = open(folder(files).path(), None).unwrap_err().to_string();
        assert!(error.contains("it is a folder"), "{error}");
    }
}

#[test]
fn endless_times_are_survived() {
    let last = u64::MAX.to_string();
    let folder = folder(&[("0.txt", "a;f 1\n"), (&format!("{last}.txt"), "a;f 2\n")]);
    let capture = open(folder.path(), Some(Nanos(u64::MAX))).unwrap();
    assert_eq!(capture.profile.len(), 2);
}
