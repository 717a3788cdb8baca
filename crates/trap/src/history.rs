//! Statistics over the last minutes: a ring of samples that is written into the bundle as one table.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use coldcase_ingest::bundle::RESIDENT;

use crate::proc::{self, Process};
use crate::watch::Which;
use crate::{cgroup, clock};

/// How far it reaches back.
const SAMPLES: usize = 240;
/// From sample to sample while nothing happens, and during a capture.
const EVERY: Duration = Duration::from_secs(5);
const EVERY_IN_CAPTURE: Duration = Duration::from_secs(1);
/// The largest processes that are followed, beside the one that is watched.
const LARGEST: usize = 6;
/// How often it is looked for them: that reads a file of every process.
const ELECTION: Duration = Duration::from_secs(60);

/// `/proc/meminfo`, in KiB there.
const MEMORY: [&str; 8] = [
    "MemFree",
    "MemAvailable",
    "Cached",
    "SwapFree",
    "Dirty",
    "Writeback",
    "AnonPages",
    "Committed_AS",
];
/// `/proc/vmstat`, events since boot.
const EVENTS: [&str; 9] = [
    "pgmajfault",
    "allocstall_normal",
    "allocstall_movable",
    "compact_stall",
    "pgsteal_direct",
    "pswpin",
    "pswpout",
    "oom_kill",
    "thp_fault_alloc",
];

/// The last minutes.
pub struct History {
    samples: VecDeque<String>,
    followed: Vec<u32>,
    named: Option<Which>,
    named_pid: Option<u32>,
    elected: Option<Instant>,
    next: Instant,
}

impl History {
    /// An empty one.
    pub fn new() -> Self {
        let samples = VecDeque::with_capacity(SAMPLES);
        Self {
            samples,
            followed: Vec::new(),
            named: None,
            named_pid: None,
            elected: None,
            next: Instant::now(),
        }
    }

    /// Follows this process in any case.
    pub fn follow(&mut self, which: Which) {
        self.named = Some(which);
    }

    /// Takes a sample if it is time to.
    pub fn tick(&mut self, in_capture: bool) {
        let now = Instant::now();
        let every = if in_capture { EVERY_IN_CAPTURE } else { EVERY };
        if now < self.next && !(in_capture && self.next > now + every) {
            return;
        }
        self.next = now + every;
        if self.elected.is_none_or(|last| now - last >= ELECTION) {
            self.elected = Some(now);
            self.followed = largest();
            self.named_pid = self.named.as_ref().and_then(Which::pid);
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        let sample = self.sample();
        self.samples.push_back(sample);
    }

    /// The processes that are followed and still there.
    pub fn processes(&self) -> Vec<Process> {
        let mut pids: Vec<u32> = self.named_pid.into_iter().chain(self.followed.clone()).collect();
        let mut seen = Vec::new();
        pids.retain(|pid| {
            !seen.contains(pid) && {
                seen.push(*pid);
                true
            }
        });
        pids.into_iter().filter_map(proc::process).collect()
    }

    /// All of it, as lines of `seconds, what, of whom, value`.
    pub fn table(&self) -> String {
        self.samples.iter().map(String::as_str).collect()
    }

    fn sample(&self) -> String {
        let mut sample = Sample { seconds: seconds(), text: String::new() };
        sample.named_lines("meminfo", "/proc/meminfo", &MEMORY);
        sample.named_lines("vmstat", "/proc/vmstat", &EVENTS);
        sample.pressure();
        for process in self.processes() {
            let whom = format!("{}:{}", process.pid, process.comm.replace('\t', " "));
            sample.line(RESIDENT, &whom, process.resident);
            for (what, value) in cgroup::figures(process.pid) {
                sample.line(what, &whom, value);
            }
        }
        sample.text
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

struct Sample {
    seconds: String,
    text: String,
}

impl Sample {
    fn line(&mut self, what: &str, whom: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}\t{what}\t{whom}\t{value}", self.seconds);
    }

    /// Lines of `NAME[:] VALUE ...`.
    fn named_lines(&mut self, what: &str, path: &str, names: &[&str]) {
        let text = fs::read_to_string(path).unwrap_or_default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default().trim_end_matches(':');
            if let (true, Some(value)) = (names.contains(&name), words.next()) {
                self.line(what, name, value);
            }
        }
    }

    /// Stalls since boot in microseconds (Documentation/accounting/psi.rst); not every kernel has them.
    fn pressure(&mut self) {
        for resource in ["cpu", "memory", "io"] {
            let text = fs::read_to_string(format!("/proc/pressure/{resource}")).unwrap_or_default();
            for line in text.lines() {
                let (kind, rest) = line.split_once(' ').unwrap_or_default();
                if let Some((_, total)) = rest.split_once("total=") {
                    self.line("pressure", &format!("{resource} {kind}"), total);
                }
            }
        }
    }
}

fn seconds() -> String {
    let now = clock::monotonic();
    format!("{}.{:06}", now / 1_000_000_000, now % 1_000_000_000 / 1000)
}

fn largest() -> Vec<u32> {
    let mut processes = proc::processes();
    processes.sort_by_key(|process| std::cmp::Reverse(process.resident));
    processes.iter().take(LARGEST).map(|process| process.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_stays_as_large_as_it_is() {
        let mut history = History::new();
        history.follow(Which::Pid(std::process::id()));
        for _ in 0..SAMPLES + 5 {
            history.next = Instant::now();
            history.tick(false);
        }
        assert_eq!(history.samples.len(), SAMPLES);
        let own = format!("\t{RESIDENT}\t{}:", std::process::id());
        let table = history.table();
        assert!(table.lines().any(|line| line.contains(&own)), "{table}");
        assert!(table.lines().all(|line| line.split('\t').count() == 4));
        assert!(table.contains("\tmeminfo\tMemAvailable\t"));
    }
}
