//! What happened: waits, holds, memory calls, samples; and the sums of a profile.

use coldcase_analyze::findings::{Cause, LockMode, Operation};
use coldcase_analyze::records::{HoldRow, MemoryCallRow, ProfileRow, SampleRow, WaitRow};
use coldcase_ingest::capture::TaskState;

use super::{address, length, ns, thread};
use crate::table::{Builder, Table};

pub(super) fn waits(rows: &[WaitRow]) -> Table<'_> {
    Builder::of("waits", rows)
        .numbered("wait_id")
        .integer("thread_id", |row| Some(thread(row.thread)))
        .integer("begin_ns", |row| Some(ns(row.span.start)))
        .integer("end_ns", |row| Some(ns(row.span.end)))
        .integer("duration_ns", |row| Some(length(row.span.duration())))
        .flag("open_begin", |row| row.open_start)
        .flag("open_end", |row| row.open_end)
        .text("state", |row| letter(row.state))
        .text("site", |row| Some(&*row.site))
        .text("cause", |row| row.cause.map(Cause::word))
        .flag("rest", |row| row.rest)
        .text("lock_mode", |row| row.mode.map(LockMode::word))
        .text("lock_address", |row| row.address.map(address))
        .text("operation", |row| row.operation.map(Operation::word))
        .integer("stack_id", |row| row.stack)
        .integer("waker_thread_id", |row| row.waker.map(thread))
        .integer("waker_stack_id", |row| row.waker_stack)
        .text("how_it_ended", |row| Some(&row.how))
        .integer("window_id", |row| row.window)
        .finish()
}

/// As perf and ps have it.
fn letter(state: TaskState) -> Option<&'static str> {
    Some(match state {
        TaskState::Preempted => "R+",
        TaskState::Runnable => "R",
        TaskState::Sleeping => "S",
        TaskState::Uninterruptible => "D",
        TaskState::Stopped => "T",
        TaskState::Traced => "t",
        TaskState::Dead => "X",
        TaskState::Idle => "I",
        TaskState::Parked => "P",
        TaskState::Unknown => return None,
    })
}

pub(super) fn holds(rows: &[HoldRow]) -> Table<'_> {
    Builder::of("holds", rows)
        .integer("thread_id", |row| Some(thread(row.thread)))
        .integer("begin_ns", |row| Some(ns(row.span.start)))
        .integer("end_ns", |row| Some(ns(row.span.end)))
        .integer("duration_ns", |row| Some(length(row.span.duration())))
        .flag("open_begin", |row| row.open_start)
        .text("lock", |row| row.lock.map(Cause::word))
        .integer("lock_process_id", |row| row.process.map(|process| process.index() as u64))
        .text("lock_address", |row| row.address.map(address))
        .text("lock_mode", |row| row.mode.map(LockMode::word))
        .text("evidence", |row| Some(row.evidence))
        .text("operation", |row| row.operation.map(Operation::word))
        .integer("size_bytes", |row| row.bytes)
        .integer("stack_id", |row| row.stack)
        .finish()
}

pub(super) fn memory_events(rows: &[MemoryCallRow]) -> Table<'_> {
    Builder::of("memory_events", rows)
        .integer("thread_id", |row| Some(thread(row.thread)))
        .integer("begin_ns", |row| row.start.map(ns))
        .integer("end_ns", |row| row.end.map(ns))
        .integer("duration_ns", |row| Some(length(row.end?.since(row.start?))))
        .text("operation", |row| Some(row.operation.word()))
        .integer("size_bytes", |row| row.bytes)
        .text("flags", |row| Some(row.flags.join("|")))
        .integer("result", |row| row.result)
        .integer("in_freezes_ns", |row| Some(length(row.overlap)))
        .integer("stack_id", |row| row.stack)
        .finish()
}

pub(super) fn samples(rows: &[SampleRow]) -> Table<'_> {
    Builder::of("samples", rows)
        .integer("time_ns", |row| Some(ns(row.time)))
        .integer("cpu", |row| row.cpu)
        .integer("thread_id", |row| Some(thread(row.thread)))
        .integer("stack_id", |row| row.stack)
        .finish()
}

pub(super) fn profile(rows: &[ProfileRow]) -> Table<'_> {
    Builder::of("profile", rows)
        .integer("thread_id", |row| Some(thread(row.thread)))
        .integer("off_cpu_ns", |row| Some(length(row.off_cpu)))
        .text("site", |row| Some(&row.site))
        .text("cause", |row| row.cause.map(Cause::word))
        .flag("rest", |row| row.rest)
        .integer("stack_id", |row| row.stack)
        .integer("waker_thread_id", |row| row.waker.map(thread))
        .integer("waker_stack_id", |row| row.waker_stack)
        .integer("slice", |row| row.slice)
        .finish()
}
