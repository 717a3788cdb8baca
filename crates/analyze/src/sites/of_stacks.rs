//! What a stack says, found out once.

use coldcase_ingest::capture::{Capture, StackId};

/// Answers to one question about stacks, each kept from the first time that it is asked.
pub(crate) struct OfStacks<T>(Vec<Option<T>>);

impl<T: Copy> OfStacks<T> {
    /// No answers yet.
    pub fn new(capture: &Capture) -> Self {
        Self(vec![None; capture.stacks.len()])
    }

    /// The answer for a stack.
    pub fn get(&mut self, stack: StackId, answer: impl FnOnce() -> T) -> T {
        *self.0[stack.index()].get_or_insert_with(answer)
    }
}
