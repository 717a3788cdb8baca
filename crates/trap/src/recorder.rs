//! The recordings: a flight recorder that runs all the time, and a second one for what follows an alarm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::param::page_size;

use crate::budget::{Plan, Rates};
use crate::error::TrapError;
use crate::events::{self, Group};
use crate::perf::Perf;
use crate::session::Session;
use crate::{budget, clock};

/// Opening some dozen events on every CPU took 0.25 s in the middle of a freeze.
const OPENING: Duration = Duration::from_secs(20);
/// Writing a ring out took 0.3 s in the middle of a freeze; the disk may be slow.
const DUMPING: Duration = Duration::from_secs(60);
/// Ending writes the index.
const ENDING: Duration = Duration::from_secs(30);
/// Smallest and largest ring of a CPU, in pages.
const PAGES: std::ops::RangeInclusive<u64> = 64..=65536;
/// How long events are counted to know what they cost.
const COUNTING_S: u32 = 1;

/// How recordings are made on this machine.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// perf.
    pub perf: Perf,
    /// What this kernel offers.
    pub groups: Vec<Group>,
    /// Scratch files.
    pub folder: PathBuf,
    /// CPUs online.
    pub cpus: u32,
    /// Memory for the flight recorder's rings, all CPUs together, in bytes.
    pub ring_bytes: u64,
    /// Largest file of a recording from the alarm on, in bytes.
    pub follow_bytes: u64,
}

/// A flight recorder that runs.
pub struct Flight {
    session: Session,
    /// Since when, CLOCK_MONOTONIC in nanoseconds.
    pub since: u64,
}

/// A recording from an alarm on.
pub struct Follow {
    session: Session,
    data: PathBuf,
    /// From here on it holds everything, CLOCK_MONOTONIC in nanoseconds.
    pub since: u64,
}

