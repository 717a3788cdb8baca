//! Threads that were away for long, all at once, where the capture does not show what for.
//!
//! A recording of some processes (`perf record -p`) has a thread's leaving but not its coming, and no waking by
//! others: a sleep, a late answer and the want of a CPU all look like a gap between a thread's own events. One without
//! wakings does not tell a sleep that took long from a thread that was frozen in it. Where most threads that usually
//! come and go have such a gap at once, the capture cannot say that nothing froze.

use coldcase_ingest::capture::{Nanos, ProcessId, Sentence, Span, ThreadId, Timestamp};

use crate::blame::network;
use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::options::Options;
use crate::rules::WaitKind;
use crate::runtimes::{self, suspended};
use crate::sites::Site;
use crate::states::{Doing, Slice, WaitId};
use crate::windows::habits::{FACTOR, HABIT, Habits, usual};
use crate::windows::{SEVERAL, family, timed, wanted};

/// The most threads of a process that were away at once, and what would have to be recorded to say what for.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let blind = !model.states.comings_recorded;
    if !blind && !model.capture.wakeups.is_empty() {
        return None;
    }
    let without_wakings = model.capture.wakeups.is_empty() && !blind;
    sleeping(model, options, blind)
        .or_else(|| without_wakings.then(|| at_futexes(model, options)).flatten())
}

/// The most threads of a process that were away at once, though they usually come and go.
fn sleeping(model: &Model<'_>, options: &Options, blind: bool) -> Option<CannotTell> {
    let threads = &model.capture.threads;
    let processes = threads.processes();
    let processes = processes
        .filter(|(id, process)| !process.kernel && wanted(model, *id, options.process.as_ref()));
    let (process, away, span) = processes
        .filter_map(|(id, _)| of_process(model, options, id))
        .max_by_key(|&(id, away, span)| (away, span.duration(), std::cmp::Reverse(id)))?;
    let event = if blind {
        "the whole machine (perf record -a)"
    } else {
        "sched:sched_waking, with callchains"
    };
    Some(CannotTell {
        cause: Cause::Unknown,
        missing: Sentence::from(event)
            .words(&format!(": {away} threads of "))
            .task(threads.process_comm(process))
            .words(&format!(
                ", which usually come and go, were away at once for {:.0} ms from {:.3} s on; what ended that was not \
                 recorded",
                span.duration().as_millis_f64(),
                span.start.as_secs_f64(),
            )),
    })
}

/// Of a recording without wakings, the most threads of a process that waited for futexes together, longer than they ever do: who
/// let them on would tell a lock from an empty queue. Whoever had rested for long before the others came rests.
fn at_futexes(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let untold = |id: WaitId| {
        let (wait, site) = (model.states.wait(id), model.sites.of(id));
        site.is_harm_by(Cause::Futex) && !site.known_lock && !wait.open_start && !wait.open_end
    };
    // Processes that serve together share locks as threads do.
    let families = family::all(model);
    let threads = &model.capture.threads;
    let processes = threads.processes().filter(|(_, process)| !process.kernel);
    let groups = processes
        .map(|(id, process)| (id, process.threads.as_slice()))
        .chain(families.iter().map(|family| (family.master, family.threads.as_slice())))
        .filter(|&(id, _)| wanted(model, id, options.process.as_ref()));
    let (process, members, _, span) = timed::most_unusual_of(model, options, groups, untold)?;
    let is_one = |slice: &Slice| {
        matches!(slice.doing, Doing::Blocked(id) if untold(id))
            && span.duration().share_of(slice.span.duration()) > 0.5
    };
    let lively = members.iter().filter(|&&thread| {
        Habits::new(model, thread).is_lively(span.duration()) && !runtimes::is_helper(model, thread)
    });
    let together = |thread: ThreadId| model.states.within(thread, span).any(|it| is_one(&it));
    let (waited, came): (Vec<ThreadId>, Vec<ThreadId>) =
        lively.partition(|&&thread| together(thread));
    let is_family = families.iter().any(|family| std::ptr::eq(family.threads.as_slice(), members));
    let of = if is_family { "processes of" } else { "threads of" };
    (waited.len() > SEVERAL && waited.len() > came.len()).then(|| CannotTell {
        cause: Cause::Futex,
        missing: Sentence::from("sched:sched_waking, with callchains, which tells a lock from an empty queue: ")
            .words(&format!("{} {of} ", waited.len()))
            .task(threads.process_comm(process))
            .words(&format!(
                " waited for futexes at once for {:.0} ms from {:.3} s on, longer than they usually do anything",
                span.duration().as_millis_f64(),
                span.start.as_secs_f64(),
            )),
    })
}

