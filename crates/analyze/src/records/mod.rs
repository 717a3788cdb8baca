//! Everything that was reconstructed, row by row, for those who go on with other tools: every wait and not only the
//! worst freeze's, with the threads, stacks and calls that it refers to.
//!
//! Rows refer to threads by their index in [`Records::threads`], to stacks by that in [`Records::stacks`]. Where only a
//! process or a stretch was asked for, rows of others, and rows that lie wholly outside, are left out; those that
//! reach into the stretch are whole.

mod build;
mod profile;
mod stacks;

use std::sync::Arc;

use coldcase_ingest::capture::{Mode, Nanos, ProcessId, Span, TaskState, ThreadId, Timestamp};

use crate::findings::{Cause, FrameView, LockMode, Operation};

pub(crate) use build::of_events;
pub(crate) use profile::of_profile;

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// What was looked at: all of the capture or the part that was asked for; `None` for a profile without times.
    pub span: Option<Span>,
    /// Every thread of the capture, by [`ThreadId`].
    pub threads: Vec<ThreadRow>,
    /// Unique frames; an inlined call is a frame of its own.
    pub frames: Vec<FrameRow>,
    /// Unique stacks that rows refer to: indices of frames, outermost first, the program's before the kernel's.
    pub stacks: Vec<Vec<u32>>,
    /// Every time that a thread was blocked, by its beginning.
    pub waits: Vec<WaitRow>,
    /// What each thread did, thread by thread in order of time, without overlap.
    pub states: Vec<StateRow>,
    /// Every time that a thread is known to have held a lock, by its beginning.
    pub holds: Vec<HoldRow>,
    /// Memory system calls, by their beginning.
    pub memory_calls: Vec<MemoryCallRow>,
    /// On-CPU samples, in order of time.
    pub samples: Vec<SampleRow>,
    /// Sums of an off-CPU profile, in the order of the file.
    pub profile: Vec<ProfileRow>,
}

/// One thread's life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadRow {
    /// Process id.
    pub pid: Option<i32>,
    /// Thread id; `None` where a format knows names only.
    pub tid: Option<i32>,
    /// Its last name; empty if the capture never names it.
    pub comm: String,
    /// Its process: a number is reused, this is not.
    pub process: ProcessId,
    /// Its process's name.
    pub process_comm: String,
    /// Whether it is the kernel's own.
    pub kernel: bool,
    /// When it was born, if the capture saw it.
    pub born: Option<Timestamp>,
    /// When it ended, if the capture saw it.
    pub ended: Option<Timestamp>,
}

/// A frame and the side on which it lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameRow {
    /// Kernel or user.
    pub mode: Mode,
    /// Its name and place.
    pub view: FrameView,
}

/// One time that a thread was blocked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitRow {
    /// Who waited.
    pub thread: ThreadId,
    /// From the switch-out to the waking; or, where no waking is known, to the switch-in.
    pub span: Span,
    /// It began before the recording did.
    pub open_start: bool,
    /// It had not ended when the recording did.
    pub open_end: bool,
    /// In which state it left its CPU.
    pub state: TaskState,
    /// What it waited for.
    pub site: Arc<str>,
    /// The cause, where waiting here does harm.
    pub cause: Option<Cause>,
    /// How it wanted the lock.
    pub mode: Option<LockMode>,
    /// Whether it rested: waited for work or for a time to come.
    pub rest: bool,
    /// In which call it stood.
    pub operation: Option<Operation>,
    /// The lock's address, where the capture has it.
    pub address: Option<u64>,
    /// Where it left its CPU.
    pub stack: Option<u32>,
    /// Who woke it; `None` also if an interrupt did.
    pub waker: Option<ThreadId>,
    /// From where it was woken.
    pub waker_stack: Option<u32>,
    /// How it ended, in words as in [`ChainLink::how`](crate::findings::ChainLink::how).
    pub how: String,
    /// The freeze that it is a part of, by its index in [`Findings::windows`](crate::findings::Findings::windows).
    pub window: Option<usize>,
}

/// A stretch of one thread's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateRow {
    /// Who.
    pub thread: ThreadId,
    /// From when to when.
    pub span: Span,
    /// What it did.
    pub state: State,
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It ran.
    Running,
    /// It waited for a CPU.
    Runnable,
    /// It was blocked: the index of its row in [`Records::waits`].
    Blocked(usize),
}

/// One time that a thread held a lock, as far as the capture shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldRow {
    /// Who held it.
    pub thread: ThreadId,
    /// From when to when; without the lock's own events, from the earliest moment that fits.
    pub span: Span,
    /// It began before the recording did.
    pub open_start: bool,
    /// Which kind of lock: one of the causes that are locks, as a rule.
    pub lock: Option<Cause>,
    /// Whose lock, of a lock that belongs to a process.
    pub process: Option<ProcessId>,
    /// The lock's address, where the capture has it.
    pub address: Option<u64>,
    /// How it was held.
    pub mode: Option<LockMode>,
    /// How the hold is known: `lock_events`, `release_stack`, `waker` or `overlap`, the best first.
    pub evidence: &'static str,
    /// In which call.
    pub operation: Option<Operation>,
    /// How many bytes the call was about.
    pub bytes: Option<u64>,
    /// Where the holder stood, when it took the lock or when it let go.
    pub stack: Option<u32>,
}

/// A memory system call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryCallRow {
    /// Who.
    pub thread: ThreadId,
    /// When it began; `None` if before the recording.
    pub start: Option<Timestamp>,
    /// When it ended; `None` if the recording did before, or its end was lost.
    pub end: Option<Timestamp>,
    /// Which call.
    pub operation: Operation,
    /// How many bytes it was about.
    pub bytes: Option<u64>,
    /// Its flags, by the kernel's names.
    pub flags: Vec<String>,
    /// What it returned; a negative error number on failure.
    pub result: Option<i64>,
    /// How much of it lies inside freezes.
    pub overlap: Nanos,
    /// From where it was called.
    pub stack: Option<u32>,
}

/// A thread was seen on a CPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleRow {
    /// When.
    pub time: Timestamp,
    /// On which CPU.
    pub cpu: Option<u32>,
    /// Who.
    pub thread: ThreadId,
    /// Where it stood.
    pub stack: Option<u32>,
}

/// Off-CPU time of one stack of one name, in a profile without times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProfileRow {
    /// A made-up thread that stands for all of its name.
    pub thread: ThreadId,
    /// Where they stood; `None` of a sum without a stack.
    pub stack: Option<u32>,
    /// Time off their CPUs.
    pub off_cpu: Nanos,
    /// What they waited for.
    pub site: String,
    /// The cause, where waiting here does harm.
    pub cause: Option<Cause>,
    /// Whether they rested.
    pub rest: bool,
    /// Who ended these waits, where the format says.
    pub waker: Option<ThreadId>,
    /// Where the waker stood.
    pub waker_stack: Option<u32>,
    /// The slice of the recording that the sum is of, where it has slices.
    pub slice: Option<u32>,
}
