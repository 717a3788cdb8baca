//! From a freeze and its blame to what is said of it: cause, culprit, grade.

use std::collections::BTreeSet;

use coldcase_ingest::capture::{Nanos, ThreadId};

use crate::blame::{Blamer, Leaf, Root, Why, root_thread};
use crate::culprit::Suspect;
use crate::findings::{BlameRow, Cause, Freeze, Grade, Lock, Operation, Window};
use crate::holds::Hold;
use crate::model::Model;
use crate::operation::is_memory;
use crate::rules::WaitKind;
use crate::tally::Tally;
use crate::windows::{self, RawWindow};
use crate::{chain, counterfactual, culprit, grade, network, reasons, rhythm, stopped, view};

/// Judges a freeze; `None` if what looked like one was rest.
pub(crate) fn judge(model: &Model<'_>, raw: &RawWindow) -> Option<Window> {
    let mut blamer = Blamer::new(model);
    raw.harms.iter().for_each(|harm| blamer.add(harm));
    let leaves = blamer.leaves();
    let total: Nanos = raw.harms.iter().map(|harm| harm.span.duration()).sum();
    let queue = raw.cause == Cause::Futex && !raw.known_lock;
    if queue && waits_for_work(model, raw, &leaves).share_of(total) > 0.5 {
        return None;
    }
    let cause = cause(model, raw, &leaves, total);
    if queue && cause == Cause::Futex && windows::comes_and_goes(model, raw) {
        return None;
    }
    // A holder that found no CPU is a victim itself, and so is the one who does the others' I/O.
    let held = match cause {
        Cause::CpuStarvation | Cause::CpuThrottle => false,
        _ => raw.cause.is_lock() && (raw.cause != Cause::Futex || cause.is_lock()),
    };
    let culprit = if held { culprit::find(&leaves, total) } else { None };
    let culprit = culprit.filter(|suspect| culprit::is_vouched_for(model, suspect, raw.span));
    let feeder = culprit.as_ref().is_some_and(|suspect| rhythm::feeds(model, raw, suspect.thread));
    if queue && cause == Cause::Futex && feeder {
        return None;
    }
    let kind = if cause.is_lock() { cause } else { raw.cause };
    let lock = raw.cause.is_lock().then(|| lock(model, raw, kind, culprit.as_ref()));
    let other_end =
        (cause == Cause::Network).then(|| network::other_end(model, raw, &leaves, total));
    let late = other_end.iter().flatten().find_map(|other| network::culprit(model, raw, other));
    let grade = grade::grade(model, raw, cause, culprit.as_ref(), late.is_some(), (&leaves, total));
    let mut reasons = reasons::of(model, raw, cause, culprit.as_ref());
    if let Some(other) = &other_end {
        reasons.extend(network::reasons(model, raw, other.as_ref()));
    }
    let mut evidence = grade::evidence(model, raw, culprit.as_ref(), &leaves, total);
    let stopped = cause == Cause::Stopped;
    let sender = stopped.then(|| stopped::sender(model, &raw.crew, raw.span)).flatten();
    evidence.extend(sender.as_ref().map(|sender| sender.evidence.clone()));
    let root = culprit.as_ref().map(|suspect| suspect.thread);
    let known_queue = root.filter(|_| grade <= Grade::Strong);
    let culprit = culprit.as_ref().map(|suspect| culprit::describe(model, raw, suspect));
    Some(Window {
        cause: Some(cause),
        grade,
        reasons,
        evidence,
        freeze: freeze(model, raw, total),
        lock,
        culprit: culprit.or(late).or(sender.map(|sender| sender.culprit)),
        blame: blame_rows(model, &leaves),
        chain: chain::of_longest(model, raw, root),
        without_culprit: known_queue
            .and_then(|culprit| counterfactual::without(model, raw, culprit)),
    })
}

/// Time that ends at threads which themselves wait for work from outside, or which bring work now and then: who
/// sleeps and then wakes the others itself hands out work; who sleeps with a lock wakes one, and that one the
/// next.
fn waits_for_work(model: &Model<'_>, raw: &RawWindow, leaves: &[Leaf]) -> Nanos {
    let resting = leaves.iter().filter(|leaf| match leaf.root {
        Root::Blocked(thread, wait) => {
            let site = model.sites.of(wait);
            let sleeps = model.sites.name(site) == "sleep";
            site.kind == WaitKind::Idle && (!sleeps || wakes_them_itself(model, raw, thread))
        }
        Root::Unknown(why) => why == Why::Job,
        _ => false,
    });
    resting.map(|leaf| leaf.time).sum()
}

/// Whether most waits of a window were ended by this one thread.
pub(crate) fn wakes_them_itself(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    let wakeups = raw.waits().filter_map(|id| model.wakeup(id));
    let by_it = wakeups.filter(|wakeup| wakeup.waker == Some(thread));
    by_it.count() * 2 > raw.waits().count()
}

