//! The data model: what every input format becomes.
//!
//! A [`Capture`] holds plain tables of rows, each sorted by time, and says what it lacks. It knows no
//! file format and opens nothing. After it was read, only three things change it: symbol resolution, which
//! fills in names; a log of system calls that is placed beside it, which adds those; and a redaction after
//! the analysis, which replaces names. Rows refer to each other by small index types ([`ThreadId`],
//! [`StackId`], ...), never by the operating system's reused numbers.

mod activity;
mod cut;
mod events;
mod frames;
mod ids;
mod incident;
mod inert;
mod locks;
mod losses;
mod modules;
mod origin;
mod profile;
mod resident;
mod sched;
mod seeded;
mod sentence;
mod stacks;
mod syscalls;
mod threads;
mod time;

pub use activity::{Activity, ActivityKind, Phase};
pub use events::{EventCount, Meaning};
pub use frames::{Call, Frame, FrameTable, Location, Mode, Symbol, WhyNoSymbol};
pub use ids::{CpuId, FrameId, ModuleId, ProcessId, StackId, ThreadId};
pub use incident::{Gauge, Incident, ProcessSize, Reading};
pub use inert::{escape_html, inert, inert_json, inert_lines};
pub use locks::{
    ContentionFlags, ContentionPhase, LockContention, MmapLock, MmapLockPhase, SpinCounts,
};
pub use losses::{Loss, LossKind};
pub use modules::{BuildId, LoadedModule, MadeCode, Module, ModuleKind, ModuleTable};
pub use origin::{Clock, Format, Origin, WallClock};
pub use profile::{ProfileRow, ProfileWaker};
pub use resident::{ResidentPart, ResidentSize};
pub use sched::{Context, Priority, Sample, Switch, TaskState, Wakeup, WakeupKind};
pub use seeded::{Seed, SeededMap};
pub use sentence::{NameKind, Sentence};
pub use stacks::StackTable;
pub use syscalls::{Syscall, SyscallEvent, SyscallPhase};
pub use threads::{Process, Thread, ThreadTable};
pub use time::{Nanos, Span, Timestamp};

/// One recording and all it refers to.
///
/// Every table of events is sorted by time; ties keep the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// Where the recording comes from: machine, kernel, command line, clock.
    pub origin: Origin,
    /// From the first to the last event; `None` for a profile without times.
    pub span: Option<Span>,
    /// Threads and processes, with their names.
    pub threads: ThreadTable,
    /// The files that frames point into.
    pub modules: ModuleTable,
    /// Code that the kernel made while it was recorded (`PERF_RECORD_KSYMBOL`: BPF programs, trampolines).
    pub made_code: Vec<MadeCode>,
    /// Where loadable kernel modules lay.
    pub loaded_modules: Vec<LoadedModule>,
    /// Unique frames.
    pub frames: FrameTable,
    /// Unique stacks.
    pub stacks: StackTable,
    /// Context switches.
    pub switches: Vec<Switch>,
    /// Wakeups, by the waker.
    pub wakeups: Vec<Wakeup>,
    /// `lock:contention_begin` and `contention_end`.
    pub contention: Vec<LockContention>,
    /// Further events of contention, of locks that spin.
    pub spins: SpinCounts,
    /// `mmap_lock:*`.
    pub mmap_locks: Vec<MmapLock>,
    /// System calls entered and left.
    pub syscalls: Vec<SyscallEvent>,
    /// On-CPU samples.
    pub samples: Vec<Sample>,
    /// Everything else that a suspect looks at: reclaim, compaction, block I/O, signals, faults.
    pub activities: Vec<Activity>,
    /// Changes of resident sizes.
    pub resident: Vec<ResidentSize>,
    /// Sums of off-CPU time by stack, from formats that know no times of single waits.
    pub profile: Vec<ProfileRow>,
    /// The stretches of time that the profile's rows are sums of, in order and without overlaps, also those without rows;
    /// empty where sums are of the whole recording.
    pub slices: Vec<Span>,
    /// What was recorded, by name, with the number of records.
    pub events: Vec<EventCount>,
    /// How far the times of a log that was read beside the capture may be off; `None` without a log.
    pub log_uncertainty: Option<Nanos>,
    /// The alarm that it was recorded for, and what was measured around it; `None` without a bundle.
    pub incident: Option<Incident>,
    /// The kernel's symbols as a `/proc/kallsyms`, where they came with the capture.
    pub kallsyms: Option<Box<[u8]>>,
    /// What was lost, by the recording or by the reader.
    pub losses: Vec<Loss>,
    /// From when on events of some CPUs may be missing, as the file breaks off before they had been written; `None` if it is whole.
    pub breaks_off: Option<Timestamp>,
    /// What a person must know before believing the rest.
    pub warnings: Vec<Sentence>,
}

