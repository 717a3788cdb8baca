//! Waits at a mutex that its holder uses as a gate.
//!
//! A mutex that a thread keeps while it goes round its event loop, again and again and at no other pace than else, is not in its way:
//! it keeps others from running until there is work for them. Redis parks its I/O threads so (`stopThreadedIO`,
//! `src/networking.c`). Who keeps a lock by mistake computes with it, or stands somewhere.
//!
//! What is a gate once is one when its keeper has a long request between two rounds, too: those behind it still wait for what
//! it will hand out, and what it keeps waiting are its clients.

use std::collections::BTreeSet;

use coldcase_ingest::capture::{Capture, Context, Nanos, StackId, ThreadId};

use crate::findings::Cause;
use crate::rules::WaitKind;
use crate::sites::{Site, Sites};
use crate::states::{Doing, ThreadStates, WaitId};
use crate::windows::habits::HABIT;

/// What such waits are called.
pub(crate) const SITE: &str = "parked at a mutex";
/// The rules' names for waits of an event loop.
const LOOPS: [&str; 2] = ["epoll", "poll, select"];

/// The waits for known mutexes that a thread ended which went round its event loop all the while; and those of the same threads from
/// the same places that had not ended when the recording did, or that the same thread ended and went round its loop
/// many times, if not all the while.
pub(crate) fn parked(capture: &Capture, states: &ThreadStates, sites: &Sites) -> Vec<WaitId> {
    let is_mutex = |site: &Site| site.known_lock && site.is_harm_by(Cause::Futex);
    let mut found = Vec::new();
    let mut places: BTreeSet<(ThreadId, StackId)> = BTreeSet::new();
    let mut gates: BTreeSet<(ThreadId, StackId, ThreadId)> = BTreeSet::new();
    let mut in_part = Vec::new();
    for (id, wait) in states.waits().filter(|(id, _)| is_mutex(sites.of(*id))) {
        let Some(rounds) = rounds(capture, states, sites, id).filter(|it| it.times >= HABIT) else {
            continue;
        };
        if rounds.all_the_while {
            found.push(id);
            places.extend(wait.stack.map(|stack| (wait.thread, stack)));
            gates.extend(wait.stack.map(|stack| (wait.thread, stack, rounds.keeper)));
        } else {
            in_part.extend(wait.stack.map(|stack| (id, (wait.thread, stack, rounds.keeper))));
        }
    }
    if found.is_empty() {
        return found;
    }
    found.extend(in_part.into_iter().filter(|(_, at)| gates.contains(at)).map(|(id, _)| id));
    let not_ended = states.waits().filter(|(id, wait)| {
        wait.open_end
            && is_mutex(sites.of(*id))
            && wait.stack.is_some_and(|stack| places.contains(&(wait.thread, stack)))
    });
    found.extend(not_ended.map(|(id, _)| id));
    found.sort_unstable();
    found
}

/// How the one who ended a wait went round its event loop meanwhile.
struct Rounds {
    keeper: ThreadId,
    /// How often it rested in it.
    times: usize,
    /// Neither a rest nor the time without one took half of the wait.
    all_the_while: bool,
}