/// How many lively threads of a process were away at once, and when; `None` if that is not most of them.
fn of_process(
    model: &Model<'_>,
    options: &Options,
    process: ProcessId,
) -> Option<(ProcessId, usize, Span)> {
    let threads = model.capture.threads.process(process).threads.iter();
    let gaps: Vec<Vec<Span>> =
        threads.filter_map(|&thread| unusual_gaps(model, options, thread)).collect();
    let (away, span) = most_at_once(gaps.iter().flatten().copied(), options.min_freeze);
    (away >= SEVERAL && away * 2 > gaps.len()).then_some((process, away, span))
}

/// How many of these stretches at most lie over each other for so long, and when.
pub(crate) fn most_at_once(stretches: impl Iterator<Item = Span>, least: Nanos) -> (usize, Span) {
    let mut edges: Vec<(Timestamp, bool)> =
        stretches.flat_map(|stretch| [(stretch.start, true), (stretch.end, false)]).collect();
    edges.sort_unstable();
    let (mut count, mut most) = (0_usize, (0, Span::new(Timestamp(0), Timestamp(0))));
    for (index, &(time, begins)) in edges.iter().enumerate() {
        if !begins {
            count -= 1;
            continue;
        }
        count += 1;
        let until = edges[index..].iter().find(|edge| !edge.1).map_or(time, |edge| edge.0);
        let span = Span::new(time, until);
        if span.duration() >= least && (count, span.duration()) > (most.0, most.1.duration()) {
            most = (count, span);
        }
    }
    most
}

/// The gaps of a thread that stand out against its usual ones; `None` if nothing is usual for it.
fn unusual_gaps(model: &Model<'_>, options: &Options, thread: ThreadId) -> Option<Vec<Span>> {
    if model.capture.threads.get(thread).born.is_some() {
        return None;
    }
    let gaps = gaps(model, thread);
    let mut lengths: Vec<u64> = gaps.iter().map(|gap| gap.duration().0).collect();
    lengths.sort_unstable();
    let least = Nanos(usual(&lengths).saturating_mul(FACTOR)).max(options.min_freeze);
    let enough = lengths.len() >= HABIT;
    enough.then(|| gaps.into_iter().filter(|gap| gap.duration() >= least).collect())
}

/// Stretches of a thread of which the capture does not say what ended them.
fn gaps(model: &Model<'_>, thread: ThreadId) -> Vec<Span> {
    let slices = model.states.of(thread).iter();
    let untold = slices.filter(|slice| match slice.doing {
        // Without its comings, a thread is taken to have run on.
        Doing::Running | Doing::Runnable(_) => !model.states.comings_recorded,
        Doing::Blocked(id) => {
            let (wait, site) = (model.states.wait(id), model.sites.of(id));
            let rests = site.kind == WaitKind::Idle;
            // A runtime that stops its threads by signals lets them stand in their handlers (`runtimes/suspended.rs`).
            let sleeps = rests && matches!(model.sites.name(site), "sleep" | suspended::RESTS);
            let counts = sleeps || rests && !model.states.comings_recorded;
            let may_be_over = !wait.open_end || wants_answer(model, thread, site);
            counts && wait.wakeup.is_none() && !wait.open_start && may_be_over
        }
    });
    untold.map(|slice| slice.span).collect()
}

