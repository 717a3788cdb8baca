//! The built program, as a person or a script runs it: what it prints, writes, and how it exits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod arguments;
mod damaged;
mod diff;
mod export;
mod fixtures;
mod formats;
mod help;
mod output;
mod poorer;
mod project;
#[path = "../../../ingest/tests/random/mod.rs"]
mod random;
mod readme;
mod recipe;
mod redact;
mod support;
mod trap;
mod unreadable;
