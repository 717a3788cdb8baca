//! Threads that rest at futexes for most of their lives, beside those who work.
//!
//! A database's helpers wait for the next second, or for a page to write, at the same kind of futex at which its clients'
//! threads wait for a lock. Where they are at rest all along, they hide for how long the others stood still together.

use coldcase_ingest::capture::{Nanos, Timestamp};

use crate::findings::Cause;
use crate::model::Model;
use crate::states::Doing;
use crate::windows::harms::Harm;

/// The harms without the waits for futexes of those who rest there; `None` if nobody does.
pub(crate) fn without(model: &Model<'_>, harms: &[Harm]) -> Option<Vec<Harm>> {
    let at_work: Vec<Harm> = harms.iter().filter(|harm| !rests(model, harm)).copied().collect();
    (at_work.len() < harms.len()).then_some(at_work)
}

/// Whether a wait for a futex, of which no function says that it is a lock, is how its thread spends its life: more than half
/// of its other time it waits there as well, not much shorter.
fn rests(model: &Model<'_>, harm: &Harm) -> bool {
    /// Shorter by more is another kind of wait.
    const SHORTER: u64 = 4;
    let in_doubt = harm.makes_window && harm.cause == Cause::Futex;
    if !in_doubt || harm.wait.is_none_or(|id| model.sites.of(id).known_lock) {
        return false;
    }
    let life = model.states.of(harm.thread);
    let (Some(first), Some(last)) = (life.iter().next(), life.before(Timestamp(u64::MAX)).next())
    else {
        return false;
    };
    let length = harm.span.duration();
    let at_futexes: Nanos = life
        .long(Nanos(length.0 / SHORTER))
        .filter(|slice| slice.span.intersect(harm.span).is_none())
        .filter(|slice| match slice.doing {
            Doing::Blocked(id) => model.sites.of(id).is_harm_by(Cause::Futex),
            Doing::Running | Doing::Runnable(_) => false,
        })
        .map(|slice| slice.span.duration())
        .sum();
    let others = Nanos(last.span.end.since(first.span.start).0.saturating_sub(length.0));
    at_futexes.share_of(others) > 0.5
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::script::{self, FUTEX, WAKES};

    const POLLS: &str = "schedule<do_sys_poll";

    /// The freezes of a database whose threads a, b and c wait for requests, and at last for m for 600 ms; its helpers d to g
    /// look every 400 ms whether there is something to do, and else wait a little for each other.
    fn freezes(helpers: &str) -> Vec<(u64, Option<i32>)> {
        let names: Vec<(char, &str)> = ('a'..='h').chain(['m']).map(|t| (t, "db")).collect();
        let capture = script::process(Capture::default(), &names);
        let mut events: Vec<(u64, String)> = vec![(0, ".m".into())];
        for at in (0..2000).step_by(10) {
            for thread in 'a'..='c' {
                events.push((at + 1, format!("{thread}>- S {POLLS}")));
                events.push((at + 6, format!("w:{thread}")));
                events.push((at + 6, format!("->{thread}")));
            }
        }
        for thread in helpers.chars() {
            for at in (0..2400).step_by(400) {
                events.push((at + 2, format!("{thread}>- S {FUTEX}")));
                events.push((at + 395, format!("h!{thread} {WAKES}")));
                events.push((at + 395, format!("->{thread}")));
                for short in 0..2 {
                    events.push((at + 396 + 2 * short, format!("{thread}>- S {POLLS}")));
                    events.push((at + 397 + 2 * short, format!("->{thread}")));
                }
            }
        }
        for thread in 'a'..='c' {
            events.push((2001, format!("{thread}>m S {FUTEX}")));
            events.push((2601, format!("m!{thread} {WAKES}")));
            events.push((2601, format!("->{thread}")));
            events.push((2603, format!("{thread}>- S {POLLS}")));
        }
        events.sort_by_key(|&(time, _)| time);
        let script: Vec<String> =
            events.into_iter().map(|(time, what)| format!("{time}ms {what}")).collect();
        let findings =
            crate::analyze(&script::record(capture, &script.join(",")), &crate::Options::default());
        let told = findings.windows.iter().map(|window| {
            let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
            (window.freeze.span.unwrap().duration().0 / 1_000_000, culprit)
        });
        told.collect()
    }

    #[test]
    fn helpers_at_rest_do_not_hide_that_those_who_work_stood_still() {
        let m = Some(script::tid('m'));
        assert_eq!(freezes(""), [(600, m)]);
        assert_eq!(freezes("defg"), [(600, m)]);
    }
}
