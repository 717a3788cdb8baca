//! How the trap is set.

use std::path::PathBuf;
use std::time::Duration;

use crate::keep::Limits;
use crate::watch::{Manners, Watched};

/// How the trap is set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where bundles go; scratch files are in a folder in it.
    pub folder: PathBuf,
    /// What is watched; empty for alarms by hand only.
    pub watches: Vec<Watched>,
    /// How often and how strictly.
    pub manners: Manners,
    /// How far a capture reaches back before its alarm, at most.
    pub before: Duration,
    /// How long it goes on after its alarm, at most; it ends when all is well again.
    pub after: Duration,
    /// Captures in an hour.
    pub at_most: usize,
    /// Time after a capture without another.
    pub quiet: Duration,
    /// What may be kept.
    pub limits: Limits,
    /// What the flight recorder may cost, in percent of one CPU.
    pub budget: f64,
    /// Memory for the flight recorder's rings, all CPUs together, in bytes.
    pub ring_bytes: u64,
    /// perf.
    pub perf: PathBuf,
    /// Whether programs and libraries of the processes concerned go into the bundle.
    pub with_binaries: bool,
}