/// The rounds of the one who ended a wait, if that was a thread of the same process.
fn rounds(capture: &Capture, states: &ThreadStates, sites: &Sites, id: WaitId) -> Option<Rounds> {
    let wait = states.wait(id);
    let threads = &capture.threads;
    let wakeup = wait.wakeup.map(|wakeup| wakeup.of(capture));
    let keeper = wakeup
        .filter(|wakeup| wakeup.context == Context::Task)
        .and_then(|wakeup| wakeup.waker)
        .filter(|&waker| threads.get(waker).process == threads.get(wait.thread).process)?;
    // The longest rest, and the longest time without one.
    let (mut times, mut longest, mut last) = (0, Nanos::ZERO, wait.span.start);
    for slice in states.within(keeper, wait.span) {
        let Doing::Blocked(rest) = slice.doing else { continue };
        let site = sites.of(rest);
        if let Some(rest) = slice.span.intersect(wait.span)
            && site.kind == WaitKind::Idle
            && LOOPS.contains(&sites.name(site))
        {
            times += 1;
            longest = longest.max(rest.duration()).max(rest.start.since(last));
            last = rest.end;
        }
    }
    longest = longest.max(wait.span.end.since(last));
    let all_the_while = longest.share_of(wait.span.duration()) < 0.5;
    Some(Rounds { keeper, times, all_the_while })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    const LOCK: &str =
        "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex<user:__lll_lock_wait";
    const WAKES: &str = "try_to_wake_up<wake_up_q<futex_wake<do_futex<user:__lll_lock_wake";

    /// The freezes of a server of which a, b and c spin for work, and at last wait for 200 ms for a mutex that m lets go, which
    /// meanwhile does this; then they wait for it again.
    fn freezes(meanwhile: &str) -> usize {
        freezes_with(meanwhile, "304ms m>- S POLL,604ms ->m,605ms .m")
    }

    /// The same, with what m does while they wait for it again.
    fn freezes_with(meanwhile: &str, then: &str) -> usize {
        let (sleeps, poll) = ("schedule<do_nanosleep", "schedule<ep_poll<do_epoll_wait");
        let names: Vec<(char, &str)> = "mabc".chars().map(|t| (t, "server")).collect();
        let capture = script::process(Capture::default(), &names);
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(5) {
            events.push(format!("{}ms m>- S {poll}", at + 1));
            events.extend("abc".chars().map(|t| format!("{}ms {t}>- S {sleeps}", at + 1)));
            events.extend("mabc".chars().map(|t| format!("{}ms ->{t}", at + 2)));
        }
        events.extend("abc".chars().map(|t| format!("101ms {t}>- S {LOCK}")));
        events.push(meanwhile.replace("POLL", poll));
        events.extend("abc".chars().map(|t| format!("301ms m!{t} {WAKES},302ms ->{t}")));
        events.extend("abc".chars().map(|t| format!("303ms {t}>- S {LOCK}")));
        events.push(then.replace("POLL", poll));
        let capture = script::record(capture, &events.join(","));
        crate::analyze(&capture, &script::options()).windows.len()
    }

    #[test]
    fn who_keeps_a_mutex_through_many_rounds_of_its_event_loop_parks_those_who_wait_for_it() {
        let round = |at: u64| format!("{at}ms m>- S POLL,{}ms ->m", at + 8);
        let rounds: Vec<String> = (102..300).step_by(10).map(round).collect();
        assert_eq!(freezes(&rounds.join(",")), 0);
        // Who computes with it, or waits for one answer, keeps them from their work.
        assert_ne!(freezes("102ms .m"), 0);
        let at_last: Vec<String> = (102..160).step_by(7).map(round).collect();
        assert_ne!(freezes(&at_last[..4].join(",")), 0);
    }

    #[test]
    fn a_long_request_between_two_rounds_does_not_make_a_lock_of_a_gate() {
        // Behind what m does until 301 ms; then a, b and c wait until 605 ms, through ten rounds and a request of 200 ms.
        let computes = "304ms m>- S POLL,604ms ->m,605ms .m";
        let round = |at: u64| format!("{at}ms m>- S POLL,{}ms ->m", at + 8);
        let rounds =
            |from: u64, to| (from..to).step_by(10).map(round).collect::<Vec<_>>().join(",");
        let ends: Vec<String> =
            "abc".chars().map(|t| format!("605ms m!{t} {WAKES},606ms ->{t}")).collect();
        let ends = format!("{},607ms .m", ends.join(","));
        let then = format!("{},{ends}", rounds(304, 404));
        assert_eq!(freezes_with(&rounds(102, 300), &then), 0);
        // Nothing says that it is a gate.
        assert_ne!(freezes_with("102ms .m", &then), 0);
        // Between no rounds it computes with the lock.
        assert_ne!(freezes_with(&rounds(102, 300), &ends), 0);
        assert_eq!(freezes_with(&rounds(102, 300), computes), 0);
    }
}
