//! Threads that waited for long until one that had rested let them on, and that is not the one who brings their work.
//!
//! A client that is idle in an open transaction keeps its locks in a thread that waits for the next request. The kernel shows
//! rest there, and those who wait for the lock look like a pool that waits for work. A request tells them apart: one that
//! has come to a thread, and is not answered when that begins to wait, is no rest. Where there is none to be seen, all that
//! can be said is that the one at rest seldom wakes the others.

use coldcase_ingest::capture::{Nanos, Sentence, Span, ThreadId, Timestamp, Wakeup};

use crate::blame::{self, Leaf, Root};
use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::options::Options;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::tally::Tally;
use crate::verdict::at_rest;
use crate::windows::rhythm;
use crate::windows::{self, RawWindow, SEVERAL};
use crate::{names, view};

/// Where the rules' names say that a thread with one client waits for it. An event loop, which has many, waits in epoll.
const FOR_A_CLIENT: [&str; 2] = ["poll, select", "socket receive"];
/// Data that come to a socket: `net/unix/af_unix.c`, `net/ipv4/tcp_input.c`. A new connection comes by other ways, and who
/// takes those hands out work.
const DATA_COME: [&str; 3] = ["unix_stream_sendmsg", "tcp_rcv_established", "tcp_data_queue"];
/// Data that a thread sends: the same, and `net/ipv4/tcp.c`.
const SENDS: [&str; 3] = ["unix_stream_sendmsg", "tcp_sendmsg", "sock_write_iter"];

/// The thread that kept a lock while it waited for its client, with the freeze of those whom it let on when that had sent
/// something; `None` if they may as well have rested.
pub(crate) fn find(model: &Model<'_>, raw: &RawWindow) -> Option<(ThreadId, RawWindow)> {
    let ends_at: Vec<(ThreadId, ThreadId)> = raw
        .threads
        .iter()
        .filter_map(|&thread| Some((thread, ends_at(model, raw, thread)?)))
        .collect();
    let by_keeper: Tally<ThreadId> =
        ends_at.iter().map(|&(_, keeper)| (keeper, Nanos(1))).collect();
    let (keeper, _) = by_keeper.largest()?;
    if rhythm::usual_share(model, raw, keeper).is_none_or(|share| share > 0.5) {
        return None;
    }
    let of_keeper = ends_at.into_iter().filter(|&(_, by)| by == keeper).map(|(thread, _)| thread);
    let owe = most_of_whom_owe_an_answer(model, raw, of_keeper)?;
    Some((keeper, raw.of(owe)))
}

/// Those of some threads that owe an answer, if several and most do.
fn most_of_whom_owe_an_answer(
    model: &Model<'_>,
    raw: &RawWindow,
    threads: impl Iterator<Item = ThreadId>,
) -> Option<Vec<ThreadId>> {
    let (owe, rest): (Vec<_>, Vec<_>) =
        threads.partition(|&thread| owes_an_answer(model, raw, thread));
    (owe.len() >= SEVERAL && owe.len() > rest.len()).then_some(owe)
}

