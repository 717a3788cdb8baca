//! Threads that stood still in a long memory call of their own, with nobody waiting for its lock: a
//! single-threaded server that forks, or maps and fills gigabytes.

use coldcase_ingest::capture::{Meaning, Mode, Nanos, Sentence, Span, Syscall, Timestamp};

use crate::findings::{ActivityShare, BlameRow, Cause, Culprit, Freeze, Grade, Operation, Window};
use crate::losses;
use crate::model::Model;
use crate::options::Options;
use crate::sites::brackets::Bracket;
use crate::sites::memory;
use crate::sites::operation::is_memory;
use crate::verdict;
use crate::verdict::work;
use crate::view;
use crate::windows::sliced;
use crate::windows::{self, RawWindow};

/// Long calls outside the freezes that are already known.
pub(crate) fn find(
    model: &Model<'_>,
    options: &Options,
    known: &[(RawWindow, Window)],
) -> Vec<(RawWindow, Window)> {
    let sampled = [Meaning::MemorySyscalls, Meaning::OtherSyscalls];
    // A call that a log places beside the others' waits, and not over them, would look like its thread's own affair.
    let displaced = model.capture.log_uncertainty.is_some_and(|off| off > options.min_freeze);
    if displaced || sampled.iter().any(|&event| model.capture.sampled(event)) {
        return Vec::new();
    }
    let calls = model.brackets.iter().filter(|call| is_own_affair(model, options, call));
    let calls = calls.filter(|call| {
        let span = call.span(model.span);
        let inside = options.window.is_none_or(|window| window.intersect(span) == Some(span));
        inside
            && !known.iter().any(|(raw, window)| {
                (raw.crew.contains(&call.thread) || is_to_blame(model, window, call))
                    && raw.span.intersect(span).is_some()
            })
    });
    let behind = |call| {
        let raw = sliced::behind(model, call)?;
        verdict::judge(model, &raw).freeze()
    };
    calls.map(|call| behind(call).unwrap_or_else(|| describe(model, call))).collect()
}

/// Whether a freeze is already told to be this call's making: of threads that are not known to be of one process with the caller's.
fn is_to_blame(model: &Model<'_>, window: &Window, call: &Bracket) -> bool {
    window.culprit.as_ref().is_some_and(|culprit| {
        culprit.thread.tid == Some(model.capture.threads.get(call.thread).tid)
            && culprit.start == call.enter
    })
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
        && (!losses::any(model.capture, call.span(model.span)) || was_met_in(model, call))
        && on_cpu(model, call).share_of(call.span(model.span).duration()) > 0.5
}

/// Whether the thread was met in such a call in both halves of it. Where events were lost, an entry and an exit
/// need not belong together.
fn was_met_in(model: &Model<'_>, call: &Bracket) -> bool {
    let span = call.span(model.span);
    let middle = Timestamp(span.start.0 + span.duration().0 / 2);
    [Span::new(span.start, middle), Span::new(middle, span.end)].into_iter().all(|half| {
        let met = model.sightings().first(call.thread, half).map(|(_, operation)| operation);
        met == Some(Operation::Syscall(call.syscall))
    })
}

fn on_cpu(model: &Model<'_>, call: &Bracket) -> Nanos {
    model.states.ran(call.thread, call.span(model.span))
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
    let mut evidence = vec![Sentence::default().task(&thread.comm).words(&format!(
        " was in {} from its entry to its exit, {:.0} % of the time on a CPU",
        operation.word(),
        100.0 * running.share_of(duration)
    ))];
    let alone = capture.threads.process(process).threads.len() == 1;
    let others_seen = alone || model.sites.any_named() && model.states.comings_recorded;
    if !others_seen {
        let why = if model.states.comings_recorded {
            "stacks without names do not say"
        } else {
            "a recording of some processes or CPUs shows only in part"
        };
        evidence.push(format!("whether others waited for its lock, {why}").into());
    }
    let window = Window {
        cause: Some(Cause::MemorySyscall),
        grade: if others_seen { Grade::Strong } else { Grade::Circumstantial },
        reasons: Vec::new(),
        evidence,
        freeze: Freeze::of_one(
            capture.threads.process(process).pid,
            capture.threads.process_comm(process),
            span,
        ),
        lock: None,
        culprit: Some(Culprit {
            thread: thread.clone(),
            operation: Some(operation),
            bytes: memory::bytes(call, &model.brk),
            flags: memory::flags(call),
            start: call.enter,
            duration: call.duration(),
            held: None,
            activity: work::on_cpu(model, call.thread, span, running)
                .sorted()
                .into_iter()
                .map(|(what, time)| ActivityShare { what, time })
                .collect(),
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
        deadlock: Vec::new(),
        starved_end: None,
        without_culprit: None,
        remedies: Vec::new(),
    };
    (raw, window)
}
