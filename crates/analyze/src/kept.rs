//! Threads that waited for long until one that had rested let them on, and that is not the one who brings their work.
//!
//! A client that is idle in an open transaction keeps its locks in a thread that waits for the next request. The kernel shows
//! rest there, and those who wait for the lock look like a pool that waits for work: what tells them apart is that
//! this thread seldom wakes the others.

use coldcase_ingest::capture::{Sentence, ThreadId};

use crate::blame::{self, Leaf, Root};
use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::options::Options;
use crate::rules::WaitKind;
use crate::tally::Tally;
use crate::windows::{self, RawWindow};
use crate::{rhythm, verdict};

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
        && verdict::wakes_them_itself(model, raw, thread);
    keeps.then_some(thread)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

    const FUTEX: &str = "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex";

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
}
