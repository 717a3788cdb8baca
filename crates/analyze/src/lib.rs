//! From a [`Capture`](coldcase_ingest::capture::Capture) to [`Findings`](findings::Findings).
//!
//! Pure functions: no files, no clock, no printing, and nothing that can fail. Broken input is not an
//! error here but data, and lowers the grade of what is said.
//!
//! ```text
//! Capture -> thread states, calls, lock events -> wait sites, holds -> freeze windows -> blame -> verdict
//! ```

mod assemble;
mod background;
mod blame;
mod brackets;
mod chain;
mod charged;
mod chronic;
pub mod compare;
mod container;
mod contention;
mod counterfactual;
mod cpu;
mod cpus;
mod culprit;
pub mod details;
mod disks;
mod doubt;
mod family;
pub mod findings;
pub mod fingerprint;
mod frozen;
mod golang;
mod grade;
mod habits;
mod had_cpus;
mod harms;
mod heat;
mod holds;
mod interpreter;
mod keepers;
mod kept;
mod lanes;
mod late;
mod life;
mod load;
mod logged;
mod lone;
mod losses;
mod memory;
mod mm;
mod model;
mod names;
mod network;
mod of_stacks;
mod operation;
mod options;
mod own_calls;
mod own_line;
mod profile;
mod proofs;
mod reasons;
pub mod records;
mod release;
mod remedies;
mod resident;
mod rhythm;
mod rings;
pub mod rules;
mod runtime;
mod scribe;
#[cfg(test)]
mod script;
mod series;
mod sightings;
mod sites;
mod sliced;
mod starvation;
mod stopped;
mod sums;
mod suspects;
mod tally;
mod thread_state;
mod timed;
mod timeline;
mod totals;
mod unended;
mod unseen;
mod verdict;
mod view;
mod waits;
mod windows;
mod work;
mod yields;

pub use assemble::{analyze, analyze_with_records};
pub use options::{Options, ProcessFilter};
