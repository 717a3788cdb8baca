//! Who waits for work in what looks like a freeze, and who does not.

use coldcase_ingest::capture::{Nanos, ThreadId};

use crate::blame::{self, Leaf, Root, Why};
use crate::findings::Cause;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::verdict::cause;
use crate::windows::{RawWindow, rhythm};

/// The threads of a window that rest at futexes, beside others that do not: nearly all that they wait for ends at who waits for
/// work itself. A database's workers wait there for the thread that takes what the disk brings, while its clients' threads
/// wait for a lock. None where all do, or nobody does.
pub(super) fn beside_others(model: &Model<'_>, raw: &RawWindow) -> Vec<ThreadId> {
    const NEARLY_ALL: f64 = 0.9;
    let rests = |thread: ThreadId| {
        let own = raw.of(vec![thread]);
        if own.harms.iter().any(|harm| harm.cause != Cause::Futex)
            || rhythm::hardly_ever_rest_there(model, &own)
        {
            return false;
        }
        let (leaves, _) = blame::of(model, &own.harms);
        let known = cause::within_capture(&leaves);
        waits_for_work(model, &own, &leaves).share_of(known) > NEARLY_ALL
    };
    let resting: Vec<ThreadId> =
        raw.threads.iter().copied().filter(|&thread| rests(thread)).collect();
    if resting.len() < raw.threads.len() { resting } else { Vec::new() }
}

/// Time that ends at threads which themselves wait for work from outside, or which bring work now and then: who
/// sleeps, or waits for its child process, and then wakes the others itself hands out work; who does so with a lock wakes one,
/// and that one the next. Whoever rests elsewhere as well does not rest where a thread lets it on that had a job done meanwhile, and
/// whoever nearly always rests elsewhere does not rest where one lets it on that was at rest.
pub(super) fn waits_for_work(model: &Model<'_>, raw: &RawWindow, leaves: &[Leaf]) -> Nanos {
    let rest_there = rhythm::rest_there(model, raw);
    let hardly_ever_there = rhythm::hardly_ever_rest_there(model, raw);
    let resting = leaves.iter().filter(|leaf| match leaf.root {
        Root::Blocked(thread, wait) => {
            let site = model.sites.of(wait);
            let own_making = ["sleep", "child wait"].contains(&model.sites.name(site));
            match site.kind {
                WaitKind::Idle => {
                    !own_making && !hardly_ever_there || wakes_them_itself(model, raw, thread)
                }
                // Who waits for a job with a lock keeps others from what they do, and who brings work does not.
                _ => rest_there && blame::is_for_job(model, wait),
            }
        }
        Root::Unknown(why) => matches!(why, Why::Job | Why::Rest),
        _ => false,
    });
    resting.map(|leaf| leaf.time).sum()
}

/// Whether most waits of the others in a window, of those that it is made of, were ended by this one thread.
pub(crate) fn wakes_them_itself(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    let of_its_cause = || raw.harms.iter().filter(|harm| harm.cause == raw.cause);
    let others =
        || of_its_cause().filter(|harm| harm.thread != thread).filter_map(|harm| harm.wait);
    let wakeups = others().filter_map(|id| model.wakeup(id));
    let by_it = wakeups.filter(|wakeup| wakeup.waker == Some(thread));
    by_it.count() * 2 > others().count()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::analyze;
    use crate::findings::Cause;
    use crate::script::{self, FUTEX, WAKES};

    #[test]
    fn helpers_that_wait_for_what_the_disk_brings_are_none_of_those_who_wait_for_a_disk_behind_another()
     {
        // a, b and c wait for d, which waits for its disk; h and i for r, which rests at its event loop, and longer than they.
        const POLL: &str = "schedule<ep_poll<do_epoll_wait";
        let disk = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
        let names: Vec<(char, &str)> =
            ['m', 'a', 'b', 'c', 'd', 'h', 'i', 'r'].map(|t| (t, "db")).into();
        let capture = script::process(Capture::default(), &names);
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend("abcdr".chars().map(|t| format!("{}ms {t}>- S {POLL}", at + 1)));
            events.extend("hi".chars().map(|t| format!("{}ms {t}>- S {FUTEX}", at + 1)));
            events.extend("abcdr".chars().map(|t| format!("{}ms ->{t}", at + 6)));
            events.extend("hi".chars().map(|t| format!("{}ms r!{t} {WAKES}", at + 6)));
            events.extend("hi".chars().map(|t| format!("{}ms ->{t}", at + 6)));
        }
        events.push(format!("100ms r>- S {POLL},101ms h>- S {FUTEX},101ms i>- S {FUTEX}"));
        events.push(format!(
            "109ms d>- D {disk},110ms a>b S {FUTEX},110ms b>c S {FUTEX},110ms c>m S {FUTEX}"
        ));
        events.push(format!(
            "310ms ->d,311ms d!a {WAKES},311ms d!b {WAKES},311ms d!c {WAKES},312ms d>- S {POLL}"
        ));
        events.extend("abc".chars().map(|t| format!("312ms ->{t},313ms {t}>- S {POLL}")));
        events.push(format!(
            "318ms k!r {WAKES},318ms ->r,318ms r!h {WAKES},318ms r!i {WAKES},319ms r>- S {POLL}"
        ));
        events.push(format!("319ms ->h,320ms h>- S {POLL},319ms ->i,320ms i>- S {POLL},330ms .m"));
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        let findings = analyze(&capture, &script::options());
        let window = findings.worst().unwrap();
        let span = window.freeze.span.unwrap();
        assert_eq!(
            (window.cause, window.freeze.threads_blocked, span.start.0, span.end.0),
            (Some(Cause::DiskIo), 3, 110_000_000, 311_000_000)
        );
    }
}
