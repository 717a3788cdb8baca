//! Holders that may have been kept off their CPUs while they had a lock.
//!
//! A recording of some processes (`perf record -p`) has the switches of these alone: a thread is seen to be taken off its CPU, and not
//! who had it then, nor when it came back. A holder that is not seen to wait may have worked for all of its hold or for a
//! moment, while others, or a quota, had its CPUs:
//!
//! ```text
//! event     leaves (R+)      its sample    leaves (R+)     wakes the waiters
//! d         |........ ? .........|-- ran -----|....... ? .......|
//! ```
//!
//! What is known is that it ran from an event of its own until it left, and for as long as a clock counted that samples it by its own time.

use coldcase_ingest::capture::{Capture, Nanos, Sentence, Span, ThreadId, Timestamp};

use crate::holds::Evidence;
use crate::model::Model;
use crate::states::Doing;
use crate::verdict::culprit::Suspect;
use crate::verdict::reasons::length;
use crate::verdict::work;
use crate::windows::RawWindow;

/// Whether a holder that is taken to have run may have been kept from it for most of the time for which it kept others waiting.
pub(crate) fn may_be(model: &Model<'_>, raw: &RawWindow, suspect: &Suspect) -> bool {
    most_unseen(model, raw, suspect).is_some()
}

/// What is not known of such a holder.
pub(crate) fn reason(model: &Model<'_>, raw: &RawWindow, suspect: &Suspect) -> Option<Sentence> {
    let (ran, held) = most_unseen(model, raw, suspect)?;
    let ran = if ran < Nanos(1_000_000) { "not at all".to_owned() } else { length(ran) };
    Some(Sentence::default().task(model.capture.threads.get(suspect.thread).comm()).words(&format!(
        " was taken off its CPU while it had what the others waited for, and when it came back is not recorded: of {} it is seen to run \
         {ran}, and for the rest it may have worked or have been kept off the CPUs by others or by a quota (perf record -a tells)",
        length(held)
    )))
}

/// For how long a holder is known to have run while others waited for it, and how long that was, if it may have been kept off its CPU for
/// most of it.
fn most_unseen(model: &Model<'_>, raw: &RawWindow, suspect: &Suspect) -> Option<(Nanos, Nanos)> {
    // The lock's own events show who had it, whatever it did meanwhile.
    if model.states.comings_recorded || suspect.hold.evidence == Evidence::LockEvents {
        return None;
    }
    let span = suspect.hold.span.intersect(raw.span)?;
    let seems_to_run =
        model.states.time(suspect.thread, span, |doing| !matches!(doing, Doing::Blocked(_)));
    let ran = shown_to_run(model.capture, suspect.thread, span);
    (Nanos(seems_to_run.0.saturating_sub(ran.0)).share_of(span.duration()) > 0.5)
        .then_some((ran, span.duration()))
}

/// For how long, at least, a thread ran in a span.
fn shown_to_run(capture: &Capture, thread: ThreadId, span: Span) -> Nanos {
    by_its_events(capture, thread, span).max(by_samples(capture, thread, span))
}

/// From each event of its own until it left.
fn by_its_events(capture: &Capture, thread: ThreadId, span: Span) -> Nanos {
    let mut events = own_events(capture, thread, span.end);
    events.sort_unstable();
    let mut ran = Nanos::ZERO;
    let mut since: Option<Timestamp> = None;
    for (time, leaves) in events {
        match (since, leaves) {
            (Some(from), true) => {
                ran += Span::new(from, time).overlap(span);
                since = None;
            }
            (None, false) => since = Some(time),
            (Some(_), false) | (None, true) => {}
        }
    }
    since.map_or(ran, |from| ran + Span::new(from, span.end.max(from)).overlap(span))
}

/// A thread's events up to a moment, each with whether it left its CPU then; what happens at one time happens before it leaves.
fn own_events(capture: &Capture, thread: ThreadId, until: Timestamp) -> Vec<(Timestamp, bool)> {
    let leaves = capture.switches.iter().filter(|row| row.out == Some(thread));
    let leaves = leaves.map(|row| (row.time, true));
    let samples = capture.samples.iter().filter(|row| row.thread == thread).map(|row| row.time);
    let calls = capture.syscalls.iter().filter(|row| row.thread == thread).map(|row| row.time);
    let wakeups = capture.wakeups.iter().filter(|row| row.waker == Some(thread));
    let own = samples.chain(calls).chain(wakeups.map(|row| row.time)).map(|time| (time, false));
    leaves.chain(own).filter(|&(time, _)| time <= until).collect()
}

