//! Every cause as a suspect: ruled out with a figure, or not to be judged by this capture.
//!
//! A suspect says what would have to be recorded to judge it, and which figure speaks against it. What speaks for
//! one is its share of the waiting: the blame.

mod cpu;
mod disk;
mod locks;
mod memory;
mod network;

use coldcase_ingest::capture::{ActivityKind, Capture, Meaning, Nanos, Phase, Span, ThreadId};
use rustc_hash::FxHashMap;

use crate::findings::{CannotTell, Cause, RuledOut, Window};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::windows::RawWindow;

/// What is said of the causes that are not the verdict.
#[derive(Default)]
pub(crate) struct Suspects {
    pub ruled_out: Vec<RuledOut>,
    pub cannot_tell: Vec<CannotTell>,
}

/// One cause.
struct Suspect {
    cause: Cause,
    /// What would have to be recorded to judge it, if it was not.
    missing: fn(&Model<'_>) -> Option<&'static str>,
    /// The figure that rules it out; `None` if it cannot be ruled out.
    against: fn(&Case<'_, '_>) -> Option<String>,
}

const ALL: &[Suspect] = &[
    locks::MMAP_LOCK,
    locks::VMA_LOCK,
    locks::RWSEM,
    locks::MUTEX,
    locks::FUTEX,
    disk::PAGE_FAULT_IO,
    disk::DISK_IO,
    disk::FS_JOURNAL,
    memory::RECLAIM,
    memory::COMPACTION,
    memory::SWAP,
    cpu::STARVATION,
    cpu::THROTTLE,
    cpu::STOPPED,
    memory::LIMIT,
    memory::SYSCALL,
    network::NETWORK,
];

/// Examines every cause but the one that was found, and what that is made of.
pub(crate) fn examine(model: &Model<'_>, raw: &RawWindow, window: &Window) -> Suspects {
    let case = Case { model, raw, window };
    let mut suspects = Suspects::default();
    let others = ALL
        .iter()
        .filter(|suspect| !window.cause.is_some_and(|cause| has_part_in(suspect.cause, cause)));
    for suspect in others {
        match cannot_tell(model, suspect) {
            Some(missing) => suspects.cannot_tell.push(missing),
            None => {
                let cause = suspect.cause;
                let finding = (suspect.against)(&case);
                suspects.ruled_out.extend(finding.map(|finding| RuledOut { cause, finding }));
            }
        }
    }
    suspects
}

/// Whether one cause is the other, or what the other is made of: who waits for a journal waits for its disk.
fn has_part_in(part: Cause, cause: Cause) -> bool {
    let parts: &[Cause] = match cause {
        Cause::FsJournal | Cause::PageFaultIo => &[Cause::DiskIo],
        Cause::Swap => &[Cause::DiskIo, Cause::PageFaultIo],
        Cause::MemoryLimit => &[Cause::Reclaim, Cause::Swap, Cause::DiskIo],
        Cause::Reclaim => &[Cause::Swap, Cause::DiskIo],
        _ => &[],
    };
    part == cause || parts.contains(&part)
}

/// The causes that a capture could not have shown.
pub(crate) fn not_judged(model: &Model<'_>) -> Vec<CannotTell> {
    ALL.iter().filter_map(|suspect| cannot_tell(model, suspect)).collect()
}

fn cannot_tell(model: &Model<'_>, suspect: &Suspect) -> Option<CannotTell> {
    let is_lock = matches!(suspect.cause, Cause::MmapLock | Cause::Rwsem | Cause::Mutex);
    let unseen = model.capture.shows_locks_alone() && !is_lock;
    let missing = unseen.then_some(SWITCHES).or_else(|| (suspect.missing)(model))?;
    Some(CannotTell { cause: suspect.cause, missing: missing.into() })
}

const SWITCHES: &str =
    "sched:sched_switch and sched:sched_waking, with callchains (perf record -a -g -e ...)";

/// Without any scheduler event nothing can be said of anything.
pub(crate) fn nothing_to_judge_by(capture: &Capture) -> Suspects {
    // The reader calls a tracepoint by its number if its description is lost.
    let unnamed = capture.events.iter().any(|event| event.name.starts_with("tracepoint "));
    let missing = if unnamed {
        "the descriptions of the recorded tracepoints: they stood behind the records and are cut off, so get the \
         whole file"
    } else {
        SWITCHES
    };
    let cannot_tell = ALL.iter().map(|suspect| suspect.cause);
    let cannot_tell =
        cannot_tell.map(|cause| CannotTell { cause, missing: missing.into() }).collect();
    Suspects { ruled_out: Vec::new(), cannot_tell }
}

/// Waits are told apart by the stacks in which they began.
fn stacks_missing(model: &Model<'_>) -> Option<&'static str> {
    let any = model.capture.switches.iter().any(|switch| switch.stack.is_some());
    (!any).then_some("callchains (perf record -g) with sched:sched_switch")
}

fn recorded(model: &Model<'_>, meanings: &[Meaning]) -> bool {
    meanings.iter().any(|&meaning| model.capture.recorded(meaning))
}

/// A freeze under examination.
struct Case<'c, 'a> {
    model: &'c Model<'a>,
    raw: &'c RawWindow,
    window: &'c Window,
}

impl Case<'_, '_> {
    /// A cause that took less than this part of the waiting did not make the freeze.
    const NEGLIGIBLE: f64 = 0.05;

    /// The usual figure against a cause: how little of the waiting was for it.
    fn little_waiting(&self, cause: Cause) -> Option<String> {
        let (waited, share) = self.negligible(cause)?;
        Some(format!("{waited:.1} ms of the waiting in the window, {share:.1} % of the time lost"))
    }

    /// How long the frozen threads waited for a cause, in ms and per cent of the time lost; `None` if that was too
    /// much to rule the cause out.
    fn negligible(&self, cause: Cause) -> Option<(f64, f64)> {
        let waited = self.waited_for(cause);
        let share = waited.share_of(self.window.freeze.blocked);
        (share < Self::NEGLIGIBLE).then(|| (waited.as_millis_f64(), 100.0 * share))
    }

    fn waited_for(&self, cause: Cause) -> Nanos {
        let model = self.model;
        let slices =
            self.raw.crew.iter().flat_map(|&thread| model.states.within(thread, self.raw.span));
        slices
            .filter(|slice| match slice.doing {
                Doing::Running => false,
                Doing::Runnable(_) => matches!(cause, Cause::CpuStarvation | Cause::CpuThrottle),
                Doing::Blocked(id) => {
                    let kind = model.sites.of(id).kind;
                    let resting = cause == Cause::Futex && !self.is_part(id);
                    matches!(kind, WaitKind::Harm(known, _) if known == cause) && !resting
                }
            })
            .map(|slice| slice.span.duration())
            .sum()
    }

    fn is_part(&self, id: WaitId) -> bool {
        self.raw.harms.iter().any(|harm| harm.wait == Some(id))
    }

    /// How often the kernel did something in the window, by its own begin and end events, and the time that took;
    /// of the frozen threads and the culprit, or of all if a device works for nobody in particular.
    fn doings(&self, kind: ActivityKind, of_all: bool) -> (usize, Nanos) {
        let model = self.model;
        let culprit = self.window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        let counts = |thread: ThreadId| {
            let tid = Some(model.capture.threads.get(thread).tid);
            of_all || self.raw.crew.contains(&thread) || tid == culprit
        };
        let mut begun = FxHashMap::default();
        let (mut count, mut time) = (0, Nanos::ZERO);
        for row in model.capture.activities.iter().filter(|row| row.kind == kind) {
            // A device's request ends in whichever thread was interrupted, so it is known by device and sector.
            let key = if of_all { (None, row.value) } else { (Some(row.thread), 0) };
            match row.phase {
                Phase::Begin | Phase::Moment => {
                    begun.insert(key, row.time);
                }
                Phase::End => {
                    let Some(begin) = begun.remove(&key) else { continue };
                    let overlap = Span::new(begin, row.time).overlap(self.raw.span);
                    if overlap > Nanos::ZERO && counts(row.thread) {
                        count += 1;
                        time += overlap;
                    }
                }
            }
        }
        (count, time)
    }
}
