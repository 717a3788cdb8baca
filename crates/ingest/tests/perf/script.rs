//! The text of `plain.data` with various fields (`tests/data/perf/script`), against the recording itself.

use coldcase_ingest::capture::{Capture, Mode, StackId, TaskState, ThreadId};

use crate::open;

/// Switches and wakeups by time and thread numbers; times in units of `nanos`.
#[derive(Debug, PartialEq)]
struct Scheduler {
    switches: Vec<(u64, Option<i32>, Option<i32>, TaskState)>,
    wakeups: Vec<(u64, Option<i32>, i32)>,
}

fn scheduler(capture: &Capture, nanos: u64) -> Scheduler {
    let tid = |thread: ThreadId| capture.threads.get(thread).tid;
    let switches = capture
        .switches
        .iter()
        .map(|row| (row.time.0 / nanos, row.out.map(tid), row.into.map(tid), row.state));
    let wakeups =
        capture.wakeups.iter().map(|row| (row.time.0 / nanos, row.waker.map(tid), tid(row.wakee)));
    Scheduler { switches: switches.collect(), wakeups: wakeups.collect() }
}

fn script(name: &str) -> Capture {
    open(&format!("script/{name}.txt.zst"))
}

/// Kernel and user frames of each switch.
fn depths(capture: &Capture) -> Vec<(usize, usize)> {
    let depth = |stack: StackId| {
        let frames = capture.stacks.frames(stack);
        let kernel = frames.iter().filter(|&&id| capture.frames.get(id).mode == Mode::Kernel);
        let kernel = kernel.count();
        (kernel, frames.len() - kernel)
    };
    capture.switches.iter().map(|row| row.stack.map_or((0, 0), depth)).collect()
}

#[test]
fn every_choice_of_fields_gives_the_same_switches_and_wakeups() {
    let recording = open("plain.data.zst");
    let (micros, nanos) = (scheduler(&recording, 1000), scheduler(&recording, 1));
    assert!(micros.switches.len() > 30 && micros.wakeups.len() > 30);
    for name in ["default", "no-comm", "period", "addresses", "no-chains"] {
        assert_eq!(scheduler(&script(name), 1000), micros, "{name}");
    }
    for name in ["pid", "pid-alone"] {
        assert_eq!(scheduler(&script(name), 1), nanos, "{name}");
    }
}

#[test]
fn stacks_have_the_recordings_frames_whatever_is_printed_of_them() {
    let recording = depths(&open("plain.data.zst"));
    for name in ["default", "pid", "no-comm", "period", "addresses"] {
        assert_eq!(depths(&script(name)), recording, "{name}");
    }
    for name in ["default", "no-comm", "period"] {
        let capture = script(name);
        let stack = capture.stacks.frames(capture.switches[0].stack.unwrap());
        assert_eq!(capture.frames.get(stack[0]).function(), Some("__schedule"), "{name}");
    }
}

#[test]
fn what_was_not_printed_is_said_to_be_missing() {
    let warned = |capture: &Capture, text: &str| capture.warnings.iter().any(|w| w.contains(text));
    let (recording, pid) = (open("plain.data.zst"), script("pid"));
    let of = |capture: &Capture| {
        let mut processes: Vec<_> = capture
            .threads
            .iter()
            .filter(|(_, thread)| thread.comm() == "sched-pipe")
            .map(|(id, thread)| (thread.tid, capture.threads.process_of(id).pid))
            .collect();
        processes.sort_unstable();
        processes
    };
    assert_eq!(of(&pid), of(&recording));
    assert!(!warned(&pid, "which threads form a process"));
    assert!(warned(&script("default"), "which threads form a process"));
    // perf 6.1 leaves callchains out as soon as a field is added to a tracepoint's.
    for name in ["no-chains", "pid-alone"] {
        assert!(warned(&script(name), "no callchains"), "{name}");
    }
    // Without an event's fields nobody knows who came and who was woken.
    let no_fields = script("no-fields");
    assert!(no_fields.switches.is_empty() && no_fields.wakeups.is_empty());
    assert!(warned(&no_fields, "without its fields"));
}
