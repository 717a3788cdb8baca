//! When a process stood still.
//!
//! A freeze is a stretch in which threads that normally run are kept from it together, for longer than they
//! ever are in the rest of the capture. Waiting for work is no freeze. What a wait site cannot tell (a futex is
//! a lock or an empty queue) is told by the thread's own habits.

use coldcase_ingest::capture::{Context, Nanos, ProcessId, Span, ThreadId, Timestamp};

use crate::background;
use crate::family;
use crate::findings::Cause;
use crate::habits::{self, HABIT, Habits};
use crate::harms::{self, Harm, InTime, Judge};
use crate::model::Model;
use crate::network;
use crate::options::{Options, ProcessFilter};
use crate::rhythm;
use crate::rules::WaitKind;
use crate::runtime;
use crate::tally::Tally;
use crate::thread_state::{Doing, WaitId};

/// One freeze of one process.
#[derive(Clone, Debug)]
pub(crate) struct RawWindow {
    /// What froze; for a family of processes, their master.
    pub process: ProcessId,
    /// All threads of the process, or of the master's children.
    pub crew: Vec<ThreadId>,
    pub span: Span,
    pub harms: Vec<Harm>,
    /// By what most of the time was lost.
    pub cause: Cause,
    pub threads: Vec<ThreadId>,
    /// Functions of the program say that most of its waits were for a lock; a futex alone does not.
    pub known_lock: bool,
}

impl RawWindow {
    /// The waits of which the freeze is made; time in want of a CPU is none.
    pub fn waits(&self) -> impl Iterator<Item = WaitId> + '_ {
        self.harms.iter().filter_map(|harm| harm.wait)
    }

    /// Threads that stood still for a good part of the freeze.
    pub fn stood_still(&self) -> impl Iterator<Item = ThreadId> + '_ {
        self.stood_still_for(|_| true)
    }

    /// The freeze of those who stood still in it for a good part, for whatever reason.
    pub fn of_all_who_stood_still(&self) -> Self {
        self.of(self.stood_still().collect())
    }

    /// The freeze of those who stood still for a good part of it at the kind of lock at which most of its time was lost, or at
    /// a lock of the program behind it. Who had the lock, and stood still with it, is why they waited, and not one of them.
    pub fn of_those_at_the_lock(&self, holder: Option<ThreadId>) -> Self {
        let of_memory = |cause| matches!(cause, Cause::MmapLock | Cause::VmaLock);
        let at_lock = self.stood_still_for(|harm| {
            harm.cause == self.cause
                || harm.cause == Cause::Futex
                || of_memory(harm.cause) && of_memory(self.cause)
        });
        self.of(at_lock.filter(|&thread| Some(thread) != holder).collect())
    }

    fn stood_still_for<'s>(
        &'s self,
        counts: impl Fn(&Harm) -> bool + 's,
    ) -> impl Iterator<Item = ThreadId> + 's {
        let enough = self.span.duration().0 / 10;
        self.threads.iter().copied().filter(move |&thread| {
            let own = self.harms.iter().filter(|harm| harm.thread == thread && counts(harm));
            own.map(|harm| harm.span.duration()).sum::<Nanos>().0 >= enough
        })
    }

    /// The freeze of these threads alone, all of whose waiting in it counts. Where it is made of many short waits of one thread
    /// after the other, nobody stood still for a good part, and it is everyone's.
    pub fn of(&self, threads: Vec<ThreadId>) -> Self {
        if threads.is_empty() {
            return self.clone();
        }
        let own = || self.harms.iter().filter(|harm| threads.contains(&harm.thread));
        let making = own().filter(|harm| harm.makes_window).map(|harm| harm.span);
        let span = making.reduce(Span::hull).unwrap_or(self.span);
        let harms = own().filter_map(|harm| harm.inside(span)).collect();
        let crew = self.crew.clone();
        Self { span, harms, threads, crew, ..*self }
    }
}

