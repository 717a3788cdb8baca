//! Rows of a capture of events.

use std::sync::Arc;

use coldcase_ingest::capture::{Capture, CpuId, SeededMap, Span, ThreadId};
use rustc_hash::FxHashMap;

use super::stacks::Stacks;
use super::{HoldRow, MemoryCallRow, Records, SampleRow, State, StateRow, ThreadRow, WaitRow};
use crate::blame::chain;
use crate::findings::{Cause, Operation};
use crate::holds::{Evidence, Hold};
use crate::model::Model;
use crate::options::{Options, ProcessFilter};
use crate::rules::WaitKind;
use crate::sites::LockKey;
use crate::sites::memory;
use crate::states::{Doing, WaitId};
use crate::view::thread_name;
use crate::windows::RawWindow;

/// All rows of a capture, with its freezes in the order of the findings.
pub(crate) fn of_events(model: &Model<'_>, options: &Options, windows: &[RawWindow]) -> Records {
    let capture = model.capture;
    let span = options.window.and_then(|asked| asked.intersect(model.span)).unwrap_or(model.span);
    let scope = Scope { wanted: wanted(capture, options.process.as_ref()), span };
    let mut stacks = Stacks::new(capture);
    let (waits, rows) = waits(model, &scope, windows, &mut stacks);
    let states = states(model, &scope, &rows);
    let holds = holds(model, &scope, &mut stacks);
    let memory_calls = memory_calls(model, &scope, windows, &mut stacks);
    let samples = samples(capture, &scope, &mut stacks);
    let threads = threads(capture);
    let (frames, stacks) = stacks.finish();
    Records {
        span: Some(span),
        threads,
        frames,
        stacks,
        waits,
        states,
        holds,
        memory_calls,
        samples,
        profile: Vec::new(),
    }
}

/// What is looked at.
struct Scope {
    /// By thread.
    wanted: Vec<bool>,
    span: Span,
}

impl Scope {
    /// Whether a stretch of a thread's life belongs to it. A call can begin and end in one nanosecond.
    fn holds(&self, thread: ThreadId, span: Span) -> bool {
        let inside = span.start < self.span.end && span.end > self.span.start;
        self.wanted[thread.index()] && (inside || self.span.contains(span.start))
    }
}

/// Whether each thread is one that was asked for. No CPU's idle task ever is.
pub(super) fn wanted(capture: &Capture, filter: Option<&ProcessFilter>) -> Vec<bool> {
    let threads = &capture.threads;
    let is_wanted = |id: ThreadId| match filter {
        None => true,
        Some(ProcessFilter::Pid(pid)) => threads.process_of(id).pid == Some(*pid),
        Some(ProcessFilter::Name(name)) => {
            let mut crew = threads.process_of(id).threads.iter();
            crew.any(|&other| threads.get(other).comm() == name)
        }
    };
    threads.iter().map(|(id, row)| !row.is_idle_task() && is_wanted(id)).collect()
}

pub(super) fn threads(capture: &Capture) -> Vec<ThreadRow> {
    let rows = capture.threads.iter().map(|(id, row)| {
        let name = thread_name(capture, id);
        ThreadRow {
            pid: name.pid,
            tid: name.tid,
            comm: name.comm,
            process: row.process,
            process_comm: capture.threads.process_comm(row.process).to_owned(),
            kernel: capture.threads.process(row.process).kernel,
            born: row.born,
            ended: row.ended,
        }
    });
    rows.collect()
}

fn waits(
    model: &Model<'_>,
    scope: &Scope,
    windows: &[RawWindow],
    stacks: &mut Stacks<'_>,
) -> (Vec<WaitRow>, FxHashMap<WaitId, usize>) {
    let mut part_of: FxHashMap<WaitId, usize> = FxHashMap::default();
    for (index, window) in windows.iter().enumerate() {
        for id in window.waits() {
            part_of.entry(id).or_insert(index);
        }
    }
    let all = model.states.waits().filter(|(_, wait)| scope.holds(wait.thread, wait.span));
    let mut ids: Vec<WaitId> = all.map(|(id, _)| id).collect();
    ids.sort_by_key(|&id| (model.states.wait(id).span.start, model.states.wait(id).thread, id));
    let mut names: SeededMap<&str, Arc<str>> = SeededMap::default();
    let rows = ids.iter().map(|&id| {
        let wait = model.states.wait(id);
        let site = model.sites.of(id);
        let name = model.sites.name(site);
        let end = chain::end(model, id);
        let (cause, mode) = match site.kind {
            WaitKind::Harm(cause, mode) => (Some(cause), mode),
            WaitKind::Idle | WaitKind::Other => (None, None),
        };
        WaitRow {
            thread: wait.thread,
            span: wait.span,
            open_start: wait.open_start,
            open_end: wait.open_end,
            state: wait.state,
            site: names.entry(name).or_insert_with(|| Arc::from(name)).clone(),
            cause,
            mode,
            rest: site.kind == WaitKind::Idle,
            operation: site.operation,
            address: site.address,
            stack: stacks.number(wait.stack),
            waker: end.waker,
            waker_stack: stacks.number(end.stack),
            how: end.how,
            window: part_of.get(&id).copied(),
        }
    });
    let rows = rows.collect();
    (rows, ids.iter().enumerate().map(|(row, &id)| (id, row)).collect())
}

