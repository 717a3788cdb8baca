//! Captures written as text, for tests: a line of time with made-up threads.

use coldcase_ingest::capture::{
    Capture, Context, CpuId, FrameId, Mode, Priority, Sample, Span, StackId, Switch, Syscall,
    SyscallEvent, SyscallPhase, TaskState, ThreadId, Timestamp, Wakeup, WakeupKind,
};

use crate::model::{Model, Part};
use crate::options::Options;
use crate::rules::Rules;

/// A capture of the whole machine, of one CPU. Events are parted by `,`, their words by blanks, the first of which is
/// the time (ns, or `20ms`):
///
/// | event | what |
/// |---|---|
/// | `5 a>b D schedule<futex_wait<user:main` | switch from a to b; state (`S` without), and stack of a, innermost first |
/// | `7 w:a` | waking of a, nobody knows by whom |
/// | `7 b!a tcp_sendmsg` | b wakes a, with b's stack |
/// | `9 .a` | a runs, by an event of its own |
/// | `9 a(munmap`, `11 a)munmap` | a enters and leaves a system call |
///
/// A thread is a letter, with the letter's code as its tid, a capital if it is of real-time priority; `-` is the idle task. Every
/// thread is a process of its own unless [`process`] has put it into one before.
pub(crate) fn record(mut capture: Capture, script: &str) -> Capture {
    let mut last = Timestamp(0);
    for event in script.split(',') {
        let mut words = event.split_whitespace();
        last = time(words.next().unwrap());
        let what = words.next().unwrap();
        let words: Vec<&str> = words.collect();
        if let Some((out, into)) = what.split_once('>') {
            let (out, into) = (thread(&mut capture, out), thread(&mut capture, into));
            let state = match words.first() {
                Some(&"D") => TaskState::Uninterruptible,
                Some(&"R+") => TaskState::Preempted,
                Some(&"X") => TaskState::Dead,
                _ => TaskState::Sleeping,
            };
            let stack = stack(&mut capture, words.get(1).copied());
            let is_urgent = u8::try_from(capture.threads.get(into).tid)
                .is_ok_and(|letter| letter.is_ascii_uppercase());
            let priority = Priority::new(if is_urgent { 49 } else { 120 });
            let (cpu, out, into) = (CpuId::new(0), Some(out), Some(into));
            capture.switches.push(Switch { time: last, cpu, out, into, state, stack, priority });
        } else if let Some(wakee) = what.strip_prefix("w:") {
            let wakee = thread(&mut capture, wakee);
            capture.wakeups.push(waking(last, None, wakee, None));
        } else if let Some((waker, wakee)) = what.split_once('!') {
            let (waker, wakee) = (thread(&mut capture, waker), thread(&mut capture, wakee));
            let stack = stack(&mut capture, words.first().copied());
            capture.wakeups.push(waking(last, Some(waker), wakee, stack));
        } else if let Some(own) = what.strip_prefix('.') {
            let thread = thread(&mut capture, own);
            capture.samples.push(Sample { time: last, cpu: None, thread, stack: None });
        } else if let Some((caller, name)) = what.split_once('(') {
            let phase = SyscallPhase::Enter { args: [0; 6] };
            let call = call(&mut capture, last, caller, name, phase);
            capture.syscalls.push(call);
        } else if let Some((caller, name)) = what.split_once(')') {
            let call = call(&mut capture, last, caller, name, SyscallPhase::Exit { result: 0 });
            capture.syscalls.push(call);
        } else {
            panic!("no event: {event}");
        }
    }
    capture.span = Some(Span::new(Timestamp(0), last));
    capture.origin.command = ["perf", "record", "-a"].map(str::to_owned).to_vec();
    capture
}

/// Whoever was woken by nobody was woken by a timer's interrupt.
pub(crate) fn woken_by_timers(capture: &mut Capture) {
    for wakeup in capture.wakeups.iter_mut().filter(|wakeup| wakeup.waker.is_none()) {
        wakeup.context = Context::HardIrq;
    }
}

