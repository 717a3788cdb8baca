//! Findings and captures without the names that are nobody else's business.
//!
//! ```text
//! Capture, Findings --Redaction--> the same with proc-3, thread-2.1, /opt/path-7/file-2.so --report, export--> what is passed on
//!                        |  ^
//!                        v  |
//!                        Key: which token stands for which name, for its owner --restore--> texts with the names again
//! ```
//!
//! Names are replaced where they stand as names, in fields, and never by a search in text: a thread may be called `a`, or
//! `waits`. It is done after the analysis, which knows some names (Java's, PostgreSQL's), so that verdicts, figures and the
//! fingerprint are those of the whole truth. The same name gets the same token everywhere, and with the same key in every capture.
//!
//! Numbers stay: process and thread ids, addresses, sizes, times. So do names that everybody has: the kernel's functions, threads and
//! events, the C library and language runtimes with their functions, and the folders of every Linux (`public`).

mod command;
mod functions;
mod key;
mod paths;
mod public;
mod redaction;
mod restore;
mod rows;

pub use key::{Key, KeyError};
pub use redaction::{Redaction, Scope};
pub use restore::{Form, restore};
