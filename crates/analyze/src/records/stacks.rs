//! Stacks and frames, numbered by the order in which rows first refer to them.

use coldcase_ingest::capture::{Capture, FrameId, StackId};
use rustc_hash::FxHashMap;

use super::FrameRow;
use crate::view::frame_views;

/// The stacks that rows refer to.
pub(super) struct Stacks<'a> {
    capture: &'a Capture,
    order: Vec<StackId>,
    numbers: FxHashMap<StackId, u32>,
}

impl<'a> Stacks<'a> {
    pub fn new(capture: &'a Capture) -> Self {
        Self { capture, order: Vec::new(), numbers: FxHashMap::default() }
    }

    /// A stack's number, new or known. A stack without any frame is none.
    pub fn number(&mut self, stack: Option<StackId>) -> Option<u32> {
        let stack = stack.filter(|&stack| !self.capture.stacks.frames(stack).is_empty())?;
        let next = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(stack).or_insert(next);
        if number == next {
            self.order.push(stack);
        }
        Some(number)
    }

    /// The frames, and each stack by its frames, outermost first.
    pub fn finish(self) -> (Vec<FrameRow>, Vec<Vec<u32>>) {
        let mut frames: Vec<FrameRow> = Vec::new();
        let mut known: FxHashMap<FrameId, std::ops::Range<u32>> = FxHashMap::default();
        let stacks = self.order.iter().map(|&stack| {
            let ids = self.capture.stacks.frames(stack).iter().rev();
            let numbers = ids.flat_map(|&id| {
                let range = known.entry(id).or_insert_with(|| {
                    let first = u32::try_from(frames.len()).unwrap_or(u32::MAX);
                    let frame = self.capture.frames.get(id);
                    let views = frame_views(self.capture, frame).into_iter();
                    frames.extend(views.map(|view| FrameRow { mode: frame.mode, view }));
                    first..u32::try_from(frames.len()).unwrap_or(u32::MAX)
                });
                range.clone()
            });
            numbers.collect()
        });
        let stacks = stacks.collect();
        (frames, stacks)
    }
}
