//! Time off-CPU that perf summed up itself, against what `perf script` of Linux 7.2 prints of the same files.

use std::fs;

use coldcase_ingest::capture::{Capture, Location};
use coldcase_ingest::symbols::{SymbolSources, resolve};

use crate::{data, open};

/// Process, thread and nanoseconds of each sum, with the number of its frames.
type Sum = (i32, i32, u64, usize);

/// `perf script -F pid,tid,period,event,ip`: `PID/TID PERIOD EVENT:`, then the addresses, innermost first.
fn by_perf(name: &str) -> Vec<Sum> {
    let text = fs::read_to_string(data(&format!("{name}.script.txt"))).unwrap();
    let sum = |block: &str| {
        let mut words = block.split_whitespace();
        let (pid, tid) = words.next()?.split_once('/')?;
        let period = words.next()?.parse().ok()?;
        let is_off_cpu = words.next()? == "offcpu-time:";
        // The process's number is the lower one; perf prints the two the wrong way round for single waits.
        let (pid, tid): (i32, i32) = (pid.parse().ok()?, tid.parse().ok()?);
        is_off_cpu.then_some((pid.min(tid), pid.max(tid), period, words.count()))
    };
    text.split("\n\n").filter_map(sum).collect()
}

fn by_coldcase(capture: &Capture) -> Vec<Sum> {
    let rows = capture.profile.iter().map(|row| {
        let thread = capture.threads.get(row.thread);
        let pid = capture.threads.process_of(row.thread).pid.unwrap();
        (pid, thread.tid, row.off_cpu.0, capture.stacks.frames(row.stack).len())
    });
    rows.collect()
}

/// The second has its sums in the raw data, and waits above half a second as samples of their own.
const FILES: [&str; 2] = ["off-cpu", "off-cpu-direct"];

#[test]
fn sums_are_those_that_perf_prints() {
    for name in FILES {
        let capture = open(&format!("{name}.data.zst"));
        let mut theirs = by_perf(name);
        let mut ours = by_coldcase(&capture);
        assert!(theirs.len() >= 5, "{theirs:?}");
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{name}");
        let span = capture.span.unwrap();
        assert!(span.duration().0 < 2_000_000_000, "the time of a sum is none: {span:?}");
        assert!(capture.warnings.iter().any(|warning| warning.contains("--off-cpu")));
    }
}

#[test]
fn ended_threads_have_names_and_their_addresses_lie_in_files() {
    for name in FILES {
        let mut capture = open(&format!("{name}.data.zst"));
        resolve(&mut capture, &SymbolSources::default());
        for row in &capture.profile {
            assert_eq!(capture.threads.get(row.thread).comm(), "wait", "{name}");
            let inner = capture.stacks.frames(row.stack)[0];
            let location = capture.frames.get(inner).location;
            assert!(matches!(location, Location::File { .. }), "{name}: {location:?}");
        }
    }
}

/// perf 7 says in a record of its own what its BPF programs are.
#[test]
fn the_newest_record_has_a_name() {
    let capture = open("off-cpu-direct.data.zst");
    let count =
        |name| capture.events.iter().find(|event| event.name == name).map(|event| event.count);
    assert_eq!(count("PERF_RECORD_BPF_METADATA"), Some(2));
}
