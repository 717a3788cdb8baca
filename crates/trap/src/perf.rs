//! The perf of this machine: where it is, how old, and what it may do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::TrapError;

/// `--synth` came with perf 5.15 (`tools/perf/Documentation/perf-record.txt`). Without it, perf reads the mappings of all
/// processes before it goes on, and so waits for `mmap_lock` in the very freeze that it should record.
const FLIGHT: (u32, u32) = (5, 15);
/// `--control` with a fifo came with perf 5.10; before that nobody can tell when its events are on.
const OLDEST: (u32, u32) = (5, 10);

/// A perf that can be run.
#[derive(Clone, Debug)]
pub struct Perf {
    /// As it is run.
    pub program: PathBuf,
    /// `perf --version`.
    pub text: String,
    version: (u32, u32),
}

impl Perf {
    /// Asks perf for its version.
    pub fn find(program: &Path) -> Result<Self, TrapError> {
        let shown = program.display();
        let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        let output = output.map_err(|error| {
            let hint = "perf records the freeze; install it (Debian: linux-perf, Fedora: perf, Ubuntu: linux-tools-$(uname -r)), or name it with --perf";
            TrapError::Missing(format!("{shown} cannot be run: {error}; {hint}"))
        })?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let version = version(&text).ok_or_else(|| {
            let said = [text.as_str(), String::from_utf8_lossy(&output.stderr).trim()].join(" ");
            TrapError::Missing(format!(
                "{shown} --version does not say its version: {}",
                said.trim()
            ))
        })?;
        if version < OLDEST {
            let (major, minor) = OLDEST;
            return Err(TrapError::Missing(format!(
                "{text} is too old: the trap needs perf {major}.{minor} (record --control), and {}.{} for a flight recorder; a newer perf runs on older kernels too, name it with --perf",
                FLIGHT.0, FLIGHT.1
            )));
        }
        Ok(Self { program: program.to_owned(), text, version })
    }

    /// Whether it can keep a flight recorder that does not wait in the freeze.
    pub fn can_fly(&self) -> Result<(), String> {
        if self.version >= FLIGHT {
            return Ok(());
        }
        Err(format!(
            "{} is too old for a flight recorder, which takes {}.{}: the capture begins after the alarm",
            self.text, FLIGHT.0, FLIGHT.1
        ))
    }
}

/// `perf version 6.1.192` to (6, 1).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("perf version ")?.split(['.', '-', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        assert_eq!(version("perf version 6.1.192"), Some((6, 1)));
        assert_eq!(version("perf version 5.15.0-91-generic"), Some((5, 15)));
        assert_eq!(version("perf version 6.8-rc1.g3b12"), Some((6, 8)));
        assert_eq!(version("perf 6"), None);
    }

    #[test]
    fn a_perf_that_is_not_there_is_named() {
        let error = Perf::find(Path::new("/nowhere/perf")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/perf cannot be run"), "{error}");
    }
}
