//! The threads concerned, against time; and off-CPU time by stack.

use coldcase_ingest::capture::{Capture, Context, Nanos, ProcessId, Span, StackId, ThreadId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::details::folded::{self, NamedTimes};
use crate::details::lanes;
use crate::findings::{Cause, Contention, FoldedStack, Lane, Operation, Role, Timeline, Window};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::sites::Site;
use crate::states::Doing;
use crate::view::thread_name;
use crate::windows::RawWindow;

/// More lanes than this nobody reads.
const MAX_LANES: usize = 256;
/// Threads of other processes, at most: those that ran most while the freeze lasted.
const OTHERS: usize = 8;
/// Who ran for less than this part of the freeze has little to do with it.
const RAN: f64 = 0.1;

/// The threads concerned, in the order of their lanes, each with its part in the freeze.
pub(crate) fn lanes(model: &Model<'_>, raw: &RawWindow, window: &Window) -> Vec<(Role, ThreadId)> {
    let threads = &model.capture.threads;
    let is_culprit = |thread: ThreadId| {
        let row = threads.get(thread);
        let is_of = |pid| threads.process(row.process).pid == Some(pid);
        window.culprit.as_ref().is_some_and(|culprit| match culprit.thread.tid {
            Some(tid) => row.tid == tid,
            // Several threads of one process.
            None => {
                let ran = model.states.ran(thread, raw.span).share_of(raw.span.duration());
                culprit.thread.pid.is_some_and(is_of) && ran >= RAN
            }
        })
    };
    let pause = matches!(
        window.culprit.as_ref().and_then(|culprit| culprit.operation),
        Some(Operation::RuntimePause | Operation::LateToPause)
    );
    let mut blocked: FxHashMap<ThreadId, Nanos> = FxHashMap::default();
    let mut of_process: FxHashMap<ProcessId, Nanos> = FxHashMap::default();
    for harm in &raw.harms {
        *blocked.entry(harm.thread).or_default() += harm.span.duration();
        *of_process.entry(threads.get(harm.thread).process).or_default() += harm.span.duration();
    }
    let part = |thread: ThreadId| match threads.get(thread).tid {
        _ if is_culprit(thread) => Role::Culprit,
        tid if is_accomplice(window, tid) => Role::Accomplice,
        _ if pause && runtimes::is_worker(model, thread) => Role::Helper,
        _ if raw.threads.contains(&thread) => Role::Victim,
        _ if rests(model, thread, raw.span) => Role::Idle,
        _ => Role::Bystander,
    };
    let time = |thread: ThreadId| blocked.get(&thread).copied().unwrap_or_default();
    let mut home: Vec<ThreadId> = raw.crew.clone();
    // A culprit in another process belongs to the first.
    let foreign: Vec<ThreadId> = threads
        .iter()
        .map(|(id, _)| id)
        .filter(|&id| is_culprit(id) && !home.contains(&id))
        .collect();
    home.extend(foreign);
    home.retain(|&thread| !model.states.of(thread).is_empty());
    // Threads of one process stand together.
    let whose = |thread: ThreadId| {
        let process = threads.get(thread).process;
        (std::cmp::Reverse(of_process.get(&process).copied().unwrap_or_default()), process)
    };
    home.sort_by_cached_key(|&id| (part(id) as u8, whose(id), std::cmp::Reverse(time(id)), id));
    home.truncate(MAX_LANES);
    let others = others(model, raw, &home);
    home.into_iter().chain(others).map(|thread| (part(thread), thread)).collect()
}

/// Threads of other processes that woke those who stood still, or ran meanwhile.
fn others(model: &Model<'_>, raw: &RawWindow, home: &[ThreadId]) -> Vec<ThreadId> {
    let known: FxHashSet<ThreadId> = home.iter().copied().collect();
    let wakeups = raw.waits().filter_map(|id| model.wakeup(id));
    let woke: FxHashSet<ThreadId> = wakeups
        .filter(|wakeup| wakeup.context == Context::Task)
        .filter_map(|wakeup| wakeup.waker)
        .collect();
    let is_stranger = |thread: ThreadId| {
        let row = model.capture.threads.get(thread);
        !row.is_idle_task() && !raw.crew.contains(&thread) && !known.contains(&thread)
    };
    let ids = model.capture.threads.iter().map(|(id, _)| id).filter(|&id| is_stranger(id));
    let mut others: Vec<(bool, Nanos, ThreadId)> = ids
        .map(|id| {
            let ran = model.states.ran(id, raw.span);
            (woke.contains(&id), ran, id)
        })
        .filter(|(woke, ran, _)| *woke || ran.share_of(raw.span.duration()) >= RAN)
        .collect();
    others.sort_by_key(|&(woke, ran, id)| (std::cmp::Reverse((woke, ran)), id));
    others.into_iter().take(OTHERS).map(|(.., id)| id).collect()
}

/// The worst window, with a third as much again on each side, in lanes that cover all of the capture.
pub(crate) fn around(
    model: &Model<'_>,
    raw: &RawWindow,
    lanes: &[(Role, ThreadId)],
    all: &[RawWindow],
) -> Timeline {
    let margin = Nanos((raw.span.duration().0 / 3).max(20_000_000));
    let wide = Span::new(raw.span.start.minus(margin), raw.span.end.plus(margin));
    let span = wide.intersect(model.span).unwrap_or(raw.span);
    let threads: Vec<ThreadId> = lanes.iter().map(|&(_, thread)| thread).collect();
    let segments = lanes::segments(model, &threads, span);
    let lanes = lanes.iter().zip(segments).map(|(&(role, thread), segments)| Lane {
        thread: thread_name(model.capture, thread),
        role,
        segments,
    });
    let lanes = lanes.collect();
    let windows = all.iter().map(|other| other.span).collect();
    Timeline { span, whole: model.span, windows, lanes }
}

/// Whether a good part of the waiting ends at a thread, though not as much as at the culprit.
fn is_accomplice(window: &Window, tid: i32) -> bool {
    const GOOD_PART: f64 = 0.1;
    let own = window
        .blame
        .iter()
        .filter(|row| row.thread.as_ref().is_some_and(|thread| thread.tid == Some(tid)));
    let time: Nanos = own.map(|row| row.time).sum();
    window.culprit.is_some() && time.share_of(window.freeze.blocked) >= GOOD_PART
}

/// Whether a thread waited for work through a span.
fn rests(model: &Model<'_>, thread: ThreadId, span: Span) -> bool {
    let resting = model.states.time(thread, span, |doing| match doing {
        Doing::Blocked(id) => {
            matches!(model.sites.of(id).kind, WaitKind::Idle | WaitKind::Harm(Cause::Futex, _))
        }
        Doing::Running | Doing::Runnable(_) => false,
    });
    resting.share_of(span.duration()) > 0.9
}

/// Off-CPU time by stack of a window's process in a part of the capture, rest included. Where the window is made of want of a
/// CPU, that is time off it as well, by the stack in which a thread was taken off.
pub(crate) fn off_cpu_in(model: &Model<'_>, window: &RawWindow, span: Span) -> Vec<FoldedStack> {
    let wants_cpu = matches!(window.cause, Cause::CpuStarvation | Cause::CpuThrottle);
    let rows = window.crew.iter().flat_map(|&thread| {
        model.states.within(thread, span).filter_map(move |slice| {
            let stack = match slice.doing {
                Doing::Blocked(id) => model.states.wait(id).stack,
                Doing::Runnable(stack) if wants_cpu => stack,
                Doing::Runnable(_) | Doing::Running => return None,
            };
            Some((thread, stack, slice.span.duration()))
        })
    });
    let mut times = StackTimes::default();
    add_times(&mut times, rows);
    by_stack(model.capture, times)
}

/// Off-CPU time by thread and stack.
pub(crate) type StackTimes = FxHashMap<(ThreadId, StackId), Nanos>;

/// Adds off-CPU time of all processes, rest left out.
pub(crate) fn add_off_cpu(times: &mut StackTimes, model: &Model<'_>) {
    add_where(times, model, |_, site| site.kind != WaitKind::Idle);
}

/// Adds off-CPU time at all that holds threads up for certain. A futex may be where idle workers wait, unless it is known
/// to be a lock, or is where the process has chronic contention.
pub(crate) fn add_held_up(
    times: &mut StackTimes,
    model: &Model<'_>,
    contention: Option<&Contention>,
) {
    let threads = &model.capture.threads;
    let is_contended = |thread, site: &Site| {
        contention.is_some_and(|contention| {
            threads.process_of(thread).pid == contention.pid
                && model.sites.name(site) == contention.site
        })
    };
    add_where(times, model, |thread, site| match site.kind {
        WaitKind::Harm(Cause::Futex, _) => site.known_lock || is_contended(thread, site),
        WaitKind::Harm(..) => true,
        WaitKind::Idle | WaitKind::Other => false,
    });
}

/// Adds off-CPU time of all user processes, where it counts.
fn add_where(times: &mut StackTimes, model: &Model<'_>, counts: impl Fn(ThreadId, &Site) -> bool) {
    let of_user = |thread| !model.capture.threads.process_of(thread).kernel;
    let groups = model.counted().iter();
    let groups = groups.filter(|group| of_user(group.thread) && counts(group.thread, &group.site));
    add_times(times, groups.map(|group| (group.thread, group.stack, group.blocked)));
}

fn add_times(
    times: &mut StackTimes,
    rows: impl Iterator<Item = (ThreadId, Option<StackId>, Nanos)>,
) {
    for (thread, stack, time) in rows {
        if let Some(stack) = stack.filter(|_| time > Nanos::ZERO) {
            *times.entry((thread, stack)).or_default() += time;
        }
    }
}

/// Sums up times by the names of threads, and gives stacks theirs.
pub(crate) fn by_stack(capture: &Capture, times: StackTimes) -> Vec<FoldedStack> {
    let threads = &capture.threads;
    let mut by_name = NamedTimes::new();
    for ((thread, stack), time) in times {
        let row = threads.get(thread);
        let process = Some(threads.process_comm(row.process));
        *by_name.entry((process, row.comm(), stack)).or_default() += time;
    }
    folded::fold(capture, by_name)
}
