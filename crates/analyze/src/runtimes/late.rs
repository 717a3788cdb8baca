//! Threads that come late to a pause of their runtime.
//!
//! A runtime that stops a program's threads waits until the last of them has looked whether it is to stop. Who runs a loop
//! without such a look keeps all others standing, and they, and the one who makes the pause, wait for it:
//!
//! ```text
//! asks for the pause:   |- stops others -|~~~ looks again and again ~~~| pause |
//! the others:                |------------ wait ------------------------------|
//! the late one:         |-------------- computes ----------------------| waits |
//! ```
//!
//! HotSpot's VM thread looks by sleeping for up to a millisecond at a time (`SafepointSynchronize`'s `back_off`,
//! `share/runtime/safepoint.cpp`; until JDK 12 in `begin`), and does so for nothing else. Go's `stopTheWorldWithSema`
//! (`runtime/proc.go`) waits 100 µs at a time, and is let on by the last one.

use coldcase_ingest::capture::{Capture, Nanos, Span, StackId, ThreadId};

use crate::findings::Cause;
use crate::holds::series::Series;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::sites::Sites;
use crate::states::{Doing, ThreadStates, WaitId};
use crate::windows::habits::{FACTOR, HABIT, usual};

/// The rules' names for waits in Go's scheduler.
const GO_STOPS: &str = "wait to stop Go's world";
/// What waits in a stopped world are called.
pub(crate) const GO_STOPPED: &str = "Go's stop of the world";
const GO_RESTS: &str = "idle thread of Go's scheduler";

/// Who came late to a pause, and when the one who makes it waited for that.
#[derive(Clone, Copy)]
pub(crate) struct Late {
    pub thread: ThreadId,
    pub span: Span,
    /// Where it was when it stopped.
    pub stack: Option<StackId>,
}

/// Who came late to HotSpot's pauses, each found once: a thousand threads may have waited in one.
#[derive(Default)]
pub(crate) struct Latecomers(Vec<(ThreadId, Span, Option<Late>)>);

impl Latecomers {
    /// When HotSpot's VM thread `asks` waited within a span before it could begin its pause, and for whom, if only one thread
    /// can have been late.
    pub fn of(
        &mut self,
        model: &Model<'_>,
        asks: ThreadId,
        span: Span,
    ) -> Option<(Span, Option<Late>)> {
        let waited = looks_again(model, asks, span)?;
        let known = self.0.iter().find(|(by, when, _)| (*by, *when) == (asks, waited));
        if let Some((.., late)) = known {
            return Some((waited, *late));
        }
        let late = only_late(model, asks, waited);
        self.0.push((asks, waited, late));
        Some((waited, late))
    }
}

/// The one thread that stopped when the VM thread had looked for the last time; two that fit are none.
fn only_late(model: &Model<'_>, asks: ThreadId, waited: Span) -> Option<Late> {
    let threads = &model.capture.threads;
    let others = threads.process_of(asks).threads.iter().copied();
    let mut late =
        others.filter(|&thread| thread != asks && !runtimes::is_helper(model, thread)).filter_map(
            |thread| Some(Late { thread, span: waited, stack: stops(model, thread, waited)? }),
        );
    late.next().filter(|_| late.next().is_none())
}

/// When a thread did nothing but sleep for a moment again and again.
fn looks_again(model: &Model<'_>, thread: ThreadId, span: Span) -> Option<Span> {
    /// It sleeps for a millisecond, and then waits for a CPU.
    const MOMENT: Nanos = Nanos(10_000_000);
    /// Fewer are over before anybody has noticed.
    const TIMES: usize = 5;
    let is_sleep = |id: WaitId| {
        let length = model.states.wait(id).span.duration();
        length < MOMENT && model.sites.name(model.sites.of(id)) == "sleep"
    };
    let mut looks: Vec<Span> = Vec::new();
    for slice in model.states.within(thread, span) {
        match slice.doing {
            Doing::Blocked(id) if is_sleep(id) => looks.push(slice.span),
            // Before that it stopped the others. Where an event was lost, one of its sleeps looks like something else.
            Doing::Blocked(_) if looks.len() < TIMES => looks.clear(),
            Doing::Blocked(_) | Doing::Running | Doing::Runnable(_) => {}
        }
    }
    let whole = looks.first()?.hull(*looks.last()?);
    (looks.len() >= TIMES).then_some(whole)
}

