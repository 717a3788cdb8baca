//! Whether a list of kernel symbols is the captured kernel's at all.
//!
//! A list holds no build id, and two builds of one distribution can agree in `_text` and differ in all that
//! follows: every name would be wrong, and none would look it. But a thread leaves its CPU in one place
//! only. Under the right names, every stack of a context switch passes through `__schedule`; under another
//! kernel's, next to none does. (Two builds of 6.18, same `_text`, `__schedule` 0x56c0 bytes apart: of 3063
//! switches, all and one.)

use rustc_hash::FxHashSet;

use super::kallsyms::KernelTable;
use crate::capture::{Capture, Location, Mode, StackId};

/// Stacks that are looked at, at most.
const ENOUGH: usize = 1000;
/// Fewer prove nothing.
const TOO_FEW: usize = 3;

/// How many different stacks of context switches pass through the scheduler under these names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plausibility {
    scheduling: usize,
    stacks: usize,
}

impl Plausibility {
    /// Looks at the capture's context switches.
    pub fn of(capture: &Capture, table: &KernelTable) -> Self {
        let mut seen = FxHashSet::default();
        let mut found = Self { scheduling: 0, stacks: 0 };
        // Where contention alone was recorded, stacks end in the locks.
        let recorded = !capture.shows_locks_alone();
        let switches = capture.switches.iter().filter(|_| recorded);
        let stacks = switches.filter_map(|switch| switch.stack);
        for stack in stacks.filter(|&stack| seen.insert(stack)) {
            let Some(scheduling) = passes_through_scheduler(capture, table, stack) else {
                continue;
            };
            found.stacks += 1;
            found.scheduling += usize::from(scheduling);
            if found.stacks == ENOUGH {
                break;
            }
        }
        found
    }

    /// Why nothing in the capture shows that these are its kernel's names.
    pub fn doubt(&self) -> Option<String> {
        let proven = self.stacks >= TOO_FEW && self.scheduling * 2 >= self.stacks;
        let unproven =
            || "has nothing by which to prove that it is the captured kernel's".to_owned();
        (!proven).then(|| self.objection().unwrap_or_else(unproven))
    }

    /// What is wrong with the names, if they are another kernel's.
    pub fn objection(&self) -> Option<String> {
        let wrong = self.stacks >= TOO_FEW && self.scheduling * 2 < self.stacks;
        wrong.then(|| {
            format!(
                "does not fit: with it, only {} of {} stacks of context switches pass through the scheduler, \
                 so it is another kernel's, or another boot's",
                self.scheduling, self.stacks
            )
        })
    }
}

/// `None` if the stack has no kernel address at all, or has names already (a text's): the scheduler is among these then.
fn passes_through_scheduler(
    capture: &Capture,
    table: &KernelTable,
    stack: StackId,
) -> Option<bool> {
    let frames = capture.stacks.frames(stack).iter().map(|&frame| capture.frames.get(frame));
    let kernel = frames.filter(|frame| frame.mode == Mode::Kernel);
    if kernel.clone().any(|frame| matches!(frame.location, Location::Named(_))) {
        return None;
    }
    let mut addresses = kernel
        .filter_map(|frame| match frame.location {
            Location::Address(address) => Some(address),
            Location::File { .. } | Location::Named(_) => None,
        })
        .peekable();
    addresses.peek()?;
    Some(
        addresses.any(|address| {
            table.function(address).is_some_and(|function| is_scheduler(function.name))
        }),
    )
}

/// The function that switches, and the tracepoint's own, in case a stack was cut short above it. Not the
/// callers: they lie close to it, and a list that is off by a few functions would find one of them.
fn is_scheduler(name: &str) -> bool {
    name.starts_with("__schedule") || name.contains("sched_switch")
}