/// Whether a thread that waits for data waits for an answer, as it has its rest elsewhere. In a recording of some processes it may
/// have got it when the recording ends.
fn wants_answer(model: &Model<'_>, thread: ThreadId, site: &Site) -> bool {
    let is_for_data = |site: &Site| network::is_for_data(&model.sites, site);
    let rests = model.sums.iter().filter(|group| {
        group.thread == thread && group.site.kind == WaitKind::Idle && !is_for_data(&group.site)
    });
    !model.states.comings_recorded
        && is_for_data(site)
        && rests.map(|group| group.waits).sum::<u64>() >= HABIT as u64
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script::{self, SLEEPS};

    /// Three threads that leave for a sleep every 10 ms, and once for `long` ms.
    fn capture(command: &[&str], long: u64) -> Capture {
        let threads = [('a', "serve"), ('b', "serve"), ('c', "serve")];
        let mut script = Vec::new();
        for round in 0..12_u64 {
            let time = round * 10 + if round > 9 { long } else { 0 };
            script.extend(('a'..='c').map(|thread| format!("{time}ms {thread}>- S {SLEEPS}")));
        }
        let capture = script::process(Capture::default(), &threads);
        let mut capture = script::record(capture, &script.join(","));
        capture.origin.command = command.iter().map(|word| (*word).to_owned()).collect();
        capture
    }

    fn told(command: &[&str], long: u64) -> Option<String> {
        let capture = capture(command, long);
        hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
    }

    #[test]
    fn gaps_of_most_threads_at_once_are_told_where_nobody_saw_their_end() {
        let told = told(&["perf", "record", "-p", "1"], 500).unwrap();
        assert!(told.contains("3 threads of serve") && told.contains("away at once for 510 ms"));
    }

    #[test]
    fn threads_that_stand_in_the_handlers_of_signals_at_once_may_be_stopped_by_their_runtime() {
        // They come back 400 ms later, and nobody knows who let them on.
        let told = |waits: &str| {
            let leaves = ["a", "b", "c"].map(|thread| format!("141ms {thread}>- S {waits}"));
            let comes = ["a", "b", "c"].map(|thread| format!("541ms ->{thread}"));
            let script = format!("{},{},550ms .a", leaves.join(","), comes.join(","));
            let mut capture = Capture::default();
            capture = script::process(capture, &[('a', "mono"), ('b', "mono"), ('c', "mono")]);
            let rests = (0..120).step_by(10).flat_map(|at| {
                ["a", "b", "c"].map(|t| format!("{at}ms {t}>- S {SLEEPS},{}ms ->{t}", at + 5))
            });
            let rests: Vec<String> = rests.collect();
            let capture = script::record(capture, &format!("{},{script}", rests.join(",")));
            hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
        };
        let stopped = told("schedule<sigsuspend<__x64_sys_rt_sigsuspend").unwrap();
        assert!(
            stopped.starts_with("sched:sched_waking") && stopped.contains("3 threads of mono"),
            "{stopped}"
        );
        assert_eq!(told("schedule<ep_poll<do_epoll_wait"), None);
    }

    #[test]
    fn what_is_usual_is_not() {
        assert_eq!(told(&["perf", "record", "-p", "1"], 20), None);
    }

    #[test]
    fn who_rests_elsewhere_may_have_got_the_answer_that_it_waited_for_when_the_recording_ends() {
        let told = |waits: &str| {
            let leaves = ["a", "b", "c"].map(|thread| format!("141ms {thread}>- S {waits}"));
            let script = format!("{},700ms .m", leaves.join(","));
            let mut capture = script::record(capture(&[], 20), &script);
            capture.origin.command = ["perf", "record", "-p", "1"].map(str::to_owned).to_vec();
            hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
        };
        let late = told("schedule<sk_wait_data<tcp_recvmsg").unwrap();
        assert!(late.contains("3 threads of serve") && late.contains("at once for 559 ms"));
        assert_eq!(told(SLEEPS), None);
    }

    #[test]
    fn where_everything_was_recorded_nothing_is_unseen() {
        let capture = script::record(capture(&["perf", "record", "-a"], 500), "900ms w:a");
        assert_eq!(hint(&script::model(&capture), &script::options()), None);
    }

    const AT_FUTEX: &str = "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex";

    /// a to e sleep for 5 ms twelve times.
    fn sleeps_of_five() -> Vec<String> {
        let mut script = Vec::new();
        for at in (0..120).step_by(10) {
            script.extend(('a'..='e').map(|thread| format!("{at}ms {thread}>- S {SLEEPS}")));
            script.extend(('a'..='e').map(|thread| format!("{}ms ->{thread}", at + 5)));
        }
        script
    }

    #[test]
    fn so_may_processes_of_one_master_have() {
        let mut script = sleeps_of_five();
        script.extend(('a'..='e').map(|thread| format!("121ms {thread}>- S {AT_FUTEX}")));
        script.extend(('a'..='e').map(|thread| format!("521ms ->{thread}")));
        let told = |has_master: bool| {
            let mut capture = script::process(Capture::default(), &[('m', "worker")]);
            let master = has_master.then(|| script::tid('m'));
            for letter in 'a'..='e' {
                let child = script::tid(letter);
                let thread = capture.threads.fork(child, child, master, Timestamp(0));
                capture.threads.name(thread, "worker", Timestamp(0));
            }
            let capture = script::record(capture, &script.join(","));
            hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
        };
        let family = told(true).unwrap();
        assert!(family.contains("5 processes of worker waited for futexes at once"), "{family}");
        assert_eq!(told(false), None);
    }

    #[test]
    fn who_waited_for_futexes_at_once_may_have_waited_for_a_lock_where_no_wakings_were_recorded() {
        // Five sleep for 5 ms twelve times, and then wait for a futex for 400 ms, or as long as ever.
        let told = |long: u64, threads: std::ops::RangeInclusive<char>| {
            let mut script = sleeps_of_five();
            script.extend(threads.clone().map(|thread| format!("121ms {thread}>- S {AT_FUTEX}")));
            script.extend(threads.map(|thread| format!("{}ms ->{thread}", 121 + long)));
            script.push(format!("{}ms a>- S {SLEEPS},{}ms ->a", 122 + long, 130 + long));
            let capture = script::process(
                Capture::default(),
                &[('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve"), ('e', "serve")],
            );
            let capture = script::record(capture, &script.join(","));
            hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
        };
        let late = told(400, 'a'..='e').unwrap();
        assert!(
            late.contains("sched:sched_waking") && late.contains("5 threads of serve"),
            "{late}"
        );
        assert_eq!(told(400, 'a'..='c'), None);
        assert_eq!(told(8, 'a'..='e'), None);
    }
}
