//! Who stopped a process.

use coldcase_ingest::capture::{
    ActivityKind, Capture, Context, Mode, Nanos, Sentence, Span, StackId, Syscall, ThreadId,
    Timestamp,
};

use crate::findings::{Culprit, Operation};
use crate::model::Model;
use crate::names;
use crate::of_stacks::OfStacks;
use crate::thread_state::{ThreadStates, WaitId};
use crate::view;

/// The sender of a stop signal, with the evidence.
pub(crate) struct Sender {
    pub culprit: Culprit,
    pub evidence: Sentence,
}

/// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU (`include/uapi/asm-generic/signal.h`; the same on x86-64 and arm64).
const STOP_SIGNALS: std::ops::RangeInclusive<u64> = 19..=22;
/// A stop takes effect within so much of its sending, unless its threads are kept from running.
const SOON: Nanos = Nanos(100_000_000);

/// Who sent the signal that stopped these threads from the beginning of `span`: by the signal's own event, else by a
/// waking that came out of sending a signal.
pub(crate) fn sender(model: &Model<'_>, threads: &[ThreadId], span: Span) -> Option<Sender> {
    let around = Span::new(span.start.minus(SOON), span.start.plus(Nanos(1_000_000)));
    let sent = by_event(model, threads, around).or_else(|| by_waking(model, threads, around));
    let Sent { time, thread, stack, operation, evidence } = sent?;
    let frames =
        |mode| stack.map(|stack| view::frames(model.capture, stack, mode)).unwrap_or_default();
    let culprit = Culprit {
        thread: view::thread_name(model.capture, thread),
        operation: Some(operation),
        bytes: None,
        flags: Vec::new(),
        start: Some(time),
        duration: None,
        held: None,
        activity: Vec::new(),
        kernel_stack: frames(Mode::Kernel),
        user_stack: frames(Mode::User),
    };
    Some(Sender { culprit, evidence })
}

struct Sent {
    time: Timestamp,
    thread: ThreadId,
    stack: Option<StackId>,
    operation: Operation,
    evidence: Sentence,
}

fn by_event(model: &Model<'_>, threads: &[ThreadId], around: Span) -> Option<Sent> {
    let capture = model.capture;
    let mut sent = capture.activities.iter().filter(|row| {
        let (target, signal) = (row.value >> 32, row.value & 0xffff_ffff);
        row.kind == ActivityKind::SignalGenerate
            && STOP_SIGNALS.contains(&signal)
            && around.contains(row.time)
            && threads
                .iter()
                .any(|&thread| i64::from(capture.threads.get(thread).tid) == target.cast_signed())
    });
    let last = sent.next_back()?;
    let signal = last.value & 0xffff_ffff;
    let evidence = format!("signal_generate shows who sent signal {signal}").into();
    let (time, thread, stack) = (last.time, last.thread, last.stack);
    Some(Sent { time, thread, stack, operation: Operation::Signal, evidence })
}

fn by_waking(model: &Model<'_>, threads: &[ThreadId], around: Span) -> Option<Sent> {
    let capture = model.capture;
    let wakeups = capture.wakeups.iter().filter(|row| {
        around.contains(row.time) && row.context == Context::Task && threads.contains(&row.wakee)
    });
    wakeups.rev().find_map(|row| {
        let (time, thread, stack) = (row.time, row.waker?, row.stack?);
        let (operation, what) = names::kernel(capture, stack).find_map(stopping)?;
        let evidence =
            format!("the stopped threads were woken to {what}, by who wanted that").into();
        Some(Sent { time, thread, stack: Some(stack), operation, evidence })
    })
}

/// What a kernel function makes a thread stop by (`kernel/signal.c`, `kernel/ptrace.c`).
fn stopping(name: &str) -> Option<(Operation, &'static str)> {
    let sends = name.starts_with("__send_signal")
        || name.starts_with("do_send_sig_info")
        || name == "send_signal";
    match name {
        _ if sends => Some((Operation::Signal, "take a signal")),
        "ptrace_request" | "ptrace_attach" => {
            Some((Operation::Syscall(Syscall::Ptrace), "stop for a debugger"))
        }
        _ => None,
    }
}

/// The waits that ended when a cgroup was thawed: since Linux 6.1 a sleeping thread is frozen where it sleeps
/// (`__set_task_frozen`, `kernel/freezer.c`), so its own stack shows what it did before.
pub(crate) fn thawed(capture: &Capture, states: &ThreadStates) -> Vec<WaitId> {
    let is_thaw = |name: &str| matches!(names::normalise(name), "__thaw_task" | "thaw_task");
    // Of hundreds of functions hardly any is one, and then no wait has to be looked at.
    if !capture.frames.iter().any(|(_, frame)| frame.function().is_some_and(is_thaw)) {
        return Vec::new();
    }
    let mut known = OfStacks::new(capture);
    let mut thaws =
        |stack: StackId| known.get(stack, || names::kernel(capture, stack).any(is_thaw));
    let ends = states.waits().filter_map(|(id, wait)| Some((id, wait.wakeup?)));
    let ends = ends.filter_map(|(id, wakeup)| Some((id, wakeup.of(capture).stack?)));
    ends.filter(|(_, stack)| thaws(*stack)).map(|(id, _)| id).collect()
}
