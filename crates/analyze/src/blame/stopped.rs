//! Who stopped a process.

use coldcase_ingest::capture::{
    ActivityKind, Capture, Context, Mode, Nanos, Sentence, Span, StackId, Syscall, ThreadId,
    Timestamp,
};

use crate::blame::{Leaf, Root};
use crate::findings::{Cause, Culprit, Operation};
use crate::model::Model;
use crate::names;
use crate::sites::of_stacks::OfStacks;
use crate::states::{Doing, ThreadStates, WaitId};
use crate::tally::Tally;
use crate::verdict::culprit;
use crate::view;

/// The sender of a stop signal, with the evidence.
pub(crate) struct Sender {
    pub thread: ThreadId,
    pub culprit: Culprit,
    pub evidence: Sentence,
}

/// `include/uapi/asm-generic/signal.h`; the same on x86-64 and arm64.
const STOP_SIGNALS: [(u64, &str); 4] =
    [(19, "SIGSTOP"), (20, "SIGTSTP"), (21, "SIGTTIN"), (22, "SIGTTOU")];
/// A stop takes effect within so much of its sending, unless its threads are kept from running.
const SOON: Nanos = Nanos(100_000_000);

/// Who sent the signal by which this stop began: by the signal's own event, else by a waking that came out of sending a
/// signal.
pub(crate) fn sender(model: &Model<'_>, stop: WaitId) -> Option<Sender> {
    let stop = model.states.wait(stop);
    let threads = &model.capture.threads.process_of(stop.thread).threads;
    let begin = stop.span.start;
    let around = Span::new(begin.minus(SOON), begin.plus(Nanos(1_000_000)));
    let sent = by_event(model, threads, around).or_else(|| by_waking(model, threads, around));
    let Sent { time, thread, stack, operation, signal, evidence } = sent?;
    let frames =
        |mode| stack.map(|stack| view::frames(model.capture, stack, mode)).unwrap_or_default();
    let culprit = Culprit {
        thread: view::thread_name(model.capture, thread),
        operation: Some(operation),
        bytes: None,
        flags: signal.map(str::to_owned).into_iter().collect(),
        start: Some(time),
        duration: None,
        held: None,
        activity: Vec::new(),
        kernel_stack: frames(Mode::Kernel),
        user_stack: frames(Mode::User),
    };
    Some(Sender { thread, culprit, evidence })
}

struct Sent {
    time: Timestamp,
    thread: ThreadId,
    stack: Option<StackId>,
    operation: Operation,
    /// Its name, where it is known which one it was.
    signal: Option<&'static str>,
    evidence: Sentence,
}

fn by_event(model: &Model<'_>, threads: &[ThreadId], around: Span) -> Option<Sent> {
    let capture = model.capture;
    let stop_signal = |value: u64| {
        let sent = STOP_SIGNALS.iter().find(|(number, _)| *number == value & 0xffff_ffff);
        sent.map(|(_, name)| *name)
    };
    let mut sent = capture.activities.iter().filter(|row| {
        let target = row.value >> 32;
        row.kind == ActivityKind::SignalGenerate
            && stop_signal(row.value).is_some()
            && around.contains(row.time)
            && threads
                .iter()
                .any(|&thread| i64::from(capture.threads.get(thread).tid) == target.cast_signed())
    });
    let last = sent.next_back()?;
    let signal = stop_signal(last.value)?;
    let (time, thread, stack) = (last.time, last.thread, last.stack);
    let at_terminal = stack.and_then(|stack| at_terminal(capture, stack));
    let evidence = match at_terminal {
        Some(_) => in_background(signal),
        None => format!("signal:signal_generate shows who sent {signal}").into(),
    };
    let operation = at_terminal.unwrap_or(Operation::Signal);
    Some(Sent { time, thread, stack, operation, signal: Some(signal), evidence })
}

fn by_waking(model: &Model<'_>, threads: &[ThreadId], around: Span) -> Option<Sent> {
    let capture = model.capture;
    let wakeups = capture.wakeups.iter().filter(|row| {
        around.contains(row.time) && row.context == Context::Task && threads.contains(&row.wakee)
    });
    wakeups.rev().find_map(|row| {
        let (time, thread, stack) = (row.time, row.waker?, row.stack?);
        let (operation, what) = stops_by(capture, stack)?;
        if !stops_at_once(model, row.wakee, time) {
            return None;
        }
        let (operation, signal, evidence) = match at_terminal(capture, stack) {
            Some(call) => {
                let signal = if call == READS { "SIGTTIN" } else { "SIGTTOU" };
                (call, Some(signal), in_background(signal))
            }
            None => {
                let woken = format!("the stopped threads were woken to {what}, by who wanted that");
                (operation, None, woken.into())
            }
        };
        Some(Sent { time, thread, stack: Some(stack), operation, signal, evidence })
    })
}

