//! Records in order of time.
//!
//! perf empties the CPUs' buffers in turns, so records of one round are in order per CPU only:
//!
//! ```text
//! file:   cpu0: 1 4 6 | cpu1: 2 3 5 | ROUND | cpu0: 8 9 | cpu1: 7 10 | ROUND
//! ```
//!
//! At the end of a round, everything up to the latest time of the round *before* it can be handed on, since
//! every buffer has been emptied beyond it (`tools/perf/util/ordered-events.c`, Linux 6.1). The sort is
//! stable and finds the runs that the CPUs left, and ties keep the order of the file.

use super::event::Event;

/// Puts events in order of time, a round at a time.
#[derive(Default)]
pub(super) struct Sorter {
    pending: Vec<Event>,
    latest: u64,
    safe: u64,
    delivered: u64,
    /// Events that came after a later one had been handed on.
    pub late: u64,
}

impl Sorter {
    pub fn push(&mut self, event: Event) {
        self.latest = self.latest.max(event.time);
        self.pending.push(event);
    }

    /// A round ended: hands on what is certainly complete.
    pub fn finish_round(&mut self, deliver: impl FnMut(Event)) {
        let safe = std::mem::replace(&mut self.safe, self.latest);
        self.pending.sort_by_key(|event| event.time);
        let count = self.pending.partition_point(|event| event.time <= safe);
        self.hand_on(count, deliver);
    }

    /// The file ended: hands on the rest.
    pub fn finish(&mut self, deliver: impl FnMut(Event)) {
        self.pending.sort_by_key(|event| event.time);
        self.hand_on(self.pending.len(), deliver);
    }

    fn hand_on(&mut self, count: usize, mut deliver: impl FnMut(Event)) {
        for event in self.pending.drain(..count) {
            if event.time < self.delivered {
                self.late += 1;
            }
            self.delivered = self.delivered.max(event.time);
            deliver(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Body, RawStack};
    use super::*;

    fn event(time: u64, tid: i32) -> Event {
        Event { time, pid: 0, tid, cpu: None, stack: RawStack::None, body: Body::Sample }
    }

    fn order(input: &[(u64, i32)], rounds_at: &[usize]) -> (Vec<(u64, i32)>, u64) {
        let mut sorter = Sorter::default();
        let mut out = Vec::new();
        for (index, &(time, tid)) in input.iter().enumerate() {
            sorter.push(event(time, tid));
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
    fn what_breaks_the_promise_of_rounds_is_counted() {
        let (_, late) = order(&[(5, 0), (9, 0), (1, 0)], &[0, 1]);
        assert_eq!(late, 1);
    }
}
