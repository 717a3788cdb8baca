//! What the analysis says: plain values, in a stable order, ready to be shown.
//!
//! Times are on the capture's clock and durations in nanoseconds; an unknown value is `None`, never 0.
//! The words that others rely on (`word()` of each vocabulary) are those of the JSON contract.

use std::sync::Arc;

use coldcase_ingest::capture::{
    Incident, Nanos, Sentence, Span, Syscall, Timestamp, WallClock, WhyNoSymbol,
};

use crate::details::Details;

/// Everything that one analysis found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// What was read.
    pub capture: CaptureSummary,
    /// The answer, taken from the worst window.
    pub verdict: Verdict,
    /// Every freeze window, in order of time.
    pub windows: Vec<Window>,
    /// Where threads waited, by blocked time: in the worst window, or in the whole capture if none froze. Where
    /// they rested comes last.
    pub wait_sites: Vec<SiteTotal>,
    /// Where each program's threads waited in all of the capture, by name; to compare captures.
    pub processes: Vec<ProcessTotal>,
    /// The lock that was waited for most in short waits that add up, which are no freeze; `None` if none was waited
    /// for much.
    pub contention: Option<Contention>,
    /// Memory system calls, the largest first, at most two hundred.
    pub memory_events: Vec<MemoryEvent>,
    /// All of them, by the thread's name and the call; to compare captures.
    pub memory_totals: Vec<MemoryTotal>,
    /// The threads concerned, against time.
    pub timeline: Option<Timeline>,
    /// Off-CPU time by stack, for a flame graph: of the worst window, or of the whole capture.
    pub off_cpu: Vec<FoldedStack>,
    /// What pictures and evidence are made of.
    pub details: Details,
}

/// What was read, in figures.
#[derive(Clone, Debug)]
pub struct CaptureSummary {
    /// Input format.
    pub format: String,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Machine architecture.
    pub arch: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// CPUs online while recording.
    pub cpus: Option<u32>,
    /// The recording command.
    pub command: Vec<String>,
    /// From the first event to the last.
    pub span: Option<Span>,
    /// One moment on the capture's clock and on the wall's.
    pub wall_clock: Option<WallClock>,
    /// The alarm that it was recorded for.
    pub incident: Option<Incident>,
    /// Records by event name, sorted by name.
    pub events: Vec<(String, u64)>,
    /// Events that the recording lost.
    pub lost_events: u64,
    /// What the reader must know before believing the rest.
    pub warnings: Vec<Sentence>,
    /// How many frames have names.
    pub symbols: SymbolCounts,
}

/// Unique frames, and how many of them have names.
#[derive(Clone, Copy, Default, Debug)]
pub struct SymbolCounts {
    /// Kernel frames with a name.
    pub kernel_resolved: u64,
    /// Kernel frames.
    pub kernel_total: u64,
    /// User frames with a name.
    pub user_resolved: u64,
    /// User frames.
    pub user_total: u64,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether there was a freeze and whether its cause is known.
    pub outcome: Outcome,
    /// Index of the worst window in [`Findings::windows`].
    pub window: Option<usize>,
    /// The same for the same cause on another day and host; see [`fingerprint`](crate::fingerprint).
    pub fingerprint: Option<String>,
    /// A container that the culprit enlarged: the size of its call fits one, or of a call that it made while it held the
    /// lock.
    pub container: Option<Container>,
    /// The frame of the culprit's [`user_stack`](Culprit::user_stack) whose line is the program's own.
    pub line: Option<usize>,
    /// Other causes, each with the figure that rules it out.
    pub ruled_out: Vec<RuledOut>,
    /// Causes that this capture cannot judge, each with what to record next time.
    pub cannot_tell: Vec<CannotTell>,
}

/// Whether there was a freeze and whether its cause is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A freeze with a cause.
    CauseFound,
    /// A freeze whose cause this capture does not show.
    FreezeUnexplained,
    /// Nothing froze.
    NoFreeze,
}

/// One freeze.
#[derive(Clone, Debug)]
pub struct Window {
    /// Its cause, if it is known.
    pub cause: Option<Cause>,
    /// How sure that is.
    pub grade: Grade,
    /// What explains it beyond the culprit and its call, in a sentence each: who had the CPUs, what held up the holder.
    pub reasons: Vec<Sentence>,
    /// Why the grade is what it is: the evidence, in a sentence each.
    pub evidence: Vec<Sentence>,
    /// What froze.
    pub freeze: Freeze,
    /// The lock, if it was one.
    pub lock: Option<Lock>,
    /// Who did it.
    pub culprit: Option<Culprit>,
    /// Where every waited nanosecond went; the sum is `freeze.blocked`.
    pub blame: Vec<BlameRow>,
    /// From the longest wait back to the culprit: who waited, and who let go.
    pub chain: Vec<ChainLink>,
    /// What would have been left without the culprit's hold; `None` where the lock's queue does not allow to
    /// say.
    pub without_culprit: Option<Counterfactual>,
    /// What to change, the most fitting first.
    pub remedies: Vec<Remedy>,
}

