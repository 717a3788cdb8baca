//! Threads that wait in slices for a lock whose holder stands in a long call: an interpreter's lock, as a rule.
//!
//! ```text
//! holder   |-- runs --|------------- munmap of 5 GB -------------|-- runs, wakes A
//! A                     |-5 ms-|-5 ms-|-5 ms-| ... |-5 ms-|--2 ms--|
//! ```
//!
//! A thread that polls a queue waits in slices too. Here the slices begin with the call, and it is the caller, or one whom
//! it let on, that ends the last of them.

use coldcase_ingest::capture::{Nanos, Span, ThreadId};

use crate::findings::Cause;
use crate::holds::series::Row;
use crate::model::Model;
use crate::sites::brackets::Bracket;
use crate::windows::RawWindow;
use crate::windows::harms::Harm;

/// The lock may have been taken, and the first have begun to wait, so long before the call.
const BEFORE: Nanos = Nanos(10_000_000);
/// Whoever gets the lock last has it so long after the call.
const AFTER: Nanos = Nanos(50_000_000);

/// The freeze of those who waited in slices while a thread of theirs stood in a call, if several did.
pub(crate) fn behind(model: &Model<'_>, call: &Bracket) -> Option<RawWindow> {
    const SEVERAL: usize = 2;
    let process = model.capture.threads.get(call.thread).process;
    let crew = &model.capture.threads.process(process).threads;
    let during = call.span(model.span);
    let around = Span::new(during.start.minus(BEFORE), during.end.plus(AFTER));
    let candidates: Vec<&Row> = model
        .series
        .iter()
        .filter(|row| row.thread != call.thread && crew.contains(&row.thread))
        .filter(|row| around.contains(row.span.start) && around.contains(row.span.end))
        .filter(|row| row.span.end >= during.end && row.span.overlap(during) > Nanos::ZERO)
        .collect();
    // The lock goes from hand to hand: the caller lets one on, and that one the next.
    let mut let_on: Vec<ThreadId> = vec![call.thread];
    let mut victims: Vec<&Row> = Vec::new();
    while let Some(&next) = candidates.iter().find(|row| {
        let waker = row.waits.last().and_then(|&last| model.wakeup(last)?.waker);
        !let_on.contains(&row.thread) && waker.is_some_and(|waker| let_on.contains(&waker))
    }) {
        let_on.push(next.thread);
        victims.push(next);
    }
    if victims.len() < SEVERAL {
        return None;
    }
    let span = victims.iter().map(|row| row.span).reduce(Span::hull)?;
    let mut harms: Vec<Harm> = victims
        .iter()
        .flat_map(|row| row.waits.iter().map(|&wait| (row.thread, wait)))
        .map(|(thread, wait)| Harm {
            thread,
            span: model.states.wait(wait).span,
            cause: Cause::Futex,
            wait: Some(wait),
            makes_window: true,
        })
        .collect();
    harms.sort_by_key(|harm| (harm.span.start, harm.thread));
    let mut threads: Vec<ThreadId> = victims.iter().map(|row| row.thread).collect();
    threads.sort_unstable();
    let (crew, cause) = (crew.clone(), Cause::Futex);
    Some(RawWindow { process, crew, span, harms, cause, threads, known_lock: true })
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script::{self, FUTEX};

    /// Who waited behind main's munmap, after which main lets a on, and `next` lets b on.
    fn behind_a_call(next: char) -> Option<Vec<i32>> {
        let threads = [('m', "main"), ('a', "serve"), ('b', "serve")];
        let capture = script::process(Capture::default(), &threads);
        let mut script = vec!["0 .m,1ms m(munmap".to_owned()];
        for at in [2, 12, 22] {
            script.push(format!(
                "{at}ms a>b S {FUTEX},{}ms b>- S {FUTEX},{}ms ->a",
                at + 1,
                at + 9
            ));
        }
        script.push(format!("32ms a>b S {FUTEX},33ms b>- S {FUTEX},40ms m)munmap"));
        script.push(format!("41ms m!a,41ms ->a,42ms {next}!b,42ms a>b R+,43ms .b"));
        let capture = script::record(capture, &script.join(","));
        let model = script::model(&capture);
        let main = capture.syscalls[0].thread;
        let call = model.brackets.at(main, capture.syscalls[0].time).unwrap();
        let tids = |thread: &ThreadId| capture.threads.get(*thread).tid;
        behind(&model, call).map(|window| window.threads.iter().map(tids).collect())
    }

    #[test]
    fn the_lock_goes_from_hand_to_hand() {
        let waited = behind_a_call('a');
        assert_eq!(waited, Some(vec![script::tid('a'), script::tid('b')]));
    }

    #[test]
    fn whom_a_stranger_lets_on_did_not_wait_for_the_caller() {
        assert_eq!(behind_a_call('x'), None);
    }
}
