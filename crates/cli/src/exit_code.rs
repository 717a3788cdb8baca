//! What the exit codes mean. Scripts rely on them.

use std::process::ExitCode;

use coldcase_analyze::rules::RuleError;
use coldcase_ingest::IngestError;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Analysed, whatever the verdict.
    Success = 0,
    /// `check` found a difference, or `diff --fail-if-worse` found it worse.
    Difference = 1,
    /// Wrong arguments (clap uses the same number).
    Usage = 2,
    /// A capture could not be read at all, or a result could not be written.
    Failure = 3,
}

impl Exit {
    /// The code for an error.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<IngestError>() {
            Self::Failure
        } else if error.is::<RuleError>() || error.is::<Usage>() {
            Self::Usage
        } else {
            Self::Failure
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An argument that is wrong in a way that clap cannot see.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
