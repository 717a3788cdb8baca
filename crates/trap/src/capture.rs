//! From an alarm to a bundle.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use coldcase_ingest::bundle::{
    AlarmNote, DroppedEvent, FORMAT, KERNEL_LOG, Machine, Manifest, RecordingNote,
};

use crate::budget::Priced;
use crate::bundle::{self, Parts, Written};
use crate::concerned::{self, Concerned};
use crate::error::TrapError;
use crate::join::Recordings;
use crate::layout::Recording;
use crate::recorder::{self, Follow};
use crate::trap::Trap;
use crate::{clock, keep, kernel_log};

/// How long all must be well before a recording ends: what comes right after a freeze is part of it.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// How long names and mappings are waited for, at a process that may still be frozen.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often is looked whether all is well.
const GLANCE: Duration = Duration::from_millis(50);

/// An alarm.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// What is watched, in words.
    pub watched: String,
    /// The processes that are watched, by their ids.
    pub watched_pids: Vec<u32>,
    /// What was wrong, in words.
    pub saw: String,
    /// When it was raised, CLOCK_MONOTONIC in nanoseconds.
    pub at: u64,
}

/// The recordings' files, and what went wrong.
#[derive(Default)]
struct Files {
    flight: Option<PathBuf>,
    follow: Option<PathBuf>,
    names: Option<PathBuf>,
    cut: Option<u64>,
    well_again: Option<u64>,
    notes: Vec<String>,
}