impl Recorder {
    /// Counts every event for a second.
    pub fn count(&self) -> Result<Rates, TrapError> {
        let tracepoints = self.groups.iter().flat_map(|group| &group.events);
        let names = tracepoints.filter(|event| event.is_tracepoint());
        let mut command = Command::new(&self.perf.program);
        command.args(["stat", "-a", "-x", ";"]).stdin(Stdio::null());
        for event in names {
            command.args(["-e", event.spec]);
            if !event.filter.is_empty() {
                command.args(["--filter", event.filter]);
            }
        }
        command.args(["-e", budget::ALL_CALLS, "--", "sleep", &COUNTING_S.to_string()]);
        let output = command.output().map_err(|error| TrapError::Perf(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stderr);
        let mut rates = counts(&text);
        if rates.is_empty() {
            return Err(TrapError::Perf(format!("events cannot be counted: {}", text.trim())));
        }
        // perf counts this clock's nanoseconds; how often it samples is known.
        let samples = events::SAMPLES_HZ * f64::from(self.cpus);
        rates.insert(events::SAMPLES_NAME.to_owned(), samples);
        Ok(rates)
    }

    /// Build ids in the records themselves, where kernel and perf can (both from 5.12 on), so that nothing is read again at the
    /// end.
    fn common(&self) -> [&'static str; 2] {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
        let kernel = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let ids = kernel >= (5, 12) && self.perf.can_fly().is_ok();
        [if ids { "--buildid-mmap" } else { "--buildid-all" }, "--no-bpf-event"]
    }

    /// Pages of each CPU's ring: a power of two, as the kernel wants it.
    pub fn ring_pages(&self) -> u64 {
        let each = self.ring_bytes / u64::from(self.cpus.max(1)) / page_size() as u64;
        let pages = if each.is_power_of_two() { each } else { each.next_power_of_two() / 2 };
        pages.clamp(*PAGES.start(), *PAGES.end())
    }

    /// What the rings really take, in bytes.
    pub fn ring_total(&self) -> u64 {
        self.ring_pages() * page_size() as u64 * u64::from(self.cpus)
    }

    /// Starts the flight recorder.
    pub fn fly(&self, plan: &Plan) -> Result<Flight, TrapError> {
        let pages = self.ring_pages().to_string();
        let mut arguments = vec!["-g", "--overwrite", "--switch-output=signal", "-m", &pages];
        arguments.extend(self.common());
        // Reading the mappings of a process that froze would wait for its lock.
        arguments.extend(["--synth=no"]);
        arguments.extend(events::arguments(plan.kept.iter().map(|row| &row.group)));
        let mut session = Session::start(&self.perf, &self.folder, "flight", &arguments)?;
        session.tell("enable", OPENING)?;
        Ok(Flight { session, since: clock::monotonic() })
    }

    /// Starts to record what follows an alarm.
    pub fn follow(&self) -> Result<Follow, TrapError> {
        let size = format!("--max-size={}K", self.follow_bytes.div_ceil(1024));
        // Rings that are emptied all the time need not be large.
        let pages = (self.ring_pages() / 2).max(*PAGES.start()).min(2048).to_string();
        let mut arguments = vec!["-g", "-m", &pages, &size];
        arguments.extend(self.common());
        if self.perf.can_fly().is_ok() {
            arguments.push("--synth=no");
        }
        arguments.extend(events::arguments(&self.groups));
        let mut session = Session::start(&self.perf, &self.folder, "follow", &arguments)?;
        session.tell("enable", OPENING)?;
        let data = self.folder.join("follow.data");
        Ok(Follow { session, data, since: clock::monotonic() })
    }

    /// Takes down names and mappings of all processes, with build ids. In a freeze that goes on it would wait for the
    /// frozen process's lock, so its time is limited.
    pub fn names(&self, patience: Duration) -> Result<PathBuf, TrapError> {
        let mut arguments = vec!["-g", "-m", "64"];
        arguments.extend(self.common());
        // Any two events, so that records are laid out as in the other recordings; they stay off.
        let two = self.groups.iter().flat_map(|group| &group.events).take(2);
        arguments.extend(two.flat_map(|event| ["-e", event.spec]));
        let mut session = Session::start(&self.perf, &self.folder, "names", &arguments)?;
        session.tell("ping", patience)?;
        session.end(patience)?;
        Ok(self.folder.join("names.data"))
    }
}

impl Flight {
    /// Whether perf still runs; if not, its last words.
    pub fn check(&mut self) -> Result<(), TrapError> {
        if self.session.is_running() {
            return Ok(());
        }
        Err(TrapError::Perf(self.session.last_words()))
    }

    /// perf's process.
    pub fn pid(&self) -> u32 {
        self.session.pid()
    }

    /// Writes the ring into a file and goes on.
    pub fn dump(&mut self) -> Result<PathBuf, TrapError> {
        self.session.dump(DUMPING)
    }

    /// Ends perf. It is killed: at an end of its own it would write its whole ring to the disk first.
    pub fn end(self, folder: &Path) {
        drop(self.session);
        remove(folder, "flight.");
    }
}

impl Follow {
    /// Whether perf still runs.
    pub fn is_running(&mut self) -> bool {
        self.session.is_running()
    }

    /// Ends the recording and gives its file.
    pub fn end(self) -> (PathBuf, Result<(), TrapError>) {
        (self.data, self.session.end(ENDING))
    }
}

/// Removes scratch files whose names begin so.
pub fn remove(folder: &Path, prefix: &str) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// `perf stat -x ;`: count, unit, event, and more (`tools/perf/Documentation/perf-stat.txt`).
fn counts(text: &str) -> Rates {
    let rows = text.lines().filter_map(|line| {
        let mut fields = line.split(';');
        let count: f64 = fields.next()?.trim().parse().ok()?;
        Some((fields.nth(1)?.to_owned(), count / f64::from(COUNTING_S)))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_perf_prints_them() {
        let text = "135023;;sched:sched_switch;14832960118;100.00;;\n\
            <not supported>;;mmap_lock:mmap_lock_released;0;100.00;;\nsomething else\n";
        let rates = counts(text);
        assert_eq!(rates.len(), 1);
        assert!((rates["sched:sched_switch"] - 135_023.0).abs() < 1e-9);
    }
}
