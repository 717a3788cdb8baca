//! Names that were chosen to do harm stay names in every format.

use coldcase_analyze::{Options, analyze_with_records};
use coldcase_export::{
    write_csv, write_firefox, write_folded, write_parquet, write_perfetto, write_speedscope,
};
use coldcase_ingest::capture::Format;
use coldcase_ingest::{ReadOptions, read_bytes};
use serde_json::Value;

use crate::support::Export;

/// Names of a thread and of a frame, as `perf script` may print them.
const NAMES: [&str; 7] =
    ["=1+1", "a;b", "--", "</script><script>", "\u{202e}live", "\u{1}\u{7f}", "x\"y,z"];

fn hostile() -> Export {
    let mut text = String::new();
    for (index, name) in NAMES.iter().enumerate() {
        let (tid, micros) = (100 + index, 100_000 * index);
        for (offset, event) in [
            (
                100,
                format!(
                    "sched:sched_switch: prev_comm={name} prev_pid={tid} prev_prio=120 prev_state=D ==> next_comm=swapper/0 next_pid=0 next_prio=120"
                ),
            ),
            (
                90_000,
                format!(
                    "sched:sched_switch: prev_comm=swapper/0 prev_pid=0 prev_prio=120 prev_state=R ==> next_comm={name} next_pid={tid} next_prio=120"
                ),
            ),
        ] {
            let at = micros + offset;
            let (comm, pid) = if offset == 100 { (*name, tid) } else { ("swapper", 0) };
            text.push_str(&format!("{comm} {pid} [000] 1.{at:06}: {event}\n"));
            text.push_str(&format!("\tffffffff81000000 {name}+0x1 ([kernel.kallsyms])\n\n"));
        }
    }
    let options = ReadOptions { format: Some(Format::PerfScript), ..ReadOptions::default() };
    let capture = read_bytes(text.as_bytes(), options, &mut |_, _| ()).unwrap();
    let (findings, records) = analyze_with_records(&capture, &Options::default());
    assert!(records.waits.len() >= NAMES.len(), "{} waits", records.waits.len());
    Export { findings, records }
}

#[test]
fn a_line_of_folded_stacks_is_one_stack() {
    let export = hostile();
    for wakers in [false, true] {
        let mut bytes = Vec::new();
        write_folded(export.source(), wakers, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.lines().count() >= NAMES.len(), "{text}");
        for line in text.lines() {
            let (stack, micros) = line.rsplit_once(' ').unwrap();
            assert!(micros.parse::<u64>().is_ok(), "{line}");
            let names: Vec<&str> = stack.split(';').collect();
            assert!(names.len() <= 2, "a name and a frame: {line}");
            assert!(names.iter().all(|name| !name.trim().is_empty()), "{line:?}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

#[test]
fn the_json_formats_stay_json_with_the_names_in_them() {
    let export = hostile();
    let mut speedscope = Vec::new();
    write_speedscope(export.source(), &mut speedscope).unwrap();
    let speedscope: Value = serde_json::from_slice(&speedscope).unwrap();
    let profiles = speedscope["profiles"].as_array().unwrap();
    let mut firefox = Vec::new();
    write_firefox(export.source(), &mut firefox).unwrap();
    let firefox: Value = serde_json::from_slice(&firefox).unwrap();
    let threads = firefox["threads"].as_array().unwrap();
    for name in ["=1+1", "a;b", "--", "</script><script>", "x\"y,z"] {
        let starts = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(name));
        assert!(profiles.iter().any(|profile| starts(&profile["name"])), "{name}");
        assert!(threads.iter().any(|thread| starts(&thread["name"])), "{name}");
    }
}

#[test]
fn tables_and_traces_take_any_name() {
    let export = hostile();
    for table in export.tables() {
        let (mut csv, mut parquet) = (Vec::new(), Vec::new());
        write_csv(&table, &mut csv).unwrap();
        write_parquet(&table, &mut parquet).unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), table.rows, "{}", table.name);
        for cell in rows.iter().flatten() {
            let formula = cell.starts_with(['=', '+', '@', '\t'])
                || cell.starts_with('-') && cell.parse::<i64>().is_err();
            assert!(!formula, "{}: {cell}", table.name);
        }
    }
    write_perfetto(export.source(), &mut Vec::new()).unwrap();
}
