//! The trap: waits for a freeze on a live system and captures it, with its beginning, as a bundle.
//!
//! ```text
//! watch --alarm--> gate --> capture --> bundle          options, rights, perf: before it begins
//!                             |  |                      budget: what the flight recorder may record
//!             flight recorder-+  +-second recorder      history, kernel_log, concerned: what is noted beside
//!
//! recipe: how to record without it, by what a machine offers
//! ```
//!
//! This is the only crate that starts processes and reads of the live system, and the only one that may need root.

mod budget;
mod bundle;
mod capture;
mod cgroup;
mod clock;
mod concerned;
mod cost;
mod error;
mod events;
mod gate;
mod history;
mod join;
mod keep;
mod kernel_log;
mod layout;
mod options;
mod pace;
mod perf;
mod proc;
mod recipe;
mod recorder;
mod rights;
mod session;
mod signals;
mod status;
mod trap;
mod watch;

pub use error::TrapError;
pub use keep::Limits;
pub use options::Options;
pub use recipe::{Machine, best as best_command, script as recipe};
pub use status::Status;
pub use trap::{run, status};
pub use watch::{HttpTarget, Manners, Watched, Which};