const READS: Operation = Operation::Syscall(Syscall::Read);

/// The call upon its own terminal for which the kernel signals a process's group, itself with it, since another group is in the
/// foreground: `__tty_check_change` (`drivers/tty/tty_jobctrl.c`, 4.12 and later; `tty_io.c` before) sends SIGTTIN to who reads, and
/// SIGTTOU to who sets it, or writes to it under `stty tostop`. Nobody meant to stop anybody.
fn at_terminal(capture: &Capture, stack: StackId) -> Option<Operation> {
    const CHECKS: [&str; 3] = ["__tty_check_change", "tty_check_change", "job_control"];
    let is = |names: &[&str]| names::kernel(capture, stack).any(|name| names.contains(&name));
    if !is(&CHECKS) {
        return None;
    }
    Some(if is(&["n_tty_read", "tty_read"]) {
        READS
    } else if is(&["n_tty_write", "tty_write", "file_tty_write", "redirected_tty_write"]) {
        Operation::Syscall(Syscall::Write)
    } else {
        Operation::Syscall(Syscall::Ioctl)
    })
}

fn in_background(signal: &str) -> Sentence {
    format!(
        "the kernel sent {signal} to its whole process group, since it used its terminal while another group was in the foreground"
    )
    .into()
}

/// Whether what a thread does after a waking is to stop: a signal for which it runs on was another.
fn stops_at_once(model: &Model<'_>, thread: ThreadId, woken: Timestamp) -> bool {
    /// The way from a wait to the stop, in the kernel.
    const AT_ONCE: Nanos = Nanos(1_000_000);
    let mut ran = Nanos::ZERO;
    for slice in model.states.of(thread).after(woken) {
        match slice.doing {
            Doing::Running => ran += slice.span.duration(),
            Doing::Blocked(id) if slice.span.start >= woken => {
                return ran <= AT_ONCE && is_stop(model, id);
            }
            Doing::Blocked(_) | Doing::Runnable(_) => {}
        }
    }
    false
}