/// Two threads that wait for a third are a pipeline at work; a lock that stops a service stops more.
pub(crate) const SEVERAL: usize = 3;
/// So many threads that waited for a futex until nobody knows who let them on are hardly all at rest.
const MANY: usize = 4;
/// Waits of a process closer than this belong to one freeze: what lies between is the hand-over.
pub(crate) const JOIN: Nanos = Nanos(10_000_000);
/// Where one cause runs through two freezes, what lies between takes such a part of them at most.
pub(crate) const LITTLE: u64 = 5;
/// A quota is used up once in each period, of 100 ms by default (`default_cfs_period`, `kernel/sched/fair.c`).
const PERIOD: Nanos = Nanos(100_000_000);
/// Where it is used up in each of them, that is one freeze; a period may pass in which it is not.
const JOIN_THROTTLED: Nanos = Nanos(2 * PERIOD.0);

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
        .filter(|window| window.stood_still().count() >= SEVERAL)
        .collect();
    let processes = threads.processes().filter(|(id, process)| !process.kernel && wanted(*id));
    let of_processes: Vec<RawWindow> = processes
        .flat_map(|(id, process)| {
            let crew = &process.threads[..];
            let harms = near_freezes(model, crew, options, |_| true);
            of_all_or_those_at_work(model, (id, crew), &harms, options)
        })
        .filter(|window| !windows.iter().any(|family| family::is_part_of(window, family)))
        .collect();
    windows.extend(of_processes);
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
        .flat_map(|span| together(span, harms.near(span)))
        .filter(|span| span.duration() >= options.min_freeze)
        .filter_map(|span| window(model, crew, span, harms.near(span)))
        .collect()
}

/// What is left of a freeze without those who only waited for a futex.
pub(crate) fn without_those_at_futexes(
    model: &Model<'_>,
    raw: &RawWindow,
    options: &Options,
) -> Vec<RawWindow> {
    let others = || raw.harms.iter().filter(|harm| harm.cause != Cause::Futex);
    let at_rest = |thread: &&ThreadId| {
        raw.harms.iter().any(|harm| harm.thread == **thread)
            && !others().any(|harm| harm.thread == **thread)
    };
    let crew: Vec<ThreadId> = raw.crew.iter().filter(|thread| !at_rest(thread)).copied().collect();
    of_crew(model, (raw.process, &crew), &others().copied().collect::<Vec<_>>(), options)
}

