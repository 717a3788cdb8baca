//! The captures that are read: recorded here, once, if they are not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::repeat::repeat;

/// How large a capture is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// A freeze of a second in a small service, of some 26 MB.
    Pop,
    /// Some 190 MB of messages between processes.
    Big,
    /// Some 700 MB of a machine at work: the small service and its freezes beside messages, programs that start and end, and a disk.
    Busy,
    /// Some 2.3 GB of messages.
    Huge,
    /// Some 10 GB: the records of `Huge` as often as it takes.
    Giant,
}

/// What is recorded: what coldcase needs to reconstruct waits, and perf to count contention.
const EVENTS: [&str; 4] =
    ["sched:sched_switch", "sched:sched_waking", "lock:contention_begin", "lock:contention_end"];

impl Size {
    /// Those that are measured if none is named.
    pub const ALL: [Self; 4] = [Self::Pop, Self::Big, Self::Busy, Self::Huge];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pop => "pop",
            Self::Big => "big",
            Self::Busy => "busy",
            Self::Huge => "huge",
            Self::Giant => "giant",
        }
    }

    pub fn named(name: &str) -> Result<Self> {
        let all = Self::ALL.into_iter().chain([Self::Giant]);
        let mut found = all.filter(|size| size.name() == name);
        found.next().with_context(|| format!("there is no capture {name}"))
    }

    /// The program that is recorded.
    fn workload(self) -> Result<Vec<String>> {
        let this = || -> Result<String> {
            Ok(std::env::current_exe().context("cannot find this program")?.display().to_string())
        };
        // A loop of 160 processes takes some 34 KB of records.
        let messages = |loops: u32| {
            ["perf", "bench", "sched", "messaging", "-g", "4", "-l", &loops.to_string()]
                .map(str::to_owned)
                .to_vec()
        };
        Ok(match self {
            Self::Pop => vec![this()?, "freeze".to_owned()],
            Self::Busy => vec![this()?, "busy".to_owned()],
            Self::Big => messages(5500),
            Self::Huge => messages(80_000),
            Self::Giant => bail!("this one is not recorded"),
        })
    }
}

/// The capture of a size.
pub fn made(folder: &Path, size: Size) -> Result<PathBuf> {
    let path = folder.join(format!("{}.data", size.name()));
    if path.is_file() {
        return Ok(path);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if size == Size::Giant {
        let huge = made(folder, Size::Huge)?;
        repeat(&huge, &path, 10_000_000_000)?;
        return Ok(path);
    }
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-a", "-g", "-m", "4M", "-o"]).arg(&path);
    EVENTS.iter().for_each(|event| {
        perf.args(["-e", event]);
    });
    perf.arg("--").args(size.workload()?).stdin(Stdio::null()).stdout(Stdio::null());
    let status = perf.status();
    let recorded = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    if !recorded {
        bail!(
            "{} is not there, and cannot be recorded: that takes perf and root ({})",
            path.display(),
            status.map_or_else(|error| error.to_string(), |status| status.to_string())
        );
    }
    Ok(path)
}

/// This kernel's symbols, kept beside the captures: those of a later boot would not fit.
pub fn kallsyms(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("kallsyms");
    if !path.is_file() {
        fs::copy("/proc/kallsyms", &path).context("cannot copy /proc/kallsyms")?;
    }
    Ok(path)
}