/// Whether a wait is one under a stop signal, a debugger or a freezer.
pub(crate) fn is_stop(model: &Model<'_>, id: WaitId) -> bool {
    model.sites.of(id).is_harm_by(Cause::Stopped)
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

/// The stop to which most of some waiting comes down; `None` if too little of it ends at stops for anybody to be named: what is left
/// of a freeze in the end may be a stop of those who waited for something else.
pub(crate) fn longest(model: &Model<'_>, (leaves, total): (&[Leaf], Nanos)) -> Option<WaitId> {
    let waited = leaves.iter().filter_map(|leaf| match leaf.root {
        Root::Blocked(_, wait) | Root::Own(wait) => Some((wait, leaf.time)),
        _ => None,
    });
    let stops: Vec<_> = waited.filter(|&(wait, _)| is_stop(model, wait)).collect();
    let all: Nanos = stops.iter().map(|&(_, time)| time).sum();
    let longest = || stops.iter().copied().collect::<Tally<WaitId>>().largest();
    culprit::is_enough(all, (leaves, total)).then(longest).flatten().map(|(wait, _)| wait)
}

/// What a waker makes a thread stop by. A cgroup is frozen by a write to a file of its own, and all threads by one to
/// `/sys/power/state`.
fn stops_by(capture: &Capture, stack: StackId) -> Option<(Operation, &'static str)> {
    names::kernel(capture, stack).find_map(stopping).or_else(|| {
        let freezes = is_thaw(capture, stack) == Some(false);
        freezes.then_some((Operation::Syscall(Syscall::Write), "freeze"))
    })
}

/// Whether a waking interrupts a wait, for a signal, a debugger or the freezer, or ends a freeze, and lets go of nothing that was
/// waited for. The first thread of a process that takes a signal to stop wakes the others for it (`do_signal_stop`,
/// `kernel/signal.c`), and so does one that ends them all.
pub(crate) fn interrupts(capture: &Capture, stack: StackId) -> bool {
    let signals = names::kernel(capture, stack).any(|name| {
        let sends = ["signal_wake_up_state", "complete_signal", "zap_other_threads", "zap_process"];
        stopping(name).is_some() || sends.contains(&name) || name == "__ptrace_unlink"
    });
    signals || is_thaw(capture, stack).is_some()
}

/// Whether a wait was ended by the end of its process, all whose threads whoever ends it wakes to end.
pub(crate) fn is_end_of_process(model: &Model<'_>, id: WaitId) -> bool {
    let thread = model.states.wait(id).thread;
    let ended = model.capture.threads.get(thread).ended.is_some();
    let stack = model.wakeup(id).filter(|_| ended).and_then(|wakeup| wakeup.stack);
    stack.is_some_and(|stack| {
        names::kernel(model.capture, stack).any(|name| name == "zap_other_threads")
    })
}

/// `bash (pid 18633) froze and thawed the cgroup`, as far as threads were woken for that: who sleeps is frozen where it sleeps.
pub(crate) fn freezer(model: &Model<'_>, threads: &[ThreadId], span: Span) -> Option<Sentence> {
    let around = Span::new(span.start.minus(SOON), span.end.plus(SOON));
    let wakeups = &model.capture.wakeups;
    let from = wakeups.partition_point(|row| row.time < around.start);
    let within = wakeups[from..].iter().take_while(|row| row.time < around.end);
    let (mut froze, mut thawed) = (None, None);
    for row in within.filter(|row| threads.contains(&row.wakee)) {
        match row.stack.and_then(|stack| is_thaw(model.capture, stack)) {
            Some(false) => froze = froze.or(row.waker),
            Some(true) => thawed = thawed.or(row.waker),
            None => {}
        }
    }
    let named = |thread: ThreadId, did: &str| {
        let name = view::thread_name(model.capture, thread);
        let pid = name.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        Sentence::default().task(&name.comm).words(&format!("{pid} {did}"))
    };
    Some(match (froze, thawed) {
        (Some(froze), Some(thawed)) if froze == thawed => {
            named(froze, "froze and thawed the cgroup")
        }
        (Some(froze), Some(thawed)) => {
            Sentence::list(&[named(froze, "froze the cgroup"), named(thawed, "thawed it")])
        }
        (Some(froze), None) => named(froze, "froze the cgroup"),
        (None, Some(thawed)) => named(thawed, "thawed the cgroup; who froze it is not recorded"),
        (None, None) => return None,
    })
}

/// Whether a waking for a cgroup's freezer thaws (`kernel/freezer.c`; `kernel/cgroup/freezer.c`, where one function does both).
fn is_thaw(capture: &Capture, stack: StackId) -> Option<bool> {
    let has = |name: &str| names::kernel(capture, stack).any(|known| known == name);
    let both = has("cgroup_freeze_task");
    match has("signal_wake_up_state") {
        true => (both || has("freeze_task")).then_some(false),
        false => (both || has("__thaw_task") || has("thaw_task")).then_some(true),
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

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Activity, Phase};

    use super::*;
    use crate::script;

    /// What is said of who woke a at the start and at the end of its freeze.
    fn told(at_begin: &str, at_end: &str) -> Option<String> {
        let capture = script::process(Capture::default(), &[('a', "server")]);
        let capture = script::process(capture, &[('b', "bash")]);
        let events = format!("0 .b,1ms {at_begin},500ms {at_end},501ms .b");
        let capture = script::record(capture, &events);
        let model = script::model(&capture);
        let frozen: Vec<ThreadId> =
            model.capture.threads.iter().map(|(id, _)| id).take(1).collect();
        let span = Span::new(Timestamp(2_000_000), Timestamp(500_000_000));
        freezer(&model, &frozen, span).map(|told| told.to_string())
    }

    #[test]
    fn who_woke_threads_for_the_freezer_froze_and_thawed_them() {
        let froze = "b!a try_to_wake_up<signal_wake_up_state<freeze_task<freeze_cgroup";
        let thawed = "b!a try_to_wake_up<__thaw_task<unfreeze_cgroup";
        let by = |did: &str| Some(format!("bash (pid 98) {did}"));
        assert_eq!(told(froze, thawed), by("froze and thawed the cgroup"));
        assert_eq!(told(froze, ".b"), by("froze the cgroup"));
        assert_eq!(told(".b", thawed), by("thawed the cgroup; who froze it is not recorded"));
        assert_eq!(told("b!a try_to_wake_up", "b!a try_to_wake_up"), None);
    }

    #[test]
    fn who_writes_to_the_file_of_a_freezer_is_the_one_who_stopped_its_cgroup() {
        let poll = "schedule<do_poll<do_sys_poll";
        let frozen = "schedule<get_signal<arch_do_signal_or_restart<exit_to_user_mode_loop";
        let writes =
            |how: &str| format!("try_to_wake_up<{how}cgroup_freeze_task<cgroup_freeze_write");
        let (freezes, thaws) = (writes("signal_wake_up_state<"), writes(""));
        let by = |how: &str| {
            let capture = script::process(Capture::default(), &[('a', "server")]);
            let events = format!(
                "0 .b,1ms a>b S {poll},60ms b!a {how},60ms b>a S {poll},60ms a>- S {frozen},500ms b!a {thaws},\
                 500ms ->a,501ms .a"
            );
            let capture = script::record(capture, &events);
            let model = script::model(&capture);
            let stop = model.states.waits().map(|(id, _)| id).find(|&id| is_stop(&model, id));
            let sender = sender(&model, stop.unwrap())?;
            Some((sender.culprit.thread.tid, sender.culprit.operation))
        };
        let write = Some(Operation::Syscall(Syscall::Write));
        assert_eq!(by(&freezes), Some((Some(script::tid('b')), write)));
        assert_eq!(by(&thaws), None);
    }

    #[test]
    fn a_signal_for_which_a_thread_ran_on_did_not_stop_it() {
        // c sends a signal that is handled; b's stops a. Without the events of signals their stacks are the same.
        let sends = "try_to_wake_up<signal_wake_up_state<__send_signal_locked<do_send_sig_info<__x64_sys_kill";
        let (poll, stop) = ("schedule<do_poll<do_sys_poll", "schedule<do_signal_stop<get_signal");
        let capture = script::process(Capture::default(), &[('a', "server")]);
        let events = |handles: &str, stops: &str| {
            format!(
                "0 .c,1ms a>c S {poll},5ms c!a {sends},5ms c>a S {poll},{handles},60ms {stops},61ms ->a,\
                 61ms a>- S {stop},500ms b!a {sends},500ms ->a,501ms .a"
            )
        };
        let who = |events: &str| {
            let capture = script::record(capture.clone(), events);
            let model = script::model(&capture);
            let stop = model.states.waits().map(|(id, _)| id).find(|&id| is_stop(&model, id));
            sender(&model, stop.unwrap()).map(|sender| sender.culprit.thread.tid)
        };
        // a waits again until b's signal; a still runs at b's signal.
        let waits = format!("6ms a>- S {poll}");
        assert_eq!(who(&events(&waits, &format!("b!a {sends}"))), Some(Some(script::tid('b'))));
        let runs = events("20ms .a", ".a").replace("61ms ->a,", "");
        assert_eq!(who(&runs), None);
    }

    /// Who stopped a, by what and how, where a main thread's signal is sent from this stack; the waking is that of its other thread.
    fn by_terminal(check: &str, signal: u64, recorded: bool) -> Option<(Operation, Vec<String>)> {
        let sends =
            format!("__send_signal_locked<do_send_sig_info<__kill_pgrp_info<kill_pgrp<{check}");
        let (sleeps, stop) = (script::SLEEPS, "schedule<do_signal_stop<get_signal");
        let capture = script::process(Capture::default(), &[('a', "serve"), ('b', "serve")]);
        let events = format!(
            "0 .a,1ms b>a S {sleeps},60ms a!b try_to_wake_up<signal_wake_up_state<{sends},60ms a>b S {stop},60ms b>- S {stop},\
             500ms s!a try_to_wake_up,500ms ->a,501ms .a"
        );
        let mut capture = script::record(capture, &events);
        if recorded {
            let sent = capture.wakeups[0];
            let value = u64::from(u8::try_from(script::tid('a')).unwrap()) << 32 | signal;
            let (time, stack, phase) = (sent.time.minus(Nanos(1)), sent.stack, Phase::Moment);
            let (thread, kind) = (sent.waker.unwrap(), ActivityKind::SignalGenerate);
            capture.activities.push(Activity { time, thread, kind, phase, value, stack });
        }
        let model = script::model(&capture);
        let stop = model.states.waits().map(|(id, _)| id).find(|&id| is_stop(&model, id));
        let sender = sender(&model, stop.unwrap())?;
        assert_eq!(sender.culprit.thread.tid, Some(script::tid('a')));
        Some((sender.culprit.operation?, sender.culprit.flags))
    }

    #[test]
    fn who_uses_its_terminal_from_the_background_stops_itself_by_that_and_by_no_signal_of_its_own()
    {
        let call = |call: Syscall| Operation::Syscall(call);
        let stops = |check: &str, signal| {
            let (told, by_waking) =
                (by_terminal(check, signal, true), by_terminal(check, signal, false));
            assert_eq!(told, by_waking);
            told.map(|(operation, flags)| (operation, flags.join(" ")))
        };
        // Linux 6.18, as recorded.
        let writes = "__tty_check_change<n_tty_write<file_tty_write.isra.0<vfs_write<ksys_write<do_syscall_64";
        let reads = "__tty_check_change<n_tty_read<tty_read<vfs_read<ksys_read<do_syscall_64";
        let sets = "__tty_check_change<tty_mode_ioctl<tty_ioctl<__x64_sys_ioctl<do_syscall_64";
        assert_eq!(stops(writes, 22), Some((call(Syscall::Write), "SIGTTOU".to_owned())));
        assert_eq!(stops(reads, 21), Some((call(Syscall::Read), "SIGTTIN".to_owned())));
        assert_eq!(stops(sets, 22), Some((call(Syscall::Ioctl), "SIGTTOU".to_owned())));
        let kills = by_terminal("__x64_sys_kill<do_syscall_64", 22, true);
        assert_eq!(kills, Some((Operation::Signal, vec!["SIGTTOU".to_owned()])));
    }
}