/// As long as a clock counted; the last piece may not be full, and the first one was begun before.
fn by_samples(capture: &Capture, thread: ThreadId, span: Span) -> Nanos {
    let own = capture.samples.iter().filter(|row| row.thread == thread && span.contains(row.time));
    let pieces = own.count().saturating_sub(1) as u64;
    work::sampled_every(capture).map_or(Nanos::ZERO, |every| Nanos(every.0.saturating_mul(pieces)))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, EventCount, Meaning};

    use super::*;
    use crate::analyze;
    use crate::findings::Grade;
    use crate::script;

    /// A recording in which a, b and c wait for a lock of the program, which d has for 400 ms and computes.
    fn recorded(option: &str, d_does: &str) -> Capture {
        let threads = ['m', 'a', 'b', 'c', 'd'].map(|letter| (letter, "server"));
        let waits = ['a', 'b', 'c'].map(|t| format!("101ms {t}>- S FUTEX<user:__lll_lock_wait"));
        let ends = ['a', 'b', 'c'].map(|t| format!("501ms d!{t} WAKES<user:__lll_lock_wake"));
        let sleeps = ['a', 'b', 'c', 'd'].map(|t| format!("502ms {t}>- S SLEEPS"));
        let parts = [waits.join(","), d_does.to_owned(), ends.join(","), sleeps.join(",")];
        let mut capture = script::with_habits(&threads, &format!("{},503ms .m", parts.join(",")));
        if option == "-p" {
            let idle = script::thread(&mut capture, "-");
            capture.switches.retain(|row| row.out != Some(idle));
        }
        capture.origin.command = ["perf", "record", option].map(str::to_owned).to_vec();
        capture
    }

    /// Its culprit, how sure that is, and whether it is said that d may have been kept off its CPU.
    fn told(capture: &Capture) -> (Option<i32>, Grade, bool) {
        let findings = analyze(capture, &script::options());
        let worst = findings.worst().unwrap();
        let kept_off = |reason: &Sentence| reason.contains("kept off the CPUs");
        let culprit = worst.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        (culprit, worst.grade, worst.reasons.iter().any(kept_off))
    }

    const TAKEN_OFF: &str = "103ms d>m R+ schedule<irqentry_exit_to_user_mode";

    #[test]
    fn who_had_the_cpus_under_a_holder_that_was_taken_off_is_not_in_a_recording_of_its_process() {
        let d = Some(script::tid('d'));
        assert_eq!(told(&recorded("-p", TAKEN_OFF)), (d, Grade::Circumstantial, true));
        // It is seen to run at first, and leaves late,
        let late = TAKEN_OFF.replace("103ms", "102ms .d,400ms");
        assert_eq!(told(&recorded("-p", &late)), (d, Grade::Strong, false));
        // is seen again soon,
        let seen_again = format!("{TAKEN_OFF},150ms d(munmap,151ms d)munmap");
        assert_eq!(told(&recorded("-p", &seen_again)), (d, Grade::Strong, false));
        // or everybody is.
        let comes_back = format!("{TAKEN_OFF},104ms m>d R+");
        assert_eq!(told(&recorded("-a", &comes_back)), (d, Grade::Strong, false));
    }

    #[test]
    fn a_clock_that_counts_a_holders_own_time_tells_for_how_long_it_ran() {
        // It leaves its CPU every 10 ms, and is sampled in as many of these rounds.
        let grade = |samples: u64, every: Option<Nanos>| {
            let round = |at: u64| {
                let leaves =
                    format!("{}ms d>m R+ schedule<irqentry_exit_to_user_mode", 109 + 10 * at);
                let sampled = (at < samples).then(|| format!("{}ms .d,", 108 + 10 * at));
                sampled.unwrap_or_default() + &leaves
            };
            let rounds: Vec<String> = (0..39).map(round).collect();
            let mut capture = recorded("-p", &rounds.join(","));
            let (meaning, name) = (Some(Meaning::Samples), "cpu-clock".to_owned());
            let event = EventCount { name, count: 1, meaning, sampled: false, every };
            capture.events.push(event);
            told(&capture).1
        };
        let every = Some(Nanos::from_millis(10));
        assert_eq!([grade(30, every), grade(10, every)], [Grade::Strong, Grade::Circumstantial]);
        assert_eq!(grade(30, None), Grade::Circumstantial);
    }
}
