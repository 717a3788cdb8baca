//! When a process stood still.
//!
//! A freeze is a stretch in which threads that normally run are kept from it together, for longer than they
//! ever are in the rest of the capture. Waiting for work is no freeze. What a wait site cannot tell (a futex is
//! a lock or an empty queue) is told by the thread's own habits.

mod background;
pub(crate) mod behind_one;
pub(crate) mod chronic;
mod concerns;
pub(crate) mod doubt;
pub(crate) mod family;
pub(crate) mod habits;
pub(crate) mod harms;
pub(crate) mod kept;
pub(crate) mod lone;
pub(crate) mod own_calls;
pub(crate) mod past;
mod raw;
pub(crate) mod rhythm;
mod sliced;
mod spans;
pub(crate) mod timed;
pub(crate) mod unended;
pub(crate) mod unseen;
pub(crate) mod yields;

use coldcase_ingest::capture::{Nanos, ProcessId, Span, ThreadId};

use crate::at_once;
use crate::findings::Cause;
use crate::model::Model;
use crate::options::{Options, ProcessFilter};
use crate::runtimes::vcpus;
use crate::tally::Tally;
use crate::windows::concerns::concerns_the_process;
use crate::windows::harms::{Harm, InTime};
pub(crate) use crate::windows::raw::RawWindow;
use crate::windows::spans::{join, may_be_rest, together};

/// Two threads that wait for a third are a pipeline at work; a lock that stops a service stops more.
pub(crate) const SEVERAL: usize = 3;
/// Waits of a process closer than this belong to one freeze: what lies between is the hand-over.
pub(crate) const JOIN: Nanos = Nanos(10_000_000);
/// Where one cause runs through two freezes, what lies between takes such a part of them at most.
pub(crate) const LITTLE: u64 = 5;
/// Every freeze, in order of time.
pub(crate) fn find(model: &Model<'_>, options: &Options) -> Vec<RawWindow> {
    let threads = &model.capture.threads;
    let wanted = |id| wanted(model, id, options.process.as_ref());
    let families = family::all(model).into_iter().filter(|family| wanted(family.master));
    let mut windows: Vec<RawWindow> = families
        .flat_map(|family| {
            let crew = &family.threads[..];
            let is_common = |harm: &Harm| family::is_common(model, harm);
            let harms = near_freezes(model, crew, options, is_common);
            of_crew(model, (family.master, crew), &harms, options)
        })
        .filter(|window| family::is_of_several(model, window))
        .collect();
    let processes = threads.processes().filter(|(id, process)| !process.kernel && wanted(*id));
    let processes: Vec<_> = processes.collect();
    let of_processes = at_once::each(&processes, |&(id, process)| {
        let crew = &process.threads[..];
        let harms = near_freezes(model, crew, options, |_| true);
        of_all_or_those_at_work(model, (id, crew), &harms, options)
    });
    let is_new =
        |window: &RawWindow| !windows.iter().any(|family| family::is_part_of(window, family));
    let new: Vec<RawWindow> = of_processes.into_iter().flatten().filter(is_new).collect();
    windows.extend(new);
    windows.sort_by_key(|window| (window.span.start, window.process));
    windows
}

pub(crate) fn wanted(model: &Model<'_>, id: ProcessId, filter: Option<&ProcessFilter>) -> bool {
    let threads = &model.capture.threads;
    match filter {
        None => true,
        Some(ProcessFilter::Pid(pid)) => threads.process(id).pid == Some(*pid),
        Some(ProcessFilter::Name(name)) => {
            let process = threads.process(id);
            process.threads.iter().any(|&thread| threads.get(thread).comm() == name)
        }
    }
}

/// Every harm that counts of those that may belong to a freeze of these threads, in order of time.
fn near_freezes(
    model: &Model<'_>,
    threads: &[ThreadId],
    options: &Options,
    counts: impl Fn(&Harm) -> bool,
) -> Vec<Harm> {
    let mut making = harms::making(model, threads, options);
    making.retain(&counts);
    let mut spans = join(model, &making);
    if let Some(at_work) = background::without(model, &making) {
        spans.extend(join(model, &at_work));
    }
    let mut near = harms::near(model, threads, options, spans);
    near.retain(counts);
    near
}

/// The freezes of a process, and where it has none, those of its threads that do not rest at futexes all along.
fn of_all_or_those_at_work(
    model: &Model<'_>,
    crew: (ProcessId, &[ThreadId]),
    harms: &[Harm],
    options: &Options,
) -> Vec<RawWindow> {
    let mut found = of_crew(model, crew, harms, options);
    if let Some(at_work) = background::without(model, harms) {
        let all = found.len();
        let is_new = |known: &[RawWindow], window: &RawWindow| {
            known.iter().all(|known| known.span.intersect(window.span).is_none())
        };
        for window in of_crew(model, crew, &at_work, options) {
            if is_new(&found[..all], &window) {
                found.push(window);
            }
        }
    }
    found
}

