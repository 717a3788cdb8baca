//! What was noted beside a capture when it was recorded.

use super::Timestamp;

/// The alarm that a capture was recorded for, and what was measured around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// When the alarm was raised.
    pub alarm: Option<Timestamp>,
    /// What it saw, in the words of who raised it; empty if that is not known.
    pub saw: String,
    /// Processes that were watched, by their ids; empty if that is not known.
    pub watched: Vec<i32>,
    /// When all was well again.
    pub well_again: Option<Timestamp>,
    /// How large processes were, in order of time.
    pub sizes: Vec<ProcessSize>,
    /// What the machine and its control groups counted, in order of time.
    pub readings: Vec<Reading>,
    /// What the kernel logged as a warning or worse, in order of time: its clock is some milliseconds off the trace's.
    pub kernel_log: Vec<(Timestamp, String)>,
}

/// How large a process was at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSize {
    /// When.
    pub time: Timestamp,
    /// Which process.
    pub pid: i32,
    /// Its name.
    pub comm: String,
    /// Its resident memory.
    pub bytes: u64,
}

/// How far something had counted at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When.
    pub time: Timestamp,
    /// What was counted.
    pub gauge: Gauge,
    /// Of which process's control group; `None` for all of the machine.
    pub pid: Option<i32>,
    /// The count since boot, or since the group was made.
    pub value: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gauge {
    /// Microseconds in which some task waited for memory (`/proc/pressure/memory`, `some`).
    MemoryPressure,
    /// ... for I/O.
    IoPressure,
    /// ... for a CPU.
    CpuPressure,
    /// How often a task had to reclaim memory itself, in any zone (`allocstall_*` of `/proc/vmstat`).
    DirectReclaims,
    /// Page faults that read from a disk.
    MajorFaults,
    /// Pages that came back from swap.
    SwappedIn,
    /// Pages that went to swap.
    SwappedOut,
    /// Processes that the kernel killed for memory.
    OomKills,
    /// How often the control group was at its memory limit.
    LimitHits,
    /// Periods in which the control group had no CPU quota left.
    ThrottledPeriods,
}
