//! Futex waits that come back at the same length: a program's rhythm, not a freeze.
//!
//! A pool that is handed work every second and a half rests for a second and a half in between, and a program that
//! computes alone between two parallel parts lets its helpers rest as long each time. Whoever brings the work
//! then sleeps, or wakes the others itself; whoever holds a lock does neither as a rule.

use coldcase_ingest::capture::{Context, Nanos, ThreadId};

use crate::blame;
use crate::findings::{Cause, Window};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::states::{Doing, WaitId};
use crate::verdict::at_rest;
use crate::verdict::culprit::Suspect;
use crate::windows::RawWindow;
use crate::windows::habits::HABIT;
use crate::windows::harms::Harm;

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
    // A runtime's pauses come back at the same length, too, and bring nobody any work.
    culprit.is_none_or(|culprit| {
        !runtimes::is_collector(model, culprit)
            && (at_rest::wakes_them_itself(model, raw, culprit) || slept(model, raw, culprit))
    })
}

/// Whether a thread is the one who brings the others their work: it ended most of their waits in a window itself, and most
/// of their waits at other times too. A lock goes from hand to hand, and its holder of today is not everyone's waker. Who makes a
/// runtime's pauses ends all of them, and brings no work.
pub(crate) fn feeds(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    !runtimes::is_collector(model, thread)
        && at_rest::wakes_them_itself(model, raw, thread)
        && usual_share(model, raw, thread).is_some_and(|share| share > 0.5)
}

/// Whether a thread is one of several who bring the others their work: most of their waits at other times were ended by such as rest
/// elsewhere, of which it is one, while those who waited rest there. Who compete for a lock rest alike.
pub(crate) fn feeds_with_others(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    const ELSEWHERE: u64 = 10;
    if !rest_there(model, raw) {
        return false;
    }
    let [there, elsewhere] = model.rests();
    let brings = |waker: &ThreadId| {
        let (there, elsewhere) = (there[waker.index()], elsewhere[waker.index()]);
        elsewhere > 0 && there * ELSEWHERE <= elsewhere
    };
    let wakers = usual_wakers(model, raw);
    let bringing: Vec<ThreadId> = wakers.iter().flatten().copied().filter(brings).collect();
    wakers.len() >= HABIT && bringing.len() * 2 > wakers.len() && bringing.contains(&thread)
}