/// A freeze without its culprit's hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counterfactual {
    /// The longest that one thread would still have stood still, at least.
    pub longest: Nanos,
    /// The waiting that would not have been, summed over threads.
    pub recovered: Nanos,
}

/// What froze.
#[derive(Clone, Debug)]
pub struct Freeze {
    /// Its process id.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: String,
    /// From when to when; `None` for a profile without times.
    pub span: Option<Span>,
    /// It had begun before the recording did: the times are lower bounds.
    pub open_start: bool,
    /// It had not ended when the recording did: likewise.
    pub open_end: bool,
    /// How many threads stood still.
    pub threads_blocked: u32,
    /// Of how many processes: more than one are those of one master.
    pub processes: u32,
    /// Blocked time, summed over these threads.
    pub blocked: Nanos,
}

/// A lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Which kind: one of the causes that are locks.
    pub kind: Cause,
    /// How the culprit held it.
    pub mode: Option<LockMode>,
    /// Its address in the kernel (or, of a futex, in the process).
    pub address: Option<u64>,
}

/// How a lock is held or wanted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum LockMode {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
}

/// The thread at the root of a freeze.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// Who.
    pub thread: ThreadName,
    /// In which call.
    pub operation: Option<Operation>,
    /// How many bytes it was about.
    pub bytes: Option<u64>,
    /// Its flags, by the kernel's names.
    pub flags: Vec<String>,
    /// When the call began; `None` if before the recording. Of a lock of the program's own, at the latest.
    pub start: Option<Timestamp>,
    /// How long it took.
    pub duration: Option<Nanos>,
    /// How long it held the lock.
    pub held: Option<Nanos>,
    /// What it did meanwhile.
    pub activity: Vec<ActivityShare>,
    /// Kernel frames, outermost first.
    pub kernel_stack: Vec<FrameView>,
    /// User frames, outermost first.
    pub user_stack: Vec<FrameView>,
}

impl Culprit {
    /// Whether [`Culprit::start`] says no more than by when it had begun: of a lock of the program's own, and of a pause of its
    /// runtime, the first that is seen is that somebody waits.
    #[must_use]
    pub fn start_is_latest(&self) -> bool {
        matches!(self.operation, Some(Operation::UserLock | Operation::RuntimePause))
    }

    /// When the call began, where that is known.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.start.filter(|_| !self.start_is_latest())
    }
}

/// A thread's numbers and name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadName {
    /// Process id.
    pub pid: Option<i32>,
    /// Thread id; `None` where a format knows names only.
    pub tid: Option<i32>,
    /// Its name.
    pub comm: String,
}

/// Part of a hold, by what the holder did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivityShare {
    /// What: `on a CPU: zeroing pages`, `waiting for a CPU`, `blocked: disk I/O`.
    pub what: String,
    /// For how long.
    pub time: Nanos,
}

/// A frame as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameView {
    /// The function; `None` if unresolved.
    pub function: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Line.
    pub line: Option<u32>,
    /// Whether it was inlined into the frame before it.
    pub inlined: bool,
    /// The module.
    pub module: Option<String>,
    /// Offset in the module's file, or the address where there is no module.
    pub offset: Option<u64>,
    /// Why there is no function.
    pub why: Option<WhyNoSymbol>,
}

/// A growing container, recognised by the size of its memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// `hashbrown`, `unordered_map`, `python_dict`, `vec`.
    pub kind: &'static str,
    /// Bytes that it asked for.
    pub bytes: u64,
    /// Entries that the old table could hold; one more makes it grow.
    pub entries: Option<u64>,
    /// Bytes per entry.
    pub entry_bytes: Option<u64>,
    /// Buckets of the new table.
    pub buckets: Option<u64>,
    /// The number of the insert that made it grow.
    pub trigger_insert: Option<u64>,
    /// When it will grow next.
    pub next: Option<NextStep>,
}

/// The next time that a container grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextStep {
    /// The number of the insert that will make it grow.
    pub insert: Option<u64>,
    /// Bytes that it will ask for then, beside those it has.
    pub bytes: u64,
}

/// A cause and the figure that rules it out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuledOut {
    /// The cause.
    pub cause: Cause,
    /// The figure.
    pub finding: String,
}

/// A cause that the capture cannot judge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CannotTell {
    /// The cause.
    pub cause: Cause,
    /// What to record next time.
    pub missing: Sentence,
}

