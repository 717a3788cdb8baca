//! What was recorded, by name.

use super::Nanos;

/// One event of the recording, or one kind of record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventCount {
    /// perf's name: `sched:sched_switch`, `cpu-clock`, `PERF_RECORD_COMM`.
    pub name: String,
    /// Number of records.
    pub count: u64,
    /// What it is to the analysis; `None` if it is only counted.
    pub meaning: Option<Meaning>,
    /// A tracepoint that was sampled (`attr.freq`, or a period other than 1): events are silently missing.
    pub sampled: bool,
    /// How long a thread runs between two of its samples, of a clock that does so by the thread's own time: the kernel keeps what is
    /// left of it when the thread leaves its CPU (`cpu_clock_event_stop`, `kernel/events/core.c`).
    pub every: Option<Nanos>,
}

/// What an event is to the analysis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Meaning {
    /// `sched:sched_switch`.
    Switches,
    /// `PERF_RECORD_SWITCH`.
    SwitchRecords,
    /// `sched:sched_waking`.
    Waking,
    /// `sched:sched_wakeup`, `sched:sched_wakeup_new`.
    Wakeup,
    /// `sched:sched_process_*`.
    ProcessLife,
    /// `lock:contention_begin`, `lock:contention_end`.
    Contention,
    /// `mmap_lock:*`.
    MmapLock,
    /// Memory system calls: at least `mmap` or `munmap`, entered.
    MemorySyscalls,
    /// Other system calls that coldcase reads.
    OtherSyscalls,
    /// On-CPU samples.
    Samples,
    /// Page faults.
    PageFaults,
    /// `vmscan:*`.
    Reclaim,
    /// `compaction:*`.
    Compaction,
    /// `block:*`.
    BlockIo,
    /// `signal:*`.
    Signals,
    /// `kmem:rss_stat`.
    RssStat,
    /// `oom:*`.
    Oom,
    /// Sums of off-CPU time by stack.
    OffCpuProfile,
}
