//! The answer: what was read, the verdict, the freezes, and what each is charged to.

use coldcase_analyze::findings::{
    BlameRow, CaptureSummary, Cause, Container, Culprit, Findings, LockMode, Operation, SiteTotal,
    Window,
};

use super::{address, length, ns};
use crate::table::{Builder, Table};

pub(super) fn capture(capture: &CaptureSummary) -> Table<'_> {
    Builder::of("capture", [capture])
        .text("format", |row| Some(&row.format))
        .text("kernel", |row| row.kernel.as_deref())
        .text("arch", |row| row.arch.as_deref())
        .text("hostname", |row| row.hostname.as_deref())
        .text("command", |row| Some(row.command.join(" ")))
        .integer("begin_ns", |row| row.span.map(|span| ns(span.start)))
        .integer("end_ns", |row| row.span.map(|span| ns(span.end)))
        .integer("lost_events", |row| Some(row.lost_events))
        .finish()
}

pub(super) fn verdict(findings: &Findings) -> Table<'_> {
    let of = |value: fn(&Container) -> Option<u64>| {
        move |row: &Findings| row.verdict.container.as_ref().and_then(value)
    };
    Builder::of("verdict", [findings])
        .text("outcome", |row| Some(row.verdict.outcome.word()))
        .text("cause", |row| row.worst().and_then(|window| window.cause).map(Cause::word))
        .text("grade", |row| row.worst().map(|window| window.grade.word()))
        .integer("window_id", |row| row.verdict.window)
        .text("fingerprint", |row| row.verdict.fingerprint.as_deref())
        .text("container", |row| {
            row.verdict.container.as_ref().map(|container| container.kind.word())
        })
        .integer("container_bytes", of(|container| Some(container.bytes)))
        .integer("container_entries", of(|container| container.entries))
        .integer("container_entry_bytes", of(|container| container.entry_bytes))
        .integer("container_buckets", of(|container| container.buckets))
        .integer("container_trigger_insert", of(|container| container.trigger_insert))
        .finish()
}

pub(super) fn windows(findings: &Findings) -> Table<'_> {
    let culprit = |row: &Window, value: fn(&Culprit) -> Option<u64>| value(row.culprit.as_ref()?);
    Builder::of("windows", &findings.windows)
        .numbered("window_id")
        .integer("begin_ns", |row| row.freeze.span.map(|span| ns(span.start)))
        .integer("end_ns", |row| row.freeze.span.map(|span| ns(span.end)))
        .flag("open_begin", |row| row.freeze.open_start)
        .flag("open_end", |row| row.freeze.open_end)
        .integer("pid", |row| row.freeze.pid)
        .text("comm", |row| Some(&row.freeze.comm))
        .integer("threads_blocked", |row| Some(row.freeze.threads_blocked))
        .integer("blocked_ns", |row| Some(length(row.freeze.blocked)))
        .text("cause", |row| row.cause.map(Cause::word))
        .text("grade", |row| Some(row.grade.word()))
        .text("lock_mode", |row| row.lock?.mode.map(LockMode::word))
        .text("lock_address", |row| row.lock?.address.map(address))
        .integer("culprit_pid", |row| row.culprit.as_ref()?.thread.pid)
        .integer("culprit_tid", |row| row.culprit.as_ref()?.thread.tid)
        .text("culprit_comm", |row| Some(&row.culprit.as_ref()?.thread.comm))
        .text("operation", |row| row.culprit.as_ref()?.operation.map(Operation::word))
        .integer("size_bytes", move |row| culprit(row, |culprit| culprit.bytes))
        .text("flags", |row| Some(row.culprit.as_ref()?.flags.join("|")))
        .integer("call_begin_ns", move |row| culprit(row, |culprit| culprit.began().map(ns)))
        .integer("call_duration_ns", move |row| {
            culprit(row, |culprit| culprit.duration.map(length))
        })
        .integer("held_ns", move |row| culprit(row, |culprit| culprit.held.map(length)))
        .finish()
}

pub(super) fn blame(findings: &Findings) -> Table<'_> {
    let windows = findings.windows.iter().enumerate();
    let rows: Vec<(usize, &BlameRow)> = windows
        .flat_map(|(index, window)| window.blame.iter().map(move |row| (index, row)))
        .collect();
    Builder::of("blame", rows)
        .integer("window_id", |(window, _)| Some(window))
        .integer("pid", |(_, row)| row.thread.as_ref()?.pid)
        .integer("tid", |(_, row)| row.thread.as_ref()?.tid)
        .text("comm", |(_, row)| Some(&row.thread.as_ref()?.comm))
        .text("doing", |(_, row)| Some(&row.doing))
        .integer("blocked_ns", |(_, row)| Some(length(row.time)))
        .flag("unknown", |(_, row)| row.unknown)
        .finish()
}

pub(super) fn wait_sites(rows: &[SiteTotal]) -> Table<'_> {
    Builder::of("wait_sites", rows)
        .text("site", |row| Some(&row.site))
        .text("cause", |row| row.cause.map(Cause::word))
        .flag("rest", |row| row.idle)
        .integer("blocked_ns", |row| Some(length(row.blocked)))
        .integer("waits", |row| row.waits)
        .integer("threads", |row| Some(row.threads))
        .integer("longest_ns", |row| row.longest.map(length))
        .finish()
}
