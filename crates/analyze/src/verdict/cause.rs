//! What the waiting of a freeze comes down to.

use coldcase_ingest::capture::Nanos;

use crate::blame::{self, Leaf, Root, Why, frozen_files};
use crate::cpu;
use crate::findings::Cause;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::operation::is_memory;
use crate::tally::Tally;
use crate::windows::RawWindow;

/// How much of the waiting that the capture shows to its end has to come down to something to be its cause, and of all at least
/// half. A holder shares its CPU with others as a matter of course, so only one that hardly ran was starved.
fn decisive(cause: Cause) -> f64 {
    if cause == Cause::CpuStarvation { 0.8 } else { 0.5 }
}

/// What the waiting comes down to: the lock, or what its holder itself waited for (the cause under the cause).
pub(super) fn of(model: &Model<'_>, raw: &RawWindow, leaves: &[Leaf], total: Nanos) -> Cause {
    let of_leaf = |leaf: &Leaf| match leaf.root {
        Root::NeedsCpu(thread)
            if raw.cause == Cause::CpuThrottle
                || cpu::is_held_by_quota(model, thread, raw.span) =>
        {
            Some(Cause::CpuThrottle)
        }
        Root::NeedsCpu(_) => Some(Cause::CpuStarvation),
        Root::Blocked(_, wait) | Root::Own(wait) => match model.sites.of(wait).kind {
            // A lock before it says more than a wait for which there is no word.
            WaitKind::Harm(Cause::Unknown, _) | WaitKind::Idle | WaitKind::Other => None,
            WaitKind::Harm(cause, _) => Some(cause),
        },
        Root::Running(_) | Root::Paused(_) | Root::Unknown(_) => None,
    };
    let causes: Tally<Cause> =
        leaves.iter().filter_map(|leaf| Some((of_leaf(leaf)?, leaf.time))).collect();
    let known = within_capture(leaves);
    if is_frozen_files(model, raw, (leaves, total)) {
        return Cause::Rwsem;
    }
    match causes.largest() {
        Some((cause, time))
            if time.share_of(total) > 0.5
                && time.share_of(known) > decisive(cause)
                && !cause.is_lock() =>
        {
            cause
        }
        _ if raw.cause == Cause::Futex && behind_mmap_lock(leaves).share_of(total) > 0.5 => {
            Cause::MmapLock
        }
        _ => raw.cause,
    }
}

/// Whether most of the waiting, there or at a lock of the program, ends at a file system that was frozen: no lock of anybody's, though
/// the kernel makes it of one. Whoever waits there with another lock of the kernel is told as that lock's holder, with its call.
pub(super) fn is_frozen_files(
    model: &Model<'_>,
    raw: &RawWindow,
    (leaves, total): (&[Leaf], Nanos),
) -> bool {
    let frozen = frozen_files::waited(model, leaves);
    matches!(raw.cause, Cause::Futex | Cause::Rwsem)
        && frozen.share_of(total) > 0.5
        && frozen.share_of(within_capture(leaves)) > decisive(Cause::Rwsem)
}

/// Whether a freeze of this cause is the doing of whoever had the lock. One that found no CPU, or that waited for an answer or for
/// files to be thawed, is a victim itself, and so is the one who does the others' I/O.
pub(super) fn blames_holder(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    (leaves, total): (&[Leaf], Nanos),
) -> bool {
    match cause {
        Cause::CpuStarvation | Cause::CpuThrottle | Cause::Network => false,
        _ if is_frozen_files(model, raw, (leaves, total)) => false,
        _ => raw.cause.is_lock() && (raw.cause != Cause::Futex || cause.is_lock()),
    }
}

/// The lock that those who froze at one waited for: the cause, where that is a lock, or the one before it.
pub(super) fn of_lock(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    (leaves, total): (&[Leaf], Nanos),
) -> Cause {
    if cause.is_lock() && !is_frozen_files(model, raw, (leaves, total)) { cause } else { raw.cause }
}

/// The freeze of those at a lock, where what held up most of all who waited meanwhile did not hold up them: only they are told of.
pub(super) fn of_another(model: &Model<'_>, raw: &RawWindow, cause: Cause) -> Option<RawWindow> {
    if !raw.cause.is_lock() || cause.is_lock() || cause == Cause::Network {
        return None;
    }
    let at_lock = raw.of_those_at_the_lock(None);
    if at_lock.threads.len() == raw.threads.len() && at_lock.span == raw.span {
        return None;
    }
    let (leaves, total) = blame::of(model, &at_lock.harms);
    (of(model, &at_lock, &leaves, total) != cause).then_some(at_lock)
}

/// Waiting for a lock of the program that ends at a hold of `mmap_lock`: its holder waited for that.
fn behind_mmap_lock(leaves: &[Leaf]) -> Nanos {
    let held = leaves.iter().filter(|leaf| {
        let operation = leaf.hold.and_then(|hold| hold.operation);
        operation.is_some_and(is_memory)
    });
    held.map(|leaf| leaf.time).sum()
}

/// Time of which the capture shows the end, and what a holder did.
pub(super) fn within_capture(leaves: &[Leaf]) -> Nanos {
    let beyond = |root| matches!(root, Root::Unknown(Why::NotEnded | Why::HolderUnseen));
    leaves.iter().filter(|leaf| !beyond(leaf.root)).map(|leaf| leaf.time).sum()
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use crate::findings::{Cause, Findings};
    use crate::script;

    /// What is found of those who wait for what d lets go of.
    fn behind_d(does: &str) -> Findings {
        analyze(&script::behind_d(does), &script::options())
    }

    #[test]
    fn a_holder_whose_quota_is_used_up_is_not_short_of_a_cpu() {
        let cause = |loses: &str| behind_d(loses).worst().map(|window| window.cause);
        let leaves = "R+ __schedule<__cond_resched<task_work_run<exit_to_user_mode_loop";
        assert_eq!(cause(&format!("102ms d>- {leaves},500ms ->d")), Some(Some(Cause::CpuThrottle)));
        let starved = "102ms d>x R+ schedule,500ms x>d S schedule<do_nanosleep";
        assert_eq!(cause(starved), Some(Some(Cause::CpuStarvation)));
    }
}
