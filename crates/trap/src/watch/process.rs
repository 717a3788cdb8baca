//! A process whose threads stop running, or pile up where nothing can wake them.
//!
//! Read from `/proc/PID/task/TID/stat` and `schedstat`, which take no lock of the process's memory; `maps` and `cmdline`
//! do, and would wait in the freeze themselves.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Health, Which};
use crate::proc::{self, Threads};

/// Threads beyond these are not looked at: a look at one takes some microseconds.
const MOST_THREADS: usize = 256;
/// How many earlier looks say whether the process runs all the time.
const HABIT: usize = 8;

/// Looks at a process once in a while.
pub struct ProcessWatch {
    which: Which,
    limit: Duration,
    pid: Option<u32>,
    /// Whether its threads ran, from look to look.
    ran: VecDeque<bool>,
    runs: Option<u64>,
    idle_since: Option<Instant>,
    stuck_since: Option<Instant>,
}

impl ProcessWatch {
    /// `limit` is how long it may stand still.
    pub fn new(which: Which, limit: Duration) -> Self {
        let pid = None;
        let ran = VecDeque::new();
        Self { which, limit, pid, ran, runs: None, idle_since: None, stuck_since: None }
    }

    /// Its id, while it is there.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// How its threads are.
    pub fn look(&mut self) -> Health {
        let name = match &self.which {
            Which::Pid(pid) => pid.to_string(),
            Which::Name(name) => name.clone(),
        };
        let threads = self.pid.and_then(|pid| proc::threads(pid, MOST_THREADS));
        let Some(threads) = threads else {
            let known = self.pid.take();
            self.forget();
            self.pid = self.which.pid();
            let gone = known.is_some() && self.pid.is_none();
            return if gone {
                Health::Ill(format!("process {name} is gone"))
            } else {
                Health::Unknown
            };
        };
        self.judge(&name, &threads, Instant::now())
    }

    fn forget(&mut self) {
        self.ran.clear();
        self.runs = None;
        self.idle_since = None;
        self.stuck_since = None;
    }

    fn judge(&mut self, name: &str, threads: &Threads, now: Instant) -> Health {
        let ran = self.runs.is_none_or(|before| threads.runs != before);
        self.runs = Some(threads.runs);
        let busy = self.ran.len() >= HABIT && self.ran.iter().all(|ran| *ran);
        let idle = self.idle_since.filter(|_| !ran);
        // Only a process that ran at every look stands still when it does not.
        self.idle_since = idle.or((!ran && busy).then_some(now));
        if self.idle_since.is_none() {
            self.ran.push_back(ran);
            if self.ran.len() > HABIT {
                self.ran.pop_front();
            }
        }
        let stuck = threads.uninterruptible * 2 > threads.count || threads.stopped > 0;
        self.stuck_since = self.stuck_since.filter(|_| stuck).or(stuck.then_some(now));
        let over = |since: Option<Instant>| since.is_some_and(|since| now - since >= self.limit);
        if over(self.stuck_since) {
            let Threads { count, uninterruptible, stopped, .. } = *threads;
            return Health::Ill(format!(
                "of {count} threads of process {name}, {uninterruptible} were in state D and {stopped} were stopped, for {}",
                in_words(self.limit)
            ));
        }
        if over(self.idle_since) {
            let limit = in_words(self.limit);
            return Health::Ill(format!("no thread of process {name} has run for {limit}"));
        }
        Health::Well
    }
}

/// `400 ms`, `2 s`.
fn in_words(time: Duration) -> String {
    match time.as_millis() {
        millis if millis >= 1_000 && millis % 1_000 == 0 => format!("{} s", millis / 1_000),
        millis => format!("{millis} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(uninterruptible: usize, stopped: usize, runs: u64) -> Threads {
        Threads { count: 4, uninterruptible, stopped, runs }
    }

    fn watch() -> ProcessWatch {
        ProcessWatch::new(Which::Pid(1), Duration::from_secs(2))
    }

    #[test]
    fn a_busy_process_that_stops_running_is_ill_and_an_idle_one_is_not() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut busy = watch();
        for second in 0..10 {
            assert_eq!(busy.judge("db", &threads(0, 0, second), at(second)), Health::Well);
        }
        assert_eq!(busy.judge("db", &threads(0, 0, 9), at(10)), Health::Well);
        assert_eq!(busy.judge("db", &threads(0, 0, 9), at(11)), Health::Well);
        assert!(matches!(busy.judge("db", &threads(0, 0, 9), at(12)), Health::Ill(_)));
        assert_eq!(busy.judge("db", &threads(0, 0, 10), at(13)), Health::Well);
        let mut idle = watch();
        for second in 0..20 {
            let health = idle.judge("db", &threads(0, 0, second / 3), at(second));
            assert_eq!(health, Health::Well);
        }
    }

    #[test]
    fn a_process_that_dies_is_an_alarm_once_and_its_successor_is_found() {
        let start = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let end = |mut child: std::process::Child| {
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let first = start();
        let mut watch = ProcessWatch::new(Which::Pid(first.id()), Duration::from_secs(2));
        assert_eq!(watch.look(), Health::Unknown);
        assert_eq!(watch.look(), Health::Well);
        end(first);
        assert!(matches!(watch.look(), Health::Ill(saw) if saw.ends_with("is gone")));
        assert_eq!(watch.look(), Health::Unknown);
        let second = start();
        watch.which = Which::Pid(second.id());
        assert_eq!((watch.look(), watch.look()), (Health::Unknown, Health::Well));
        end(second);
    }

    #[test]
    fn threads_that_pile_up_are_an_alarm_after_the_limit() {
        let start = Instant::now();
        for (uninterruptible, stopped) in [(3, 0), (0, 1)] {
            let mut watch = watch();
            let mut look = |second, stuck| {
                let (d, t) = if stuck { (uninterruptible, stopped) } else { (1, 0) };
                watch.judge("db", &threads(d, t, second), start + Duration::from_secs(second))
            };
            assert_eq!(look(0, true), Health::Well);
            assert_eq!(look(1, true), Health::Well);
            assert!(matches!(look(2, true), Health::Ill(_)));
            assert_eq!(look(3, false), Health::Well);
            assert_eq!(look(4, true), Health::Well);
        }
    }
}
