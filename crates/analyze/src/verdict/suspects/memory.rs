//! Memory: reclaim, compaction, swap, a cgroup's limit, and a thread's own long call.

use coldcase_ingest::capture::{ActivityKind, Meaning};

use super::{Case, Suspect, recorded, stacks_missing};
use crate::findings::Cause;
use crate::model::Model;
use crate::sites::operation::is_memory;

pub(super) const RECLAIM: Suspect = Suspect {
    cause: Cause::Reclaim,
    missing: |model| {
        (!recorded(model, &[Meaning::Reclaim, Meaning::Samples])).then_some(
            "vmscan:mm_vmscan_direct_reclaim_begin and _end: reclaim that runs on a CPU does not wait",
        )
    },
    against: |case| {
        little_work(case, Cause::Reclaim, Meaning::Reclaim, ActivityKind::DirectReclaim)
    },
};

pub(super) const COMPACTION: Suspect = Suspect {
    cause: Cause::Compaction,
    missing: |model| {
        (!recorded(model, &[Meaning::Compaction, Meaning::Samples])).then_some(
            "compaction:mm_compaction_begin and _end: compaction that runs on a CPU does not wait",
        )
    },
    against: |case| {
        little_work(case, Cause::Compaction, Meaning::Compaction, ActivityKind::Compaction)
    },
};

pub(super) const SWAP: Suspect = Suspect {
    cause: Cause::Swap,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::Swap),
};

pub(super) const LIMIT: Suspect = Suspect {
    cause: Cause::MemoryLimit,
    missing: stacks_missing,
    against: |case| {
        little_work(case, Cause::MemoryLimit, Meaning::Reclaim, ActivityKind::MemcgReclaim)
    },
};

pub(super) const SYSCALL: Suspect =
    Suspect { cause: Cause::MemorySyscall, missing: calls_missing, against: under_its_lock };

/// The figure against work that a thread does for memory on a CPU as well as waiting: by its own events, too,
/// where they were recorded.
fn little_work(
    case: &Case<'_, '_>,
    cause: Cause,
    meaning: Meaning,
    kind: ActivityKind,
) -> Option<String> {
    let waiting = case.little_waiting(cause)?;
    if !recorded(case.model, &[meaning]) {
        return Some(waiting);
    }
    let (count, time) = case.doings(kind, false);
    let lost = time.share_of(case.window.freeze.blocked);
    (lost < Case::NEGLIGIBLE).then(|| {
        let took = time.as_millis_f64();
        format!("{waiting}; by its own events it was done {count} times and took {took:.1} ms")
    })
}

fn calls_missing(model: &Model<'_>) -> Option<&'static str> {
    (!recorded(model, &[Meaning::MemorySyscalls]))
        .then_some("syscalls:sys_enter_mmap, sys_exit_mmap and the other memory calls")
}

/// Where others waited for a lock there is no call that nobody waited for; beside a verdict that names a memory call, that
/// would only read as if it spoke against it.
fn under_its_lock(case: &Case<'_, '_>) -> Option<String> {
    let call = case.window.culprit.as_ref().and_then(|culprit| culprit.operation);
    let text = "others waited for a lock: it is no long call that nobody waited for";
    (case.raw.cause.is_lock() && !call.is_some_and(is_memory)).then(|| text.to_owned())
}