/// The freezes of a process, or of a master's children, with all their threads.
pub(crate) fn of_crew(
    model: &Model<'_>,
    crew: (ProcessId, &[ThreadId]),
    harms: &[Harm],
    options: &Options,
) -> Vec<RawWindow> {
    let windows = join(model, harms);
    let harms = InTime::new(harms);
    windows
        .into_iter()
        .filter_map(|span| options.window.map_or(Some(span), |limits| span.intersect(limits)))
        .flat_map(|span| together(model, span, harms.near(span)))
        .filter(|span| span.duration() >= options.min_freeze)
        .filter_map(|span| window(model, crew, span, harms.near(span)))
        .collect()
}

/// What is left of a freeze without those who only waited for a futex that nothing says is a lock.
pub(crate) fn without_those_at_futexes(
    model: &Model<'_>,
    raw: &RawWindow,
    options: &Options,
) -> Vec<RawWindow> {
    let others = || raw.harms.iter().filter(|harm| !harm.is_at_unnamed_futex(model));
    let at_rest = |thread: &&ThreadId| {
        raw.harms.iter().any(|harm| harm.thread == **thread)
            && !others().any(|harm| harm.thread == **thread)
    };
    let crew: Vec<ThreadId> = raw.crew.iter().filter(|thread| !at_rest(thread)).copied().collect();
    of_crew(model, (raw.process, &crew), &others().copied().collect::<Vec<_>>(), options)
}

/// What is left of a freeze without some of its threads, which rested.
pub(crate) fn without(
    model: &Model<'_>,
    raw: &RawWindow,
    resting: &[ThreadId],
    options: &Options,
) -> Vec<RawWindow> {
    let works = |thread: &ThreadId| !resting.contains(thread);
    let crew: Vec<ThreadId> = raw.crew.iter().copied().filter(works).collect();
    let others: Vec<Harm> = raw.harms.iter().filter(|harm| works(&harm.thread)).copied().collect();
    of_crew(model, (raw.process, &crew), &others, options)
}