/// Where a thread stopped that had not been at rest, or at a lock, while another looked again and again whether it had
/// stopped; `None` if it did not stop when that one had seen enough.
fn stops(model: &Model<'_>, thread: ThreadId, looks: Span) -> Option<Option<StackId>> {
    /// Who looks does so once in a millisecond, and may then have to wait for a CPU.
    const SOON: Nanos = Nanos(5_000_000);
    let at_work = model.states.time(thread, looks, |doing| match doing {
        Doing::Running | Doing::Runnable(_) => true,
        Doing::Blocked(id) => {
            matches!(model.sites.of(id).kind, WaitKind::Harm(cause, _) if cause != Cause::Futex)
        }
    });
    if at_work.share_of(looks.duration()) < 0.9 {
        return None;
    }
    let end = Span::new(looks.end.minus(SOON), looks.end.plus(SOON));
    model.states.within(thread, end).find_map(|slice| match slice.doing {
        Doing::Blocked(id)
            if model.sites.of(id).is_harm_by(Cause::Futex) && end.contains(slice.span.start) =>
        {
            Some(model.states.wait(id).stack)
        }
        _ => None,
    })
}

/// The waits of idle threads of Go's scheduler that nobody could have ended, because the world was to be stopped: of those who
/// else rest for a moment at a time.
pub(crate) fn in_stopped_worlds(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    series: &Series,
) -> Vec<WaitId> {
    let (Some(stops), Some(rests)) = (sites.number(GO_STOPS), sites.number(GO_RESTS)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let asked = series.iter().filter(|row| sites.of(row.waits[0]).number() == stops);
    for row in asked.filter(|row| row.span.duration() >= NOTICED) {
        let others = capture.threads.process_of(row.thread).threads.iter();
        for &thread in others.filter(|&&thread| thread != row.thread) {
            let (mut meanwhile, mut usually) = (Vec::new(), Vec::new());
            for slice in states.of(thread).iter() {
                let Doing::Blocked(id) = slice.doing else { continue };
                if sites.of(id).number() != rests {
                    continue;
                }
                if slice.span.overlap(row.span).share_of(row.span.duration()) > 0.9 {
                    meanwhile.push(id);
                } else {
                    usually.push(slice.span.duration().0);
                }
            }
            usually.sort_unstable();
            let long = usual(&usually).saturating_mul(FACTOR);
            // Who had rested for long before went on with that.
            let began_then = |id: &&WaitId| {
                let wait = states.wait(**id).span;
                wait.duration().0 >= long && row.span.duration().share_of(wait.duration()) > 0.9
            };
            if usually.len() >= HABIT {
                found.extend(meanwhile.iter().filter(began_then));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A stop of the world takes some microseconds; nobody notices one of a few milliseconds.
const NOTICED: Nanos = Nanos(20_000_000);

/// Whether `waker`, who ended a wait in a world that was to be stopped, was the last to come to that.
pub(crate) fn ends_stop_of_world(model: &Model<'_>, wait: WaitId, waker: ThreadId) -> bool {
    let site = |id| model.sites.name(model.sites.of(id));
    let wait_of = |id| model.states.wait(id);
    if site(wait) != GO_STOPPED {
        return site(wait) == GO_STOPS;
    }
    let process = |thread| model.capture.threads.get(thread).process;
    let (home, span) = (process(wait_of(wait).thread), wait_of(wait).span);
    model.series.iter().any(|row| {
        let ended_by = row.waits.last().and_then(|&last| model.wakeup(last)?.waker);
        ended_by == Some(waker)
            && process(row.thread) == home
            && site(row.waits[0]) == GO_STOPS
            && row.span.overlap(span).share_of(span.duration()) > 0.5
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{Findings, Operation};
    use crate::script::{self, FUTEX, SLEEPS, WAKES};

    /// What is found of a process in which a, b and c wait in `rests` for 5 ms ten times before `then`.
    fn found(names: &[(char, &str)], rests: &str, then: &[String]) -> Findings {
        let capture = script::process(Capture::default(), names);
        let mut events = vec!["0 .k".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend(('a'..='c').map(|thread| format!("{}ms {thread}>- S {rests}", at + 1)));
            events.extend(('a'..='c').map(|thread| format!("{}ms ->{thread}", at + 6)));
        }
        events.extend_from_slice(then);
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        crate::analyze(&capture, &script::options())
    }

    fn culprit(findings: &Findings) -> Option<(Option<i32>, Option<Operation>)> {
        let culprit = findings.worst()?.culprit.as_ref()?;
        Some((culprit.thread.tid, culprit.operation))
    }

    /// A pause of Java's for which all stop at 101 ms; k does something until 300 ms, and the pause lasts until 305 ms.
    fn pause(k: &str) -> Option<(Option<i32>, Option<Operation>)> {
        let names =
            [('v', "VM Thread"), ('k', "counter"), ('a', "java"), ('b', "java"), ('c', "java")];
        let mut then: Vec<(u64, String)> =
            ('a'..='c').map(|thread| (101, format!("{thread}>- S {FUTEX}"))).collect();
        then.push((101, "->v".to_owned()));
        for at in (102..=300).step_by(2) {
            then.push((at, format!("v>- S {SLEEPS}")));
            then.push((at + 1, "->v".to_owned()));
        }
        let own = k.split(',').filter(|event| !event.is_empty());
        then.extend(own.filter_map(|event| {
            let (time, what) = event.split_once("ms ")?;
            Some((time.parse().ok()?, what.to_owned()))
        }));
        for thread in ['a', 'b', 'c', 'k'] {
            then.push((305, format!("v!{thread} {WAKES}")));
            then.push((306, format!("->{thread}")));
        }
        then.sort_by_key(|&(time, _)| time);
        let then: Vec<String> =
            then.into_iter().map(|(time, what)| format!("{time}ms {what}")).collect();
        culprit(&found(&names, SLEEPS, &then))
    }

    #[test]
    fn who_stops_last_kept_the_vm_from_its_pause() {
        let late = (Some(script::tid('k')), Some(Operation::LateToPause));
        assert_eq!(pause(&format!("300ms k>- S {FUTEX}")), Some(late));
    }

    #[test]
    fn who_rests_or_runs_on_is_not_waited_for_and_the_vm_thread_waits_too() {
        assert_eq!(pause(&format!("101ms k>- S {SLEEPS},300ms ->k,300ms k>- S {FUTEX}")), None);
        // In native code nobody has to stop.
        assert_eq!(pause(""), None);
        assert_eq!(pause(&format!("200ms k>- S {FUTEX}")), None);
    }

    #[test]
    fn who_ends_the_wait_to_stop_gos_world_came_late() {
        let names = ["go"; 5];
        let names: Vec<(char, &str)> = "ksabc".chars().zip(names).collect();
        let rests = format!("{FUTEX}<user:runtime.stopm");
        let wait = |stops: bool| {
            let mut then: Vec<String> = vec!["100ms ->s".to_owned()];
            then.extend(('a'..='c').map(|thread| format!("101ms {thread}>- S {rests}")));
            for at in (102..298).step_by(2).filter(|_| stops) {
                then.push(format!("{at}ms s>- S {FUTEX}<user:runtime.stopTheWorldWithSema"));
                then.push(format!("{}ms w:s,{}ms ->s", at + 1, at + 1));
            }
            then.push(format!("298ms s>- S {FUTEX}<user:runtime.stopTheWorldWithSema"));
            then.push(format!("300ms k!s {WAKES},300ms ->s,300ms k>- S {rests}"));
            for (waker, thread) in [('s', 'a'), ('a', 'b'), ('b', 'c'), ('c', 'k')] {
                then.push(format!("301ms {waker}!{thread} {WAKES},301ms ->{thread}"));
            }
            found(&names, &rests, &then)
        };
        let found = wait(true);
        let late = (Some(script::tid('k')), Some(Operation::LateToPause));
        assert_eq!(culprit(&found), Some(late));
        assert_eq!(found.worst().map(|window| window.freeze.threads_blocked), Some(4));
        // Without a stop of the world they rest.
        assert!(wait(false).windows.is_empty());
    }
}
