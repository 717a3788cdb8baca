//! Events of the locks themselves.

use std::collections::BTreeMap;

use super::{Span, StackId, ThreadId, Timestamp};

/// `lock:contention_begin` or `lock:contention_end` (`include/trace/events/lock.h`, Linux 5.19 and later).
#[derive(Clone, Copy, Debug)]
pub struct LockContention {
    /// When.
    pub time: Timestamp,
    /// Who waits, or waited.
    pub thread: ThreadId,
    /// The lock's kernel address.
    pub lock: u64,
    /// Begin or end.
    pub phase: ContentionPhase,
    /// Where the waiter stood.
    pub stack: Option<StackId>,
}

/// Begin or end of a contention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentionPhase {
    /// The thread began to wait.
    Begin(ContentionFlags),
    /// The thread has the lock, or gave up (`result` negative).
    End {
        /// 0, or a negative error number (a killed or timed-out waiter).
        result: i32,
    },
}

/// How a lock is waited for (`LCB_F_*`, `include/trace/events/lock.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ContentionFlags {
    /// A spinning lock.
    pub spin: bool,
    /// Wanted for reading.
    pub read: bool,
    /// Wanted for writing.
    pub write: bool,
    /// A sleeping mutex (or the optimistic spin of one).
    pub mutex: bool,
    /// A per-CPU rwsem.
    pub percpu: bool,
    /// A real-time lock.
    pub rt: bool,
}

impl ContentionFlags {
    /// Whether nobody sleeps for such a lock; of a mutex, the owner is watched for a while at first.
    #[must_use]
    pub fn spins(self) -> bool {
        self.spin && !self.mutex
    }
}

/// `mmap_lock:*` (`include/trace/events/mmap_lock.h`, Linux 5.11 and later): the best evidence of a holder.
#[derive(Clone, Copy, Debug)]
pub struct MmapLock {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub thread: ThreadId,
    /// The address space's kernel address: the lock's identity, also for holders in other processes.
    pub mm: u64,
    /// For writing.
    pub write: bool,
    /// What happened.
    pub phase: MmapLockPhase,
    /// Where the thread stood.
    pub stack: Option<StackId>,
}

/// What happened to an `mmap_lock`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MmapLockPhase {
    /// Began to ask.
    Start,
    /// Has it now, or was refused. A downgrade shows as a second acquisition for reading.
    Acquired {
        /// Whether the thread got it.
        success: bool,
    },
    /// Let go.
    Released,
}

/// Events that are counted by the millisecond and not kept.
#[derive(Clone, Debug, Default)]
pub struct SpinCounts {
    /// By the beginning of each millisecond.
    counts: BTreeMap<Timestamp, u64>,
    /// The millisecond to which the last ones belong, and how many of them are not among the others yet.
    last: (Timestamp, u64),
}

impl SpinCounts {
    /// Adds so many events of a moment. Most belong to the same millisecond as those before them.
    pub(crate) fn add(&mut self, time: Timestamp, count: u64) {
        const TOGETHER: u64 = 1_000_000;
        let begin = Timestamp(time.0 - time.0 % TOGETHER);
        let (last, known) = self.last;
        if last == begin {
            self.last.1 += count;
            return;
        }
        if known > 0 {
            *self.counts.entry(last).or_default() += known;
        }
        self.last = (begin, count);
    }

    /// How many there were in a span, to the millisecond.
    #[must_use]
    pub fn within(&self, span: Span) -> u64 {
        let counts = self.counts.range(span.start..).take_while(|(time, _)| **time < span.end);
        let (last, known) = self.last;
        let last = if span.contains(last) { known } else { 0 };
        last + counts.map(|(_, count)| count).sum::<u64>()
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.last.1
    }

    /// Keeps those of the milliseconds that are asked for by their beginning.
    pub fn retain(&mut self, mut keep: impl FnMut(Timestamp) -> bool) {
        self.counts.retain(|&time, _| keep(time));
        if !keep(self.last.0) {
            self.last.1 = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_the_millisecond_in_whatever_order_they_come() {
        let mut counts = SpinCounts::default();
        for (time, count) in [(5, 1), (5_900_000, 2), (5_000_000, 3), (2_000_001, 4), (900_000, 5)]
        {
            counts.add(Timestamp(time), count);
        }
        let within = |start, end| counts.within(Span::new(Timestamp(start), Timestamp(end)));
        assert_eq!((counts.total(), within(0, 1), within(1, 5_000_000)), (15, 6, 4));
        assert_eq!(within(5_000_000, 5_000_001), 5);
        counts.retain(|time| time.0 > 0);
        assert_eq!(counts.total(), 9);
    }
}
