//! Every other cause: ruled out with a figure, or not to be judged by this capture.

use coldcase_ingest::capture::{Capture, Meaning, Nanos};

use crate::findings::{CannotTell, Cause, RuledOut, Window};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::thread_state::Doing;
use crate::windows::RawWindow;

/// What is said of the causes that are not the verdict.
#[derive(Default)]
pub(crate) struct Suspects {
    pub ruled_out: Vec<RuledOut>,
    pub cannot_tell: Vec<CannotTell>,
}

/// A cause that took less than this part of the waiting did not make the freeze.
const NEGLIGIBLE: f64 = 0.05;

/// Examines every cause but the one that was found.
pub(crate) fn examine(model: &Model<'_>, raw: &RawWindow, window: &Window) -> Suspects {
    let mut suspects = Suspects::default();
    let others =
        Cause::ALL.iter().filter(|&&cause| Some(cause) != window.cause && cause != Cause::Unknown);
    for &cause in others {
        match missing(model, cause) {
            Some(missing) => {
                suspects.cannot_tell.push(CannotTell { cause, missing: missing.to_owned() });
            }
            None => {
                let finding = finding(model, raw, window, cause);
                suspects.ruled_out.extend(finding.map(|finding| RuledOut { cause, finding }));
            }
        }
    }
    suspects
}

/// Without any scheduler event nothing can be said of anything.
pub(crate) fn nothing_to_judge_by(capture: &Capture) -> Suspects {
    // The reader calls a tracepoint by its number if its description is lost.
    let unnamed = capture.events.iter().any(|event| event.name.starts_with("tracepoint "));
    let missing = if unnamed {
        "the descriptions of the recorded tracepoints: they stood behind the records and are cut off, so get the \
         whole file"
    } else {
        "sched:sched_switch and sched:sched_waking, with callchains (perf record -a -g -e ...)"
    };
    let all = Cause::ALL.iter().filter(|&&cause| cause != Cause::Unknown);
    let cannot_tell = all.map(|&cause| CannotTell { cause, missing: missing.to_owned() }).collect();
    Suspects { ruled_out: Vec::new(), cannot_tell }
}

/// What would have to be recorded to judge a cause, if it was not.
fn missing(model: &Model<'_>, cause: Cause) -> Option<&'static str> {
    let capture = model.capture;
    let any = |meanings: &[Meaning]| meanings.iter().any(|&meaning| capture.recorded(meaning));
    let stacks = capture.switches.iter().any(|switch| switch.stack.is_some());
    match cause {
        Cause::CpuStarvation | Cause::CpuThrottle if !any(&[Meaning::Waking, Meaning::Wakeup]) => {
            Some(
                "sched:sched_waking: without it, waiting for a CPU cannot be told from being blocked",
            )
        }
        Cause::CpuStarvation | Cause::CpuThrottle if !model.states.comings_recorded => Some(
            "the whole machine (perf record -a): a thread's coming to a CPU is an event of the one before it",
        ),
        Cause::CpuStarvation | Cause::CpuThrottle | Cause::Stopped => None,
        Cause::Reclaim if !any(&[Meaning::Reclaim, Meaning::Samples]) => Some(
            "vmscan:mm_vmscan_direct_reclaim_begin and _end: reclaim that runs on a CPU does not wait",
        ),
        Cause::Compaction if !any(&[Meaning::Compaction, Meaning::Samples]) => Some(
            "compaction:mm_compaction_begin and _end: compaction that runs on a CPU does not wait",
        ),
        Cause::MemorySyscall if !any(&[Meaning::MemorySyscalls]) => {
            Some("syscalls:sys_enter_mmap, sys_exit_mmap and the other memory calls")
        }
        Cause::MemorySyscall => None,
        _ if !stacks => Some("callchains (perf record -g) with sched:sched_switch"),
        _ => None,
    }
}

/// The figure that rules a cause out; `None` if it took too much of the waiting to be ruled out.
fn finding(model: &Model<'_>, raw: &RawWindow, window: &Window, cause: Cause) -> Option<String> {
    let waited = waited_for(model, raw, cause);
    let total = window.freeze.blocked;
    let share = waited.share_of(total);
    let millis = waited.as_millis_f64();
    if cause == Cause::MemorySyscall {
        return Some(
            "others waited for the lock of the call, so it is counted under that lock".to_owned(),
        )
        .filter(|_| raw.cause.is_lock());
    }
    if share >= NEGLIGIBLE {
        return None;
    }
    let percent = 100.0 * share;
    Some(match cause {
        Cause::CpuStarvation => {
            let idle = model.load.idle_share(raw.span).map_or(String::new(), |idle| {
                format!("; the CPUs were idle for {:.0} % of the window", 100.0 * idle)
            });
            format!(
                "its threads waited {millis:.1} ms for a CPU, {percent:.1} % of the time they lost{idle}"
            )
        }
        Cause::CpuThrottle => {
            format!("its threads waited {millis:.1} ms for a CPU, whoever kept it from them")
        }
        Cause::Stopped => format!("its threads were stopped for {millis:.1} ms"),
        _ => {
            format!("{millis:.1} ms of the waiting in the window, {percent:.1} % of the time lost")
        }
    })
}

/// How long the frozen process's threads waited for something inside the window.
fn waited_for(model: &Model<'_>, raw: &RawWindow, cause: Cause) -> Nanos {
    let slices = raw.crew.iter().flat_map(|&thread| model.states.within(thread, raw.span));
    slices
        .filter(|slice| match slice.doing {
            Doing::Running => false,
            Doing::Runnable(_) => matches!(cause, Cause::CpuStarvation | Cause::CpuThrottle),
            Doing::Blocked(id) => {
                let kind = model.sites.of(id).kind;
                let resting = cause == Cause::Futex && !is_part(raw, id);
                matches!(kind, WaitKind::Harm(known, _) if known == cause) && !resting
            }
        })
        .map(|slice| slice.span.duration())
        .sum()
}

fn is_part(raw: &RawWindow, id: crate::thread_state::WaitId) -> bool {
    raw.harms.iter().any(|harm| harm.wait == Some(id))
}
