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
    /// What was counted; the unit stands there.
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
    /// Microseconds in which some task waited for I/O (`/proc/pressure/io`, `some`).
    IoPressure,
    /// Microseconds in which some task waited for a CPU (`/proc/pressure/cpu`, `some`).
    CpuPressure,
    /// How often a task had to reclaim memory itself, in the zones that programs' memory is in (`allocstall_normal` and
    /// `allocstall_movable` of `/proc/vmstat`).
    DirectReclaims,
    /// Page faults that read from a disk (`pgmajfault` of `/proc/vmstat`).
    MajorFaults,
    /// Pages that came back from swap (`pswpin` of `/proc/vmstat`).
    SwappedIn,
    /// Pages that went to swap (`pswpout` of `/proc/vmstat`).
    SwappedOut,
    /// Processes that the kernel killed for memory (`oom_kill` of `/proc/vmstat`).
    OomKills,
    /// How often the control group was at its memory limit (`max` of `memory.events`, or version 1's `memory.failcnt`).
    LimitHits,
    /// Periods in which the control group had no CPU quota left (`nr_throttled` of `cpu.stat`).
    ThrottledPeriods,
}
