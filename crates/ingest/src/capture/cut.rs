//! What remains of a capture from a moment on.

use super::{Capture, Span, Switch, TaskState, Timestamp};

impl Capture {
    /// Rows of events in all tables.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.switches.len()
            + self.wakeups.len()
            + self.contention.len()
            + self.mmap_locks.len()
            + self.syscalls.len()
            + self.samples.len()
            + self.activities.len()
            + self.resident.len()
    }

    /// The time of the last row of all; `None` without rows.
    pub(crate) fn latest_row(&self) -> Option<Timestamp> {
        let last = [
            self.switches.last().map(|row| row.time),
            self.wakeups.last().map(|row| row.time),
            self.contention.last().map(|row| row.time),
            self.mmap_locks.last().map(|row| row.time),
            self.syscalls.last().map(|row| row.time),
            self.samples.last().map(|row| row.time),
            self.activities.last().map(|row| row.time),
            self.resident.last().map(|row| row.time),
        ];
        last.into_iter().flatten().max()
    }

    /// Drops all rows of events before a time. Whoever was off its CPU then is said to have left it at that time, in the same state
    /// and stack: else nobody would know of later waits what they are for, nor of threads that sleep on that they are there.
    pub fn begin_at(&mut self, time: Timestamp) {
        fn keep<R>(rows: &mut Vec<R>, is_before: impl Fn(&R) -> bool) {
            rows.drain(..rows.partition_point(is_before));
        }
        let off = self.off_cpu_at(time);
        keep(&mut self.switches, |row| row.time < time);
        keep(&mut self.wakeups, |row| row.time < time);
        keep(&mut self.contention, |row| row.time < time);
        keep(&mut self.mmap_locks, |row| row.time < time);
        keep(&mut self.syscalls, |row| row.time < time);
        keep(&mut self.samples, |row| row.time < time);
        keep(&mut self.activities, |row| row.time < time);
        keep(&mut self.resident, |row| row.time < time);
        self.switches.splice(..0, off);
        self.span = self.span.map(|span| Span::new(time.max(span.start), span.end.max(time)));
    }

    /// The last leavings of those who are off their CPUs at a time, as if they were at that time, and not by a CPU.
    fn off_cpu_at(&self, time: Timestamp) -> Vec<Switch> {
        let before = self.switches.partition_point(|row| row.time < time);
        let mut left: Vec<Option<usize>> = vec![None; self.threads.len()];
        for (at, row) in self.switches[..before].iter().enumerate() {
            if let Some(into) = row.into {
                left[into.index()] = None;
            }
            if let Some(out) = row.out {
                let is_gone = row.state == TaskState::Dead || self.threads.get(out).is_idle_task();
                left[out.index()] = (!is_gone).then_some(at);
            }
        }
        let mut places: Vec<usize> = left.into_iter().flatten().collect();
        places.sort_unstable();
        let rows = places.into_iter().map(|at| &self.switches[at]);
        rows.map(|row| Switch { time, cpu: None, into: None, ..*row }).collect()
    }
}
