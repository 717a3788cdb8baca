//! perf.data in every shape that perf writes, against what perf itself says of each (`tests/data/perf`).

// clippy.toml allows it in test functions, but not in what they share.
#![allow(clippy::unwrap_used)]

mod chapters;
mod cut;
mod dwarf;
mod hostile;
mod off_cpu;
#[path = "../random/mod.rs"]
mod random;
mod same;
mod script;
mod shapes;
mod unwound;

use std::fs;
use std::path::{Path, PathBuf};

use coldcase_ingest::capture::Capture;
use coldcase_ingest::{ReadOptions, read, read_bytes};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/perf").join(name)
}

fn open(name: &str) -> Capture {
    read(&data(name), ReadOptions::default(), &mut |_, _| {}).unwrap()
}

fn unpacked(name: &str) -> Vec<u8> {
    zstd::decode_all(&fs::read(data(name)).unwrap()[..]).unwrap()
}

fn parse(bytes: &[u8]) -> Capture {
    read_bytes(bytes, ReadOptions::default(), &mut |_, _| {}).unwrap()
}