/// Whether a harm may be rest: a wait for a futex, of which no function says that it is a lock, that had not ended when the
/// recording did.
fn may_be_rest(model: &Model<'_>, harm: &Harm) -> bool {
    harm.cause == Cause::Futex
        && harm
            .wait
            .is_some_and(|id| model.states.wait(id).open_end && !model.sites.of(id).known_lock)
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
fn join(model: &Model<'_>, harms: &[Harm]) -> Vec<Span> {
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
    let sliced = |harm: &Harm| harm.wait.is_some_and(|id| model.series.of_known_lock(id).is_some());
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
/// still at once: a thread that rested before and was woken to work did not freeze.
fn together(span: Span, harms: &[Harm]) -> Vec<Span> {
    let inside =
        || harms.iter().filter(|harm| harm.makes_window && harm.span.intersect(span).is_some());
    if inside().any(|harm| harm.cause != Cause::Futex) {
        return vec![span];
    }
    let mut threads: Vec<ThreadId> = inside().map(|harm| harm.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    let enough = (threads.len() / 3).max(2);
    let mut changes: Vec<(Timestamp, bool)> = inside()
        .filter_map(|harm| harm.span.intersect(span))
        .flat_map(|cut| [(cut.start, true), (cut.end, false)])
        .collect();
    changes.sort_unstable_by_key(|&(time, begins)| (time, !begins));
    let (mut blocked, mut since, mut stretches) = (0_usize, None, Vec::<Span>::new());
    for (time, begins) in changes {
        blocked = if begins { blocked + 1 } else { blocked.saturating_sub(1) };
        match since {
            None if blocked >= enough => since = Some(time),
            Some(start) if blocked < enough => {
                since = None;
                match stretches.last_mut() {
                    Some(last) if start <= last.end.plus(JOIN) => last.end = time,
                    _ => stretches.push(Span::new(start, time)),
                }
            }
            _ => {}
        }
    }
    let cuts = || inside().filter_map(|harm| harm.span.intersect(span));
    stretches.into_iter().map(|stretch| with_its_ends(stretch, cuts())).collect()
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

fn window(
    model: &Model<'_>,
    (process, crew): (ProcessId, &[ThreadId]),
    span: Span,
    harms: &[Harm],
) -> Option<RawWindow> {
    let mut inside: Vec<Harm> = harms.iter().filter_map(|harm| harm.inside(span)).collect();
    // Who waits on where others were let on waits for the same.
    let let_on = inside.iter().filter(|harm| {
        harm.makes_window && harm.cause == Cause::Futex && !may_be_rest(model, harm)
    });
    if let_on.count() < 2 {
        inside.retain(|harm| !may_be_rest(model, harm));
    }
    let making = || inside.iter().filter(|harm| harm.makes_window);
    let causes: Tally<Cause> = making().map(|harm| (harm.cause, harm.span.duration())).collect();
    let (cause, _) = causes.largest()?;
    let mut threads: Vec<ThreadId> = making().map(|harm| harm.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    // By time: who looks up every few milliseconds has more waits than the others, and waits no longer.
    let all: Nanos = making().map(|harm| harm.span.duration()).sum();
    let known = making().filter(|harm| harm.wait.is_some_and(|id| model.sites.of(id).known_lock));
    let known: Nanos = known.map(|harm| harm.span.duration()).sum();
    let known_lock = known.share_of(all) > 0.5;
    let crew = crew.to_vec();
    let window = RawWindow { process, crew, span, harms: inside, cause, threads, known_lock };
    concerns_the_process(model, &window).then_some(window)
}

/// One thread of many that waits is its own affair; a process freezes when a good part of its working threads do.
fn concerns_the_process(model: &Model<'_>, window: &RawWindow) -> bool {
    let all = &window.crew;
    let length = window.span.duration();
    let frozen = window.stood_still().count();
    let lively = all.iter().filter(|&&thread| {
        window.threads.contains(&thread)
            || Habits::new(model, thread).is_lively(length) && !runtime::is_helper(model, thread)
    });
    match window.cause {
        // An empty queue looks like a lock: only when most of those who normally run stand still is it one.
        Cause::Futex if !window.known_lock => {
            // Who woke them tells a lock from a queue; where that was not recorded, many must agree.
            let blind = model.capture.wakeups.is_empty();
            let enough = if blind { MANY } else { SEVERAL };
            frozen >= enough
                && frozen * 2 >= lively.count()
                && (!blind || somebody_works(model, window))
        }
        // On a busy machine now this thread waits for a CPU, now that one.
        Cause::CpuStarvation => {
            frozen * 2 >= lively.count() && (frozen >= 2 || length >= LONG_FOR_THE_ONLY_ONE)
        }
        Cause::Network if network::is_of_polls(model, window) || is_of_new_ones(model, window) => {
            frozen >= SEVERAL
        }
        Cause::DiskIo | Cause::PageFaultIo | Cause::FsJournal
            if frozen < 2 && length < LONG_FOR_ONE_OF_MANY && lives_off_its_disk(model, window) =>
        {
            false
        }
        _ => {
            let working = all.iter().filter(|&&thread| is_working(model, thread)).count();
            frozen >= 2 && frozen * 4 >= working
                || working <= window.threads.len() + 1
                || is_nobodys_routine(window.cause) && length >= LONG_FOR_ONE_OF_MANY
        }
    }
}

/// Whether all who stood still were born in the recording: what is usual for one of them is known less well than what is for many.
fn is_of_new_ones(model: &Model<'_>, window: &RawWindow) -> bool {
    window.stood_still().all(|thread| habits::born_here(model, thread).is_some())
}

/// Whether the threads of a window never rest, and mostly wait for this: a program that copies files waits for its disk
/// as a matter of course.
fn lives_off_its_disk(model: &Model<'_>, window: &RawWindow) -> bool {
    window.threads.iter().all(|&thread| {
        let (mut rests, mut all, mut at_disk) = (0, Nanos::ZERO, Nanos::ZERO);
        for slice in model.states.of(thread).iter() {
            let Doing::Blocked(id) = slice.doing else { continue };
            all += slice.span.duration();
            match model.sites.of(id).kind {
                WaitKind::Idle => rests += 1,
                WaitKind::Harm(cause, _) if cause == window.cause => {
                    at_disk += slice.span.duration();
                }
                WaitKind::Harm(..) | WaitKind::Other => {}
            }
        }
        rests < HABIT && at_disk.share_of(all) > 0.5
    })
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

/// Whether threads were let on again and again: that is a queue with little in it, or chronic contention. Timed
/// waits that run out and are taken up again let nobody on.
pub(crate) fn comes_and_goes(model: &Model<'_>, window: &RawWindow) -> bool {
    const TIMES: usize = 3;
    // Who has the lock may wait for its disk as often as it likes.
    let at_futex = window.harms.iter().filter(|harm| harm.cause == Cause::Futex);
    let wakeups = at_futex.filter_map(|harm| model.wakeup(harm.wait?));
    wakeups.filter(|wakeup| wakeup.context == Context::Task).count() > TIMES * window.threads.len()
}

/// A thread that comes to a CPU now and then.
fn is_working(model: &Model<'_>, thread: ThreadId) -> bool {
    let runs = model.states.of(thread).iter().filter(|slice| slice.doing == Doing::Running);
    runs.take(3).count() == 3
}

/// A wait that is nobody's routine is told from this length on, though others ran meanwhile.
const LONG_FOR_ONE_OF_MANY: Nanos = Nanos(500_000_000);
/// The only working thread of a process waits for longer before it counts as starved.
const LONG_FOR_THE_ONLY_ONE: Nanos = Nanos(300_000_000);

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

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
