//! Futex waits that come back at the same length: a program's rhythm, not a freeze.
//!
//! A pool that is handed work every second and a half rests for a second and a half in between, and a program that
//! computes alone between two parallel parts lets its helpers rest as long each time. Whoever brings the work
//! then sleeps, or wakes the others itself; whoever holds a lock does neither as a rule.

use coldcase_ingest::capture::{Context, Nanos, ThreadId};

use crate::findings::{Cause, Window};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::thread_state::Doing;
use crate::verdict;
use crate::windows::RawWindow;

/// Lengths this close to each other are the same.
const SAME: f64 = 0.1;

/// Drops windows of one process that recur at the same length and are ended by somebody who hands out work.
pub(crate) fn drop(model: &Model<'_>, judged: &mut Vec<(RawWindow, Window)>) {
    let handed_out: Vec<bool> =
        judged.iter().map(|(raw, window)| is_handed_out(model, raw, window)).collect();
    let recurs: Vec<bool> = (0..judged.len())
        .map(|at| {
            let (raw, _) = &judged[at];
            let alike = (0..judged.len()).filter(|&other| {
                let (another, _) = &judged[other];
                other != at
                    && handed_out[other]
                    && another.process == raw.process
                    && same_length(another.span.duration(), raw.span.duration())
            });
            alike.count() > 0
        })
        .collect();
    let mut at = 0;
    judged.retain(|_| {
        let dropped = handed_out[at] && recurs[at];
        at += 1;
        !dropped
    });
}

fn same_length(a: Nanos, b: Nanos) -> bool {
    (1.0 - a.share_of(b)).abs() <= SAME
}

fn is_handed_out(model: &Model<'_>, raw: &RawWindow, window: &Window) -> bool {
    if window.cause != Some(Cause::Futex) || raw.known_lock {
        return false;
    }
    let tid = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
    let culprit =
        model.capture.threads.iter().find(|(_, row)| Some(row.tid) == tid).map(|(id, _)| id);
    culprit.is_none_or(|culprit| {
        verdict::wakes_them_itself(model, raw, culprit) || slept(model, raw, culprit)
    })
}

/// Whether a thread is the one who brings the others their work: it ended most of their waits in a window itself, and most
/// of their waits at other times too. A lock goes from hand to hand, and its holder of today is not everyone's waker.
pub(crate) fn feeds(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    verdict::wakes_them_itself(model, raw, thread)
        && usual_share(model, raw, thread).is_some_and(|share| share > 0.5)
}

/// How many of the waits of those who waited in a window this thread ended at other times; `None` if too few were ended by
/// any to say.
pub(crate) fn usual_share(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Option<f64> {
    /// Fewer wakings make no habit.
    const HABIT: usize = 8;
    let others = model.states.waits().filter(|(id, wait)| {
        let kind = model.sites.of(*id).kind;
        raw.threads.contains(&wait.thread)
            && matches!(kind, WaitKind::Harm(Cause::Futex, _))
            && raw.span.intersect(wait.span).is_none()
    });
    let wakeups = others.filter_map(|(id, _)| model.wakeup(id));
    let by_task: Vec<bool> = wakeups
        .filter(|wakeup| wakeup.context == Context::Task)
        .map(|wakeup| wakeup.waker == Some(thread))
        .collect();
    let by_it = by_task.iter().filter(|&&by_it| by_it).count();
    (by_task.len() >= HABIT).then(|| by_it as f64 / by_task.len() as f64)
}

/// Whether most of those who waited in a window for a futex are never seen to rest elsewhere.
pub(crate) fn rest_there(model: &Model<'_>, raw: &RawWindow) -> bool {
    let elsewhere = raw.threads.iter().filter(|&&thread| rests_elsewhere(model, thread));
    elsewhere.count() * 2 < raw.threads.len()
}

/// Whether a thread is seen to rest otherwise than until others let it on: where all that it ever waits for is that, it is how it
/// rests.
pub(crate) fn rests_elsewhere(model: &Model<'_>, thread: ThreadId) -> bool {
    model.states.of(thread).iter().any(|slice| match slice.doing {
        Doing::Blocked(id) => match model.sites.of(id).kind {
            WaitKind::Idle => true,
            // A sleep of a program's own making.
            WaitKind::Harm(Cause::Futex, _) => {
                model.wakeup(id).is_some_and(|wakeup| wakeup.context != Context::Task)
            }
            WaitKind::Harm(..) | WaitKind::Other => false,
        },
        Doing::Running | Doing::Runnable(_) => false,
    })
}

/// Whether a thread slept by its own wish through most of a window.
pub(crate) fn slept(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    let time = model.states.time(thread, raw.span, |doing| match doing {
        Doing::Blocked(id) => model.sites.name(model.sites.of(id)) == "sleep",
        _ => false,
    });
    time.share_of(raw.span.duration()) > 0.5
}
