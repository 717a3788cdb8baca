//! What was noted beside a capture when it was recorded.

use super::Timestamp;

/// The alarm that a capture was recorded for, and what was measured around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incident {
    /// When the alarm was raised.
    pub alarm: Option<Timestamp>,
    /// What it saw, in the words of who raised it; empty if that is not known.
    pub saw: String,
    /// When all was well again.
    pub well_again: Option<Timestamp>,
    /// How large processes were, in order of time.
    pub sizes: Vec<ProcessSize>,
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
