//! Whether what some of its threads waited for is a freeze of the process.

use coldcase_ingest::capture::{Nanos, ThreadId};

use crate::blame::network;
use crate::findings::Cause;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::sites::Site;
use crate::states::Doing;
use crate::windows::SEVERAL;
use crate::windows::habits::{self, HABIT, Habits, NEW};
use crate::windows::raw::RawWindow;

/// So many threads that waited for a futex until nobody knows who let them on are hardly all at rest.
const MANY: usize = 4;
/// A wait that is nobody's routine is told from this length on, though others ran meanwhile.
const LONG_FOR_ONE_OF_MANY: Nanos = Nanos(500_000_000);
/// The only working thread of a process waits for longer before it counts as starved.
const LONG_FOR_THE_ONLY_ONE: Nanos = Nanos(300_000_000);

/// One thread of many that waits is its own affair; a process freezes when a good part of its working threads do.
pub(super) fn concerns_the_process(model: &Model<'_>, window: &RawWindow) -> bool {
    let length = window.span.duration();
    let frozen = window.stood_still().count();
    let is_lively = |thread: ThreadId| {
        window.threads.contains(&thread)
            || Habits::new(model, thread).is_lively(length) && !runtimes::is_helper(model, thread)
    };
    let lively = || at_a_time(model, window, is_lively);
    match window.cause {
        // An empty queue looks like a lock: only when most of those who normally run stand still is it one.
        Cause::Futex if !window.known_lock => {
            // Who woke them tells a lock from a queue; where that was not recorded, many must agree.
            let blind = model.capture.wakeups.is_empty();
            let enough = if blind { MANY } else { SEVERAL };
            frozen >= enough && frozen * 2 >= lively() && (!blind || somebody_works(model, window))
        }
        Cause::Futex if is_of_vcpus(model, window) => true,
        // On a busy machine now this thread waits for a CPU, now that one.
        Cause::CpuStarvation => {
            frozen * 2 >= lively() && (frozen >= 2 || length >= LONG_FOR_THE_ONLY_ONE)
        }
        Cause::Network if network::is_of_polls(model, window) || is_of_new_ones(model, window) => {
            frozen >= SEVERAL
        }
        Cause::DiskIo | Cause::PageFaultIo | Cause::FsJournal
            if frozen < 2
                && length < LONG_FOR_ONE_OF_MANY
                && (lives_off_its_disk(model, window) || may_have_just_started(model, window)) =>
        {
            false
        }
        _ => {
            let working = at_a_time(model, window, |thread| is_working(model, thread));
            frozen >= 2 && frozen * 4 >= working
                || working <= window.threads.len() + 1
                || is_nobodys_routine(window.cause) && length >= LONG_FOR_ONE_OF_MANY
        }
    }
}

/// How many of a process's threads, of those that count, there were at a time. Who had ended before, or was born later, could neither stand
/// still nor go on, and a program that begins a thread for each request has had hundreds.
fn at_a_time(model: &Model<'_>, window: &RawWindow, counts: impl Fn(ThreadId) -> bool) -> usize {
    let (span, length) = (window.span, window.span.duration());
    let lived = |thread: &ThreadId| model.states.time(*thread, span, |_| true);
    let all = window.crew.iter().filter(|&&thread| counts(thread));
    let lived: Nanos = all.map(lived).sum();
    usize::try_from(lived.0.div_ceil(length.0.max(1))).unwrap_or(usize::MAX)
}

/// Whether all who stood still were born in the recording: what is usual for one of them is known less well than what is for many.
fn is_of_new_ones(model: &Model<'_>, window: &RawWindow) -> bool {
    window.stood_still().all(|thread| habits::born_here(model, thread).is_some())
}

/// Whether half of a virtual machine's CPUs stood still, or one for long: what other threads of the machine do helps its guest little.
fn is_of_vcpus(model: &Model<'_>, window: &RawWindow) -> bool {
    let is_vcpu = |thread: &ThreadId| model.is_vcpu(*thread);
    let frozen = window.stood_still().filter(is_vcpu).count();
    let all = window.crew.iter().filter(|&thread| is_vcpu(thread) && is_working(model, *thread));
    frozen > 0 && (frozen * 2 >= all.count() || window.span.duration() >= LONG_FOR_ONE_OF_MANY)
}

/// Whether the threads of a window never rest, and mostly wait for this: a program that copies files waits for its disk
/// as a matter of course.
fn lives_off_its_disk(model: &Model<'_>, window: &RawWindow) -> bool {
    let waited = |thread, counts: &dyn Fn(&Site) -> bool| -> Nanos {
        let groups = model.sums.of_thread(thread).filter(|group| counts(&group.site));
        groups.map(|group| group.blocked).sum()
    };
    window.threads.iter().all(|&thread| {
        let at_disk = waited(thread, &|site| site.is_harm_by(window.cause));
        !rests(model, thread) && at_disk.share_of(waited(thread, &|_| true)) > 0.5
    })
}

