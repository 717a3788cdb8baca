//! From a [`Capture`](coldcase_ingest::capture::Capture) to [`Findings`](findings::Findings).
//!
//! Pure functions: no files, no clock, no printing, and nothing that can fail. Broken input is not an
//! error here but data, and lowers the grade of what is said.
//!
//! ```text
//! Capture -> thread states, calls, lock events -> wait sites, holds -> freeze windows -> blame -> verdict
//! ```

mod assemble;
mod at_once;
mod blame;
pub mod compare;
mod cpu;
pub mod details;
pub mod findings;
pub mod fingerprint;
mod holds;
mod losses;
mod model;
mod names;
mod numbers;
mod options;
mod profile;
pub mod records;
pub mod rules;
mod runtimes;
#[cfg(test)]
mod script;
mod sites;
mod states;
mod tally;
mod verdict;
mod view;
mod windows;

pub use assemble::{Chapters, analyze, analyze_with_records};
pub use numbers::thousands;
pub use options::{Options, ProcessFilter};
