//! When a process stood still.
//!
//! A freeze is a stretch in which threads that normally run are kept from it together, for longer than they
//! ever are in the rest of the capture. Waiting for work is no freeze. What a wait site cannot tell (a futex is
//! a lock or an empty queue) is told by the thread's own habits.

use coldcase_ingest::capture::{Nanos, ProcessId, Span, StackId, ThreadId};

use crate::findings::Cause;
use crate::model::Model;
use crate::options::{Options, ProcessFilter};
use crate::rules::WaitKind;
use crate::thread_state::{Doing, WaitId};

/// One freeze of one process.
#[derive(Clone, Debug)]
pub(crate) struct RawWindow {
    pub process: ProcessId,
    pub span: Span,
    pub harms: Vec<Harm>,
    /// By what most of the time was lost.
    pub cause: Cause,
    pub threads: Vec<ThreadId>,
}

/// One time that a thread was kept from running.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harm {
    pub thread: ThreadId,
    pub span: Span,
    pub cause: Cause,
    /// `None` for time in want of a CPU.
    pub wait: Option<WaitId>,
    /// Whether it is long and unusual enough to make a freeze; others are counted inside one.
    pub makes_window: bool,
}

/// Waits of a process closer than this belong to one freeze: what lies between is the hand-over.
const JOIN: Nanos = Nanos(10_000_000);

