//! When: stretches of time in which threads were kept from running, out of their harms.

use coldcase_ingest::capture::{Nanos, Span, ThreadId, Timestamp};

use crate::blame::stopped;
use crate::findings::Cause;
use crate::losses;
use crate::model::Model;
use crate::options::Options;
use crate::runtimes::vcpus;
use crate::windows::harms::{self, Harm, Judge};
use crate::windows::{JOIN, LITTLE, rhythm};

/// A quota is used up once in each period, of 100 ms by default (`default_cfs_period`, `kernel/sched/fair.c`).
const PERIOD: Nanos = Nanos(100_000_000);
/// Where it is used up in each of them, that is one freeze; a period may pass in which it is not.
const JOIN_THROTTLED: Nanos = Nanos(2 * PERIOD.0);

/// Whether a harm may be rest: a wait for a futex, of which no function says that it is a lock, that had not ended when the
/// recording did, or when its process did.
pub(super) fn may_be_rest(model: &Model<'_>, harm: &Harm) -> bool {
    harm.cause == Cause::Futex
        && harm.wait.is_some_and(|id| {
            !model.sites.of(id).known_lock
                && (model.states.wait(id).open_end || stopped::is_end_of_process(model, id))
        })
}

/// The waits of some threads that would make a freeze if they were known to be no rest.
pub(crate) fn may_be_rests<'m>(
    model: &'m Model<'_>,
    threads: &'m [ThreadId],
    options: &'m Options,
) -> impl Iterator<Item = Span> + 'm {
    threads.iter().filter_map(move |&thread| {
        let last = model.states.of(thread).long(harms::long(options)).last()?;
        let harm = Judge::new(model, thread, options).harm(&last)?;
        let in_doubt = harm.makes_window && may_be_rest(model, &harm);
        (in_doubt && rhythm::rests_elsewhere(model, thread)).then_some(harm.span)
    })
}

/// Stretches in which somebody was kept from running. What may be rest makes none, and none longer.
pub(super) fn join(model: &Model<'_>, harms: &[Harm]) -> Vec<Span> {
    let making = harms.iter().filter(|harm| harm.makes_window && !may_be_rest(model, harm));
    let mut windows: Vec<Span> = Vec::new();
    let mut before: Option<&Harm> = None;
    for harm in making {
        let join = before.map_or(JOIN, |before| gap(model, before, harm));
        match windows.last_mut() {
            Some(last) if harm.span.start <= last.end.plus(join) => *last = last.hull(harm.span),
            _ => windows.push(harm.span),
        }
        before = Some(harm);
    }
    windows
}

/// How far apart two harms may lie in one freeze: where one cause runs through them, what lies between is little beside
/// them. Whoever lets go of a lock and takes it again makes a freeze each time.
fn gap(model: &Model<'_>, before: &Harm, harm: &Harm) -> Nanos {
    /// So long may a thread that looks up now and then be kept from its CPU before it waits on.
    const LOOKED_UP: Nanos = Nanos(50_000_000);
    let shorter = before.span.duration().min(harm.span.duration());
    let sliced = |harm: &Harm| harm.wait.is_some_and(|id| model.series.of_one(id).is_some());
    match harm.cause {
        cause if cause != before.cause => JOIN,
        Cause::Futex if sliced(before) || sliced(harm) => LOOKED_UP,
        Cause::CpuThrottle if shorter <= PERIOD => JOIN_THROTTLED,
        Cause::DiskIo | Cause::FsJournal | Cause::PageFaultIo | Cause::Swap => {
            JOIN.max(Nanos(shorter.0 / LITTLE))
        }
        _ => JOIN,
    }
}

/// Where futexes alone make a freeze, only those stretches count in which a good part of the threads stood
/// still at once: a thread that rested before and was woken to work did not freeze. Where many events were lost, a wait of one
/// thread may seem to go on through its next rest, before, behind or between those of all, and what it alone shows does not count.
pub(super) fn together(model: &Model<'_>, span: Span, harms: &[Harm]) -> Vec<Span> {
    let inside =
        || harms.iter().filter(|harm| harm.makes_window && harm.span.intersect(span).is_some());
    let at_futexes = inside().all(|harm| harm.cause == Cause::Futex);
    let lossy = losses::many(model.capture, span);
    if !at_futexes && !lossy && !inside().any(|harm| harm.is_at_unnamed_futex(model)) {
        return vec![span];
    }
    let mut threads: Vec<ThreadId> = inside().map(|harm| harm.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    if !at_futexes && threads.len() < 2 {
        return vec![span];
    }
    // One processor of a guest is no thread of many.
    let of_guest = |harm: &Harm| vcpus::is_at_lock(model, harm) == Some(true);
    if at_futexes && !lossy && inside().all(of_guest) {
        return vec![span];
    }
    let enough = if at_futexes { (threads.len() / 3).max(2) } else { 2 };
    // Beside other waits, it takes several at futexes to make a freeze longer, and none divides it.
    let is_mixed = !at_futexes && !lossy;
    let weight =
        |harm: &Harm| if is_mixed && !harm.is_at_unnamed_futex(model) { enough } else { 1 };
    let mut changes: Vec<(Timestamp, bool, usize)> = inside()
        .filter_map(|harm| Some((harm.span.intersect(span)?, weight(harm))))
        .flat_map(|(cut, weight)| [(cut.start, true, weight), (cut.end, false, weight)])
        .collect();
    changes.sort_unstable_by_key(|&(time, begins, _)| (time, !begins));
    let (mut blocked, mut since, mut stretches) = (0_usize, None, Vec::<Span>::new());
    for (time, begins, weight) in changes {
        blocked = if begins { blocked + weight } else { blocked.saturating_sub(weight) };
        match since {
            None if blocked >= enough => since = Some(time),
            Some(start) if blocked < enough => {
                since = None;
                match stretches.last_mut() {
                    Some(last) if is_mixed || start <= last.end.plus(JOIN) => last.end = time,
                    _ => stretches.push(Span::new(start, time)),
                }
            }
            _ => {}
        }
    }
    let cuts = || inside().filter_map(|harm| harm.span.intersect(span));
    let with_ends = stretches.into_iter().map(|stretch| {
        // Most of what its first waiter waited lies in it, and of what somebody rested before or behind it little.
        let belong =
            cuts().filter(|wait| is_mixed && wait.overlap(stretch).share_of(wait.duration()) > 0.5);
        with_its_ends(belong.fold(stretch, Span::hull), cuts())
    });
    with_ends.collect()
}

/// A stretch with those who came to wait a little before it, and those who were let on a little after: a lock's first waiter
/// waits alone.
fn with_its_ends(stretch: Span, waits: impl Iterator<Item = Span>) -> Span {
    let mut whole = stretch;
    for wait in waits.filter(|wait| wait.intersect(stretch).is_some()) {
        if wait.start.plus(JOIN) >= stretch.start {
            whole.start = whole.start.min(wait.start);
        }
        if wait.end <= stretch.end.plus(JOIN) {
            whole.end = whole.end.max(wait.end);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locks_first_waiter_belongs_to_the_freeze_and_who_rested_before_it_does_not() {
        let ms = |start: u64, end: u64| {
            Span::new(Timestamp(start * 1_000_000), Timestamp(end * 1_000_000))
        };
        let stretch = ms(100, 200);
        let ends = |waits: &[Span]| with_its_ends(stretch, waits.iter().copied());
        assert_eq!(ends(&[ms(95, 198), ms(100, 204), ms(20, 150), ms(150, 900)]), ms(95, 204));
        assert_eq!(ends(&[ms(95, 99)]), stretch);
    }
}
