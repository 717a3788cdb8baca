//! What the analysis says: plain values, in a stable order, ready to be shown.
//!
//! Times are on the capture's clock and durations in nanoseconds; an unknown value is `None`, never 0.
//! The words that others rely on (`word()` of each vocabulary) are those of the JSON contract.

mod timeline;
mod totals;
mod vocabulary;
mod window;

use coldcase_ingest::capture::{Incident, Nanos, Sentence, Span, WallClock};

use crate::details::Details;
pub use timeline::{Lane, Role, Segment, SegmentState, Timeline};
pub use totals::{
    Contention, FoldedStack, MemoryEvent, MemoryTotal, Nearness, ProcessTotal, SiteTotal,
};
pub use vocabulary::{Cause, ContainerKind, Grade, LockMode, Operation, Outcome};
pub(crate) use window::cpus_in_words;
pub use window::{
    ActivityShare, BlameRow, ChainLink, Container, Counterfactual, Culprit, FrameView, Freeze,
    Lock, NextStep, Remedy, ThreadName, Window,
};

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
    /// Off-CPU time by stack, for a flame graph: of the worst window; if none froze, of all that held threads up for certain;
    /// of a profile, all.
    pub off_cpu: Vec<FoldedStack>,
    /// What pictures and evidence are made of.
    pub details: Details,
}

impl Findings {
    /// The worst window: the one that the verdict is about.
    #[must_use]
    pub fn worst(&self) -> Option<&Window> {
        self.verdict.window.and_then(|index| self.windows.get(index))
    }
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
    /// Where it cannot be told whether anything froze: what may have.
    pub possible: Option<Possible>,
    /// Other causes, each with the figure that rules it out.
    pub ruled_out: Vec<RuledOut>,
    /// Causes that this capture cannot judge, each with what to record next time.
    pub cannot_tell: Vec<CannotTell>,
}

/// Processes of one master that may have waited for a lock, or rested.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Possible {
    /// Their name.
    pub comm: String,
    /// How many.
    pub processes: u64,
    /// For how long, at most.
    pub longest: Nanos,
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
