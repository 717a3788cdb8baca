//! Waits for a futex whose time was up.
//!
//! A sleep of a runtime's own making (Java's `Thread.sleep`, MariaDB's `sleep()`) is a timed wait for a condition that nobody
//! fulfils, and so is a wait for a lock that is given up. Only a timer ends both, and nobody lets go of anything: what cannot
//! be told apart makes no freeze.

use coldcase_ingest::capture::{Context, Nanos, ProcessId, Sentence, Span, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::options::Options;
use crate::runtimes;
use crate::states::{Doing, WaitId};
use crate::windows::habits::{FACTOR, Habits};
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
    let at_once = most_unusual(model, options, |_| true, |id| ran_out(model, id));
    let at_once = at_once.filter(|&(_, count, _)| count > SEVERAL);
    let (process, count, span, how) = match at_once {
        Some((process, count, span)) => (process, count, span, "until their time was up"),
        None => {
            let (process, count, span) = most_that_look_again(model, options)?;
            (process, count, span, "again and again, as their time was up")
        }
    };
    Some(CannotTell {
        cause: Cause::Futex,
        missing: Sentence::from("names for the functions of ")
            .task(model.capture.threads.process_comm(process))
            .words(&format!(
                " (--symfs), which tell a lock from a sleep: {count} of its threads waited for a futex for {:.0} ms {how}, longer \
                 than they usually do anything",
                span.duration().as_millis_f64(),
            )),
    })
}

/// The same of threads that did nothing for long but wait anew as soon as their time was up, while one of their process was at work: so
/// do those who try for a lock for a while, again and again, and a pool that looks whether there is work.
fn most_that_look_again(model: &Model<'_>, options: &Options) -> Option<(ProcessId, usize, Span)> {
    let is_at_work = |process: ProcessId, span: Span| {
        model.capture.threads.process(process).threads.iter().any(|&thread| {
            let works = |doing| matches!(doing, Doing::Running | Doing::Runnable(_));
            model.states.time(thread, span, works).share_of(span.duration()) > 0.5
        })
    };
    let processes =
        model.capture.threads.processes().filter(|(id, process)| {
            !process.kernel && wanted(model, *id, options.process.as_ref())
        });
    let most = processes.filter_map(|(id, process)| {
        let at_work = process.threads.iter().filter(|&&id| !runtimes::is_helper(model, id));
        let looks = at_work.filter_map(|&thread| looks_again(model, thread));
        let (count, span) = most_at_once(looks, options.min_freeze);
        (count > SEVERAL && is_at_work(id, span)).then_some((id, count, span))
    });
    most.max_by_key(|&(id, count, span)| (count, span.duration(), std::cmp::Reverse(id)))
}

/// The one stretch in which a thread did nothing but wait at one place, again and again as its time was up; `None` if there are
/// several, or it often does nothing for so long.
fn looks_again(model: &Model<'_>, thread: ThreadId) -> Option<Span> {
    /// Fewer are a sleep or two.
    const TIMES: usize = 5;
    /// Shorter waits let it look around.
    const LONG: Nanos = Nanos(10_000_000);
    /// What it takes to look, and to wait for a CPU for that.
    const LOOK: Nanos = Nanos(2_000_000);
    const BETWEEN: Nanos = Nanos(20_000_000);
    let [at_futexes, _] = model.rests();
    if at_futexes[thread.index()] == 0 {
        return None;
    }
    let mut stretches: Vec<(Span, usize)> = Vec::new();
    let mut place = None;
    for slice in model.states.of(thread).long(LONG) {
        let Doing::Blocked(id) = slice.doing else { continue };
        let site = model.sites.of(id);
        if !site.is_harm_by(Cause::Futex) || site.known_lock {
            place = None;
            continue;
        }
        let stack = model.states.wait(id).stack;
        let by_timer = model.wakeup(id).is_some_and(|row| row.context != Context::Task);
        let ran_out = usize::from(by_timer);
        match stretches.last_mut() {
            Some((span, times))
                if place == Some(stack)
                    && slice.span.start <= span.end.plus(BETWEEN)
                    && model.states.ran(thread, Span::new(span.end, slice.span.start)) <= LOOK =>
            {
                (*span, *times) = (span.hull(slice.span), *times + ran_out);
            }
            _ => stretches.push((slice.span, ran_out)),
        }
        place = Some(stack);
    }
    let (longest, times) = stretches.iter().max_by_key(|(span, _)| span.duration()).copied()?;
    let others = stretches.iter().filter(|(span, _)| {
        *span != longest && span.duration().0.saturating_mul(FACTOR) >= longest.duration().0
    });
    let is_one = others.count() == 0 && times >= TIMES;
    (is_one && Habits::new(model, thread).is_unheard_of(longest)).then_some(longest)
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
    fn who_tries_again_as_soon_as_its_time_is_up_may_want_a_lock() {
        // a to e try for 30 ms each, many times, while m computes or rests.
        let told = |times: u64, meanwhile: &str| {
            let names: Vec<(char, &str)> = "mabcde".chars().map(|letter| (letter, "db")).collect();
            let capture = script::process(Capture::default(), &names);
            let each = |event: &dyn Fn(char) -> String| ('a'..='e').map(event).collect::<Vec<_>>();
            let mut events = vec!["0 .m".to_owned()];
            for at in (0..400).step_by(10) {
                events.extend(each(&|t| format!("{}ms {t}>- S {SLEEPS}", at + 1)));
                events.extend(each(&|t| format!("{}ms w:{t},{}ms ->{t}", at + 6, at + 6)));
            }
            events.extend(each(&|t| format!("401ms {t}>- S {FUTEX}")));
            events.push(format!("402ms {meanwhile}"));
            for at in (431..431 + 30 * times).step_by(30) {
                events
                    .extend(each(&|t| format!("{at}ms w:{t},{at}ms ->{t},{at}ms {t}>- S {FUTEX}")));
            }
            // Then m lets them on, which makes one series of all that they waited.
            let end = 431 + 30 * times;
            events.extend(each(&|t| format!("{end}ms m!{t} {WAKES},{end}ms ->{t}")));
            events.extend(each(&|t| format!("{}ms {t}>m S {SLEEPS}", end + 1)));
            events.push(format!("{}ms .m", end + 9));
            let mut capture = script::record(capture, &events.join(","));
            script::woken_by_timers(&mut capture);
            let findings = crate::analyze(&capture, &script::options());
            let mut told = findings.verdict.cannot_tell.iter().map(|row| row.missing.to_string());
            told.find(|row| row.contains("their time was up"))
        };
        let found = told(9, ".m").unwrap();
        assert!(
            found.contains("5 of its threads waited for a futex for 300 ms again and again"),
            "{found}"
        );
        assert_eq!(told(2, ".m"), None);
        assert_eq!(told(9, &format!("m>- S {SLEEPS}")), None);
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
