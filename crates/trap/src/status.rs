//! What the trap is doing, in a file for `coldcase trap --status`.

use std::fs;
use std::path::Path;

use coldcase_ingest::bundle::{CostNote, DroppedEvent};
use serde::{Deserialize, Serialize};

use crate::error::TrapError;

/// In the bundles' folder.
const FILE: &str = "status.json";

/// What the trap is doing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// When this was written, since 1970-01-01 UTC.
    pub wall_ns: u64,
    /// What is watched, in words.
    pub watches: Vec<String>,
    /// How things stand with what is watched, in words.
    pub health: String,
    /// Whether the flight recorder runs; if not, why.
    pub flight: Option<String>,
    /// What it records.
    pub groups: Vec<String>,
    /// What it does without, because of the budget.
    pub dropped: Vec<DroppedEvent>,
    /// The budget, in percent of one CPU.
    pub budget: f64,
    /// How far back the ring reaches, in seconds, by the rates that were counted.
    pub ring_s: f64,
    /// What it all cost.
    pub cost: CostNote,
    /// Captures since the trap was started.
    pub captures: u64,
    /// Captures that failed.
    pub failed: u64,
    /// Alarms that were not captured (quiet time, so many an hour).
    pub refused: u64,
    /// Bundles that are there.
    pub bundles: usize,
    /// Their size.
    pub bundle_bytes: u64,
    /// The newest.
    pub newest: Option<String>,
}

impl Status {
    /// Writes it. Nobody reads half a file; a failure is no reason to stop watching.
    pub fn write(&self, folder: &Path) {
        let unfinished = folder.join(format!(".{FILE}"));
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        if fs::write(&unfinished, text).is_ok() {
            fs::rename(&unfinished, folder.join(FILE)).ok();
        }
    }

    /// Reads what a trap wrote into this folder.
    pub fn read(folder: &Path) -> Result<Self, TrapError> {
        let path = folder.join(FILE);
        let text = fs::read(&path).map_err(TrapError::file("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| TrapError::file("read", &path)(error.into()))
    }
}
