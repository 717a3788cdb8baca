//! Records in order of time.
//!
//! perf empties the CPUs' buffers in turns, so records of one round are in order per CPU only:
//!
//! ```text
//! file:   cpu0: 1 4 6 | cpu1: 2 3 5 | ROUND | cpu0: 8 9 | cpu1: 7 10 | ROUND
//! ```
//!
//! At the end of a round, everything up to the latest time of the round *before* it can be handed on, since
//! every buffer has been emptied beyond it (`tools/perf/util/ordered-events.c`, Linux 6.1). Runs that the CPUs left
//! are merged, and ties keep the order of the file.

use super::event::Event;

/// Puts events in order of time, a round at a time.
#[derive(Default)]
pub(super) struct Sorter {
    pending: Vec<Event>,
    /// Time and place of each pending event: what is sorted, since events themselves are several times as large.
    order: Vec<(u64, u32)>,
    kept: Vec<Event>,
    latest: u64,
    safe: u64,
    delivered: u64,
    /// Events that came after a later one had been handed on.
    pub late: u64,
}

impl Sorter {
    /// Takes the next events of the file.
    pub fn extend(&mut self, events: &[Event]) {
        self.latest = events.iter().fold(self.latest, |latest, event| latest.max(event.time));
        self.pending.extend_from_slice(events);
    }

    /// A round ended: hands on what is certainly complete.
    pub fn finish_round(&mut self, deliver: impl FnMut(&Event)) {
        let safe = std::mem::replace(&mut self.safe, self.latest);
        self.hand_on(safe, deliver);
    }

    /// The file ended: hands on the rest.
    pub fn finish(&mut self, deliver: impl FnMut(&Event)) {
        self.hand_on(u64::MAX, deliver);
    }

    /// Hands on everything up to a time.
    fn hand_on(&mut self, safe: u64, mut deliver: impl FnMut(&Event)) {
        let (late, delivered) = (&mut self.late, &mut self.delivered);
        let deliver = |event: &Event| {
            *late += u64::from(event.time < *delivered);
            *delivered = event.time.max(*delivered);
            deliver(event);
        };
        self.kept.clear();
        match runs(&self.pending) {
            Some(runs) => merge(runs, safe, deliver, &mut self.kept),
            None => sort(&self.pending, &mut self.order, safe, deliver, &mut self.kept),
        }
        std::mem::swap(&mut self.pending, &mut self.kept);
    }
}

/// So many runs are merged by looking at the first event of each; more are sorted.
const MOST_RUNS: usize = 12;

/// Stretches of events that are in order, if they are few.
fn runs(events: &[Event]) -> Option<Vec<&[Event]>> {
    let mut runs = Vec::new();
    for run in events.chunk_by(|one, next| one.time <= next.time) {
        if runs.len() == MOST_RUNS {
            return None;
        }
        runs.push(run);
    }
    Some(runs)
}

/// Merges runs up to a time, and keeps what is later. That takes half of the time of a sort.
fn merge(
    mut runs: Vec<&[Event]>,
    safe: u64,
    mut deliver: impl FnMut(&Event),
    kept: &mut Vec<Event>,
) {
    loop {
        let heads = || runs.iter().enumerate().map(|(place, run)| (run[0].time, place));
        let Some((_, first)) = heads().min().filter(|&(time, _)| time <= safe) else { break };
        // At equal times, the run that comes first in the file goes first.
        let others = heads().filter(|&(_, place)| place != first);
        let limit = others.fold(safe, |limit, (time, place)| {
            limit.min(if place < first { time - 1 } else { time })
        });
        let run = runs[first];
        let count = run.iter().position(|event| event.time > limit).unwrap_or(run.len());
        run[..count].iter().for_each(&mut deliver);
        if count == run.len() {
            runs.remove(first);
        } else {
            runs[first] = &run[count..];
        }
    }
    runs.iter().for_each(|run| kept.extend_from_slice(run));
}

/// The same for any number of runs.
fn sort(
    events: &[Event],
    order: &mut Vec<(u64, u32)>,
    safe: u64,
    mut deliver: impl FnMut(&Event),
    kept: &mut Vec<Event>,
) {
    order.clear();
    order.extend((0..).zip(events).map(|(place, event)| (event.time, place)));
    // Places tell equal times apart, so the order is the same as that of a stable sort by time.
    order.sort();
    let count = order.partition_point(|&(time, _)| time <= safe);
    let event = |&(_, place): &(u64, u32)| &events[place as usize];
    order[..count].iter().map(event).for_each(&mut deliver);
    kept.extend(order[count..].iter().map(event));
}

#[cfg(test)]
mod tests {
    use super::super::event::{Body, Stood};
    use super::*;

    fn event(time: u64, tid: i32) -> Event {
        Event { time, pid: 0, tid, cpu: None, stack: Stood::UNKNOWN, body: Body::Sample }
    }

    fn order(input: &[(u64, i32)], rounds_at: &[usize]) -> (Vec<(u64, i32)>, u64) {
        let mut sorter = Sorter::default();
        let mut out = Vec::new();
        for (index, &(time, tid)) in input.iter().enumerate() {
            sorter.extend(&[event(time, tid)]);
            if rounds_at.contains(&index) {
                sorter.finish_round(|event| out.push((event.time, event.tid)));
            }
        }
        sorter.finish(|event| out.push((event.time, event.tid)));
        (out, sorter.late)
    }

    #[test]
    fn events_of_two_rounds_are_merged() {
        let input =
            [(1, 0), (4, 0), (6, 0), (2, 1), (3, 1), (5, 1), (8, 0), (9, 0), (7, 1), (10, 1)];
        let (out, late) = order(&input, &[5, 9]);
        assert_eq!(
            out.iter().map(|event| event.0).collect::<Vec<_>>(),
            (1..=10).collect::<Vec<_>>()
        );
        assert_eq!(late, 0);
    }

    #[test]
    fn a_buffer_that_is_emptied_a_round_late_still_comes_in_order() {
        let (out, late) = order(&[(5, 0), (9, 0), (6, 1), (12, 1)], &[1, 3]);
        assert_eq!(out.iter().map(|event| event.0).collect::<Vec<_>>(), [5, 6, 9, 12]);
        assert_eq!(late, 0);
    }

    #[test]
    fn ties_keep_the_order_of_the_file() {
        let (out, _) = order(&[(5, 1), (5, 2), (5, 0)], &[]);
        assert_eq!(out, [(5, 1), (5, 2), (5, 0)]);
    }

    #[test]
    fn few_runs_and_many_come_in_one_order() {
        // Times repeat, in runs and between them; the number tells the place in the file.
        let event_of = |place: i32| (u64::from(place.cast_unsigned()) * 7 % 40 / 3, place);
        for count in [5, 30, 60, 400] {
            let input: Vec<_> = (0..count).map(event_of).collect();
            let mut sorted = input.clone();
            sorted.sort_by_key(|&(time, _)| time);
            assert_eq!(order(&input, &[]).0, sorted, "{count}");
        }
    }

    #[test]
    fn what_breaks_the_promise_of_rounds_is_counted() {
        let (_, late) = order(&[(5, 0), (9, 0), (1, 0)], &[0, 1]);
        assert_eq!(late, 1);
    }
}
