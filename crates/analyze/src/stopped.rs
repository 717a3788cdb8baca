//! Who stopped a process.

use coldcase_ingest::capture::{
    ActivityKind, Context, Mode, Nanos, Span, StackId, ThreadId, Timestamp,
};

use crate::findings::{Culprit, Operation};
use crate::model::Model;
use crate::names;
use crate::view;
use crate::windows::RawWindow;

/// The sender of a stop signal, with the evidence.
pub(crate) struct Sender {
    pub culprit: Culprit,
    pub evidence: String,
}

/// SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU (`include/uapi/asm-generic/signal.h`; the same on x86-64 and arm64).
const STOP_SIGNALS: std::ops::RangeInclusive<u64> = 19..=22;
/// A stop takes effect within so much of its sending, unless its threads are kept from running.
const SOON: Nanos = Nanos(100_000_000);

/// Who sent the signal that stopped the threads of a window: by the signal's own event, else by a waking that
/// came out of sending a signal.
pub(crate) fn sender(model: &Model<'_>, raw: &RawWindow) -> Option<Sender> {
    let around = Span::new(raw.span.start.minus(SOON), raw.span.start.plus(Nanos(1_000_000)));
    let (time, thread, stack, evidence) =
        by_event(model, raw, around).or_else(|| by_waking(model, raw, around))?;
    let frames =
        |mode| stack.map(|stack| view::frames(model.capture, stack, mode)).unwrap_or_default();
    let culprit = Culprit {
        thread: view::thread_name(model.capture, thread),
        operation: Some(Operation::Signal),
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

type Sent = (Timestamp, ThreadId, Option<StackId>, String);

fn by_event(model: &Model<'_>, raw: &RawWindow, around: Span) -> Option<Sent> {
    let capture = model.capture;
    let threads = &raw.crew;
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
    let evidence = format!("signal_generate shows who sent signal {signal}");
    Some((last.time, last.thread, last.stack, evidence))
}

fn by_waking(model: &Model<'_>, raw: &RawWindow, around: Span) -> Option<Sent> {
    let capture = model.capture;
    let is_sending = |stack: StackId| {
        names::kernel(capture, stack).any(|name| {
            name.starts_with("__send_signal")
                || name.starts_with("do_send_sig_info")
                || name == "send_signal"
        })
    };
    let wakeups = capture.wakeups.iter().filter(|row| {
        around.contains(row.time)
            && row.context == Context::Task
            && raw.threads.contains(&row.wakee)
            && row.stack.is_some_and(is_sending)
    });
    let (time, thread, stack) =
        wakeups.rev().find_map(|row| Some((row.time, row.waker?, row.stack)))?;
    let evidence = "the stopped threads were woken to take a signal, by its sender".to_owned();
    Some((time, thread, stack, evidence))
}
