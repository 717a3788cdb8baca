//! Freezes that may be made of nothing but lost events.
//!
//! ```text
//! recorded:  |-- waits for its disk --            (lost)                        -- runs
//! happened:  |-- waits for its disk --| runs |------------ rests ---------------| runs
//! ```
//!
//! A wait seems to go on through a rest if the events between both were lost. That does not happen to several threads at once.

use coldcase_ingest::capture::{Nanos, Sentence, Span, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::losses;
use crate::model::Model;
use crate::view;
use crate::windows::RawWindow;

/// Whether lost events alone may make what looks like a freeze: so few threads stood still in it, and they rest for as long at
/// other times so often, that one of these rests may have been taken for more of a wait before it. Whoever has a culprit was seen
/// to be kept by somebody.
pub(crate) fn is_doubtful(model: &Model<'_>, raw: &RawWindow, has_culprit: bool) -> bool {
    let lost = losses::share(model.capture, raw.span);
    if lost == 0.0 {
        return false;
    }
    if may_have_come(model, raw, has_culprit) {
        return true;
    }
    // The site of a wait that began before the recording is told by its end, which may be that of a later one; and who only seems
    // to wait until the end may have come and gone before.
    let began_unseen = raw.waits().any(|id| model.states.wait(id).open_start);
    let end_unseen = raw.span.end >= model.span.end;
    // Where one thread waited after the other, for a short time each, nobody stood still for long.
    let still: Vec<ThreadId> = raw.stood_still().collect();
    let still = if still.is_empty() { &raw.threads } else { &still };
    if (began_unseen || end_unseen) && still.len() < 2 {
        return true;
    }
    // Losses come in bursts, and one of them takes a thread's coming and its next leaving alike.
    let mistaken = |&thread: &ThreadId| (lost * long_rests(model, raw, thread)).min(1.0);
    still.iter().map(mistaken).product::<f64>() > losses::FEW
}

/// Whether most of what looks like a freeze lies where a file has some CPUs only: its threads may have come to the others, all of them
/// and again and again. Who waits for a lock waits until somebody lets go of it, and who is seen to had it.
fn may_have_come(model: &Model<'_>, raw: &RawWindow, has_culprit: bool) -> bool {
    let Some(from) = model.capture.breaks_off else { return false };
    let unknown = raw.span.overlap(Span::new(from, from.max(raw.span.end)));
    !(raw.cause.is_lock() && has_culprit) && unknown.share_of(raw.span.duration()) > 0.5
}

/// How often a thread was away for about as long as a window outside of that, or seems to have been. At least once: what lies
/// in the window may be the one rest that it ever took.
fn long_rests(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> f64 {
    let long = model.states.of(thread).long(Nanos(raw.span.duration().0 / 2));
    let rests = long.filter(|slice| slice.span.intersect(raw.span).is_none()).count();
    rests.max(1) as f64
}

/// The longest of what looks like a freeze and is not told as one.
pub(crate) fn hint(model: &Model<'_>, found: &[RawWindow]) -> Option<CannotTell> {
    if losses::none(model.capture) {
        return None;
    }
    // Those who wait for a futex may as well wait for work.
    let raw = found
        .iter()
        .filter(|raw| raw.cause != Cause::Futex || raw.known_lock)
        .filter(|raw| is_doubtful(model, raw, false))
        .max_by_key(|raw| (raw.span.duration(), std::cmp::Reverse(raw.process)))?;
    let &thread = raw.threads.first()?;
    let some_only = may_have_come(model, raw, false);
    let needed = if some_only {
        "the whole file: "
    } else {
        "all events (perf record -m 64M, or fewer events): "
    };
    let stood_still = format!(
        " seems to have stood still for {:.0} ms from {:.3} s on, but ",
        raw.span.duration().as_millis_f64(),
        raw.span.start.as_secs_f64()
    );
    let why = if some_only {
        "the file breaks off before what all CPUs did then, and it may have come to another"
            .to_owned()
    } else {
        let lost = 100.0 * losses::share(model.capture, raw.span);
        format!("{lost:.1} % of the events near that were lost, its coming back perhaps among them")
    };
    let missing = Sentence::from(needed)
        .task(&view::thread_name(model.capture, thread).comm)
        .words(&stood_still)
        .words(&why);
    Some(CannotTell { cause: raw.cause, missing })
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Loss, LossKind, Nanos, Timestamp};

    use crate::findings::{Findings, Grade, Outcome};
    use crate::script;

    /// What is found of threads that rest for 5 ms twenty times and then wait for their disk for 300 ms, and of which one rests
    /// for 200 ms so often before, where so many events were lost at the end, beside some 300 that were not.
    fn found(threads: &str, long_rests: u64, lost: u64) -> Findings {
        found_late(threads, long_rests, lost, 0)
    }

    /// The same where the first of them is seen again so many milliseconds after the others.
    fn found_late(threads: &str, long_rests: u64, lost: u64, late: u64) -> Findings {
        crate::analyze(&capture(threads, long_rests, lost, late), &script::options())
    }

    fn capture(threads: &str, long_rests: u64, lost: u64, late: u64) -> Capture {
        let (sleeps, disk) =
            ("schedule<do_nanosleep<hrtimer_nanosleep", "schedule<io_schedule<submit_bio_wait");
        let mut events = vec!["0 .m".to_owned()];
        for at in 0..long_rests {
            events.push(format!("{}ms a>- S {sleeps},{}ms ->a", 220 * at + 1, 220 * at + 201));
        }
        let begin = 220 * long_rests;
        for at in (0..200).step_by(10).map(|at| begin + at) {
            events.extend(threads.chars().map(|t| format!("{}ms {t}>- S {sleeps}", at + 1)));
            events.extend(threads.chars().map(|t| format!("{}ms ->{t}", at + 6)));
        }
        let at = begin + 200;
        events.extend(threads.chars().map(|t| format!("{at}ms {t}>- D {disk}")));
        events.extend((at + 1..at + 300).map(|time| format!("{time}ms .m")));
        events.extend(threads.chars().skip(1).map(|t| format!("{}ms ->{t}", at + 300)));
        events.extend(threads.chars().take(1).map(|t| format!("{}ms ->{t}", at + 300 + late)));
        events.push(format!("{}ms .m", at + 301 + late));
        let names: Vec<(char, &str)> = threads.chars().map(|letter| (letter, "serve")).collect();
        let capture = script::process(Capture::default(), &names);
        let mut capture = script::record(capture, &events.join(","));
        if lost > 0 {
            let (time, kind, note) =
                (capture.span.map(|span| span.end), LossKind::Lost, String::new());
            capture.losses.push(Loss { time, kind, count: lost, note });
        }
        capture
    }

    #[test]
    fn one_thread_alone_is_not_believed_to_stand_still_where_many_events_were_lost() {
        assert_eq!(found("a", 0, 0).windows.len(), 1);
        let findings = found("a", 0, 10);
        assert_eq!(findings.windows.len(), 0);
        assert_eq!(findings.verdict.outcome, Outcome::FreezeUnexplained);
        let told = findings.verdict.cannot_tell.iter().map(|row| row.missing.to_string());
        let told = told.filter(|row| row.contains("seems to have stood still for 300 ms")).count();
        assert_eq!(told, 1);
    }

    #[test]
    fn several_threads_that_stand_still_together_are_believed() {
        assert_eq!(found("abcd", 0, 10).windows.len(), 1);
    }

    #[test]
    fn what_one_alone_shows_beside_the_others_is_not_believed_where_many_events_were_lost() {
        let length = |lost| {
            let findings = found_late("abcd", 0, lost, 400);
            findings.worst().and_then(|window| window.freeze.span).unwrap().duration()
        };
        assert_eq!(length(0), Nanos::from_millis(700));
        assert_eq!(length(10), Nanos::from_millis(300));
    }

    #[test]
    fn several_are_not_believed_to_stand_still_where_a_file_has_some_cpus_only() {
        let from = |ms: u64| {
            let breaks_off = Some(Timestamp(ms * 1_000_000));
            let capture = Capture { breaks_off, ..capture("abcd", 0, 0, 0) };
            crate::analyze(&capture, &script::options())
        };
        let findings = from(200);
        assert_eq!(findings.windows.len(), 0);
        assert_eq!(findings.verdict.outcome, Outcome::FreezeUnexplained);
        let told = findings.verdict.cannot_tell.iter().map(|row| row.missing.to_string());
        let told = told.filter(|row| row.contains("it may have come to another")).count();
        assert_eq!(told, 1);
        let grades = |ms| from(ms).windows.iter().map(|window| window.grade).collect::<Vec<_>>();
        assert_eq!(grades(400), [Grade::Circumstantial], "most of it was seen of all CPUs");
        assert_eq!(grades(500), [Grade::Strong], "what follows an end says nothing of it");
    }

    #[test]
    fn who_often_rests_for_as_long_is_not_believed_where_few_events_were_lost() {
        assert_eq!(found("a", 0, 1).windows.len(), 1);
        assert_eq!(found("a", 12, 0).windows.len(), 1);
        assert_eq!(found("a", 12, 1).windows.len(), 0);
    }
}