impl Trap<'_> {
    /// Records what happens, puts it together with what the flight recorder has, and writes the bundle.
    pub(crate) fn capture(&mut self, alarm: &Alarm) -> Result<Written, TrapError> {
        self.make_room()?;
        let files = self.record();
        let concerned =
            concerned::look(self.history.processes(), self.options.with_binaries, PATIENCE);
        let written = self.put_together(alarm, files, concerned.unwrap_or_default());
        for prefix in ["flight.data.", "follow.", "names.", "capture."] {
            recorder::remove(&self.recorder.folder, prefix);
        }
        let written = written?;
        keep::prune(&self.options.folder, self.options.limits);
        Ok(written)
    }

    /// Room for the recordings and the bundle made of them; the oldest bundles make it.
    fn make_room(&self) -> Result<(), TrapError> {
        let needed = self.recorder.ring_total() * 3 + (16 << 20);
        while keep::free_bytes(&self.options.folder) < needed {
            if keep::remove_oldest(&self.options.folder).is_none() {
                let free = keep::free_bytes(&self.options.folder) >> 20;
                let (folder, needed) = (self.options.folder.display(), needed >> 20);
                return Err(TrapError::Full(format!(
                    "{folder} has {free} MiB free, and a capture takes up to {needed} MiB while it is made (less with a smaller --ring)"
                )));
            }
        }
        Ok(())
    }

    /// The second recorder first, so that nothing is missed while the first one writes its ring out.
    fn record(&mut self) -> Files {
        let mut files = Files::default();
        let mut follow = match self.recorder.follow() {
            Ok(follow) => Some(follow),
            Err(error) => {
                files.notes.push(format!("nothing was recorded after the alarm: {error}"));
                None
            }
        };
        files.cut = follow.as_ref().map(|follow| follow.since);
        match self.flight.as_mut().map(|flight| flight.dump()) {
            Some(Ok(path)) => files.flight = Some(path),
            Some(Err(error)) => files.notes.push(format!(
                "what was before the alarm is missing: {error}; the capture begins after it"
            )),
            None => {
                let why = self.grounded.as_deref().unwrap_or("it was being started again");
                files.notes.push(format!(
                    "the capture begins after the alarm, so the freeze's beginning and the culprit's call may be missing: no flight recorder ran ({why})"
                ));
            }
        }
        self.wait_for_the_end(&mut files, follow.as_mut());
        if let Some(follow) = follow {
            let (path, ended) = follow.end();
            files.notes.extend(ended.err().map(|error| format!("after the alarm: {error}")));
            files.follow = Some(path);
        }
        match self.recorder.names(PATIENCE) {
            Ok(path) => files.names = Some(path),
            Err(error) => files.notes.push(format!(
                "names and mappings of processes that were there before are missing: {error}"
            )),
        }
        files
    }

    /// Until all has been well for a moment, or the time is up, or the trap is to end.
    fn wait_for_the_end(&mut self, files: &mut Files, mut follow: Option<&mut Follow>) {
        let start = Instant::now();
        let mut well_since: Option<(Instant, u64)> = None;
        while start.elapsed() < self.options.after && !self.signals.must_end() {
            std::thread::sleep(self.options.manners.every.min(GLANCE));
            self.history.tick(true);
            if follow.as_mut().is_none_or(|follow| !follow.is_running()) {
                if follow.is_some() {
                    let limit = self.recorder.follow_bytes >> 20;
                    let note = format!(
                        "the recording after the alarm ended early: perf ended, or it reached {limit} MiB"
                    );
                    files.notes.push(note);
                }
                break;
            }
            match (self.illness(), well_since) {
                (Some(_), _) => well_since = None,
                (None, None) => well_since = Some((Instant::now(), clock::monotonic())),
                // By hand there is nothing to wait for but the time.
                (None, Some((since, _))) if !self.watches.is_empty() => {
                    if since.elapsed() >= AFTERWARDS {
                        break;
                    }
                }
                (None, Some(_)) => {}
            }
        }
        files.well_again = well_since.filter(|_| !self.watches.is_empty()).map(|(_, at)| at);
    }

    fn put_together(
        &mut self,
        alarm: &Alarm,
        mut files: Files,
        concerned: Concerned,
    ) -> Result<Written, TrapError> {
        let capture = self.recorder.folder.join("capture.data");
        let mut open = |path: &Option<PathBuf>| {
            let path = path.as_deref()?;
            let opened = Recording::open(path).map_err(TrapError::file("read", path));
            opened.map_err(|error| files.notes.push(error.to_string())).ok()
        };
        let recordings = Recordings {
            flight: open(&files.flight),
            follow: open(&files.follow),
            names: open(&files.names),
        };
        if recordings.flight.is_none() && recordings.follow.is_none() {
            return Err(TrapError::Perf(files.notes.join("; ")));
        }
        let before = u64::try_from(self.options.before.as_nanos()).unwrap_or(u64::MAX);
        let from = alarm.at.saturating_sub(before);
        let cut = files.cut.unwrap_or(u64::MAX);
        let joined = recordings.join(&capture, from, cut);
        let joined = joined.map_err(TrapError::file("write", &capture))?;
        let seconds_before = joined.first_ns.map(|first| (alarm.at as f64 - first as f64) / 1e9);
        if files.flight.is_some() && !self.ring_held(joined.first_ns, from) {
            files.notes.push(format!(
                "the flight recorder's ring reached back {:.1} s before the alarm, not {:.0} s: a larger --ring holds more",
                seconds_before.unwrap_or(0.0),
                self.options.before.as_secs_f64()
            ));
        }
        let dropped: Vec<DroppedEvent> = self.plan.dropped.iter().map(dropped).collect();
        for row in dropped.iter().filter(|_| files.flight.is_some()) {
            files.notes.push(format!(
                "before the alarm there were no {}: they would have cost {:.1} % of a CPU, and the budget is {} %",
                row.name, row.percent, self.options.budget
            ));
        }
        let events = self.plan.kept.iter().flat_map(|row| &row.group.events);
        let recording = RecordingNote {
            flight: files.flight.is_some(),
            joined_at_ns: files.cut,
            seconds_before,
            events: events.map(|event| event.spec.to_owned()).collect(),
            dropped,
            notes: files.notes,
        };
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            alarm: AlarmNote {
                watched: alarm.watched.clone(),
                watched_pids: alarm.watched_pids.clone(),
                saw: alarm.saw.clone(),
                monotonic_ns: Some(alarm.at),
                well_again_ns: files.well_again,
            },
            recording,
            clocks: clock::all(),
            machine: self.machine(),
            cost: self.cost(),
            processes: concerned.processes,
        };
        let mut texts = vec![(KERNEL_LOG.to_owned(), kernel_log::last_lines())];
        texts.extend(concerned.maps);
        let binaries = concerned.binaries.into_iter().collect();
        let parts = Parts { manifest, capture, texts, history: self.history.table(), binaries };
        bundle::write(&self.options.folder, &parts)
    }

    /// Whether the ring still held what was asked for, or all there was.
    fn ring_held(&self, first: Option<u64>, from: u64) -> bool {
        /// On a quiet machine the first event may come a while after it could.
        const SLACK: u64 = 1_000_000_000;
        let since = self.flight.as_ref().map_or(0, |flight| flight.since);
        first.is_some_and(|first| first <= from.max(since) + SLACK)
    }

    fn machine(&self) -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Machine {
            host: read("/proc/sys/kernel/hostname"),
            kernel: read("/proc/version"),
            command_line: read("/proc/cmdline"),
            cpus: self.recorder.cpus,
            perf: self.recorder.perf.text.clone(),
        }
    }
}

/// As it is written down.
pub(crate) fn dropped(row: &Priced) -> DroppedEvent {
    let Priced { group, per_second, percent } = row;
    DroppedEvent { name: group.name.to_owned(), per_second: *per_second, percent: *percent }
}
