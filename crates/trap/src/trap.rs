//! The trap at work: watches, lets alarms pass or not, keeps the flight recorder in the air.

use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use coldcase_ingest::bundle::CostNote;
use rustix::fs::{FlockOperation, flock};

use crate::budget::{Plan, Rates, price};
use crate::capture::{Alarm, dropped};
use crate::cost::Meter;
use crate::error::TrapError;
use crate::gate::Gate;
use crate::history::History;
use crate::options::Options;
use crate::pace::Pace;
use crate::perf::Perf;
use crate::recorder::{Flight, Recorder};
use crate::signals::Signals;
use crate::status::Status;
use crate::watch::{Health, Watch, Watched};
use crate::{bundle, clock, events, keep, recorder, rights};

/// How often everything is looked at, unless what is watched is to be looked at more often.
const TICK: Duration = Duration::from_millis(100);
/// How often the status file is written.
const STATUS: Duration = Duration::from_secs(10);
/// How often events are counted anew, and how soon after a count if the load has outgrown it.
const COUNT: Duration = Duration::from_secs(60);
const COUNT_SOON: Duration = Duration::from_secs(5);
/// How long after perf ended it is started again; doubled each time.
const RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(600);
/// A flight of so many nanoseconds is no failed start: the next one is tried soon again.
const STEADY: u64 = 600_000_000_000;
/// Largest recording from an alarm on.
const FOLLOW_BYTES: u64 = 256 << 20;
/// Scratch files of the recordings, in the bundles' folder: a bundle is made on the disk that it goes to.
const SCRATCH: &str = ".recording";
/// Held while a trap writes into the folder.
const LOCK: &str = ".lock";

/// The trap at work.
pub(crate) struct Trap<'a> {
    pub options: &'a Options,
    pub recorder: Recorder,
    pub flight: Option<Flight>,
    /// Why no flight recorder runs.
    pub grounded: Option<String>,
    pub plan: Plan,
    pub watches: Vec<Watch>,
    pub history: History,
    pub signals: Signals,
    meter: Meter,
    gate: Gate,
    retry: (Instant, Duration),
    counting: Option<Receiver<Result<Rates, TrapError>>>,
    counted: Instant,
    pace: Pace,
    status: (Instant, Status),
    /// Whether things were ill at the last look: an alarm is when they become so.
    was_ill: bool,
    say: &'a mut dyn FnMut(&str),
    _lock: File,
}

/// Watches until a signal ends it. `say` is told what a person should know, a line at a time.
///
/// # Errors
///
/// If it cannot begin: no perf, no right to record, a folder that cannot be written.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> Result<(), TrapError> {
    let perf = Perf::find(&options.perf)?;
    let tracing = rights::tracing_folder()?;
    if let Some(note) = rights::symbols_missing() {
        say(&note);
    }
    let mut trap = set(options, perf, &tracing, say)?;
    while !trap.signals.must_end() {
        trap.tick();
        std::thread::sleep(options.manners.every.min(TICK));
    }
    trap.end();
    Ok(())
}

/// Arms a trap; `tracing` is the kernel's folder of tracepoints.
fn set<'a>(
    options: &'a Options,
    perf: Perf,
    tracing: &Path,
    say: &'a mut dyn FnMut(&str),
) -> Result<Trap<'a>, TrapError> {
    let lock = take(&options.folder)?;
    let signals = Signals::listen().map_err(TrapError::Signals)?;
    let recorder = Recorder {
        perf,
        groups: events::offered(tracing),
        folder: options.folder.join(SCRATCH),
        cpus: cpus(),
        ring_bytes: options.ring_bytes,
        follow_bytes: FOLLOW_BYTES.min(options.limits.bytes),
    };
    let watches = options.watches.iter();
    let mut trap = Trap {
        options,
        recorder,
        flight: None,
        grounded: None,
        plan: Plan::default(),
        watches: watches.map(|what| Watch::new(what.clone(), options.manners)).collect(),
        history: History::new(),
        signals,
        meter: Meter::new(),
        gate: Gate::new(options.at_most, options.quiet),
        retry: (Instant::now(), RETRY),
        counting: None,
        counted: Instant::now(),
        pace: Pace::new(),
        status: (Instant::now(), Status::default()),
        was_ill: false,
        say,
        _lock: lock,
    };
    for what in &options.watches {
        if let Watched::Process(which) = what {
            trap.history.follow(which.clone());
        }
    }
    trap.arm()?;
    Ok(trap)
}

