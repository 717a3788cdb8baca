//! Servers of many processes: children of one master, with one thread each, that stand still together.
//!
//! PostgreSQL, Apache's prefork and many servers of scripting languages serve each client by a process of its own. To
//! the kernel these are strangers; what they have in common is their parent.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Nanos, ProcessId, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::names;
use crate::rules::WaitKind;
use crate::thread_state::WaitId;
use crate::windows::{Harm, RawWindow, SEVERAL};

/// One master and the threads of its children.
pub(crate) struct Family {
    pub master: ProcessId,
    pub threads: Vec<ThreadId>,
}

/// Every master of several single-threaded processes.
pub(crate) fn all(model: &Model<'_>) -> Vec<Family> {
    let threads = &model.capture.threads;
    let mut families: BTreeMap<ProcessId, Vec<ThreadId>> = BTreeMap::new();
    for (id, process) in threads.processes().filter(|(_, process)| !process.kernel) {
        let (Some(parent), [only]) = (process.parent, process.threads.as_slice()) else { continue };
        let master = threads.get(parent).process;
        // A shell's children are strangers, which have names of their own.
        if threads.process_comm(master) == threads.process_comm(id) {
            families.entry(master).or_default().push(*only);
        }
    }
    families.retain(|_, threads| threads.len() >= SEVERAL);
    families.into_iter().map(|(master, threads)| Family { master, threads }).collect()
}

/// Whether a harm can be common to a family: a futex that nobody knows is as a rule shared by nobody else, and each
/// process finds a CPU or finds none by itself.
pub(crate) fn is_common(model: &Model<'_>, harm: &Harm) -> bool {
    let known_lock = harm.wait.is_some_and(|id| model.sites.of(id).known_lock);
    harm.wait.is_some() && (harm.cause != Cause::Futex || known_lock)
}

/// Whether a window of one process is part of one of its family.
pub(crate) fn is_part_of(window: &RawWindow, family: &RawWindow) -> bool {
    family.span.intersect(window.span).is_some()
        && window.crew.iter().any(|thread| family.crew.contains(thread))
}

/// Several children of one master that rested for long until one of them signalled all of them: what PostgreSQL's
/// backends look like at a lock, where their functions have no names. A notification looks the same.
pub(crate) fn hint(model: &Model<'_>) -> Option<CannotTell> {
    let (family, waker, waiters) =
        all(model).into_iter().find_map(|family| signalled(model, family))?;
    let threads = &model.capture.threads;
    let comm = threads.process_comm(family.master);
    let longest = waiters.iter().map(|&id| model.states.wait(id).span.duration()).max()?;
    Some(CannotTell {
        cause: Cause::Futex,
        missing: format!(
            "names for the functions of {comm} (--symfs): {} of its processes rested for up to {:.0} ms until one of them, \
             pid {}, signalled them, which is how PostgreSQL lets go of a lock",
            waiters.len(),
            longest.as_millis_f64(),
            threads.get(waker).tid,
        ),
    })
}

fn signalled(model: &Model<'_>, family: Family) -> Option<(Family, ThreadId, Vec<WaitId>)> {
    /// Shorter rest is nobody's freeze.
    const LONG: Nanos = Nanos(200_000_000);
    /// One call of the scheduler after the other.
    const TOGETHER: Nanos = Nanos(20_000_000);
    let by_signal = |id: WaitId| {
        let wakeup = model.wakeup(id)?;
        let mut names = names::kernel(model.capture, wakeup.stack?);
        let sends = names.any(|name| name.starts_with("do_send_") || name.starts_with("kill_"));
        let sender = wakeup.waker.filter(|waker| sends && family.threads.contains(waker))?;
        Some((sender, wakeup.time, id))
    };
    let waits = model.states.waits().filter(|(id, wait)| {
        family.threads.contains(&wait.thread)
            && !wait.open_start
            && wait.span.duration() >= LONG
            && model.sites.of(*id).kind == WaitKind::Idle
    });
    let mut ended: Vec<_> = waits.filter_map(|(id, _)| by_signal(id)).collect();
    ended.sort_unstable_by_key(|&(sender, time, _)| (sender, time));
    let together = ended.chunk_by(|a, b| a.0 == b.0 && b.1.since(a.1) <= TOGETHER);
    let most = together.max_by_key(|chunk| chunk.len()).filter(|chunk| chunk.len() >= SEVERAL)?;
    let (sender, waiters) = (most[0].0, most.iter().map(|row| row.2).collect());
    Some((family, sender, waiters))
}
