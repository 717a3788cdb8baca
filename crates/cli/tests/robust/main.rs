//! Whatever the bytes are, reading ends: with a report of what could be read, or an error that says where and why.

// clippy.toml allows it in test functions, but not in what they share.
#![allow(clippy::unwrap_used)]

// Shared with the fuzz targets, which are a workspace of their own.
#[path = "../../../../fuzz/src/events.rs"]
mod events;
#[path = "../../../../fuzz/src/inert.rs"]
mod inert;
#[path = "../../../../fuzz/src/outputs.rs"]
mod outputs;
#[path = "../../../../fuzz/src/perf_file.rs"]
mod perf_file;
#[path = "../../../ingest/tests/random/mod.rs"]
mod random;
#[path = "../../../../fuzz/src/seeds.rs"]
mod seeds;
#[path = "../../../../fuzz/src/targets.rs"]
mod targets;

mod damage;
mod hostile;
mod measured;
mod replay;
mod safety;
mod spins;

use std::path::{Path, PathBuf};

/// The root of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}
