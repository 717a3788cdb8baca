//! Where a capture comes from.

use std::fmt;

use super::Timestamp;

/// The recording's own words about itself; each may be missing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The input format.
    pub format: Format,
    /// Kernel release (`uname -r`).
    pub kernel: Option<String>,
    /// Machine (`uname -m`).
    pub arch: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Version of the recording tool.
    pub recorder: Option<String>,
    /// The recording command, one argument an entry.
    pub command: Vec<String>,
    /// CPUs online while recording.
    pub cpus: Option<u32>,
    /// A kernel symbol and its address when the capture was recorded (`_text`, as a rule), by which the
    /// symbols of another boot of the same kernel are moved into place.
    pub kernel_reference: Option<(String, u64)>,
    /// What the times of a log count; of a capture it is [`Clock::Own`].
    pub clock: Clock,
    /// One moment on the capture's clock and on the wall's.
    pub wall_clock: Option<WallClock>,
}

/// What times count.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The recording's own.
    #[default]
    Own,
    /// `CLOCK_MONOTONIC`.
    Monotonic,
    /// perf's own, without `-k`: close to `CLOCK_MONOTONIC`.
    Perf,
    /// Time since 1970-01-01 UTC.
    Wall,
    /// Time since midnight, somewhere on earth.
    TimeOfDay,
    /// Time since the log's first line.
    Relative,
}

/// One moment on two clocks, which places a log of the wall's clock beside the capture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WallClock {
    /// On the capture's clock, in nanoseconds.
    pub clock_ns: u64,
    /// Since 1970-01-01 UTC, in nanoseconds.
    pub wall_ns: u64,
}

impl WallClock {
    /// A moment of the capture on the wall's clock: nanoseconds since 1970-01-01 UTC; `None` before that.
    #[must_use]
    pub fn wall_ns_at(self, at: Timestamp) -> Option<u64> {
        let since = i128::from(at.0) - i128::from(self.clock_ns);
        u64::try_from(i128::from(self.wall_ns) + since).ok()
    }
}

/// Input formats.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Format {
    /// `perf.data` with an index at its front.
    #[default]
    PerfData,
    /// `perf.data` written to a pipe.
    PerfPipe,
    /// Folded stacks with microseconds.
    Folded,
    /// `perf script`.
    PerfScript,
    /// `perf sched timehist`.
    Timehist,
    /// The kernel's own trace, or `trace-cmd report`.
    Ftrace,
    /// Blocks of frames by bcc's or libbpf-tools' `offcputime`, `offwaketime`, `wakeuptime`.
    OffCpuBlocks,
    /// Maps that bpftrace printed.
    Bpftrace,
    /// `strace -f -ttt -T`.
    Strace,
    /// `perf trace`.
    PerfTrace,
    /// `contrib/memory-syscalls.bt`.
    MemorySyscalls,
    /// Hung-task reports and dumps of blocked tasks in a kernel log.
    KernelLog,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerfData => "perf.data",
            Self::PerfPipe => "perf.data (pipe)",
            Self::Folded => "folded",
            Self::PerfScript => "perf script",
            Self::Timehist => "perf sched timehist",
            Self::Ftrace => "ftrace",
            Self::OffCpuBlocks => "offcputime",
            Self::Bpftrace => "bpftrace",
            Self::Strace => "strace",
            Self::PerfTrace => "perf trace",
            Self::MemorySyscalls => "memory-syscalls.bt",
            Self::KernelLog => "kernel log",
        })
    }
}
