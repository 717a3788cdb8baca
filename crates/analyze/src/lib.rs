//! From a [`Capture`](coldcase_ingest::capture::Capture) to [`Findings`](findings::Findings).
//!
//! Pure functions: no files, no clock, no printing, and nothing that can fail. Broken input is not an
//! error here but data, and lowers the grade of what is said.

pub mod findings;
mod names;
mod options;
pub mod rules;
mod thread_state;
