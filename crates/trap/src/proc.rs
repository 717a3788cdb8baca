//! What `/proc` says of processes, from files that take no lock of their memory.

use std::fs;
use std::path::PathBuf;

use coldcase_ingest::capture::inert;
use rustix::param::{clock_ticks_per_second, page_size};

/// What the threads of a process do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Threads {
    /// How many there are, or were looked at.
    pub count: usize,
    /// How many are in state D.
    pub uninterruptible: usize,
    /// How many are stopped or traced (T, t).
    pub stopped: usize,
    /// How often they were put on a CPU, all together.
    pub runs: u64,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Resident memory in bytes.
    pub resident: u64,
}

/// The threads of a process; `None` if it is gone.
pub fn threads(pid: u32, most: usize) -> Option<Threads> {
    let mut threads = Threads::default();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().take(most) {
        let Some(state) = read(task.path().join("stat")).and_then(|stat| state(&stat)) else {
            continue;
        };
        threads.count += 1;
        threads.uninterruptible += usize::from(state == 'D');
        threads.stopped += usize::from(matches!(state, 'T' | 't'));
        // Third field: how often it ran on a CPU (Documentation/scheduler/sched-stats.rst).
        let runs = read(task.path().join("schedstat"));
        let runs = runs.and_then(|text| text.split_whitespace().nth(2)?.parse::<u64>().ok());
        threads.runs += runs.unwrap_or(0);
    }
    (threads.count > 0).then_some(threads)
}

/// Whether there is such a process.
pub fn exists(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).is_dir()
}

/// The largest process of this name.
pub fn largest_named(name: &str) -> Option<u32> {
    let named = processes().into_iter().filter(|process| process.comm == name);
    named.max_by_key(|process| process.resident).map(|process| process.pid)
}

/// All processes.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

/// One process, from its `stat`.
pub fn process(pid: u32) -> Option<Process> {
    of_stat(pid, &read(PathBuf::from(format!("/proc/{pid}/stat")))?)
}

fn of_stat(pid: u32, stat: &str) -> Option<Process> {
    /// Resident pages are field 24; those after the name begin with field 3 (proc(5)).
    const RESIDENT: usize = 24 - 3;
    let (comm, rest) = after_name(stat)?;
    let pages: u64 = rest.split_whitespace().nth(RESIDENT)?.parse().ok()?;
    Some(Process { pid, comm: inert(comm), resident: pages * page_size() as u64 })
}

/// CPU time of a process and of its children that ended, in seconds.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    /// Fields 14 to 17: user and system time, and those of the children that were waited for.
    const TIMES: std::ops::Range<usize> = 14 - 3..18 - 3;
    let stat = read(PathBuf::from(format!("/proc/{pid}/stat")))?;
    let fields: Vec<&str> = after_name(&stat)?.1.split_whitespace().collect();
    let ticks = fields.get(TIMES)?.iter().filter_map(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / clock_ticks_per_second() as f64)
}

/// Bytes that a process caused to be written to disk.
pub fn written_bytes(pid: u32) -> Option<u64> {
    let io = read(PathBuf::from(format!("/proc/{pid}/io")))?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok())
}

/// The name in brackets, which may hold anything, and what follows.
fn after_name(stat: &str) -> Option<(&str, &str)> {
    let (before, rest) = stat.rsplit_once(')')?;
    Some((before.split_once('(')?.1, rest.trim_start()))
}

fn state(stat: &str) -> Option<char> {
    after_name(stat)?.1.chars().next()
}

fn read(path: PathBuf) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_calls_itself_steers_no_terminal() {
        let numbers: Vec<String> = (4..=24).map(|field| field.to_string()).collect();
        let stat = format!("7 (a\u{1b}[2Jb\u{202e}) S {}", numbers.join(" "));
        let process = of_stat(7, &stat).unwrap();
        assert_eq!(process.comm, "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(process.resident, 24 * page_size() as u64);
    }

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let stat = "7 (a) (b c) D 1 7 7";
        assert_eq!(after_name(stat), Some(("a) (b c", "D 1 7 7")));
        assert_eq!(state(stat), Some('D'));
    }

    #[test]
    fn this_process_is_there_and_runs() {
        let own = std::process::id();
        let threads = threads(own, 64).unwrap();
        assert!(threads.count > 0 && threads.runs > 0 && threads.stopped == 0);
        assert!(process(own).unwrap().resident > 100_000);
        assert!(cpu_seconds(own).is_some() && exists(own));
        assert!(processes().iter().any(|process| process.pid == own));
    }
}
