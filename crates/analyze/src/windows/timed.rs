//! Waits for a futex whose time was up.
//!
//! A sleep of a runtime's own making (Java's `Thread.sleep`, MariaDB's `sleep()`) is a timed wait for a condition that nobody
//! fulfils, and so is a wait for a lock that is given up. Only a timer ends both, and nobody lets go of anything: what cannot
//! be told apart makes no freeze.

use coldcase_ingest::capture::{Context, ProcessId, Sentence, Span, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::options::Options;
use crate::runtimes;
use crate::states::{Doing, WaitId};
use crate::windows::habits::Habits;
use crate::windows::unseen::most_at_once;
use crate::windows::{SEVERAL, wanted};

/// Whether a wait for a futex, of which no function says that it is a lock, was ended by a timer, and is not one of the slices of
/// a wait that somebody ended.
pub(crate) fn ran_out(model: &Model<'_>, id: WaitId) -> bool {
    let ended_in = |id, in_task: bool| {
        model.wakeup(id).is_some_and(|wakeup| (wakeup.context == Context::Task) == in_task)
    };
    let site = model.sites.of(id);
    let is_slice = || {
        let last = model.series.of(id).and_then(|series| series.waits.last().copied());
        last.is_some_and(|last| ended_in(last, true))
    };
    site.is_harm_by(Cause::Futex) && !site.known_lock && ended_in(id, false) && !is_slice()
}

/// The most threads of a process whose time was up after they had waited together, longer than they usually do anything.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let (process, count, span) = most_unusual(model, options, |_| true, |id| ran_out(model, id))?;
    (count > SEVERAL).then(|| CannotTell {
        cause: Cause::Futex,
        missing: Sentence::from("names for the functions of ")
            .task(model.capture.threads.process_comm(process))
            .words(&format!(
                " (--symfs), which tell a lock from a sleep: {count} of its threads waited for a futex for {:.0} ms until their \
                 time was up, longer than they usually do anything",
                span.duration().as_millis_f64(),
            )),
    })
}

/// The process of which the most threads stood at once in waits that count and are longer than what they usually do, how many,
/// and when.
pub(crate) fn most_unusual(
    model: &Model<'_>,
    options: &Options,
    is_asked: impl Fn(ProcessId) -> bool,
    counts: impl Fn(WaitId) -> bool,
) -> Option<(ProcessId, usize, Span)> {
    let processes = model.capture.threads.processes().filter(|(id, process)| {
        !process.kernel && is_asked(*id) && wanted(model, *id, options.process.as_ref())
    });
    let threads = processes.map(|(id, process)| (id, process.threads.as_slice()));
    let (id, _, count, span) = most_unusual_of(model, options, threads, counts)?;
    Some((id, count, span))
}

/// The same of any threads that belong together, by the process that they are called after; with who they are.
pub(crate) fn most_unusual_of<'t>(
    model: &Model<'_>,
    options: &Options,
    groups: impl Iterator<Item = (ProcessId, &'t [ThreadId])>,
    counts: impl Fn(WaitId) -> bool,
) -> Option<(ProcessId, &'t [ThreadId], usize, Span)> {
    let unusual = |thread: ThreadId| {
        let habits = Habits::new(model, thread);
        let slices = model.states.of(thread).long(options.min_freeze);
        let waits = slices.filter(|slice| {
            matches!(slice.doing, Doing::Blocked(wait) if counts(wait))
                && habits.is_unheard_of(slice.span)
        });
        waits.map(|slice| slice.span).collect::<Vec<_>>()
    };
    let most = groups.map(|(id, threads)| {
        let at_work = threads.iter().filter(|&&id| !runtimes::is_helper(model, id));
        let (count, span) = most_at_once(at_work.flat_map(|&id| unusual(id)), options.min_freeze);
        (id, threads, count, span)
    });
    most.max_by_key(|&(id, _, count, span)| (count, span.duration(), std::cmp::Reverse(id)))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::script::{self, FUTEX, SLEEPS, WAKES};

    /// What is found of five threads that sleep for 5 ms ten times and then wait for a futex for 400 ms, until m, which ran
    /// meanwhile, lets some of them on, and the time of the others is up.
    fn found(let_on: &str) -> (Option<u32>, Option<String>) {
        after_sleeps(SLEEPS, let_on)
    }

    /// The same where their sleeps are of some kind.
    fn after_sleeps(sleeps: &str, let_on: &str) -> (Option<u32>, Option<String>) {
        let names: Vec<(char, &str)> = "mabcde".chars().map(|letter| (letter, "db")).collect();
        let capture = script::process(Capture::default(), &names);
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend(('a'..='e').map(|thread| format!("{}ms {thread}>- S {sleeps}", at + 1)));
            events.extend(
                ('a'..='e')
                    .map(|thread| format!("{}ms w:{thread},{}ms ->{thread}", at + 6, at + 6)),
            );
        }
        events.extend(('a'..='e').map(|thread| format!("101ms {thread}>- S {FUTEX}")));
        for thread in 'a'..='e' {
            let waker = if let_on.contains(thread) {
                format!("m!{thread} {WAKES}")
            } else {
                format!("w:{thread}")
            };
            events.push(format!("501ms {waker},501ms ->{thread}"));
            events.push(format!("502ms {thread}>- S {sleeps}"));
        }
        events.push("510ms .m".to_owned());
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        let findings = crate::analyze(&capture, &script::options());
        let missing = findings.verdict.cannot_tell.iter();
        let mut told = missing.map(|row| row.missing.to_string());
        let blocked = findings.worst().map(|window| window.freeze.threads_blocked);
        (blocked, told.find(|row| row.contains("their time was up")))
    }

    #[test]
    fn whose_time_was_up_may_have_slept() {
        let (blocked, told) = found("");
        assert_eq!(blocked, None);
        assert!(told.unwrap().contains("5 of its threads waited for a futex for 400 ms"));
    }

    #[test]
    fn who_looks_up_on_the_way_waits_all_the_same() {
        // The deadlock detection of a database: a second, and then again.
        let names: Vec<(char, &str)> = "mabcd".chars().map(|letter| (letter, "db")).collect();
        let capture = script::process(Capture::default(), &names);
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend(('a'..='d').map(|thread| format!("{}ms {thread}>- S {SLEEPS}", at + 1)));
            events.extend(('a'..='d').map(|thread| format!("{}ms ->{thread}", at + 6)));
        }
        events.extend(('a'..='d').map(|thread| format!("101ms {thread}>- S {FUTEX}")));
        events.extend(
            ('a'..='d').map(|thread| {
                format!("401ms w:{thread},401ms ->{thread},401ms {thread}>- S {FUTEX}")
            }),
        );
        events
            .extend(('a'..='d').map(|thread| format!("601ms m!{thread} {WAKES},601ms ->{thread}")));
        events.push("602ms .m".to_owned());
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        let findings = crate::analyze(&capture, &script::options());
        let span = findings.worst().and_then(|window| window.freeze.span).unwrap();
        assert_eq!(span.duration().0, 500_000_000);
    }

    #[test]
    fn who_slept_meanwhile_is_not_one_of_those_who_were_let_on() {
        assert_eq!(found("abc"), (Some(3), None));
        // A runtime's sleeps, one after the other.
        assert_eq!(after_sleeps(FUTEX, "abc"), (Some(3), None));
    }
}