/// That a holder waited for its client through most of a freeze, if it did.
pub(crate) fn reason(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Option<Sentence> {
    let time = model.states.time(
        holder,
        raw.span,
        |doing| matches!(doing, Doing::Blocked(id) if has_sent(model, id)),
    );
    let share = time.share_of(raw.span.duration());
    if share <= 0.5 {
        return None;
    }
    // Who asks another process under its lock waits just so. Only servers have clients.
    most_of_whom_owe_an_answer(model, raw, raw.threads.iter().copied()).map(|_| {
        let name = view::thread_name(model.capture, holder);
        Sentence::default().task(&name.comm).words(&format!(
            " kept the lock while it waited for its client, {:.0} % of the time, and released it when that had sent something; those \
             who stood still had requests of their own to answer",
            100.0 * share
        ))
    })
}

/// The one at whose wait for its client most of a thread's waiting ends.
fn ends_at(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Option<ThreadId> {
    let own = raw.harms.iter().filter(|harm| harm.thread == thread);
    let (leaves, total) = blame::of(model, &own.copied().collect::<Vec<_>>());
    let at_client = leaves.iter().filter_map(|leaf| match leaf.root {
        Root::Blocked(keeper, wait) if has_sent(model, wait) => Some((keeper, leaf.time)),
        _ => None,
    });
    let (keeper, time) = at_client.collect::<Tally<_>>().largest()?;
    (time.share_of(total) > 0.5).then_some(keeper)
}

/// Whether a wait was for a client, and that one's data ended it.
fn has_sent(model: &Model<'_>, wait: WaitId) -> bool {
    FOR_A_CLIENT.contains(&model.sites.name(model.sites.of(wait)))
        && model.wakeup(wait).is_some_and(|wakeup| passes(model, wakeup, &DATA_COME))
}

fn passes(model: &Model<'_>, wakeup: &Wakeup, functions: &[&str]) -> bool {
    let mut names = wakeup.stack.into_iter().flat_map(|stack| names::kernel(model.capture, stack));
    names.any(|name| functions.contains(&name))
}

/// Whether somebody waited for a thread while that waited in a window: its client did until it answered; or a request had come
/// before it began to wait, and it had sent nothing since.
fn owes_an_answer(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    let Some(first) = raw.waits().find(|&id| model.states.wait(id).thread == thread) else {
        return false;
    };
    let series = model.series.of(first).and_then(|series| series.waits.first().copied());
    let began = model.states.wait(series.unwrap_or(first)).span.start;
    has_a_request(model, thread, began)
        || is_waited_for(model, thread, Span::new(began, raw.span.end))
}

/// Whether a request had come to a thread when it began to wait, and it had sent nothing since.
fn has_a_request(model: &Model<'_>, thread: ThreadId, began: Timestamp) -> bool {
    let before = model.states.of(thread).iter().take_while(|slice| slice.span.end <= began);
    let last_rest = before.filter_map(|slice| match slice.doing {
        Doing::Blocked(id) if model.sites.of(id).kind == WaitKind::Idle => Some(id),
        _ => None,
    });
    let Some(rest) = last_rest.last().filter(|&id| has_sent(model, id)) else { return false };
    let came = model.states.wait(rest).span.end;
    let wakeups = &model.capture.wakeups;
    let from = wakeups.partition_point(|wakeup| wakeup.time < came);
    let since = wakeups[from..].iter().take_while(|wakeup| wakeup.time < began);
    let mut own = since.filter(|wakeup| wakeup.waker == Some(thread));
    !own.any(|wakeup| passes(model, wakeup, &SENDS))
}

/// Whether the first to whom a thread sent something after a span had waited for that through most of it.
fn is_waited_for(model: &Model<'_>, thread: ThreadId, span: Span) -> bool {
    /// No machine has more wakeups while a request is worked on.
    const MOST: usize = 1 << 14;
    let wakeups = &model.capture.wakeups;
    let from = wakeups.partition_point(|wakeup| wakeup.time < span.end);
    let mut after = wakeups[from..].iter().take(MOST);
    let answer = after.find(|wakeup| wakeup.waker == Some(thread) && passes(model, wakeup, &SENDS));
    answer.is_some_and(|answer| {
        model.states.within(answer.wakee, span).any(|slice| {
            let for_it = matches!(slice.doing, Doing::Blocked(id)
                if model.wakeup(id).is_some_and(|end| end.waker == Some(thread)));
            for_it && slice.span.overlap(span).share_of(span.duration()) > 0.8
        })
    })
}

/// What a lock looks like that somebody keeps at rest, where one may have been.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let found = windows::find(model, options).into_iter();
    let kept = found.filter(|raw| raw.cause == Cause::Futex && !raw.known_lock);
    let (raw, keeper) = kept
        .filter_map(|raw| {
            let keeper = keeper(model, &raw)?;
            Some((raw, keeper))
        })
        .max_by_key(|(raw, _)| raw.span.duration())?;
    let threads = &model.capture.threads;
    let missing = Sentence::from("names for the functions of ")
        .task(threads.process_comm(raw.process))
        .words(" (--symfs), which tell a lock from a queue: ")
        .words(&format!(
            "{} of its threads waited for a futex for {:.0} ms until thread {}, which rested meanwhile and seldom lets them \
             on, did so; a lock that an idle client keeps looks like this",
            raw.stood_still().count(),
            raw.span.duration().as_millis_f64(),
            threads.get(keeper).tid,
        ));
    Some(CannotTell { cause: Cause::Futex, missing })
}

/// The one at rest at whom most of the waiting ends, if it does not bring the others their work.
fn keeper(model: &Model<'_>, raw: &RawWindow) -> Option<ThreadId> {
    /// Who lets them on more often than that hands out work.
    const SELDOM: f64 = 0.1;
    let (leaves, total) = blame::of(model, &raw.harms);
    let at_rest = |leaf: &Leaf| match leaf.root {
        Root::Blocked(thread, wait) if model.sites.of(wait).kind == WaitKind::Idle => {
            Some((thread, leaf.time))
        }
        _ => None,
    };
    let (thread, time) = leaves.iter().filter_map(at_rest).collect::<Tally<_>>().largest()?;
    let usual = rhythm::usual_share(model, raw, thread)?;
    let keeps = time.share_of(total) > 0.5
        && usual < SELDOM
        && at_rest::wakes_them_itself(model, raw, thread);
    keeps.then_some(thread)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script::{self, FUTEX};

    /// Four threads wait for a futex until `waker` comes and lets them on.
    fn round(events: &mut Vec<String>, at: u64, length: u64, waker: char) {
        let end = at + length;
        events.extend(('a'..='d').map(|thread| format!("{at}ms {thread}>- S {FUTEX}")));
        events.push(format!("{end}ms ->{waker}"));
        events.extend(('a'..='d').map(|thread| format!("{end}ms {waker}!{thread} futex_wake")));
        events.extend(('a'..='d').map(|thread| format!("{end}ms ->{thread}")));
    }

    /// What is told of threads that `usually` lets on after 5 ms, twenty times, and that k lets on after 400 ms of rest.
    fn told(usually: char) -> Option<String> {
        let threads = ['m', 'k', 'a', 'b', 'c', 'd'].map(|letter| (letter, "db"));
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .m".to_owned(), "0 .k".to_owned()];
        for at in 0..20 {
            round(&mut events, 10 * at + 1, 5, usually);
        }
        events.push("200ms k>- S schedule<do_sys_poll".to_owned());
        round(&mut events, 205, 400, 'k');
        let capture = script::record(capture, &events.join(","));
        hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
    }

    #[test]
    fn who_rests_with_a_lock_is_told_from_who_hands_out_work() {
        let told_of_m = told('m').unwrap();
        assert!(told_of_m.contains("until thread 107, which rested meanwhile"), "{told_of_m}");
        assert_eq!(told('k'), None);
    }

    const SENT: &str = "try_to_wake_up<sock_def_readable<unix_stream_sendmsg";

    /// What is told of threads that answer a request of their client x every 10 ms, where one wakes the other, and that wait
    /// for 400 ms, if they have `answered` or not, until k, whose rest is ended by `how`, lets them on.
    fn found(answered: bool, how: &str) -> Option<(Option<i32>, u32)> {
        let threads = ['m', 'k', 'a', 'b', 'c', 'd'].map(|letter| (letter, "db"));
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .m".to_owned(), "0 .k".to_owned()];
        let polls = "S schedule<do_sys_poll";
        for at in (0..200).step_by(20) {
            round(&mut events, at + 1, 1, "abcd".chars().nth(at as usize / 20 % 4).unwrap());
            events.extend(('a'..='d').map(|t| format!("{}ms {t}!x {SENT}", at + 3)));
            events.extend(('a'..='d').map(|t| format!("{}ms {t}>- {polls}", at + 3)));
            events.extend(('a'..='d').map(|t| format!("{}ms x!{t} {SENT}", at + 19)));
            events.extend(('a'..='d').map(|t| format!("{}ms ->{t}", at + 19)));
        }
        events.push(format!("200ms k>- {polls}"));
        let answers = ('a'..='d').filter(|_| answered).map(|t| format!("204ms {t}!x {SENT}"));
        events.extend(answers);
        events.extend(('a'..='d').map(|t| format!("205ms {t}>- S {FUTEX}")));
        events.push(format!("605ms x!k {how},605ms ->k"));
        events.extend(('a'..='d').map(|t| format!("606ms k!{t} futex_wake")));
        events.extend(('a'..='d').map(|t| format!("606ms ->{t}")));
        events.extend(('a'..='d').map(|t| format!("608ms {t}>- {polls}")));
        let capture = script::record(capture, &events.join(","));
        let findings = crate::analyze(&capture, &script::options());
        let window = findings.worst()?;
        let told = window.reasons.iter().any(|row| row.contains("while it waited for its client"));
        assert!(told, "{:?}", window.reasons);
        Some((window.culprit.as_ref()?.thread.tid, window.freeze.threads_blocked))
    }

    #[test]
    fn who_waits_for_its_client_with_a_lock_keeps_those_from_answering_who_owe_an_answer() {
        assert_eq!(found(false, SENT), Some((Some(script::tid('k')), 4)));
        // They had answered, and rested.
        assert_eq!(found(true, SENT), None);
        // A new connection, for which one that rests is let on.
        assert_eq!(found(false, "try_to_wake_up<sock_def_readable<unix_stream_connect"), None);
    }

    #[test]
    fn who_had_rested_since_before_the_recording_hands_out_work() {
        let threads = ['m', 'k', 'a', 'b', 'c', 'd'].map(|letter| (letter, "db"));
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .m".to_owned()];
        for at in 0..20 {
            round(&mut events, 10 * at + 1, 5, "abcd".chars().nth(at as usize % 4).unwrap());
        }
        events.extend(('a'..='d').map(|t| format!("205ms {t}>- S {FUTEX}")));
        events.push("605ms x!k try_to_wake_up<pollwake<sock_def_readable,605ms ->k".to_owned());
        events.extend(('a'..='d').map(|t| format!("606ms k!{t} futex_wake")));
        events.extend(('a'..='d').map(|t| format!("606ms ->{t}")));
        let capture = script::record(capture, &events.join(","));
        let findings = crate::analyze(&capture, &script::options());
        assert!(findings.windows.is_empty(), "{:?}", findings.windows);
    }
}
