//! Files that end before their index: the scheduler's events are recognised by their shape, or not at all.

use coldcase_ingest::capture::{Capture, ModuleKind, Switch, Wakeup};

use crate::{parse, unpacked};

/// A file's bytes without all that lies behind its records, cut off one byte before their end.
fn without_index(name: &str) -> (Vec<u8>, Vec<u8>) {
    let whole = unpacked(name);
    let number =
        |at: usize| usize::try_from(u64::from_le_bytes(*whole[at..].first_chunk().unwrap()));
    let end = number(40).unwrap() + number(48).unwrap();
    let cut = whole[..end - 1].to_vec();
    (whole, cut)
}

fn switches(capture: &Capture) -> Vec<String> {
    let tid = |thread| capture.threads.get(thread).tid;
    let row = |switch: &Switch| {
        format!(
            "{:?} {:?} {:?} {:?}",
            switch.time,
            switch.out.map(tid),
            switch.into.map(tid),
            switch.state
        )
    };
    capture.switches.iter().map(row).collect()
}

fn wakeups(capture: &Capture) -> Vec<String> {
    let tid = |thread| capture.threads.get(thread).tid;
    let row = |wakeup: &Wakeup| {
        format!(
            "{:?} {:?} {} {:?}",
            wakeup.time,
            wakeup.waker.map(tid),
            tid(wakeup.wakee),
            wakeup.kind
        )
    };
    capture.wakeups.iter().map(row).collect()
}

#[test]
fn switches_and_wakeups_of_a_cut_file_are_those_of_the_whole_one() {
    let (whole, cut) = without_index("plain.data.zst");
    let (whole, cut) = (parse(&whole), parse(&cut));
    assert!(!cut.switches.is_empty());
    assert!(switches(&whole).starts_with(&switches(&cut)));
    assert!(wakeups(&whole).starts_with(&wakeups(&cut)));
    assert!(whole.switches.len() - cut.switches.len() <= 1, "the last record is cut off");
    let said = cut.warnings.iter().any(|warning| {
        warning.contains("sched_waking (") && warning.contains("recognised by the shape")
    });
    assert!(said, "{:?}", cut.warnings);
}

#[test]
fn build_ids_that_were_injected_are_records_and_survive_the_cut() {
    let kernel = |capture: &Capture| {
        let kind = ModuleKind::Kernel;
        let module = capture.modules.iter().find(|(_, module)| module.kind == kind).unwrap().1;
        module.build_id.clone()
    };
    let (whole, cut) = without_index("inject.data.zst");
    assert_eq!(kernel(&parse(&cut)), kernel(&parse(&whole)));
    assert!(kernel(&parse(&cut)).is_some());
    let (_, plain) = without_index("plain.data.zst");
    assert_eq!(kernel(&parse(&plain)), None);
}

#[test]
fn one_record_that_does_not_fit_leaves_all_unknown() {
    let (_, mut cut) = without_index("plain.data.zst");
    // A name of a raw record, with the thread's number behind it: no thread has so large a one.
    let name = b"sched-pipe\0";
    let at = cut.windows(name.len()).rposition(|window| window == name).unwrap();
    cut[at + 16..at + 20].copy_from_slice(&0x0100_0000_u32.to_le_bytes());
    let capture = parse(&cut);
    assert!(capture.switches.is_empty() || capture.wakeups.is_empty(), "{:?}", capture.warnings);
}
