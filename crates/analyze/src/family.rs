//! Servers of many processes: children of one master, with one thread each, that stand still together.
//!
//! PostgreSQL, Apache's prefork and many servers of scripting languages serve each client by a process of its own. To
//! the kernel these are strangers; what they have in common is their parent.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{ProcessId, ThreadId};

use crate::findings::Cause;
use crate::model::Model;
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
