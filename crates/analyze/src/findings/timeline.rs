//! Threads against time.

use std::sync::Arc;

use coldcase_ingest::capture::Span;

use super::{Cause, ThreadName};

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
    /// What it did, in order of time, without overlap; gaps are unknown. Where the lanes have more than 400,000 of them, those
    /// that are too short to be seen are merged, most of all outside of the part that is shown first.
    pub segments: Vec<Segment>,
}

/// A thread's part in a freeze.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It caused the freeze.
    Culprit,
    /// It kept others waiting too, for a good part of the time.
    Accomplice,
    /// It worked for the pause that the culprit made.
    Helper,
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
    /// The wait site, if it waited once; shared, because a busy thread waits at few places, and often.
    pub site: Option<Arc<str>>,
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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