/// Something to change, and its price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remedy {
    /// What to do.
    pub action: Sentence,
    /// What it costs.
    pub cost: String,
}

/// Waiting at one site, summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteTotal {
    /// The site's name.
    pub site: String,
    /// Its cause.
    pub cause: Option<Cause>,
    /// Blocked time, summed over threads.
    pub blocked: Nanos,
    /// Number of waits; `None` where a format knows sums only.
    pub waits: Option<u64>,
    /// Number of threads.
    pub threads: u64,
    /// The longest single wait.
    pub longest: Option<Nanos>,
    /// Whether waiting here is a thread's rest rather than a harm.
    pub idle: bool,
}

/// Waiting of all processes of one name, in all of the capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProcessTotal {
    /// Their name.
    pub comm: String,
    /// How many threads they had that did anything.
    pub threads: u64,
    /// Where these waited, by blocked time; rest comes last.
    pub sites: Vec<SiteTotal>,
}

/// Chronic contention: many waits for one lock, each too short for a freeze.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contention {
    /// Process id.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: String,
    /// The wait site.
    pub site: String,
    /// Which kind of lock.
    pub cause: Cause,
    /// Blocked time, summed over threads.
    pub blocked: Nanos,
    /// Number of waits.
    pub waits: u64,
    /// Number of threads.
    pub threads: u64,
    /// The longest single wait.
    pub longest: Nanos,
}

/// The memory system calls of all threads of one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryTotal {
    /// Their name.
    pub comm: String,
    /// Which call.
    pub operation: Operation,
    /// How many.
    pub calls: u64,
    /// Bytes of the largest, 0 if none says so.
    pub largest: u64,
    /// How long the longest took, as far as both ends of any are in the recording.
    pub longest: Nanos,
}

/// A memory system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryEvent {
    /// When it began; `None` if before the recording.
    pub start: Option<Timestamp>,
    /// How long it took; `None` if its begin or end is not in the recording.
    pub duration: Option<Nanos>,
    /// Who.
    pub thread: ThreadName,
    /// Which call.
    pub operation: Operation,
    /// How many bytes it was about.
    pub bytes: Option<u64>,
    /// Its flags, by the kernel's names.
    pub flags: Vec<String>,
    /// How much of it lies inside freeze windows.
    pub overlap: Nanos,
    /// By how many bytes it changed what is resident of its process; `None` if unknown.
    pub resident_step: Option<i64>,
    /// What it has to do with the freezes.
    pub nearness: Nearness,
}

/// What a memory call has to do with the freezes of a capture, the most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Nearness {
    /// A culprit made it, and was in it while others stood still.
    Culprits,
    /// A frozen process was in it in its freeze.
    InFreeze,
    /// A frozen process made it at another time.
    Frozen,
    /// Another process made it, or nothing froze.
    Other,
}

/// Waited time that ended at one activity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlameRow {
    /// Who; `None` where nobody is to blame or nobody is known.
    pub thread: Option<ThreadName>,
    /// What the thread did, or why nobody is known.
    pub doing: String,
    /// How much waiting it caused, summed over the waiting threads.
    pub time: Nanos,
    /// Whether this row is the rest of which the holder is unknown; `doing` is then the reason.
    pub unknown: bool,
}

/// One wait on the way from a victim to the culprit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainLink {
    /// Who waited.
    pub waiter: ThreadName,
    /// Where.
    pub site: String,
    /// From when to when.
    pub span: Span,
    /// Who ended the wait.
    pub waker: Option<ThreadName>,
    /// What the waker did then, where that is known: `released mmap_lock in munmap`.
    pub how: String,
}

/// Threads against time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeline {
    /// The part that is shown first: the worst window and what lies around it.
    pub span: Span,
    /// All that the lanes cover.
    pub whole: Span,
    /// Freeze windows, in order of time.
    pub windows: Vec<Span>,
    /// One lane a thread: the culprit first, then those who waited, the longest first; threads of other processes
    /// last.
    pub lanes: Vec<Lane>,
}

/// One thread against time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Who.
    pub thread: ThreadName,
    /// Its part in the freeze.
    pub role: Role,
    /// What it did, in order of time, without overlap; gaps are unknown.
    pub segments: Vec<Segment>,
}

/// A thread's part in a freeze.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It caused the freeze.
    Culprit,
    /// It kept others waiting too, for a good part of the time.
    Accomplice,
    /// It stood still.
    Victim,
    /// It did none of that.
    Bystander,
    /// It waited for work all the while.
    Idle,
}