/// What the trap of a folder is doing, and whether it still runs.
///
/// # Errors
///
/// If no trap has ever written there.
pub fn status(folder: &Path) -> Result<(Status, bool), TrapError> {
    let status = Status::read(folder)?;
    let runs = File::open(folder.join(LOCK)).is_ok_and(|lock| {
        flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    });
    Ok((status, runs))
}

/// Makes the folders, sees that nobody else writes there, and clears what an earlier trap left.
fn take(folder: &Path) -> Result<File, TrapError> {
    let scratch = folder.join(SCRATCH);
    fs::create_dir_all(&scratch).map_err(TrapError::file("make", &scratch))?;
    let path = folder.join(LOCK);
    let lock = File::create(&path).map_err(TrapError::file("write", &path))?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| TrapError::Busy(folder.to_owned()))?;
    recorder::remove(&scratch, "");
    bundle::remove_unfinished(folder);
    Ok(lock)
}

/// CPUs that there are.
pub(crate) fn cpus() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|count| u32::try_from(count.get()).ok())
        .unwrap_or(1)
        .max(online())
}

/// CPUs that are online, which may be more than this process may use: `0-3,6`.
fn online() -> u32 {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    });
    ranges.sum()
}

impl Trap<'_> {
    /// Counts what events would cost, and starts the flight recorder with those that it can afford.
    fn arm(&mut self) -> Result<(), TrapError> {
        let ring = self.recorder.ring_total() / u64::from(self.recorder.cpus.max(1));
        if let Some(note) = rights::rings_missing(ring) {
            (self.say)(&note);
        }
        let rates = self.recorder.count()?;
        self.pace.counted(rate(&rates));
        self.plan = Plan::within(self.options.budget, price(self.recorder.groups.clone(), &rates));
        self.fly();
        let watched: Vec<String> = self.watches.iter().map(Watch::describe).collect();
        let watched =
            if watched.is_empty() { "SIGUSR1 only".to_owned() } else { watched.join(", ") };
        let pid = std::process::id();
        match &self.grounded {
            None => {
                let (percent, back) = (self.plan.percent(), self.ring_seconds());
                (self.say)(&format!(
                    "armed (pid {pid}), watching {watched}; the flight recorder costs about {percent:.2} % of a CPU and reaches back {back:.0} s"
                ));
            }
            Some(why) => (self.say)(&format!(
                "watching {watched} (pid {pid}); recording from the alarm on: {why}"
            )),
        }
        for row in &self.plan.dropped {
            (self.say)(&format!(
                "not in the flight recorder: {} ({:.0} a second, {:.1} % of a CPU)",
                row.group.name, row.per_second, row.percent
            ));
        }
        self.write_status();
        Ok(())
    }

    /// Starts the flight recorder anew, if this machine and the budget allow one.
    fn fly(&mut self) {
        if let Some(flight) = self.flight.take() {
            flight.end(&self.recorder.folder);
        }
        self.grounded = None;
        if let Err(why) = self.recorder.perf.can_fly() {
            self.grounded = Some(why);
        } else if self.plan.kept.is_empty() {
            let all: f64 = self.plan.dropped.iter().map(|row| row.percent).sum();
            self.grounded = Some(format!(
                "switches and wakeups alone cost more than the budget of {} % of a CPU (all events: {all:.1} %)",
                self.options.budget
            ));
        } else {
            match self.recorder.fly(&self.plan) {
                Ok(flight) => {
                    self.flight = Some(flight);
                    self.meter.set(self.plan.percent());
                    return;
                }
                Err(error) => {
                    self.grounded = Some(error.to_string());
                    self.retry.0 = Instant::now() + self.retry.1;
                    self.retry.1 = (self.retry.1 * 2).min(LONGEST_RETRY);
                }
            }
        }
        self.meter.set(0.0);
    }

    fn tick(&mut self) {
        self.history.tick(false);
        self.keep_flying();
        self.keep_counting();
        let illness = self.illness();
        let became_ill = illness.is_some() && !self.was_ill;
        self.was_ill = illness.is_some();
        if self.signals.asks_for_capture() {
            self.alarm("a signal by hand".to_owned(), "SIGUSR1".to_owned());
        } else if let (true, Some((watched, saw))) = (became_ill, illness) {
            self.alarm(watched, saw);
        }
        if self.status.0.elapsed() >= STATUS {
            self.write_status();
        }
    }

    /// What is ill: what was watched, and what was seen.
    pub(crate) fn illness(&mut self) -> Option<(String, String)> {
        // All are asked, whatever the first says.
        let looks: Vec<_> =
            self.watches.iter_mut().map(|watch| (watch.describe(), watch.poll())).collect();
        looks.into_iter().find_map(|(watched, health)| match health {
            Health::Ill(saw) => Some((watched, saw)),
            Health::Well | Health::Unknown => None,
        })
    }

    fn alarm(&mut self, watched: String, saw: String) {
        let watched_pids = self.watches.iter().filter_map(Watch::pid).collect();
        let alarm = Alarm { watched, watched_pids, saw, at: clock::monotonic() };
        if let Err(why) = self.gate.admit(alarm.at) {
            (self.say)(&format!("alarm: {}; not captured: {why}", alarm.saw));
            return;
        }
        (self.say)(&format!("alarm: {}", alarm.saw));
        match self.capture(&alarm) {
            Ok(written) => {
                self.status.1.captures += 1;
                for path in &written.removed {
                    (self.say)(&format!("the disk is full: removed {}", path.display()));
                }
                let (path, mib) = (written.path.display(), written.bytes as f64 / 1_048_576.0);
                (self.say)(&format!(
                    "wrote {path} ({mib:.1} MiB); read it with: coldcase report {path}"
                ));
            }
            Err(error) => {
                self.status.1.failed += 1;
                (self.say)(&format!("nothing was captured: {error}"));
            }
        }
        self.gate.captured(clock::monotonic());
        self.write_status();
    }

    /// Notices that perf ended, and starts it again after a while.
    fn keep_flying(&mut self) {
        if let Some(Err(error)) = self.flight.as_mut().map(Flight::check) {
            self.flight = None;
            self.grounded = Some(error.to_string());
            self.meter.set(0.0);
            self.retry.0 = Instant::now() + self.retry.1;
            recorder::remove(&self.recorder.folder, "flight.");
            (self.say)(&format!(
                "the flight recorder ended ({error}); it is started again in {:?}",
                self.retry.1
            ));
        }
        let wanted = !self.plan.kept.is_empty() && self.recorder.perf.can_fly().is_ok();
        if self.flight.is_none() && wanted && Instant::now() >= self.retry.0 {
            self.fly();
            if self.flight.is_some() {
                (self.say)("the flight recorder runs again");
            }
        }
        if self.flight.as_ref().is_some_and(|flight| clock::monotonic() - flight.since > STEADY) {
            self.retry.1 = RETRY;
        }
    }

    /// Counts events once in a while, and when more is going on than was counted, beside everything else.
    fn keep_counting(&mut self) {
        let flies = self.flight.is_some();
        let outgrown = flies && self.pace.outgrows(self.plan.percent(), self.options.budget);
        let Some(counting) = &self.counting else {
            let since = self.counted.elapsed();
            if since >= COUNT || (outgrown && since >= COUNT_SOON) {
                let (sender, receiver) = channel();
                let recorder = self.recorder.clone();
                let thread = std::thread::Builder::new().name("count".to_owned());
                thread.spawn(move || sender.send(recorder.count()).ok()).ok();
                self.counting = Some(receiver);
            }
            return;
        };
        let counted = counting.try_recv();
        if matches!(counted, Err(TryRecvError::Empty)) {
            return;
        }
        self.counting = None;
        self.counted = Instant::now();
        let Ok(Ok(rates)) = counted else { return };
        self.pace.counted(rate(&rates));
        let groups = self.recorder.groups.clone();
        let plan = Plan::within(self.options.budget, price(groups, &rates));
        if plan.replaces(&self.plan, self.options.budget) {
            self.plan = plan;
            self.fly();
            let (names, percent) = (names(&self.plan), self.plan.percent());
            (self.say)(&match &self.grounded {
                None => format!(
                    "the flight recorder now records: {names} (about {percent:.2} % of a CPU)"
                ),
                Some(why) => format!("from now on recording from the alarm on: {why}"),
            });
        } else if self.flight.is_some() {
            let groups = self.plan.kept.iter().map(|row| row.group.clone()).collect();
            self.plan.kept = price(groups, &rates);
            self.meter.set(self.plan.percent());
        }
    }

    /// How far back the ring reaches by the rates that were counted, but not beyond what is asked for.
    fn ring_seconds(&self) -> f64 {
        let all = self.options.before.as_secs_f64();
        (self.recorder.ring_total() as f64 / self.plan.bytes_per_second().max(1.0)).min(all)
    }

    pub(crate) fn cost(&self) -> CostNote {
        let perfs: Vec<u32> = self.flight.iter().map(Flight::pid).collect();
        let ring = if perfs.is_empty() { 0 } else { self.recorder.ring_total() };
        self.meter.read(&perfs, ring)
    }

    fn write_status(&mut self) {
        let illness = self.illness();
        let bundles = keep::bundles(&self.options.folder);
        let (captures, failed) = (self.status.1.captures, self.status.1.failed);
        let status = Status {
            pid: std::process::id(),
            wall_ns: clock::wall(),
            watches: self.watches.iter().map(Watch::describe).collect(),
            health: illness.map_or_else(|| "well".to_owned(), |(_, saw)| saw),
            flight: self.grounded.clone(),
            groups: self.plan.kept.iter().map(|row| row.group.name.to_owned()).collect(),
            dropped: self.plan.dropped.iter().map(dropped).collect(),
            budget: self.options.budget,
            ring_s: self.ring_seconds(),
            cost: self.cost(),
            captures,
            failed,
            refused: self.gate.refused,
            bundles: bundles.len(),
            bundle_bytes: bundles.iter().map(|bundle| bundle.bytes).sum(),
            newest: bundles.last().map(|bundle| bundle.path.display().to_string()),
        };
        status.write(&self.options.folder);
        self.status = (Instant::now(), status);
    }

    fn end(mut self) {
        if let Some(flight) = self.flight.take() {
            flight.end(&self.recorder.folder);
        }
        recorder::remove(&self.recorder.folder, "");
        fs::remove_dir(&self.recorder.folder).ok();
        (self.say)("ended");
    }
}

/// Switches of threads a second.
fn rate(rates: &Rates) -> f64 {
    rates.get("sched:sched_switch").copied().unwrap_or(0.0)
}

fn names(plan: &Plan) -> String {
    let names: Vec<&str> = plan.kept.iter().map(|row| row.group.name).collect();
    names.join(", ")
}

#[cfg(test)]
#[path = "trap_tests.rs"]
mod tests;
