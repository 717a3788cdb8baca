//! Threads, and what each did.

use coldcase_analyze::records::{State, StateRow, ThreadRow};

use super::{ns, thread};
use crate::table::{Builder, Table};

pub(super) fn threads(rows: &[ThreadRow]) -> Table<'_> {
    Builder::of("threads", rows)
        .numbered("thread_id")
        .integer("tid", |row| row.tid)
        .text("comm", |row| Some(&row.comm))
        .integer("process_id", |row| Some(row.process.index() as u64))
        .integer("pid", |row| row.pid)
        .text("process_comm", |row| Some(&row.process_comm))
        .flag("kernel", |row| row.kernel)
        .integer("born_ns", |row| row.born.map(ns))
        .integer("ended_ns", |row| row.ended.map(ns))
        .finish()
}

pub(super) fn states(rows: &[StateRow]) -> Table<'_> {
    Builder::of("states", rows)
        .integer("thread_id", |row| Some(thread(row.thread)))
        .integer("begin_ns", |row| Some(ns(row.span.start)))
        .integer("end_ns", |row| Some(ns(row.span.end)))
        .text("state", |row| {
            Some(match row.state {
                State::Running => "running",
                State::Runnable => "runnable",
                State::Blocked(_) => "blocked",
            })
        })
        .integer("wait_id", |row| match row.state {
            State::Blocked(wait) => Some(wait),
            State::Running | State::Runnable => None,
        })
        .finish()
}
