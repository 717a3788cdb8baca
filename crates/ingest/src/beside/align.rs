//! Two clocks that are close, aligned by what both saw: a thread's long call in the log, and its long wait inside that call in the capture.
//!
//! ```text
//! log       |------------- call -------------|
//! capture       |--------- wait ---------|          moved by as much as keeps the wait inside the call
//! ```
//!
//! Each such pair leaves a range to move by; the range that most pairs share is taken.

use rustc_hash::FxHashMap;

use crate::capture::{Capture, Nanos, SyscallPhase};

/// Shorter calls say little, and there are many.
const LONG: u64 = 20_000_000;
/// A wait that fills less of the call may be another's.
const FILLS: f64 = 0.8;
/// So many pairs are compared with each other.
const PAIRS: usize = 4096;
/// Pairs that have to agree; a single one may be chance.
const AGREEING: usize = 3;

/// What to add to the log's times, and how far that may be off; `None` if too few pairs agree, or if not most of them do.
pub(super) fn by_waits(capture: &Capture, log: &Capture, within: Nanos) -> Option<(i64, Nanos)> {
    let waits = waits(capture);
    let mut ranges = Vec::new();
    for (tid, began, ended) in calls(log) {
        let length = ended - began;
        let own = waits.get(&tid).map_or(&[][..], Vec::as_slice).iter();
        let near = own.filter(|(from, to)| {
            let fills = (to - from) as f64 / length as f64;
            (FILLS..=1.0).contains(&fills) && from.abs_diff(began) <= within.0
        });
        ranges.extend(near.map(|&(from, to)| {
            (to.cast_signed() - ended.cast_signed(), from.cast_signed() - began.cast_signed())
        }));
    }
    ranges.truncate(PAIRS);
    let (from, to, agreeing) = densest(&ranges)?;
    let most = agreeing >= AGREEING && 2 * agreeing > ranges.len();
    most.then_some((i64::midpoint(from, to), Nanos(from.abs_diff(to) / 2)))
}

/// The stretch that lies in most ranges, and in how many.
fn densest(ranges: &[(i64, i64)]) -> Option<(i64, i64, usize)> {
    let within = |at: i64| ranges.iter().filter(move |(from, to)| *from <= at && at <= *to);
    let starts = ranges.iter().map(|(from, _)| *from);
    let best = starts.max_by_key(|&at| (within(at).count(), std::cmp::Reverse(at)))?;
    let end = within(best).map(|(_, to)| *to).min()?;
    Some((best, end, within(best).count()))
}

/// Long calls of a log: thread number, beginning and end.
fn calls(log: &Capture) -> Vec<(i32, u64, u64)> {
    let mut open = FxHashMap::default();
    let mut calls = Vec::new();
    for row in &log.syscalls {
        match row.phase {
            SyscallPhase::Enter { .. } => {
                open.insert(row.thread, row.time.0);
            }
            SyscallPhase::Exit { .. } => {
                let began = open.remove(&row.thread);
                let long = began.filter(|began| row.time.0.saturating_sub(*began) >= LONG);
                calls
                    .extend(long.map(|began| (log.threads.get(row.thread).tid, began, row.time.0)));
            }
        }
    }
    calls
}

/// Each thread's waits, by its number.
fn waits(capture: &Capture) -> FxHashMap<i32, Vec<(u64, u64)>> {
    let mut since = FxHashMap::default();
    let mut waits: FxHashMap<i32, Vec<(u64, u64)>> = FxHashMap::default();
    for row in &capture.switches {
        if let Some(thread) = row.out {
            since.insert(thread, row.time.0);
        }
        if let Some(thread) = row.into
            && let Some(from) = since.remove(&thread)
            && row.time.0.saturating_sub(from) >= LONG / 2
        {
            waits.entry(capture.threads.get(thread).tid).or_default().push((from, row.time.0));
        }
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Switch, Syscall, SyscallEvent, TaskState, Timestamp};

    const MS: u64 = 1_000_000;

    /// Threads 1 to `threads` wait 1000 to 1900 ms of the capture's clock, in calls that the log sees `late` ms later.
    fn pair(threads: i32, late: u64) -> (Capture, Capture) {
        let (mut capture, mut log) = (Capture::default(), Capture::default());
        for tid in 1..=threads {
            let thread = capture.threads.of_tid(tid);
            let switch = |ms: u64, out, into| Switch {
                time: Timestamp(ms * MS),
                cpu: None,
                out,
                into,
                state: TaskState::Uninterruptible,
                stack: None,
                priority: None,
            };
            capture.switches.push(switch(1000, Some(thread), None));
            capture.switches.push(switch(1900, None, Some(thread)));
            let thread = log.threads.of_tid(tid);
            let event = |ms: u64, phase| SyscallEvent {
                time: Timestamp((ms + late) * MS),
                thread,
                syscall: Syscall::Mmap,
                phase,
                stack: None,
            };
            let early = u64::from(tid.unsigned_abs());
            log.syscalls.push(event(1000 - early, SyscallPhase::Enter { args: [0; 6] }));
            log.syscalls.push(event(1900 + early, SyscallPhase::Exit { result: 0 }));
        }
        (capture, log)
    }

    #[test]
    fn waits_lie_inside_their_calls() {
        let (capture, log) = pair(4, 300);
        let (shift, uncertainty) = by_waits(&capture, &log, Nanos(1000 * MS)).unwrap();
        assert_eq!((shift, uncertainty), (-300 * MS.cast_signed(), Nanos(MS)));
    }

    #[test]
    fn chance_is_no_evidence() {
        let (capture, log) = pair(2, 300);
        assert_eq!(
            by_waits(&capture, &log, Nanos(1000 * MS)),
            None,
            "two pairs may agree by chance"
        );
        let (capture, log) = pair(4, 300);
        assert_eq!(
            by_waits(&capture, &log, Nanos(200 * MS)),
            None,
            "the clocks are closer than that"
        );
    }
}
