//! Where threads were seen in a memory operation while they ran: by a sample, or when they were taken off their CPU.
//!
//! A holder that runs all the time has no wait of its own; without wakings and lock events this is all that a
//! capture tells of it.

use coldcase_ingest::capture::{Capture, Span, StackId, ThreadId, Timestamp};
use rustc_hash::FxHashMap;

use crate::findings::Operation;
use crate::operation::{self, is_memory};
use crate::thread_state::{Doing, ThreadStates};

/// Sightings by thread, in order of time.
pub(crate) struct Sightings(FxHashMap<ThreadId, Vec<(Timestamp, StackId, Operation)>>);

impl Sightings {
    pub fn new(capture: &Capture, states: &ThreadStates) -> Self {
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
        for (thread, _) in capture.threads.iter() {
            for slice in states.of(thread).iter() {
                if let Doing::Runnable(Some(stack)) = slice.doing {
                    add(thread, slice.span.start, stack);
                }
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