/// How many of the waits of those who waited in a window this thread ended at other times; `None` if too few were ended by
/// any to say.
pub(crate) fn usual_share(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Option<f64> {
    let wakers = usual_wakers(model, raw);
    let by_it = wakers.iter().filter(|&&waker| waker == Some(thread)).count();
    (wakers.len() >= HABIT).then(|| by_it as f64 / wakers.len() as f64)
}

/// Who ended the waits for futexes of those who waited in a window, at other times.
fn usual_wakers(model: &Model<'_>, raw: &RawWindow) -> Vec<Option<ThreadId>> {
    let others = model.states.waits().filter(|(id, wait)| {
        let kind = model.sites.of(*id).kind;
        raw.threads.contains(&wait.thread)
            && matches!(kind, WaitKind::Harm(Cause::Futex, _))
            && raw.span.intersect(wait.span).is_none()
    });
    let wakeups = others.filter_map(|(id, _)| model.wakeup(id));
    let by_task = wakeups.filter(|wakeup| wakeup.context == Context::Task);
    by_task.map(|wakeup| wakeup.waker).collect()
}

/// Whether most of those who waited in a window for a futex are never seen to rest elsewhere.
pub(crate) fn rest_there(model: &Model<'_>, raw: &RawWindow) -> bool {
    let elsewhere = raw.threads.iter().filter(|&&thread| rests_elsewhere(model, thread));
    elsewhere.count() * 2 < raw.threads.len()
}

/// Whether those who waited in a window for a futex do so at most once where they rest ten times elsewhere: that is how a lock is
/// waited for that is free as a rule. Where threads take turns at waiting for requests, those whose turn it is not wait each time.
pub(crate) fn hardly_ever_rest_there(model: &Model<'_>, raw: &RawWindow) -> bool {
    const ELSEWHERE: u64 = 10;
    let of_these =
        |waits: &Vec<u64>| -> u64 { raw.threads.iter().map(|thread| waits[thread.index()]).sum() };
    let [there, elsewhere] = model.rests();
    of_these(there) * ELSEWHERE <= of_these(elsewhere)
}

/// Whether a thread is seen to rest otherwise than until others let it on: where all that it ever waits for is that, it is how it
/// rests.
pub(crate) fn rests_elsewhere(model: &Model<'_>, thread: ThreadId) -> bool {
    model.states.of(thread).iter().any(|slice| match slice.doing {
        Doing::Blocked(id) => match model.sites.of(id).kind {
            WaitKind::Idle => true,
            WaitKind::Harm(..) | WaitKind::Other => runs_out(model, id),
        },
        Doing::Running | Doing::Runnable(_) => false,
    })
}

/// Whether a thread slept by its own wish through most of a window. A wait for a condition that nobody signals until its time is
/// out is how Java sleeps.
pub(crate) fn slept(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    let time = model.states.time(thread, raw.span, |doing| match doing {
        Doing::Blocked(id) => {
            model.sites.name(model.sites.of(id)) == "sleep" || runs_out(model, id)
        }
        Doing::Running | Doing::Runnable(_) => false,
    });
    time.share_of(raw.span.duration()) > 0.5
}

/// Whether the one at whom a window's waiting, `total` in all, seems to end did not sleep through it, or may have done so with the
/// lock for which the others waited: most of the waiting and that of most of them ends at it, and if they waited at futexes before,
/// they did often enough to say who lets them on as a rule.
pub(crate) fn may_have_kept_them(
    model: &Model<'_>,
    raw: &RawWindow,
    suspect: &Suspect,
    total: Nanos,
) -> bool {
    let thread = suspect.thread;
    let ends_at_it = |waiter: &ThreadId| {
        let own: Vec<Harm> =
            raw.harms.iter().filter(|harm| harm.thread == *waiter).copied().collect();
        let (leaves, total) = blame::of(model, &own);
        let leaves = leaves.iter().filter(|leaf| blame::root_thread(leaf.root) == Some(thread));
        leaves.map(|leaf| leaf.time).sum::<Nanos>().share_of(total) > 0.5
    };
    let others = || raw.stood_still().filter(|&waiter| waiter != thread);
    !slept(model, raw, thread)
        || suspect.has_most(total)
            && !(1..HABIT).contains(&usual_wakers(model, raw).len())
            && others().filter(ends_at_it).count() * 2 > others().count()
}

/// Whether a wait is for a futex, and an interrupt ended it: a timer.
fn runs_out(model: &Model<'_>, wait: WaitId) -> bool {
    let by_interrupt = || model.wakeup(wait).is_some_and(|end| end.context != Context::Task);
    model.sites.of(wait).is_harm_by(Cause::Futex) && by_interrupt()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::analyze;
    use crate::findings::{Findings, Grade};
    use crate::script::{self, FUTEX, SLEEPS, WAKES};

    /// What is found of a process of m, x, a, b, c and d after `events`; who is woken by nobody is woken by a timer.
    fn found(events: &[String]) -> Findings {
        let threads = ['m', 'x', 'a', 'b', 'c', 'd'].map(|letter| (letter, "serve"));
        let capture = script::process(Capture::default(), &threads);
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        analyze(&capture, &script::options())
    }

    /// Twenty rounds in which a to d wait for 5 ms until m lets a on, and each the next; they may sleep in between.
    fn rounds(sleep: bool) -> Vec<String> {
        let mut events = vec!["0 .m".to_owned(), "0 .x".to_owned()];
        for at in (0..400).step_by(20) {
            events.extend(('a'..='d').map(|t| format!("{}ms {t}>- S {FUTEX}", at + 1)));
            let next = "mabc".chars().zip("abcd".chars());
            events.extend(
                next.map(|(by, t)| format!("{}ms {by}!{t} {WAKES},{}ms ->{t}", at + 6, at + 6)),
            );
            if sleep {
                events.extend(('a'..='d').map(|t| format!("{}ms {t}>- S {SLEEPS}", at + 8)));
                events.extend(
                    ('a'..='d').map(|t| format!("{}ms w:{t},{}ms ->{t}", at + 12, at + 12)),
                );
            }
        }
        events
    }

    #[test]
    fn who_sleeps_until_a_time_runs_out_brings_work_to_those_who_rest_nowhere_else() {
        // As Java sleeps, m waits for a condition for 400 ms. Then it lets all of them on.
        let culprits = |sleep| {
            let mut events = rounds(sleep);
            events.extend(('a'..='d').map(|t| format!("401ms {t}>- S {FUTEX}")));
            events.push(format!("402ms m>- S {FUTEX},802ms w:m,802ms ->m"));
            events.extend(('a'..='d').map(|t| format!("803ms m!{t} {WAKES},803ms ->{t}")));
            events.extend(('a'..='d').map(|t| format!("805ms {t}>- S {FUTEX}")));
            events.push("806ms .m".to_owned());
            let windows = found(&events).windows.into_iter();
            let who = |window: crate::findings::Window| {
                (window.culprit.and_then(|who| who.thread.tid), window.grade)
            };
            windows.map(who).collect::<Vec<_>>()
        };
        assert_eq!(culprits(false), []);
        // Those who rest elsewhere may wait for a lock that m keeps in its sleep, or for work.
        assert_eq!(culprits(true), [(Some(script::tid('m')), Grade::Circumstantial)]);
    }

    #[test]
    fn who_sleeps_and_lets_on_few_of_those_who_wait_had_no_lock_of_theirs() {
        // a waits for 1 s until m comes back from a sleep; b, c and d for a lock that a hands on, or for x, who runs.
        let culprit = |wakers: &str| {
            let mut events = rounds(true);
            events.push(format!("401ms m>- S {SLEEPS}"));
            let begins = |t| if t == 'a' { 402 } else { 1201 };
            events.extend(('a'..='d').map(|t| format!("{}ms {t}>- S {FUTEX}", begins(t))));
            events.push("1402ms w:m,1402ms ->m".to_owned());
            let ends = wakers.chars().zip("abcd".chars());
            events.extend(ends.map(|(by, t)| format!("1403ms {by}!{t} {WAKES},1403ms ->{t}")));
            events.extend(('a'..='d').map(|t| format!("1405ms {t}>- S {SLEEPS}")));
            events.push("1406ms .m".to_owned());
            let findings = found(&events);
            findings.worst().map(|window| window.culprit.as_ref().and_then(|who| who.thread.tid))
        };
        assert_eq!(culprit("mabc"), Some(Some(script::tid('m'))));
        assert_eq!(culprit("mxxx"), Some(Some(script::tid('x'))));
    }

    #[test]
    fn pauses_of_a_runtime_that_take_as_long_each_time_are_freezes_and_rounds_of_work_are_none() {
        let windows = |maker: &str| {
            let workers = [('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
            let mut threads = vec![('m', maker)];
            threads.extend(workers);
            let mut events = vec!["0 .m".to_owned()];
            let sleep = |events: &mut Vec<String>, from: u64| {
                for at in (from..from + 200).step_by(10) {
                    events.extend(('a'..='d').map(|t| format!("{at}ms {t}>m S {SLEEPS}")));
                    events.extend(
                        ('a'..='d').map(|t| format!("{}ms w:{t},{}ms ->{t}", at + 5, at + 5)),
                    );
                }
            };
            for from in (0..5).map(|round| 1 + 300 * round) {
                sleep(&mut events, from);
                if from < 1201 {
                    events.extend(('a'..='d').map(|t| format!("{}ms {t}>m S {FUTEX}", from + 200)));
                    let at = from + 280;
                    events
                        .extend(('a'..='d').map(|t| format!("{at}ms m!{t} {WAKES},{at}ms ->{t}")));
                }
            }
            events.push("1410ms .m".to_owned());
            let capture = script::process(Capture::default(), &threads);
            let mut capture = script::record(capture, &events.join(","));
            script::woken_by_timers(&mut capture);
            analyze(&capture, &script::options()).windows.len()
        };
        assert_eq!(windows("VM Thread"), 4);
        assert_eq!(windows("serve"), 0);
    }
}
