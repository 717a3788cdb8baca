//! What pictures and evidence need beyond the answer itself: single waits with their stacks, blocked threads over
//! time, and the events that figures come from.

pub(crate) mod folded;
pub(crate) mod heat;
mod lanes;
pub(crate) mod proofs;
mod short;
pub(crate) mod timeline;
pub(crate) mod waits;

use std::sync::Arc;

use coldcase_ingest::capture::{Nanos, ResidentPart, Sentence, Span, Timestamp};

pub use self::short::Short;
use crate::findings::{FoldedStack, FrameView, ThreadName};

/// What lies behind the answer; of the worst window's process, where there is one.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The longest waits of the timeline's lanes, those that harm before those that rest, each by length.
    pub waits: Vec<WaitView>,
    /// Stacks that [`waits`](Self::waits) refer to.
    pub stacks: Vec<StackView>,
    /// Blocked threads over all of the capture.
    pub heat: Option<Heat>,
    /// Off-CPU time of all user processes in the whole capture by stack, rest left out; empty for a profile, of which
    /// [`Findings::off_cpu`](crate::findings::Findings::off_cpu) is all there is.
    pub off_cpu_all: Vec<FoldedStack>,
    /// Off-CPU time of the worst window's process before that window.
    pub off_cpu_before: Option<Before>,
    /// The events that the worst window's figures come from, in order of time.
    pub proofs: Vec<Proof>,
    /// The process's resident size over all of the capture, a line for each part that is known.
    pub resident: Vec<ResidentLine>,
}

/// One wait that can be looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WaitView {
    /// Index of the waiter in [`Timeline::lanes`](crate::findings::Timeline::lanes).
    pub lane: usize,
    /// From the switch-out to the waking; in a run queue, while the thread was ready and had no CPU.
    pub span: Span,
    /// Where: the site's name, or `run queue`.
    pub site: Arc<str>,
    /// Whether it is a harm rather than a rest.
    pub harm: bool,
    /// Whether the thread was ready, and waited for a CPU.
    pub ready: bool,
    /// Index of the stack in which the waiter left its CPU.
    pub stack: Option<usize>,
    /// Who ended it: by a waking, or by leaving the CPU that it waited for.
    pub waker: Option<ThreadName>,
    /// The waker's lane, if it has one.
    pub waker_lane: Option<usize>,
    /// Index of the stack from which it was woken.
    pub waker_stack: Option<usize>,
    /// How it ended, in words as in [`ChainLink::how`](crate::findings::ChainLink::how).
    pub how: String,
}

/// A call stack by its two sides, outermost first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackView {
    /// In the program.
    pub user: Vec<FrameView>,
    /// In the kernel.
    pub kernel: Vec<FrameView>,
}

/// How many threads stood still, over time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heat {
    /// When the first bin begins.
    pub start: Timestamp,
    /// Length of a bin.
    pub bin: Nanos,
    /// Bins of one column: a column is a second, where the capture is neither very short nor very long.
    pub column: usize,
    /// Per bin, blocked time summed over threads: divided by [`bin`](Self::bin) it is a number of threads.
    pub blocked: Vec<Nanos>,
}

/// One part of a resident size over time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResidentLine {
    /// Which part.
    pub part: ResidentPart,
    /// From when on it had how many bytes, in order of time; changes below a thousandth of the largest are left
    /// out. Before the first, it is not known.
    pub steps: Vec<(Timestamp, u64)>,
}

/// What came before a freeze, to compare it with.
#[derive(Clone, Debug)]
pub struct Before {
    /// How long that was.
    pub length: Nanos,
    /// Off-CPU time by stack.
    pub off_cpu: Vec<FoldedStack>,
}

/// An event that a figure comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// Which figure.
    pub figure: Figure,
    /// The event's name, as perf has it.
    pub event: String,
    /// When it was recorded.
    pub time: Timestamp,
    /// Whose event it is: who left its CPU, who was woken, who called.
    pub thread: ThreadName,
    /// What it tells.
    pub tells: Sentence,
}

/// What a [`Proof`] belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Figure {
    /// Begin and end of the freeze.
    Freeze,
    /// The longest wait.
    LongestWait,
    /// The culprit's call.
    Call,
    /// Taking and letting go of the lock, by its own events.
    Hold,
    /// How the lock was let go, along the chain.
    Release,
}
