//! Threads that stood still in a long memory call of their own, with nobody waiting for its lock: a
//! single-threaded server that forks, or maps and fills gigabytes.

use coldcase_ingest::capture::{Meaning, Mode, Nanos, Syscall};

use crate::brackets::Bracket;
use crate::findings::{ActivityShare, BlameRow, Cause, Culprit, Freeze, Grade, Operation, Window};
use crate::memory;
use crate::model::Model;
use crate::operation::is_memory;
use crate::options::Options;
use crate::sliced;
use crate::thread_state::Doing;
use crate::verdict;
use crate::view;
use crate::windows::{self, RawWindow};

/// Long calls outside the freezes that are already known.
pub(crate) fn find(
    model: &Model<'_>,
    options: &Options,
    known: &[(RawWindow, Window)],
) -> Vec<(RawWindow, Window)> {
    let sampled = [Meaning::MemorySyscalls, Meaning::OtherSyscalls];
    if sampled.iter().any(|&event| model.capture.sampled(event)) {
        return Vec::new();
    }
    let calls = model.brackets.iter().filter(|call| is_own_affair(model, options, call));
    let calls = calls.filter(|call| {
        let span = call.span(model.span);
        let inside = options.window.is_none_or(|window| window.intersect(span) == Some(span));
        inside
            && !known.iter().any(|(raw, _)| {
                raw.crew.contains(&call.thread) && raw.span.intersect(span).is_some()
            })
    });
    let behind = |call| {
        let raw = sliced::behind(model, call)?;
        Some((verdict::judge(model, &raw)?, raw))
    };
    calls
        .map(|call| match behind(call) {
            Some((window, raw)) => (raw, window),
            None => describe(model, call),
        })
        .collect()
}

fn is_own_affair(model: &Model<'_>, options: &Options, call: &Bracket) -> bool {
    // Ending, and starting another program, are no standstill; vfork waits for its child.
    let counts = !matches!(
        call.syscall,
        Syscall::Exit | Syscall::ExitGroup | Syscall::Execve | Syscall::Execveat | Syscall::Vfork
    );
    let thread = model.capture.threads.get(call.thread);
    let process = model.capture.threads.process(thread.process);
    let wanted = windows::wanted(model, thread.process, options.process.as_ref());
    counts
        && wanted
        && is_memory(Operation::Syscall(call.syscall))
        && thread.born.is_none()
        && !process.kernel
        && call.duration().is_some_and(|duration| duration >= options.min_freeze)
        && on_cpu(model, call).share_of(call.span(model.span).duration()) > 0.5
}

fn on_cpu(model: &Model<'_>, call: &Bracket) -> Nanos {
    model.states.time(call.thread, call.span(model.span), |doing| doing == Doing::Running)
}

fn describe(model: &Model<'_>, call: &Bracket) -> (RawWindow, Window) {
    let capture = model.capture;
    let process = capture.threads.get(call.thread).process;
    let (span, thread) = (call.span(model.span), view::thread_name(capture, call.thread));
    let duration = span.duration();
    let raw = RawWindow {
        process,
        crew: capture.threads.process(process).threads.clone(),
        span,
        harms: Vec::new(),
        cause: Cause::MemorySyscall,
        threads: vec![call.thread],
        known_lock: false,
    };
    let operation = Operation::Syscall(call.syscall);
    let running = on_cpu(model, call);
    let stacks =
        |mode| call.stack.map(|stack| view::frames(capture, stack, mode)).unwrap_or_default();
    let window = Window {
        cause: Some(Cause::MemorySyscall),
        grade: Grade::Strong,
        evidence: vec![format!(
            "{} was in {} from its entry to its exit, {:.0} % of the time on a CPU",
            thread.comm,
            operation.word(),
            100.0 * running.share_of(duration)
        )],
        freeze: Freeze {
            pid: capture.threads.process(process).pid,
            comm: capture.threads.process_comm(process).to_owned(),
            span: Some(span),
            open_start: false,
            open_end: false,
            threads_blocked: 1,
            blocked: duration,
        },
        lock: None,
        culprit: Some(Culprit {
            thread: thread.clone(),
            operation: Some(operation),
            bytes: memory::bytes(call, &model.brk),
            flags: memory::flags(call),
            start: call.enter,
            duration: call.duration(),
            held: None,
            activity: vec![ActivityShare { what: "on a CPU".to_owned(), time: running }],
            kernel_stack: stacks(Mode::Kernel),
            user_stack: stacks(Mode::User),
        }),
        blame: vec![BlameRow {
            thread: Some(thread),
            doing: format!("its own {}", operation.word()),
            time: duration,
            unknown: false,
        }],
        chain: Vec::new(),
    };
    (raw, window)
}
