//! The table of `docs/performance.md`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::captures::Size;
use super::programs::YARDSTICK;
use super::run::Measured;

/// Names of the columns.
pub fn head() -> String {
    "| capture | program | seconds | to perf lock | peak memory, MiB |\n|---|---|---:|---:|---:|\n"
        .to_owned()
}

/// A capture's lines.
pub fn rows(size: Size, capture: &Path, measured: &[(String, Measured)]) -> Result<String> {
    let bytes = fs::metadata(capture).context("the capture is gone")?.len();
    let yardstick = measured.iter().find(|(name, _)| name == YARDSTICK);
    let yardstick =
        yardstick.map(|(_, measured)| measured.seconds).context("nothing to compare with")?;
    let line = |(name, Measured { seconds, peak }): &(String, Measured)| {
        format!(
            "| {}, {:.0} MB | {name} | {seconds:.3} | {:.2} | {} |\n",
            size.name(),
            bytes as f64 / 1e6,
            seconds / yardstick,
            peak >> 20
        )
    };
    Ok(measured.iter().map(line).collect())
}
