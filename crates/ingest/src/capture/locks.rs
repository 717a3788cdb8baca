//! Events of the locks themselves.

use super::{StackId, ThreadId, Timestamp};

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

/// How a lock is waited for.
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
