//! Events that prove that a thread runs.

use coldcase_ingest::capture::{Capture, CpuId, Sample, SyscallEvent, ThreadId, Timestamp, Wakeup};

/// Events that only a running thread can cause, besides switches, in order of time; of two tables' events of one time,
/// the first one's comes first.
pub(super) struct OwnEvents<'a> {
    samples: &'a [Sample],
    syscalls: &'a [SyscallEvent],
    wakeups: &'a [Wakeup],
}

impl<'a> OwnEvents<'a> {
    pub fn new(capture: &'a Capture) -> Self {
        let Capture { samples, syscalls, wakeups, .. } = capture;
        Self { samples, syscalls, wakeups }
    }

    /// Hands on those that come before a moment.
    pub fn before(
        &mut self,
        time: Timestamp,
        mut hand_on: impl FnMut(Timestamp, ThreadId, Option<CpuId>),
    ) {
        // Most captures have nothing but wakeups.
        if self.samples.is_empty() && self.syscalls.is_empty() {
            let count = self.wakeups.iter().take_while(|row| row.time < time).count();
            let (before, after) = self.wakeups.split_at(count);
            let of_wakers = before.iter().filter_map(|row| Some((row.time, row.waker?)));
            of_wakers.for_each(|(time, waker)| hand_on(time, waker, None));
            self.wakeups = after;
            return;
        }
        loop {
            let sample = self.samples.first().filter(|row| row.time < time);
            let call = self.syscalls.first().filter(|row| row.time < time);
            let wakeup = self.wakeups.first().filter(|row| row.time < time);
            let next =
                [sample.map(|row| row.time), call.map(|row| row.time), wakeup.map(|row| row.time)];
            let Some(first) = next.into_iter().flatten().min() else { return };
            if let Some(row) = sample.filter(|row| row.time == first) {
                self.samples = &self.samples[1..];
                hand_on(first, row.thread, row.cpu);
            } else if let Some(row) = call.filter(|row| row.time == first) {
                self.syscalls = &self.syscalls[1..];
                hand_on(first, row.thread, None);
            } else if let Some(row) = wakeup {
                self.wakeups = &self.wakeups[1..];
                // Who is interrupted is on a CPU as well.
                if let Some(waker) = row.waker {
                    hand_on(first, waker, None);
                }
            }
        }
    }
}