/// Whether a window is of a program of one thread that never rests, and nearly as old as the recording: it may have started just
/// before, and read itself in.
fn may_have_just_started(model: &Model<'_>, window: &RawWindow) -> bool {
    let begins = model.begins();
    window.cause == Cause::PageFaultIo
        && begins < window.span.start
        && window.span.start < begins.plus(NEW)
        && matches!(window.crew[..], [only] if !rests(model, only))
}

fn rests(model: &Model<'_>, thread: ThreadId) -> bool {
    let rests = model.sums.of_thread(thread).filter(|group| group.site.kind == WaitKind::Idle);
    rests.map(|group| group.waits).sum::<u64>() >= HABIT as u64
}

/// Whether a thread of the process did something through half of a window, so that it can have held a lock.
fn somebody_works(model: &Model<'_>, window: &RawWindow) -> bool {
    window.crew.iter().any(|&thread| {
        let time = model.states.time(thread, window.span, |doing| match doing {
            Doing::Running | Doing::Runnable(_) => true,
            Doing::Blocked(id) => matches!(
                model.sites.of(id).kind,
                WaitKind::Harm(cause, _) if cause != Cause::Futex
            ),
        });
        time.share_of(window.span.duration()) > 0.5
    })
}

/// Waits that no thread has as a matter of course, so that a long one is told even if it is the only one.
fn is_nobodys_routine(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::MmapLock
            | Cause::MemoryLimit
            | Cause::Reclaim
            | Cause::Compaction
            | Cause::Swap
            | Cause::Stopped
            | Cause::CpuThrottle
    )
}

/// A thread that comes to a CPU now and then.
fn is_working(model: &Model<'_>, thread: ThreadId) -> bool {
    let runs = model.states.of(thread).iter().filter(|slice| slice.doing == Doing::Running);
    runs.take(3).count() == 3
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::script::{self, SLEEPS};
    use crate::windows;

    #[test]
    fn threads_that_had_ended_before_a_lock_was_kept_do_not_outnumber_those_that_stood_still() {
        // e to z and their like come and go before a to d wait for a known lock that m has; or they go on until the end.
        let freezes = |ends: &str| {
            let names = ('a'..='z').filter(|&letter| letter != 'm').map(|letter| (letter, "serve"));
            let threads: Vec<_> = [('m', "main")].into_iter().chain(names).collect();
            let mut then = Vec::new();
            for at in 0..4 {
                let others = ('e'..='z').filter(|&letter| letter != 'm').enumerate();
                then.extend(others.map(|(index, letter)| {
                    let from = 101_000 + 4_000 * at + 100 * index;
                    let state = if at == 3 { ends } else { "S SLEEPS" };
                    format!("{from}000 m>{letter} R+,{}000 {letter}>m {state}", from + 50)
                }));
            }
            let lock = "FUTEX<user:__pthread_mutex_lock_full";
            then.extend(('a'..='d').map(|letter| format!("120ms {letter}>m S {lock}")));
            then.extend(
                ('a'..='d').map(|letter| format!("520ms m!{letter} WAKES,520ms ->{letter}")),
            );
            then.push("521ms .m".to_owned());
            let capture = script::with_habits(&threads, &then.join(","));
            windows::find(&script::model(&capture), &script::options()).len()
        };
        assert_eq!([freezes("X"), freezes("S SLEEPS")], [1, 0]);
    }

    #[test]
    fn a_program_that_reads_itself_in_as_a_recording_begins_may_have_just_started() {
        // a waits for something else for long, sleeps some times, and waits for a page of its program.
        let freezes = |sleeps: u64, at: u64| {
            let (page, other) = (
                "schedule<io_schedule<folio_wait_bit_common<filemap_fault",
                "schedule<of_a_driver",
            );
            let mut events = vec!["0 .m".to_owned(), format!("1ms ->a,2ms a>- S {other}")];
            let sleep = |from: u64| format!("{from}ms ->a,{}ms a>- S {SLEEPS}", from + 1);
            events.extend((at - 60..at).step_by(4).take(sleeps as usize).map(sleep));
            events.push(format!("{at}ms ->a,{at}ms a>m D {page},{}ms ->a", at + 80));
            events.push(format!("{}ms a>- S {SLEEPS},{}ms .m", at + 90, at + 100));
            let capture = script::process(Capture::default(), &[('a', "format")]);
            let capture = script::record(capture, &events.join(","));
            windows::find(&script::model(&capture), &script::options()).len()
        };
        assert_eq!([freezes(4, 300), freezes(4, 1300), freezes(12, 300)], [0, 1, 1]);
    }
}
