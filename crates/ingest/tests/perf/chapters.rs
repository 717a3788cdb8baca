//! A recording in chapters has the same events as in one.

use std::path::Path;

use coldcase_ingest::capture::{Capture, Nanos, Switch};
use coldcase_ingest::{Chapters, ReadOptions, read, read_in_chapters};

/// Switches of CPUs, without those that stand for somebody who had left before a chapter began.
fn add_switches(rows: &mut Vec<String>, capture: &Capture) {
    let own = |row: &&Switch| row.cpu.is_some();
    rows.extend(capture.switches.iter().filter(own).map(|row| format!("{row:?}")));
}

#[test]
fn chapters_follow_each_other_without_a_gap() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/formats/rounds/capture.data.zst");
    let options = ReadOptions::default();
    let whole = read(&path, options, &mut |_, _| {}).unwrap();
    let (mut spans, mut rows) = (Vec::new(), Vec::new());
    let mut take = |capture: &mut Capture| {
        add_switches(&mut rows, capture);
        spans.push(capture.whole());
        capture.whole().end.plus(Nanos(1))
    };
    let chapters = Chapters::new(200, &mut take);
    let last = read_in_chapters(&path, options, chapters, &mut |_, _| {}).unwrap();
    spans.push(last.whole());
    add_switches(&mut rows, &last);
    assert!(spans.len() >= 3, "{spans:?}");
    assert!(spans.windows(2).all(|two| two[0].end < two[1].start), "{spans:?}");
    assert_eq!(spans[0].start, whole.whole().start);
    assert_eq!(last.whole().end, whole.whole().end);
    let mut all = Vec::new();
    add_switches(&mut all, &whole);
    assert_eq!(rows, all);
    assert_eq!(last.events, whole.events);
    assert_eq!(last.threads.len(), whole.threads.len());
    let sleepers = last.switches.iter().take_while(|row| row.cpu.is_none()).count();
    assert!(sleepers > 10, "only {sleepers} threads are known to sleep as the last chapter begins");
}
