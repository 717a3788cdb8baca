//! Where threads were seen in a memory operation while they ran: by a sample, or when they were taken off their CPU.
//!
//! A holder that runs all the time has no wait of its own; without wakings and lock events this is all that a
//! capture tells of it.

use coldcase_ingest::capture::{Capture, Span, StackId, ThreadId, Timestamp};
use rustc_hash::FxHashMap;

use crate::findings::Operation;
use crate::sites::operation::{self, is_memory};

/// Sightings by thread, in order of time.
pub(crate) struct Sightings(FxHashMap<ThreadId, Vec<(Timestamp, StackId, Operation)>>);

impl Sightings {
    pub fn new(capture: &Capture) -> Self {
        let mut operations: FxHashMap<StackId, Option<Operation>> = FxHashMap::default();
        let mut sightings = Self(FxHashMap::default());
        let mut add = |thread: ThreadId, time: Timestamp, stack: StackId| {
            let known = operations.entry(stack).or_insert_with(|| {
                operation::of_stack(capture, stack).filter(|&known| is_memory(known))
            });
            if let Some(operation) = *known {
                sightings.0.entry(thread).or_default().push((time, stack, operation));
            }
        };
        for sample in &capture.samples {
            if let Some(stack) = sample.stack {
                add(sample.thread, sample.time, stack);
            }
        }
        for switch in capture.switches.iter().filter(|switch| switch.state.is_runnable()) {
            if let (Some(thread), Some(stack)) = (switch.out, switch.stack) {
                add(thread, switch.time, stack);
            }
        }
        for list in sightings.0.values_mut() {
            list.sort_by_key(|sighting| sighting.0);
        }
        sightings
    }

    /// The first sighting of a thread in a span.
    pub fn first(&self, thread: ThreadId, span: Span) -> Option<(StackId, Operation)> {
        let list = self.0.get(&thread)?;
        let (time, stack, operation) =
            *list.get(list.partition_point(|sighting| sighting.0 < span.start))?;
        (time < span.end).then_some((stack, operation))
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Syscall;

    use super::*;
    use crate::script;

    #[test]
    fn who_is_taken_off_its_cpu_in_a_call_is_seen_there_though_its_coming_back_is_not_recorded() {
        let threads = [('m', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve")];
        let capture = script::process(Capture::default(), &threads);
        let script = "0 .m,1ms a>- D LOCK,1ms b>- D LOCK,1ms c>- D LOCK,100ms m>x R+ UNMAPS,200ms m>x R+ UNMAPS,\
                      400ms .a,400ms .b,400ms .c,450ms m>x R+ schedule<exit_to_user_mode_loop,500ms .m";
        let script = script
            .replace("LOCK", "schedule<rwsem_down_write_slowpath<down_write_killable<vm_mmap_pgoff")
            .replace("UNMAPS", "schedule<zap_pte_range<unmap_vmas<__vm_munmap<__x64_sys_munmap");
        let mut capture = script::record(capture, &script);
        capture.origin.command = ["perf", "record", "-p", "109"].map(str::to_owned).to_vec();
        let findings = crate::analyze(&capture, &script::options());
        let culprit = findings.worst().unwrap().culprit.as_ref().unwrap();
        let operation = Some(Operation::Syscall(Syscall::Munmap));
        assert_eq!((culprit.thread.tid, culprit.operation), (Some(script::tid('m')), operation));
    }
}