impl Capture {
    /// Whether the recording was told to record this kind of event, even if none occurred.
    #[must_use]
    pub fn recorded(&self, meaning: Meaning) -> bool {
        self.events.iter().any(|event| event.meaning == Some(meaning))
    }

    /// Whether events of this kind were recorded at a sampling period other than one: then some are
    /// silently missing, and durations between them mean nothing.
    #[must_use]
    pub fn sampled(&self, meaning: Meaning) -> bool {
        self.events.iter().any(|event| event.meaning == Some(meaning) && event.sampled)
    }

    /// Whether waits for locks of the kernel are all that was recorded of who was off its CPU (`perf lock record`): contention, and
    /// no switches. [`Capture::switches`] are drawn from it then, without CPUs, and whoever waited for anything else is not seen.
    #[must_use]
    pub fn shows_locks_alone(&self) -> bool {
        self.recorded(Meaning::Contention)
            && !self.sampled(Meaning::Contention)
            && !self.recorded(Meaning::Switches)
            && !self.recorded(Meaning::SwitchRecords)
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, warning: impl Into<Sentence>) {
        self.warnings.push(warning.into());
    }

    /// Puts every table in order of time.
    pub(crate) fn sort(&mut self) {
        self.switches.sort_by_key(|row| row.time);
        self.wakeups.sort_by_key(|row| row.time);
        self.contention.sort_by_key(|row| row.time);
        self.mmap_locks.sort_by_key(|row| row.time);
        self.syscalls.sort_by_key(|row| row.time);
        self.samples.sort_by_key(|row| row.time);
        self.activities.sort_by_key(|row| row.time);
        self.resident.sort_by_key(|row| row.time);
    }

    /// From the first to the last event; empty for a profile without times.
    #[must_use]
    pub fn whole(&self) -> Span {
        self.span.unwrap_or(Span { start: Timestamp(0), end: Timestamp(0) })
    }

    /// Number of events in a span, its beginning among it and its end not.
    #[must_use]
    pub fn events_within(&self, span: Span) -> u64 {
        fn inside<T>(rows: &[T], span: Span, time: impl Fn(&T) -> Timestamp) -> u64 {
            let before = |end| rows.partition_point(|row| time(row) < end);
            before(span.end).saturating_sub(before(span.start)) as u64
        }
        self.spins.within(span)
            + inside(&self.switches, span, |row| row.time)
            + inside(&self.wakeups, span, |row| row.time)
            + inside(&self.contention, span, |row| row.time)
            + inside(&self.mmap_locks, span, |row| row.time)
            + inside(&self.syscalls, span, |row| row.time)
            + inside(&self.samples, span, |row| row.time)
            + inside(&self.activities, span, |row| row.time)
            + inside(&self.resident, span, |row| row.time)
    }

    /// Number of events that the recording says it lost.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.losses
            .iter()
            .filter(|loss| matches!(loss.kind, LossKind::Lost | LossKind::LostSamples))
            .fold(0, |sum, loss| sum.saturating_add(loss.count))
    }
}
