//! Threads that could run and did not, or were not let: no CPU, a quota, a stop signal.

use coldcase_ingest::capture::Meaning;

use super::{Case, Suspect, recorded};
use crate::findings::Cause;
use crate::model::Model;

pub(super) const STARVATION: Suspect =
    Suspect { cause: Cause::CpuStarvation, missing: ready_time_missing, against: cpus_were_free };

pub(super) const THROTTLE: Suspect = Suspect {
    cause: Cause::CpuThrottle,
    missing: ready_time_missing,
    against: |case| {
        let (waited, _) = case.negligible(Cause::CpuThrottle)?;
        Some(format!(
            "its threads waited at most {waited:.1} ms for it, as long as they waited for a CPU at all"
        ))
    },
};

pub(super) const STOPPED: Suspect = Suspect {
    cause: Cause::Stopped,
    missing: |_| None,
    against: |case| {
        let (waited, _) = case.negligible(Cause::Stopped)?;
        Some(format!("its threads were stopped for {waited:.1} ms"))
    },
};

fn ready_time_missing(model: &Model<'_>) -> Option<&'static str> {
    if !recorded(model, &[Meaning::Waking, Meaning::Wakeup]) {
        Some("sched:sched_waking: without it, waiting for a CPU cannot be told from being blocked")
    } else if !model.states.comings_recorded {
        Some(
            "the whole machine (perf record -a): a thread's coming to a CPU is an event of the one before it",
        )
    } else {
        None
    }
}

fn cpus_were_free(case: &Case<'_, '_>) -> Option<String> {
    let (waited, share) = case.negligible(Cause::CpuStarvation)?;
    let idle = case
        .model
        .load()
        .idle_share(&case.model.states, case.raw.span)
        .map_or(String::new(), |idle| {
            format!("; the {}", case.model.load().in_words(&case.model.states, idle))
        });
    Some(format!(
        "its threads waited {waited:.1} ms for a CPU, {share:.1} % of the time they lost{idle}"
    ))
}
