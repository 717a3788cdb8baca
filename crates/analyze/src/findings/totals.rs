//! Waits and memory calls, summed or row by row.

use std::sync::Arc;

use coldcase_ingest::capture::{Nanos, Timestamp};

use super::{Cause, FrameView, Operation, ThreadName};

/// Waiting at one site, summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteTotal {
    /// The site's name.
    pub site: String,
    /// Its cause; `None` where waiting does no harm.
    pub cause: Option<Cause>,
    /// Blocked time, summed over threads.
    pub blocked: Nanos,
    /// Number of waits; `None` where a format knows sums only.
    pub waits: Option<u64>,
    /// Number of threads.
    pub threads: u64,
    /// The longest single wait; `None` where a format knows sums only.
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

/// Off-CPU time of one stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoldedStack {
    /// The name of the process; `None` where a format knows threads' names only.
    pub process: Option<String>,
    /// Command, then frames, outermost first; kernel frames end in `_[k]`, as in FlameGraph.
    pub frames: Vec<Arc<str>>,
    /// Blocked time.
    pub time: Nanos,
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
    /// The innermost function of the program in which most of it was waited, without its path.
    pub place: Option<FrameView>,
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
    /// Bytes of the largest; `None` if none says so.
    pub largest: Option<u64>,
    /// How long the longest took; `None` if of none both ends are in the recording.
    pub longest: Option<Nanos>,
}

/// A memory system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryEvent {
    /// When it began; `None` if before the recording.
    pub start: Option<Timestamp>,
    /// How long it took; `None` if its start or end is not in the recording.
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
