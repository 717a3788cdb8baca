//! What froze, in figures, and which lock it was.

use std::collections::BTreeSet;

use coldcase_ingest::capture::Nanos;

use crate::blame::Leaf;
use crate::findings::{Cause, Freeze, Lock, Operation};
use crate::model::Model;
use crate::states::Wait;
use crate::verdict::culprit::Suspect;
use crate::windows::RawWindow;

/// Who stood still, from when to when, and for how long in all.
pub(crate) fn freeze(
    model: &Model<'_>,
    raw: &RawWindow,
    (leaves, blocked): (&[Leaf], Nanos),
) -> Freeze {
    let threads = &model.capture.threads;
    let opens = |open: fn(&Wait) -> bool| raw.waits().any(|id| open(model.states.wait(id)));
    let processes: BTreeSet<_> =
        raw.threads.iter().map(|&thread| threads.get(thread).process).collect();
    Freeze {
        pid: threads.process(raw.process).pid,
        comm: threads.process_comm(raw.process).to_owned(),
        span: Some(raw.span),
        open_start: raw.span.start <= model.span.start || opens(|wait| wait.open_start),
        open_end: raw.span.end >= model.span.end && opens(|wait| wait.open_end),
        threads_blocked: u32::try_from(raw.threads.len()).unwrap_or(u32::MAX),
        processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
        // In a family each finds a CPU or finds none by itself.
        strangers: processes.len() > 1 && raw.harms.iter().any(|harm| harm.wait.is_none()),
        awaited_by: 0,
        paused: paused(leaves).share_of(blocked) > 0.5,
        cpus: Vec::new(),
        range: None,
        blocked,
    }
}

/// How much of the waiting was for the end of a runtime's pause.
fn paused(leaves: &[Leaf]) -> Nanos {
    let operation = |leaf: &Leaf| leaf.hold.and_then(|hold| hold.operation);
    let in_one = leaves.iter().filter(|leaf| operation(leaf) == Some(Operation::RuntimePause));
    in_one.map(|leaf| leaf.time).sum()
}

/// The lock, if it was one.
pub(crate) fn lock(
    model: &Model<'_>,
    raw: &RawWindow,
    kind: Cause,
    culprit: Option<&Suspect>,
) -> Lock {
    let of_lock = raw.harms.iter().filter(|harm| harm.cause == kind);
    let sites = of_lock.filter_map(|harm| harm.wait).map(|wait| model.sites.of(wait));
    let address = sites.filter_map(|site| site.address).next();
    Lock { kind, mode: culprit.and_then(|suspect| suspect.hold.mode), address }
}