fn states(model: &Model<'_>, scope: &Scope, rows: &FxHashMap<WaitId, usize>) -> Vec<StateRow> {
    let ids = model.capture.threads.iter().map(|(id, _)| id);
    let slices = ids.flat_map(|thread| {
        let slices = model.states.of(thread).iter();
        slices.filter(move |slice| scope.holds(thread, slice.span)).filter_map(move |slice| {
            let state = match slice.doing {
                Doing::Running => State::Running,
                Doing::Runnable(_) => State::Runnable,
                Doing::Blocked(id) => State::Blocked(*rows.get(&id)?),
            };
            Some(StateRow { thread, span: slice.span, state })
        })
    });
    slices.collect()
}

fn holds(model: &Model<'_>, scope: &Scope, stacks: &mut Stacks<'_>) -> Vec<HoldRow> {
    let kinds: SeededMap<LockKey, Cause> = model
        .states
        .waits()
        .filter_map(|(id, _)| {
            let site = model.sites.of(id);
            match (site.lock, site.kind) {
                (Some(key), WaitKind::Harm(cause, _)) => Some((key, cause)),
                _ => None,
            }
        })
        .collect();
    let all = model.holds.all().into_iter().filter(|(_, hold)| scope.holds(hold.thread, hold.span));
    all.map(|(key, hold)| {
        let (kind, process, address) = match key {
            LockKey::Mmap(process) => (Some(Cause::MmapLock), Some(process), None),
            LockKey::Address(address) => (None, None, Some(address)),
            LockKey::Futex(process, address) => (Some(Cause::Futex), Some(process), Some(address)),
            LockKey::Kind(cause, process) => (Some(cause), Some(process), None),
        };
        HoldRow {
            thread: hold.thread,
            span: hold.span,
            open_start: hold.open_start,
            lock: kind.or(kinds.get(&key).copied()),
            process,
            address,
            mode: hold.mode,
            evidence: evidence(&hold),
            operation: hold.operation,
            bytes: hold.call.and_then(|call| memory::bytes(&call, &model.brk)),
            stack: stacks.number(hold.stack),
        }
    })
    .collect()
}

fn evidence(hold: &Hold) -> &'static str {
    match hold.evidence {
        Evidence::LockEvents => "lock_events",
        Evidence::ReleaseStack => "release_stack",
        Evidence::Waker => "waker",
        Evidence::Overlap => "overlap",
    }
}

fn memory_calls(
    model: &Model<'_>,
    scope: &Scope,
    windows: &[RawWindow],
    stacks: &mut Stacks<'_>,
) -> Vec<MemoryCallRow> {
    let whole = model.span;
    let calls = model.brackets.iter().filter(|call| memory::is_listed(call.syscall));
    let mut calls: Vec<_> =
        calls.filter(|call| scope.holds(call.thread, call.span(whole))).collect();
    calls.sort_by_key(|call| (call.span(whole).start, call.thread));
    let rows = calls.into_iter().map(|call| MemoryCallRow {
        thread: call.thread,
        start: call.enter,
        end: call.exit.filter(|_| call.result.is_some()),
        operation: Operation::Syscall(call.syscall),
        bytes: memory::bytes(call, &model.brk),
        flags: memory::flags(call),
        result: call.result,
        overlap: windows.iter().map(|window| window.span.overlap(call.span(whole))).sum(),
        stack: stacks.number(call.stack),
    });
    rows.collect()
}

fn samples(capture: &Capture, scope: &Scope, stacks: &mut Stacks<'_>) -> Vec<SampleRow> {
    let wanted = capture
        .samples
        .iter()
        .filter(|sample| scope.holds(sample.thread, Span::new(sample.time, sample.time)));
    let rows = wanted.map(|sample| SampleRow {
        time: sample.time,
        cpu: sample.cpu.map(CpuId::number),
        thread: sample.thread,
        stack: stacks.number(sample.stack),
    });
    rows.collect()
}
