//! Other kernel activity that a suspect may need: each with the one or two figures that matter.

use super::{StackId, ThreadId, Timestamp};

/// Something that the kernel did on behalf of, or to, a thread.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    /// When.
    pub time: Timestamp,
    /// Who was current.
    pub thread: ThreadId,
    /// What.
    pub kind: ActivityKind,
    /// Begin, end, or a single moment.
    pub phase: Phase,
    /// The figure that matters; its meaning and unit stand at the kind. 0 where there is none.
    pub value: u64,
    /// Where the thread stood.
    pub stack: Option<StackId>,
}

/// Begin, end, or a single moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It began.
    Begin,
    /// It ended.
    End,
    /// It happened.
    Moment,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ActivityKind {
    /// `exceptions:page_fault_user`, `page_fault_kernel`, or perf's page-fault events; value: the address.
    PageFault,
    /// Direct reclaim (`vmscan:mm_vmscan_direct_reclaim_begin`, `_end`); value at the end: pages freed.
    DirectReclaim,
    /// Reclaim inside a memory cgroup (`vmscan:mm_vmscan_memcg_reclaim_begin`, `_end`); value at the end:
    /// pages freed.
    MemcgReclaim,
    /// `compaction:mm_compaction_begin`, `_end`.
    Compaction,
    /// `block:block_rq_issue` (begin) and `block_rq_complete` (end); value: the device's number, as the kernel keeps it, in the
    /// upper, and the lower half of the first sector's in the lower half.
    BlockIo,
    /// `signal:signal_generate`; value: the target's tid in the upper, the signal's number in the lower half.
    SignalGenerate,
    /// `signal:signal_deliver`; value: the signal's number.
    SignalDeliver,
    /// `oom:*`.
    Oom,
}
