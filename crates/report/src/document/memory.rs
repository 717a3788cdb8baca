//! The memory calls: the culprit's first, and none of the small ones that every program makes when it starts.

use std::cmp::Reverse;

use coldcase_analyze::findings::{Findings, MemoryEvent, Nearness};
use coldcase_ingest::capture::{Nanos, Timestamp};

use super::tables::{percent, relative, unknown};
use crate::{names, units, words};

/// Longest table; what is left out is said in a line below, and stands in the JSON.
const MEMORY: usize = 100;
/// Smaller and shorter calls of processes that did not freeze are everyday life.
const SMALL: u64 = 10_000_000;
const SHORT: Nanos = Nanos(1_000_000);

/// A memory call.
pub(crate) struct MemoryLine {
    pub when: String,
    pub who: String,
    pub operation: &'static str,
    pub size: String,
    pub exact: String,
    pub flags: String,
    pub duration: String,
    pub overlap: String,
    pub resident: String,
    pub percent: f64,
    /// Whether the culprit of a freeze was in it then.
    pub culprits: bool,
}

/// The memory calls of a capture.
pub(crate) struct MemoryTable {
    pub lines: Vec<MemoryLine>,
    /// What is not shown, in words; empty if all is.
    pub left_out: String,
    /// Whether it is known of some calls what they changed.
    pub steps: bool,
}

/// Whether a call is of a process that did not freeze, and neither large nor long.
pub(crate) fn is_everyday(event: &MemoryEvent) -> bool {
    event.nearness == Nearness::Other
        && event.bytes.is_none_or(|bytes| bytes < SMALL)
        && event.duration.is_some_and(|time| time < SHORT)
}

/// The culprit's calls first, then those inside a freeze, by their time in it; then the frozen process's own, then all others, by size.
pub(super) fn memory(findings: &Findings) -> MemoryTable {
    let worst = findings.worst();
    let origin = worst.and_then(|window| window.freeze.span).map(|span| span.start);
    let home = worst.and_then(|window| window.freeze.pid);
    let (everyday, mut events): (Vec<&MemoryEvent>, Vec<_>) =
        findings.memory_events.iter().partition(|event| is_everyday(event));
    events.sort_by_key(|event| {
        let waited = if event.nearness == Nearness::InFreeze { event.overlap } else { Nanos::ZERO };
        (event.nearness, Reverse(waited))
    });
    let largest = events.iter().filter_map(|event| event.bytes).max();
    let shown = events.iter().take(MEMORY);
    let lines: Vec<MemoryLine> =
        shown.map(|event| memory_line(event, origin, home, largest)).collect();
    MemoryTable {
        left_out: words::calls_left_out(events.len() - lines.len(), &everyday),
        steps: events.iter().any(|event| event.resident_step.is_some()),
        lines,
    }
}

fn memory_line(
    event: &MemoryEvent,
    origin: Option<Timestamp>,
    home: Option<i32>,
    largest: Option<u64>,
) -> MemoryLine {
    let flags: Vec<String> = event.flags.iter().map(|flag| names::name(flag)).collect();
    MemoryLine {
        when: event.start.map_or_else(unknown, |start| relative(start, origin)),
        who: words::thread_in_table(&event.thread, home),
        operation: words::operation(event.operation),
        size: event.bytes.map_or_else(unknown, units::size),
        exact: event.bytes.map_or_else(unknown, units::count),
        flags: flags.join(" "),
        duration: event.duration.map_or_else(unknown, units::duration),
        overlap: if event.overlap == Nanos::ZERO {
            "none".to_owned()
        } else {
            units::duration(event.overlap)
        },
        resident: event.resident_step.map_or_else(unknown, units::change),
        percent: percent(Nanos(event.bytes.unwrap_or(0)), Nanos(largest.unwrap_or(0))),
        culprits: event.nearness == Nearness::Culprits,
    }
}
