//! Stacks by their frames.

use coldcase_analyze::records::FrameRow;
use coldcase_ingest::capture::{Mode, WhyNoSymbol};

use crate::table::{Builder, Column, Table, Values};

/// One row a frame of a stack: `stacks` is a list of lists, which CSV does not have.
pub(super) struct Places {
    stacks: Vec<Option<i64>>,
    depths: Vec<Option<i64>>,
    frames: Vec<Option<i64>>,
}

impl Places {
    pub fn of(stacks: &[Vec<u32>]) -> Self {
        let mut places = Self { stacks: Vec::new(), depths: Vec::new(), frames: Vec::new() };
        for (stack, frames) in stacks.iter().enumerate() {
            for (depth, &frame) in frames.iter().enumerate() {
                places.stacks.push(i64::try_from(stack).ok());
                places.depths.push(i64::try_from(depth).ok());
                places.frames.push(Some(frame.into()));
            }
        }
        places
    }

    pub fn into_table<'a>(self) -> Table<'a> {
        let rows = self.frames.len();
        let columns =
            [("stack_id", self.stacks), ("depth", self.depths), ("frame_id", self.frames)];
        let columns =
            columns.map(|(name, values)| Column { name, values: Values::Integer(values) });
        Table { name: "stacks", rows, columns: columns.into() }
    }
}

pub(super) fn frames(rows: &[FrameRow]) -> Table<'_> {
    Builder::of("frames", rows)
        .numbered("frame_id")
        .flag("kernel", |row| row.mode == Mode::Kernel)
        .text("function", |row| row.view.function.as_deref())
        .text("file", |row| row.view.file.as_deref())
        .integer("line", |row| row.view.line)
        .flag("inlined", |row| row.view.inlined)
        .text("module", |row| row.view.module.as_deref())
        .text("offset", |row| row.view.offset.map(super::address))
        .text("why_no_function", |row| row.view.why.map(WhyNoSymbol::word))
        .finish()
}