/// Adds a process of several threads, each of which has its name; the first is the main thread.
pub(crate) fn process(mut capture: Capture, threads: &[(char, &str)]) -> Capture {
    let pid = tid(threads[0].0);
    for &(letter, comm) in threads {
        let thread = capture.threads.of_pid_tid(pid, tid(letter));
        capture.threads.name(thread, comm, Timestamp(0));
    }
    capture
}

/// Stacks of a wait for a futex, of a sleep, and of who lets go of a futex.
pub(crate) const FUTEX: &str = "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex";
pub(crate) const SLEEPS: &str = "schedule<do_nanosleep<hrtimer_nanosleep";
pub(crate) const WAKES: &str = "try_to_wake_up<wake_up_q<futex_wake<do_futex";

/// A process whose a, b and c, which sleep for 5 ms else, wait at futexes for what d lets go of at 501 ms; what d `does` from 102 ms on.
pub(crate) fn behind_d(does: &str) -> Capture {
    let threads = [('d', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve")];
    let then = format!(
        "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>d S FUTEX,{does},501ms d!a WAKES,501ms d!b WAKES,501ms d!c WAKES,\
         502ms d>a S SLEEPS,503ms a>b S SLEEPS,504ms b>c S SLEEPS,505ms c>- S SLEEPS"
    );
    with_habits(&threads, &then)
}

/// A process of several threads, the first of which runs when it begins; a, b, c and d sleep for 5 ms ten times before `then`.
/// Timers wake whom nobody else does; `FUTEX`, `SLEEPS` and `WAKES` stand for those stacks.
pub(crate) fn with_habits(threads: &[(char, &str)], then: &str) -> Capture {
    let mut events = vec![format!("0 .{}", threads[0].0)];
    for at in (0..100).step_by(10) {
        events.extend(('a'..='d').map(|thread| format!("{}ms {thread}>- S SLEEPS", at + 1)));
        events.extend(('a'..='d').map(|thread| format!("{}ms ->{thread}", at + 6)));
    }
    events.push(then.to_owned());
    let events = events.join(",");
    let events = events.replace("FUTEX", FUTEX).replace("SLEEPS", SLEEPS).replace("WAKES", WAKES);
    let mut capture = record(process(Capture::default(), threads), &events);
    woken_by_timers(&mut capture);
    capture
}

/// As the program is called without options.
pub(crate) fn options() -> Options {
    Options::default()
}

/// What the built-in rules make of a capture.
pub(crate) fn model(capture: &Capture) -> Model<'_> {
    Model::new(capture, &Rules::built_in(), Part::default())
}

/// The thread of a letter.
pub(crate) fn thread(capture: &mut Capture, name: &str) -> ThreadId {
    let letter = name.chars().next().unwrap();
    capture.threads.of_tid(if letter == '-' { 0 } else { tid(letter) })
}

/// The tid of a letter.
pub(crate) fn tid(letter: char) -> i32 {
    i32::from(u8::try_from(letter).unwrap())
}

fn time(text: &str) -> Timestamp {
    match text.strip_suffix("ms") {
        Some(millis) => Timestamp(millis.parse::<u64>().unwrap() * 1_000_000),
        None => Timestamp(text.parse().unwrap()),
    }
}

fn stack(capture: &mut Capture, names: Option<&str>) -> Option<StackId> {
    let names = names?.split('<');
    let frames: Vec<FrameId> = names
        .map(|name| match name.strip_prefix("user:") {
            Some(name) => capture.frames.intern_name(Mode::User, name),
            None => capture.frames.intern_name(Mode::Kernel, name),
        })
        .collect();
    Some(capture.stacks.intern(&frames))
}

fn waking(
    time: Timestamp,
    waker: Option<ThreadId>,
    wakee: ThreadId,
    stack: Option<StackId>,
) -> Wakeup {
    Wakeup { time, waker, wakee, context: Context::Task, kind: WakeupKind::Waking, stack }
}

fn call(
    capture: &mut Capture,
    time: Timestamp,
    caller: &str,
    name: &str,
    phase: SyscallPhase,
) -> SyscallEvent {
    let (thread, syscall) = (thread(capture, caller), Syscall::from_name(name).unwrap());
    SyscallEvent { time, thread, syscall, phase, stack: None }
}