/// How much of the waiting has to come down to something to be its cause. A holder shares its CPU with others
/// as a matter of course, so only one that hardly ran was starved.
fn decisive(cause: Cause) -> f64 {
    if cause == Cause::CpuStarvation { 0.8 } else { 0.5 }
}

/// What the waiting comes down to: the lock, or what its holder itself waited for (the cause under the cause).
fn cause(model: &Model<'_>, raw: &RawWindow, leaves: &[Leaf], total: Nanos) -> Cause {
    let of_leaf = |leaf: &Leaf| match leaf.root {
        Root::NeedsCpu(_) if raw.cause == Cause::CpuThrottle => Some(Cause::CpuThrottle),
        Root::NeedsCpu(_) => Some(Cause::CpuStarvation),
        Root::Blocked(_, wait) | Root::Own(wait) => match model.sites.of(wait).kind {
            WaitKind::Harm(cause, _) => Some(cause),
            WaitKind::Idle | WaitKind::Other => None,
        },
        Root::Running(_) | Root::Paused(_) | Root::Unknown(_) => None,
    };
    let causes: Tally<Cause> =
        leaves.iter().filter_map(|leaf| Some((of_leaf(leaf)?, leaf.time))).collect();
    match causes.largest() {
        Some((cause, time)) if time.share_of(total) > decisive(cause) && !cause.is_lock() => cause,
        _ if raw.cause == Cause::Futex && behind_mmap_lock(leaves).share_of(total) > 0.5 => {
            Cause::MmapLock
        }
        _ => raw.cause,
    }
}

/// Waiting for a lock of the program that ends at a hold of `mmap_lock`: its holder waited for that.
fn behind_mmap_lock(leaves: &[Leaf]) -> Nanos {
    let held = leaves.iter().filter(|leaf| {
        let operation = leaf.hold.and_then(|hold| hold.operation);
        operation.is_some_and(is_memory)
    });
    held.map(|leaf| leaf.time).sum()
}

fn freeze(model: &Model<'_>, raw: &RawWindow, blocked: Nanos) -> Freeze {
    let threads = &model.capture.threads;
    let opens = |open: fn(&crate::thread_state::Wait) -> bool| {
        raw.waits().any(|id| open(model.states.wait(id)))
    };
    let processes: BTreeSet<_> =
        raw.stood_still().map(|thread| threads.get(thread).process).collect();
    Freeze {
        pid: threads.process(raw.process).pid,
        comm: threads.process_comm(raw.process).to_owned(),
        span: Some(raw.span),
        open_start: raw.span.start <= model.span.start || opens(|wait| wait.open_start),
        open_end: raw.span.end >= model.span.end && opens(|wait| wait.open_end),
        threads_blocked: u32::try_from(raw.stood_still().count()).unwrap_or(u32::MAX),
        processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
        blocked,
    }
}

fn lock(model: &Model<'_>, raw: &RawWindow, kind: Cause, culprit: Option<&Suspect>) -> Lock {
    let of_lock = raw.harms.iter().filter(|harm| harm.cause == kind);
    let sites = of_lock.filter_map(|harm| harm.wait).map(|wait| model.sites.of(wait));
    let address = sites.filter_map(|site| site.address).next();
    Lock { kind, mode: culprit.and_then(|suspect| suspect.hold.mode), address }
}

/// One row for each activity, the largest first.
fn blame_rows(model: &Model<'_>, leaves: &[Leaf]) -> Vec<BlameRow> {
    let mut rows: Vec<BlameRow> = Vec::new();
    for leaf in leaves {
        let row = blame_row(model, leaf);
        match rows.iter_mut().find(|known| known.thread == row.thread && known.doing == row.doing) {
            Some(known) => known.time += row.time,
            None => rows.push(row),
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.time));
    rows
}

fn blame_row(model: &Model<'_>, leaf: &Leaf) -> BlameRow {
    let capture = model.capture;
    let holding = |hold: &Option<Hold>| {
        let operation = hold.and_then(|hold| hold.operation).map(Operation::word);
        operation.map_or(String::new(), |word| format!(" in {word}"))
    };
    let thread = root_thread(leaf.root).map(|thread| view::thread_name(capture, thread));
    let (doing, unknown) = match leaf.root {
        Root::Running(_) => (format!("on a CPU{}", holding(&leaf.hold)), false),
        Root::Paused(_) => ("paused the others for its runtime".to_owned(), false),
        Root::NeedsCpu(_) => (format!("waiting for a CPU{}", holding(&leaf.hold)), false),
        Root::Blocked(_, wait) | Root::Own(wait) => {
            let site = model.sites.name(model.sites.of(wait));
            // A site may name its call already.
            let call = holding(&leaf.hold);
            let call = if site.ends_with(&call) { "" } else { call.as_str() };
            (format!("blocked: {site}{call}"), false)
        }
        Root::Unknown(why) => (why.text().to_owned(), true),
    };
    BlameRow { thread, doing, time: leaf.time, unknown }
}
