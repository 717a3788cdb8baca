//! Whether threads that wanted to run found no CPU, or were not allowed to use one.

use coldcase_ingest::capture::{Capture, Nanos, Sentence, Span, StackId, ThreadId, Timestamp};
use rustc_hash::FxHashMap;

use crate::findings::Cause;
use crate::model::Model;
use crate::names;
use crate::rules;
use crate::tally::Tally;
use crate::thread_state::{Doing, ThreadStates};
use crate::windows::RawWindow;

/// A CPU that is idle while threads want to run is held back from them: by a quota of their cgroup (CFS
/// bandwidth control, `kernel/sched/fair.c`) or an affinity.
const IDLE_SHARE: f64 = 0.3;

/// How many CPUs were busy, and when.
pub(crate) struct Load {
    /// Moments at which the number of running threads changed.
    times: Vec<Timestamp>,
    /// Running threads from each of these moments on.
    running: Vec<u64>,
    /// Time run by all threads before each of these moments, in nanoseconds.
    run_before: Vec<u64>,
    cpus: u64,
    /// Some CPU is never seen to wake from idling, so a thread that seems to wait may run there.
    blind: bool,
}

impl Load {
    pub fn new(capture: &Capture, states: &ThreadStates) -> Self {
        // A moment and, in the lowest bit, whether somebody begins: half as large, and sorted twice as fast.
        let start = capture.whole().start;
        let change = |time: Timestamp, begins: bool| {
            time.since(start).0.min(u64::MAX >> 1) << 1 | u64::from(begins)
        };
        let mut changes: Vec<u64> = Vec::new();
        for (thread, _) in capture.threads.iter() {
            let slices = states.of(thread).iter().filter(|slice| slice.doing == Doing::Running);
            changes.extend(
                slices.flat_map(|slice| {
                    [change(slice.span.start, true), change(slice.span.end, false)]
                }),
            );
        }
        // Each thread's are in order, which a stable sort makes use of.
        changes.sort();
        let seen = capture.switches.iter().filter_map(|switch| switch.cpu).max();
        let cpus = u64::from(capture.origin.cpus.unwrap_or(0))
            .max(seen.map_or(0, |cpu| u64::from(cpu) + 1));
        let blind = is_blind(capture);
        let mut load =
            Self { times: Vec::new(), running: Vec::new(), run_before: Vec::new(), cpus, blind };
        let (mut now, mut running, mut run) = (Timestamp(0), 0_u64, 0_u64);
        for change in changes {
            let (time, begins) = (start.plus(Nanos(change >> 1)), change & 1 == 1);
            run = run.saturating_add(time.since(now).0.saturating_mul(running));
            running = if begins { running + 1 } else { running.saturating_sub(1) };
            now = time;
            load.times.push(time);
            load.running.push(running);
            load.run_before.push(run);
        }
        load
    }

    /// How much of all CPUs' time in a span was idle; `None` if the capture does not say.
    pub fn idle_share(&self, span: Span) -> Option<f64> {
        let whole = span.duration().0.saturating_mul(self.cpus);
        if whole == 0 || self.times.is_empty() {
            return None;
        }
        let busy = self.run_until(span.end).saturating_sub(self.run_until(span.start));
        Some((1.0 - Nanos(busy).share_of(Nanos(whole))).max(0.0))
    }

    fn run_until(&self, time: Timestamp) -> u64 {
        match self.times.partition_point(|&change| change <= time).checked_sub(1) {
            Some(at) => {
                let since = time.since(self.times[at]).0.saturating_mul(self.running[at]);
                self.run_before[at].saturating_add(since)
            }
            None => 0,
        }
    }
}

/// Whether some CPU went idle time and again, and never came back. In some virtual machines perf records nothing on
/// the idle task of a CPU.
fn is_blind(capture: &Capture) -> bool {
    const TIMES: u64 = 2;
    let is_idle =
        |thread: Option<ThreadId>| thread.is_some_and(|id| capture.threads.get(id).is_idle_task());
    let mut went: FxHashMap<u32, (u64, u64)> = FxHashMap::default();
    for switch in &capture.switches {
        let Some(cpu) = switch.cpu else { continue };
        let (idled, woke) = went.entry(cpu).or_default();
        *idled += u64::from(is_idle(switch.into));
        *woke += u64::from(is_idle(switch.out));
    }
    went.values().any(|&(idled, woke)| idled >= TIMES && woke == 0)
}

/// Whether a thread that wants to run is kept from it by its cgroup's quota. Since Linux 6.18 a thread is taken
/// off in a task work on its way to user space (`throttle_cfs_rq_work`, `kernel/sched/fair.c`), which its
/// stack shows; before, only idle CPUs do.
pub(crate) fn is_throttled(model: &Model<'_>, stack: Option<StackId>, span: Span) -> bool {
    let by_stack = stack.is_some_and(|stack| {
        let mut functions = names::kernel(model.capture, stack);
        functions
            .find(|name| !rules::is_scheduler(name))
            .is_some_and(|name| matches!(name, "task_work_run" | "throttle_cfs_rq_work"))
    });
    let idle = || model.load().idle_share(span).is_some_and(|idle| idle > IDLE_SHARE);
    by_stack || !model.load().blind && idle()
}

/// Who had the CPUs, and the figure that tells a throttled process from a starved one.
pub(crate) fn reasons(model: &Model<'_>, raw: &RawWindow) -> Vec<Sentence> {
    let Some(idle) = model.load().idle_share(raw.span) else { return Vec::new() };
    let percent = 100.0 * idle;
    match raw.cause {
        Cause::CpuThrottle if idle > IDLE_SHARE => vec![format!(
            "these threads wanted to run and were not allowed to, while the CPUs were idle for {percent:.0} % of \
             the window"
        )
        .into()],
        Cause::CpuThrottle => vec![
            "these threads were taken off their CPUs by the kernel's bandwidth control, as their stacks show".into(),
        ],
        Cause::CpuStarvation => {
            let busy = format!("the CPUs were idle for {percent:.0} % of the window").into();
            who_had_them(model, raw).into_iter().chain([busy]).collect()
        }
        _ => Vec::new(),
    }
}

/// The process, other than the starved one, that ran most.
fn who_had_them(model: &Model<'_>, raw: &RawWindow) -> Option<Sentence> {
    /// Who had less was one of many.
    const WORTH_NAMING: f64 = 0.2;
    let threads = &model.capture.threads;
    let others = threads.iter().filter(|(id, row)| !row.is_idle_task() && !raw.crew.contains(id));
    let times = others.map(|(id, row)| {
        (row.process, model.states.time(id, raw.span, |doing| doing == Doing::Running))
    });
    let (process, time) = times.collect::<Tally<_>>().largest()?;
    let all = Nanos(raw.span.duration().0.saturating_mul(model.load().cpus));
    let share = time.share_of(all);
    (share >= WORTH_NAMING).then(|| {
        let comm = threads.process_comm(process);
        let pid = threads.process(process).pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        let had = format!("{pid} had {:.0} % of all CPUs' time", 100.0 * share);
        Sentence::default().task(comm).words(&had)
    })
}