/// What a thread did for a while.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// From when to when.
    pub span: Span,
    /// What.
    pub state: SegmentState,
    /// The wait site, if it waited; shared, because a busy thread waits at few places, and often.
    pub site: Option<Arc<str>>,
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentState {
    /// It ran.
    OnCpu,
    /// It waited for a CPU.
    Runnable,
    /// It waited for something that a freeze is made of.
    Blocked(Cause),
    /// It rested.
    Idle,
}

/// Off-CPU time of one stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoldedStack {
    /// The name of the process; `None` where a format knows threads' names only.
    pub process: Option<String>,
    /// Command, then frames, outermost first; kernel frames end in `_[k]`, as in FlameGraph.
    pub frames: Vec<String>,
    /// Blocked time.
    pub time: Nanos,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Every word of the vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that stands in JSON and in rule files.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The value of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// What can cause a freeze.
    Cause {
        /// The lock of an address space.
        MmapLock = "mmap_lock",
        /// The lock of one mapping (Linux 6.4 and later).
        VmaLock = "vma_lock",
        /// Another read-write semaphore of the kernel.
        Rwsem = "rwsem",
        /// A mutex of the kernel.
        Mutex = "mutex",
        /// A lock of the program's own.
        Futex = "futex",
        /// Reading a mapped page from its file.
        PageFaultIo = "page_fault_io",
        /// Reading or writing a disk.
        DiskIo = "disk_io",
        /// The commit of a file system's journal.
        FsJournal = "fs_journal",
        /// Freeing memory on behalf of the thread that wants some.
        Reclaim = "reclaim",
        /// Moving memory together for a large page.
        Compaction = "compaction",
        /// Reading memory back from swap.
        Swap = "swap",
        /// No CPU was free.
        CpuStarvation = "cpu_starvation",
        /// The cgroup's CPU quota was used up.
        CpuThrottle = "cpu_throttle",
        /// A stop signal or a debugger.
        Stopped = "stopped",
        /// A memory cgroup's limit.
        MemoryLimit = "memory_limit",
        /// A thread's own long memory call, with nobody waiting for its lock.
        MemorySyscall = "memory_syscall",
        /// The network, or a process at its other end.
        Network = "network",
        /// Something that the capture does not show.
        Unknown = "unknown",
    }
}

impl Cause {
    /// Whether somebody holds it and others wait.
    #[must_use]
    pub fn is_lock(self) -> bool {
        matches!(self, Self::MmapLock | Self::VmaLock | Self::Rwsem | Self::Mutex | Self::Futex)
    }
}

words! {
    /// How sure a verdict is, the surest first.
    Grade {
        /// The holder's own lock events show it.
        Proven = "proven",
        /// The waker chain and the operation's arguments show it.
        Strong = "strong",
        /// Only an overlap in time, or sums without times, speak for it.
        Circumstantial = "circumstantial",
        /// Nothing speaks for anybody.
        Undetermined = "undetermined",
    }
}

/// What a thread was doing, as the contract names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// A system call.
    Syscall(Syscall),
    /// A page fault.
    PageFault,
    /// Reading `/proc/PID/smaps` and the like.
    ProcRead,
    /// The kernel's thread that makes huge pages.
    Khugepaged,
    /// The kernel's moving of pages to the node that uses them.
    NumaBalancing,
    /// Inside a lock of the program's own.
    UserLock,
    /// A pause that the program's runtime makes: a safepoint, a collection of garbage.
    RuntimePause,
    /// Sending or handling a signal.
    Signal,
}

impl Operation {
    /// The word that stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Syscall(
                Syscall::Fdatasync | Syscall::Sync | Syscall::Syncfs | Syscall::Msync,
            ) => "fsync",
            Self::Syscall(Syscall::Pwrite64) => "write",
            Self::Syscall(Syscall::Pread64) => "read",
            Self::Syscall(Syscall::ExitGroup) => "exit",
            Self::Syscall(Syscall::Clone3) => "clone",
            Self::Syscall(Syscall::Kill | Syscall::Tgkill) | Self::Signal => "signal",
            Self::Syscall(syscall) => syscall.name(),
            Self::PageFault => "page_fault",
            Self::ProcRead => "proc_read",
            Self::Khugepaged => "khugepaged",
            Self::NumaBalancing => "numa_balancing",
            Self::UserLock => "user_lock",
            Self::RuntimePause => "runtime_pause",
        }
    }
}

impl LockMode {
    /// The word that stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Outcome {
    /// The word that stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CauseFound => "cause_found",
            Self::FreezeUnexplained => "freeze_unexplained",
            Self::NoFreeze => "no_freeze",
        }
    }
}

impl Findings {
    /// The worst window: the one that the verdict is about.
    #[must_use]
    pub fn worst(&self) -> Option<&Window> {
        self.verdict.window.and_then(|index| self.windows.get(index))
    }
}