/// Every freeze, in order of time.
pub(crate) fn find(model: &Model<'_>, options: &Options) -> Vec<RawWindow> {
    let mut windows: Vec<RawWindow> = model
        .capture
        .threads
        .processes()
        .filter(|(id, process)| !process.kernel && wanted(model, *id, options.process.as_ref()))
        .flat_map(|(id, _)| of_process(model, id, options))
        .collect();
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

fn of_process(model: &Model<'_>, process: ProcessId, options: &Options) -> Vec<RawWindow> {
    let threads = &model.capture.threads.process(process).threads;
    let mut harms: Vec<Harm> =
        threads.iter().flat_map(|&thread| of_thread(model, thread, options)).collect();
    harms.sort_by_key(|harm| (harm.span.start, harm.thread));
    let mut windows: Vec<Span> = Vec::new();
    for harm in harms.iter().filter(|harm| harm.makes_window) {
        match windows.last_mut() {
            Some(last) if harm.span.start <= last.end.plus(JOIN) => *last = last.hull(harm.span),
            _ => windows.push(harm.span),
        }
    }
    let limits = options.window.map(|(start, end)| {
        Span::new(coldcase_ingest::capture::Timestamp(start), coldcase_ingest::capture::Timestamp(end))
    });
    windows
        .into_iter()
        .filter_map(|span| limits.map_or(Some(span), |limits| span.intersect(limits)))
        .filter(|span| span.duration() >= options.min_freeze)
        .filter_map(|span| window(model, process, span, &harms))
        .collect()
}

fn window(model: &Model<'_>, process: ProcessId, span: Span, harms: &[Harm]) -> Option<RawWindow> {
    let inside: Vec<Harm> = harms
        .iter()
        .filter_map(|harm| harm.span.intersect(span).map(|cut| Harm { span: cut, ..*harm }))
        .collect();
    let mut causes: Vec<(Cause, Nanos)> = Vec::new();
    for harm in inside.iter().filter(|harm| harm.makes_window) {
        match causes.iter_mut().find(|known| known.0 == harm.cause) {
            Some(known) => known.1 += harm.span.duration(),
            None => causes.push((harm.cause, harm.span.duration())),
        }
    }
    let cause = causes.into_iter().max_by_key(|&(cause, time)| (time, std::cmp::Reverse(cause)))?.0;
    let mut threads: Vec<ThreadId> =
        inside.iter().filter(|harm| harm.makes_window).map(|harm| harm.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    let window = RawWindow { process, span, harms: inside, cause, threads };
    concerns_the_process(model, &window).then_some(window)
}

/// One thread of many that waits is its own affair; a process freezes when a good part of its working
/// threads do.
fn concerns_the_process(model: &Model<'_>, window: &RawWindow) -> bool {
    let all = &model.capture.threads.process(window.process).threads;
    let working = all.iter().filter(|&&thread| is_working(model, thread)).count();
    window.threads.len() >= 2 && window.threads.len() * 4 >= working || working <= window.threads.len() + 1
}

/// A thread that comes to a CPU now and then.
fn is_working(model: &Model<'_>, thread: ThreadId) -> bool {
    let runs = model.states.of(thread).iter().filter(|slice| slice.doing == Doing::Running);
    runs.take(3).count() == 3
}

/// Every time that a thread was kept from running.
fn of_thread(model: &Model<'_>, thread: ThreadId, options: &Options) -> Vec<Harm> {
    let habits = Habits::new(model, thread);
    let long = Nanos(options.min_freeze.0 / 2);
    let slices = model.states.of(thread).iter();
    slices
        .filter_map(|slice| {
            let (cause, wait) = match slice.doing {
                Doing::Running => return None,
                Doing::Runnable(_) => (Cause::CpuStarvation, None),
                Doing::Blocked(id) => match model.sites.of(id).kind {
                    WaitKind::Harm(cause, _) => (cause, Some(id)),
                    WaitKind::Idle | WaitKind::Other => return None,
                },
            };
            let enough = slice.span.duration() >= long;
            let makes_window = enough && habits.is_unusual(model, thread, slice.span, cause, wait);
            if wait.is_none() && !makes_window || cause == Cause::Futex && !makes_window {
                return None;
            }
            Some(Harm { thread, span: slice.span, cause, wait, makes_window })
        })
        .collect()
}

/// How long a thread's waits usually are, by what they are for.
struct Habits {
    /// Lengths by cause and stack, each sorted.
    lengths: Vec<((Cause, Option<StackId>), Vec<u64>)>,
    runs: usize,
    born_here: bool,
}

impl Habits {
    fn new(model: &Model<'_>, thread: ThreadId) -> Self {
        let mut lengths: Vec<((Cause, Option<StackId>), Vec<u64>)> = Vec::new();
        let mut runs = 0;
        for slice in model.states.of(thread) {
            let key = match slice.doing {
                Doing::Running => {
                    runs += 1;
                    continue;
                }
                Doing::Runnable(_) => (Cause::CpuStarvation, None),
                Doing::Blocked(id) => match model.sites.of(id).kind {
                    WaitKind::Harm(cause, _) => (cause, None),
                    WaitKind::Idle | WaitKind::Other => continue,
                },
            };
            let length = slice.span.duration().0;
            match lengths.iter_mut().find(|known| known.0 == key) {
                Some(known) => known.1.push(length),
                None => lengths.push((key, vec![length])),
            }
        }
        for (_, list) in &mut lengths {
            list.sort_unstable();
        }
        let born_here = model.capture.threads.get(thread).born.is_some();
        Self { lengths, runs, born_here }
    }

    /// Whether a wait of this kind stands out against the thread's other waits of its kind.
    fn is_unusual(
        &self,
        model: &Model<'_>,
        thread: ThreadId,
        span: Span,
        cause: Cause,
        wait: Option<WaitId>,
    ) -> bool {
        /// So many other waits make a habit.
        const HABIT: usize = 8;
        /// By so much a wait stands out against the longest but one tenth.
        const FACTOR: u64 = 4;
        let list = self.lengths.iter().find(|known| known.0 == (cause, None)).map(|known| &known.1);
        let list = list.map_or(&[][..], Vec::as_slice);
        let usual = list.get(list.len().saturating_sub(1) * 9 / 10).copied().unwrap_or(0);
        let stands_out = span.duration().0 >= usual.saturating_mul(FACTOR);
        let open_both = wait.is_some_and(|id| {
            let wait = model.states.wait(id);
            wait.open_start && wait.open_end
        });
        if open_both {
            return false;
        }
        match cause {
            // Nobody rests at these: a long wait is a harm even if all are long.
            Cause::MmapLock
            | Cause::VmaLock
            | Cause::Rwsem
            | Cause::Mutex
            | Cause::Stopped
            | Cause::MemoryLimit
            | Cause::CpuThrottle
            | Cause::Reclaim
            | Cause::Compaction
            | Cause::Swap => true,
            // Reading its files is what a new process does.
            Cause::DiskIo | Cause::PageFaultIo | Cause::FsJournal | Cause::Network => {
                !self.born_here && (list.len() < HABIT || stands_out)
            }
            Cause::Futex => list.len() >= HABIT && stands_out && self.runs > HABIT,
            Cause::CpuStarvation => {
                let _ = thread;
                span.duration() >= Nanos::from_millis(200) && list.len() >= HABIT && stands_out
            }
            Cause::MemorySyscall | Cause::Unknown => false,
        }
    }
}
