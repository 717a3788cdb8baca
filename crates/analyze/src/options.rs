//! What a caller can set.

use coldcase_ingest::capture::{Nanos, Span};

use crate::rules::Rules;

/// How to analyse.
#[derive(Clone, Debug)]
pub struct Options {
    /// Look at this process only.
    pub process: Option<ProcessFilter>,
    /// Look at this stretch of the capture only.
    pub window: Option<Span>,
    /// Shortest freeze worth a name.
    pub min_freeze: Nanos,
    /// Wait sites.
    pub rules: Rules,
}

impl Options {
    /// The shortest freeze worth a name, in milliseconds, where none is asked for.
    pub const MIN_FREEZE_MS: u64 = 50;
}

impl Default for Options {
    /// All processes, all of the capture, freezes from [`Options::MIN_FREEZE_MS`] on, and the built-in rules.
    fn default() -> Self {
        Self {
            process: None,
            window: None,
            min_freeze: Nanos::from_millis(Self::MIN_FREEZE_MS),
            rules: Rules::built_in(),
        }
    }
}

/// Which process to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProcessFilter {
    /// By number.
    Pid(i32),
    /// By the name of the process or of one of its threads.
    Name(String),
}