fn window(
    model: &Model<'_>,
    (process, crew): (ProcessId, &[ThreadId]),
    span: Span,
    harms: &[Harm],
) -> Option<RawWindow> {
    let mut inside: Vec<Harm> = harms.iter().filter_map(|harm| harm.inside(span)).collect();
    // Who waits on where others were let on waits for the same, unless it came long before them: it would have been let on first.
    let let_on = inside.iter().filter(|harm| {
        harm.makes_window && harm.cause == Cause::Futex && !may_be_rest(model, harm)
    });
    if let_on.count() < 2 {
        inside.retain(|harm| !may_be_rest(model, harm));
    }
    let came_before = |harm: &Harm| {
        harm.wait.is_some_and(|id| model.states.wait(id).span.start.plus(JOIN) < span.start)
    };
    inside.retain(|harm| !(may_be_rest(model, harm) && came_before(harm)));
    let at_known_lock = |harm: &Harm| harm.wait.is_some_and(|id| model.sites.of(id).known_lock);
    // A guest's other processors may have nothing to do.
    if inside.iter().any(|harm| harm.makes_window && vcpus::is_at_lock(model, harm) == Some(true)) {
        inside.retain(|harm| vcpus::is_at_lock(model, harm) != Some(false));
    }
    vcpus::without_helpers(model, &mut inside);
    if inside.iter().any(|harm| harm.makes_window && at_known_lock(harm)) {
        // Who waits at some futex mostly before and behind does not wait for that lock.
        inside.retain(|harm| {
            let whole = harm.wait.map(|id| model.states.wait(id).span);
            !harm.is_at_unnamed_futex(model)
                || whole.is_none_or(|whole| whole.overlap(span).share_of(whole.duration()) > 0.5)
        });
    }
    let making = || inside.iter().filter(|harm| harm.makes_window);
    let causes: Tally<Cause> = making().map(|harm| (harm.cause, harm.span.duration())).collect();
    let (cause, _) = causes.largest()?;
    let mut threads: Vec<ThreadId> = making().map(|harm| harm.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    // By time: who looks up every few milliseconds has more waits than the others, and waits no longer.
    let all: Nanos = making().map(|harm| harm.span.duration()).sum();
    let known: Nanos =
        making().filter(|harm| at_known_lock(harm)).map(|harm| harm.span.duration()).sum();
    let known_lock = known.share_of(all) > 0.5;
    let crew = crew.to_vec();
    let window = RawWindow { process, crew, span, harms: inside, cause, threads, known_lock };
    concerns_the_process(model, &window).then_some(window)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script::{self, SLEEPS};

    /// How many freezes there are where a thread reads from a disk for 2 ms twelve times, with something else between,
    /// and at last for 80 ms.
    fn freezes(between: &str) -> usize {
        let reads = "schedule<io_schedule<folio_wait_bit_common<filemap_read";
        let mut events = vec!["0 .a".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{}ms a>- D {reads},{}ms ->a", at + 1, at + 3));
            events.push(format!("{}ms a>- S {between},{}ms ->a", at + 5, at + 6));
        }
        events.push(format!("121ms a>- D {reads},201ms ->a,202ms a>-"));
        let capture = script::record(Capture::default(), &events.join(","));
        find(&script::model(&capture), &script::options()).len()
    }

    #[test]
    fn a_server_freezes_at_its_disk_and_a_copy_waits_there() {
        assert_eq!(freezes("schedule<ep_poll<do_epoll_wait"), 1);
        assert_eq!(freezes("schedule<pipe_write"), 0);
    }

    /// The freezes of a thread that sleeps for 5 ms twelve times, and then waits three times for 90 ms with 12 ms between.
    fn requests_that_wait_each(at: &str) -> usize {
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let mut events = vec!["0 .a".to_owned()];
        for round in 0..12 {
            events.push(format!("{}ms a>- S {sleeps},{}ms ->a", 10 * round + 1, 10 * round + 6));
        }
        for round in 0..3 {
            let at_ms = 130 + 102 * round;
            events.push(format!("{at_ms}ms a>- D {at},{}ms ->a", at_ms + 90));
        }
        events.push("436ms a>-".to_owned());
        let capture = script::record(Capture::default(), &events.join(","));
        find(&script::model(&capture), &script::options()).len()
    }

    #[test]
    fn a_disk_that_each_request_waits_for_is_one_freeze_and_each_hold_of_a_lock_is_one() {
        assert_eq!(
            requests_that_wait_each("schedule<io_schedule<submit_bio_wait<ext4_sync_file"),
            1
        );
        assert_eq!(requests_that_wait_each("schedule<__mutex_lock<ext4_sync_file"), 3);
    }

    #[test]
    fn who_waits_for_a_lock_when_the_recording_ends_stands_still_and_who_waits_for_work_may_not() {
        // a waits for its disk for a while, and at last all wait at a futex until the end.
        let freezes = |futex: &str| {
            let (sleeps, disk) =
                ("schedule<do_nanosleep<hrtimer_nanosleep", "schedule<io_schedule<submit_bio_wait");
            let threads = [('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
            let mut events = vec!["0 .m".to_owned()];
            for at in (0..100).step_by(10) {
                events.extend(('a'..='d').map(|t| format!("{}ms {t}>- S {sleeps}", at + 1)));
                events.extend(('a'..='d').map(|t| format!("{}ms ->{t}", at + 6)));
            }
            events.push(format!("101ms a>- D {disk},181ms ->a"));
            events.extend(('a'..='d').map(|t| format!("210ms {t}>m S {futex}")));
            events.push("500ms .m".to_owned());
            let capture = script::process(Capture::default(), &threads);
            let capture = script::record(capture, &events.join(","));
            let found = find(&script::model(&capture), &script::options());
            found.iter().filter(|window| window.cause == Cause::Futex).count()
        };
        assert_eq!(freezes("schedule<rt_mutex_wait_proxy_lock<futex_lock_pi<do_futex"), 1);
        assert_eq!(freezes("schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex"), 0);
    }

    #[test]
    fn who_looks_up_every_few_milliseconds_does_not_make_a_lock_of_all_the_others_waits() {
        // a waits for a known lock in twenty slices, b, c and d for something else all the time.
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let futex = "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex";
        let threads =
            [('m', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend(('a'..='d').map(|t| format!("{}ms {t}>- S {sleeps}", at + 1)));
            events.extend(('a'..='d').map(|t| format!("{}ms ->{t}", at + 6)));
        }
        events.extend(('b'..='d').map(|t| format!("101ms {t}>m S {futex}")));
        for at in (101..301).step_by(10) {
            events.push(format!("{at}ms a>m S {futex}<user:take_gil,{}ms w:a", at + 9));
            events.push(format!("{}ms m>a S {sleeps}", at + 9));
        }
        events.extend(('b'..='d').map(|t| format!("301ms m!{t} futex_wake,301ms ->{t}")));
        events.push("302ms .m".to_owned());
        let capture = script::process(Capture::default(), &threads);
        let capture = script::record(capture, &events.join(","));
        let found = find(&script::model(&capture), &script::options());
        let of_all = found.iter().find(|window| window.threads.len() > 1).unwrap();
        assert!(of_all.harms.len() > 20 && !of_all.known_lock);
    }

    /// a to d sleep for 5 ms ten times. What is found of a freeze after `events`: its span in ms and how many stood still.
    fn found_after_sleeps(events: &str) -> Vec<(u64, u64, usize)> {
        let names = ['m', 'a', 'b', 'c', 'd', 'e'].map(|t| (t, "serve"));
        let mut script = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            script.extend(('a'..='e').map(|t| format!("{}ms {t}>- S {SLEEPS}", at + 1)));
            script.extend(('a'..='e').map(|t| format!("{}ms ->{t}", at + 6)));
        }
        let futex = "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex";
        let lock = "schedule<rwsem_down_write_slowpath<down_write_killable<vm_mmap_pgoff";
        let wakes = "try_to_wake_up<wake_up_q<futex_wake<do_futex";
        let events = events.replace("FUTEX", futex).replace("LOCK", lock).replace("WAKES", wakes);
        script.push(events.replace("SLEEPS", SLEEPS));
        let capture = script::process(Capture::default(), &names);
        let capture = script::record(capture, &script.join(","));
        let ms = |at: coldcase_ingest::capture::Timestamp| at.0 / 1_000_000;
        find(&script::model(&capture), &script::options())
            .iter()
            .map(|raw| (ms(raw.span.start), ms(raw.span.end), raw.threads.len()))
            .collect()
    }

    #[test]
    fn who_came_long_before_the_others_and_waits_on_when_they_are_let_on_waits_for_something_else()
    {
        let freeze = |e_comes: &str| {
            let before = if e_comes == "before" { "101ms e>m S FUTEX," } else { "" };
            let behind = if e_comes == "behind" { "160ms e>m S FUTEX," } else { "" };
            found_after_sleeps(&format!(
                "{before}150ms a>m S FUTEX,150ms b>m S FUTEX,151ms c>m S FUTEX,151ms d>m S FUTEX,{behind}400ms m!a WAKES,\
                 400ms m!b WAKES,400ms m!c WAKES,400ms m!d WAKES,401ms m>a S SLEEPS,401ms ->b,401ms ->c,401ms ->d,\
                 402ms a>- S SLEEPS,402ms b>- S SLEEPS,402ms c>- S SLEEPS,402ms d>- S SLEEPS,600ms .m"
            ))
        };
        assert_eq!(freeze("before"), [(150, 400, 4)]);
        assert_eq!(freeze("behind"), [(150, 400, 5)]);
    }

    #[test]
    fn who_rests_at_a_futex_all_along_does_not_wait_for_a_known_lock_meanwhile() {
        let freeze = |lock: &str, e_ends: u64| {
            let waits = format!("FUTEX<user:{lock}");
            found_after_sleeps(&format!(
                "101ms e>m S FUTEX,150ms a>m S {waits},150ms b>m S {waits},151ms c>m S {waits},151ms d>m S {waits},\
                 400ms m!a WAKES,400ms m!b WAKES,400ms m!c WAKES,400ms m!d WAKES,401ms m>a S SLEEPS,401ms ->b,401ms ->c,\
                 401ms ->d,402ms a>- S SLEEPS,402ms b>- S SLEEPS,402ms c>- S SLEEPS,402ms d>- S SLEEPS,{e_ends}ms .m,\
                 {e_ends}ms m!e WAKES,{e_ends}ms ->e,{}ms e>- S SLEEPS",
                e_ends + 1
            ))
        };
        assert_eq!(freeze("__GI___lll_lock_wait", 900), [(150, 400, 4)]);
        assert_eq!(freeze("__GI___lll_lock_wait", 420), [(150, 400, 5)]);
        assert_eq!(freeze("serve", 900), [(150, 400, 5)]);
    }

    #[test]
    fn one_thread_at_a_futex_makes_a_freeze_at_a_kernel_lock_no_longer() {
        let freeze = |behind: &str| {
            let rest = behind.chars().map(|t| format!("303ms {t}>m S FUTEX,"));
            let until = behind
                .chars()
                .map(|t| format!("390ms m!{t} WAKES,390ms ->{t},391ms {t}>- S SLEEPS,"));
            found_after_sleeps(&format!(
                "150ms a>m D LOCK,150ms b>m D LOCK,151ms c>m D LOCK,300ms ->a,301ms a>- S SLEEPS,301ms ->b,301ms ->c,\
                 302ms b>- S SLEEPS,302ms c>- S SLEEPS,{}{}600ms .m",
                rest.collect::<String>(),
                until.collect::<String>(),
            ))
        };
        assert_eq!(
            freeze("d").iter().map(|found| (found.0, found.1)).collect::<Vec<_>>(),
            [(150, 301)]
        );
        assert_eq!(
            freeze("de").iter().map(|found| (found.0, found.1)).collect::<Vec<_>>(),
            [(150, 390)]
        );
    }
}
