//! Whether threads that wanted to run found no CPU, or were not allowed to use one.

use coldcase_ingest::capture::{Sentence, Span, StackId};

use crate::findings::Cause;
use crate::model::Model;
use crate::names;
use crate::rules;
use crate::tally::Tally;
use crate::thread_state::Doing;
use crate::windows::RawWindow;

/// A CPU that is idle while threads want to run is held back from them: by a quota of their cgroup (CFS
/// bandwidth control, `kernel/sched/fair.c`) or an affinity.
const IDLE_SHARE: f64 = 0.3;

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
    by_stack || model.load().is_more_idle(&model.states, span, IDLE_SHARE)
}

/// Who had the CPUs, and the figure that tells a throttled process from a starved one.
pub(crate) fn reasons(model: &Model<'_>, raw: &RawWindow) -> Vec<Sentence> {
    let Some(idle) = model.load().idle_share(&model.states, raw.span) else { return Vec::new() };
    let percent = 100.0 * idle;
    match raw.cause {
        Cause::CpuThrottle if idle > IDLE_SHARE => vec![format!(
            "These threads wanted to run and were not allowed to, while the CPUs were idle for {percent:.0} % of \
             the window"
        )
        .into()],
        Cause::CpuThrottle => vec![
            "These threads were taken off their CPUs by the kernel's bandwidth control, as their stacks show".into(),
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
    let all = model.load().whole(raw.span);
    let share = time.share_of(all);
    (share >= WORTH_NAMING).then(|| {
        let comm = threads.process_comm(process);
        let pid = threads.process(process).pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        let had = format!("{pid} had {:.0} % of all CPUs' time", 100.0 * share);
        Sentence::default().task(comm).words(&had)
    })
}
