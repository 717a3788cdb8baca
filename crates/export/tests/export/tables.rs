//! The tables hold what they say, and refer to rows that are there.

use std::collections::HashMap;
use std::fs;

use coldcase_ingest::capture::{Span, Timestamp};

use crate::support::{Export, numbers, root, table, texts};

const RESIZE: &str = "hashmap-resize/capture.data.zst";
const FOLDED: &str = "folded-offcputime/capture.folded";

#[test]
fn the_document_lists_every_table_and_column_as_it_is() {
    let document = fs::read_to_string(root().join("docs/export.md")).unwrap();
    let (_, document) = document.split_once("\n## Tables\n").unwrap();
    let mut listed = Vec::new();
    for section in document.split("\n### `").skip(1) {
        let name = section.split('`').next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        for row in rows {
            let cells: Vec<&str> = row.split(" | ").collect();
            assert_eq!(cells.len(), 3, "{name}: {row}");
            listed.push(format!("{name}.{}: {}", cells[0].trim_end_matches('`'), cells[1]));
        }
    }
    let export = Export::of(RESIZE);
    let mut written = Vec::new();
    for table in export.tables() {
        for column in &table.columns {
            written.push(format!("{}.{}: {}", table.name, column.name, column.values.type_name()));
        }
    }
    assert_eq!(listed, written);
}

#[test]
fn every_reference_points_to_a_row() {
    for capture in [RESIZE, FOLDED, "fork-large/capture.data.zst"] {
        let export = Export::of(capture);
        let tables = export.tables();
        let stacks = numbers(table(&tables, "stacks"), "stack_id").last().copied().flatten();
        let rows = |name: &str| i64::try_from(table(&tables, name).rows).unwrap();
        let limit = HashMap::from([
            ("thread_id", rows("threads")),
            ("waker_thread_id", rows("threads")),
            ("stack_id", stacks.map_or(0, |last| last + 1)),
            ("waker_stack_id", stacks.map_or(0, |last| last + 1)),
            ("frame_id", rows("frames")),
            ("wait_id", rows("waits")),
            ("window_id", rows("windows")),
        ]);
        let mut seen = 0;
        for table in &tables {
            for column in &table.columns {
                let Some(&limit) = limit.get(column.name) else { continue };
                for value in numbers(table, column.name).iter().flatten() {
                    assert!((0..limit).contains(value), "{}.{}: {value}", table.name, column.name);
                    seen += 1;
                }
            }
        }
        assert!(seen > 0, "{capture} has no references at all");
    }
}

#[test]
fn all_columns_of_a_table_are_of_its_length() {
    for table in Export::of(RESIZE).tables() {
        for column in &table.columns {
            let length = match &column.values {
                coldcase_export::Values::Integer(values) => values.len(),
                coldcase_export::Values::Flag(values) => values.len(),
                coldcase_export::Values::Text(values) => values.len(),
            };
            assert_eq!(length, table.rows, "{}.{}", table.name, column.name);
        }
    }
}

/// The sums of the worst freeze, taken from single rows, are those of the findings.
#[test]
fn waits_and_blame_add_up_to_the_freeze() {
    let export = Export::of(RESIZE);
    let tables = export.tables();
    let worst = export.findings.worst().unwrap();
    let freeze = worst.freeze.span.unwrap();
    let signed = |value: u64| i64::try_from(value).unwrap();
    let (from, to) = (signed(freeze.start.0), signed(freeze.end.0));

    let blame: i64 = numbers(table(&tables, "blame"), "blocked_ns").iter().flatten().sum();
    assert_eq!(blame, signed(worst.freeze.blocked.0));

    let waits = table(&tables, "waits");
    let (begins, ends) = (numbers(waits, "begin_ns"), numbers(waits, "end_ns"));
    let windows = numbers(waits, "window_id");
    let blocked: i64 = (0..waits.rows)
        .filter(|&row| windows[row] == Some(0))
        .map(|row| ends[row].unwrap().min(to) - begins[row].unwrap().max(from))
        .sum();
    assert_eq!(blocked, signed(worst.freeze.blocked.0));
    assert!(waits.rows > 1000, "all waits and not only the freeze's: {}", waits.rows);
}

#[test]
fn the_truth_of_the_incident_stands_in_the_tables() {
    // fixtures/hashmap-resize/truth.md: an mmap of 3355447296 bytes that took 8787.6 ms.
    let export = Export::of(RESIZE);
    let tables = export.tables();
    let memory = table(&tables, "memory_events");
    let sizes = numbers(memory, "size_bytes");
    let row = sizes.iter().position(|&size| size == Some(3_355_447_296)).unwrap();
    assert_eq!(texts(memory, "operation")[row], Some("mmap"));
    let took = numbers(memory, "duration_ns")[row].unwrap();
    assert!((8_787_000_000..8_789_000_000).contains(&took), "{took}");
    let holds = table(&tables, "holds");
    let held = numbers(holds, "size_bytes").iter().position(|&size| size == Some(3_355_447_296));
    assert_eq!(texts(holds, "lock")[held.unwrap()], Some("mmap_lock"));
}

#[test]
fn a_part_of_a_capture_leaves_out_other_processes_and_times() {
    let whole = Export::of(RESIZE);
    let freeze = whole.findings.worst().unwrap().freeze.span.unwrap();
    let middle = Timestamp(freeze.start.0 + freeze.duration().0 / 2);
    let window = Span::new(middle, Timestamp(middle.0 + 1_000_000_000));
    let part = Export::part_of(RESIZE, Some("coldcase-lab"), Some(window));
    assert!(part.records.waits.len() < whole.records.waits.len());
    assert!(!part.records.waits.is_empty());
    for wait in &part.records.waits {
        assert!(wait.span.start < window.end && wait.span.end > window.start);
        assert_eq!(part.records.threads[wait.thread.index()].process_comm, "coldcase-lab");
    }
    let kept = part.records.waits.iter().all(|wait| {
        let same = |other: &&_| {
            let other: &coldcase_analyze::records::WaitRow = other;
            (other.thread, other.span, &other.site) == (wait.thread, wait.span, &wait.site)
        };
        whole.records.waits.iter().any(|other| same(&other))
    });
    assert!(kept, "a wait that reaches into the window is whole");
}

#[test]
fn a_profile_has_its_sums_and_no_waits() {
    let export = Export::of(FOLDED);
    let tables = export.tables();
    assert_eq!(table(&tables, "waits").rows, 0);
    let profile = table(&tables, "profile");
    let sum: i64 = numbers(profile, "off_cpu_ns").iter().flatten().sum();
    let text = fs::read_to_string(root().join("fixtures").join(FOLDED)).unwrap();
    let micros: i64 =
        text.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<i64>().ok()).sum();
    assert_eq!(sum, micros * 1000);
}
