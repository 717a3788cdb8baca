//! Captures that are cut, damaged, or lack what a verdict needs: what can be read is analysed, exit code 0,
//! and what is missing is said.
//!
//! ```text
//! header | ids | attributes |            records             | index: formats, names, build ids
//! 0      104   632          5384                             2641600                     2680362
//! ```

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::random::Random;
use crate::support::{code, coldcase, findings, folder, names, stderr, stdout, unpacked};

/// Where the records of `hashmap-resize` begin and end.
const RECORDS: usize = 5384;
const INDEX: usize = 2_641_600;

fn report(bytes: &[u8]) -> Output {
    report_as(bytes, "--json")
}

fn report_as(bytes: &[u8], format: &str) -> Output {
    let folder = folder();
    fs::write(folder.path().join("cut.data"), bytes).unwrap();
    let mut command = coldcase(folder.path());
    command.args(["report", "cut.data", format, "-"]).args(names()).output().unwrap()
}

fn warnings(findings: &Value) -> Vec<&str> {
    let list = findings["capture"]["warnings"].as_array().unwrap();
    list.iter().map(|warning| warning.as_str().unwrap()).collect()
}

#[test]
fn cut_before_the_records_nothing_can_be_read() {
    let whole = unpacked("hashmap-resize");
    for length in [4, 16, 103, 104, 1000, RECORDS - 1] {
        let output = report(&whole[..length]);
        assert_eq!(code(&output), 3, "cut at {length}: {}", stderr(&output));
        assert!(stderr(&output).contains("at byte "), "cut at {length}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn cut_among_the_records_the_cut_is_named_and_nobody_accused_wrongly() {
    let whole = unpacked("hashmap-resize");
    for length in [RECORDS + 100, 20_000, 670_090, 1_340_181, 2_580_362, INDEX - 1] {
        let output = report(&whole[..length]);
        let findings = findings(&output);
        let cut = format!("cut at byte {length}");
        assert!(warnings(&findings).iter().any(|warning| warning.contains(&cut)), "{findings}");
        assert!(stderr(&output).contains(&cut), "{}", stderr(&output));
        // The formats of the events stand in the index: only the scheduler's are known without them.
        let verdict = &findings["verdict"];
        assert_ne!(verdict["outcome"], "no_freeze", "cut at {length}");
        assert_ne!(verdict["grade"], "proven", "cut at {length}");
        let culprit = &verdict["culprit"];
        assert!(culprit.is_null() || culprit["tid"] == 18_398, "cut at {length}: {culprit}");
        assert!(culprit["bytes"].is_null(), "sizes are not known without formats: {culprit}");
    }
}

#[test]
fn a_cut_behind_the_freeze_leaves_its_culprit_known() {
    let findings = findings(&report(&unpacked("hashmap-resize")[..INDEX - 1]));
    let verdict = &findings["verdict"];
    assert_eq!(verdict["culprit"]["tid"], 18_398, "{verdict}");
    // perf had come to all CPUs after the freeze: the last of them is known up to the cut.
    assert_eq!((&verdict["cause"], &verdict["grade"]), (&"mmap_lock".into(), &"strong".into()));
    let said = |warning: &&str| warning.contains("recognised by the shape of all their records");
    assert!(warnings(&findings).iter().any(said));
}

#[test]
fn cut_in_the_index_the_verdict_stands() {
    let whole = unpacked("hashmap-resize");
    for length in [whole.len() - 5000, whole.len() - 3] {
        let findings = findings(&report(&whole[..length]));
        let cut = format!("cut at byte {length}");
        assert!(warnings(&findings).iter().any(|warning| warning.contains(&cut)), "{findings}");
        assert_eq!(findings["verdict"]["culprit"]["bytes"], 3_355_447_296_u64);
    }
}

#[test]
fn a_hole_in_the_records_is_named_and_the_rest_read() {
    const HOLE: usize = 1_000_000;
    let mut bytes = unpacked("hashmap-resize");
    bytes[HOLE..HOLE + 4096].fill(0);
    let output = report(&bytes);
    let findings = findings(&output);
    assert!(
        warnings(&findings).iter().any(|warning| warning.starts_with("at byte ")),
        "{:?}",
        warnings(&findings)
    );
    assert_eq!(findings["verdict"]["cause"], "mmap_lock");
}

#[test]
fn damaged_bytes_never_end_the_program_by_force() {
    let whole = unpacked("idle-server");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..16 {
        let mut bytes = whole.clone();
        for _ in 0..1 << (round % 8) {
            let at = random.below(bytes.len());
            bytes[at] = u8::try_from(random.below(256)).unwrap();
        }
        let output = report(&bytes);
        assert!([0, 3].contains(&code(&output)), "round {round}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "round {round}: {}", stderr(&output));
    }
}

#[test]
fn without_scheduler_events_it_says_what_to_record() {
    let capture = include_bytes!("data/no-scheduler-events.data.zst");
    let findings = findings(&report(capture));
    assert_ne!(findings["verdict"]["outcome"], "no_freeze", "nobody looked for one");
    assert_eq!(findings["verdict"]["culprit"], Value::Null);
    let missing = findings["verdict"]["cannot_tell"].to_string();
    assert!(missing.contains("sched:sched_switch"), "{missing}");
}

#[test]
fn without_scheduler_events_no_report_says_that_nothing_froze() {
    let no_events = include_bytes!("data/no-scheduler-events.data.zst");
    let cut = &unpacked("hashmap-resize")[..1_340_181];
    for bytes in [&no_events[..], cut] {
        let output = report_as(bytes, "--markdown");
        assert!(!stdout(&output).contains("No freeze found"), "{}", stdout(&output));
        assert!(!stdout(&output).contains("Nothing froze"), "{}", stdout(&output));
    }
}
