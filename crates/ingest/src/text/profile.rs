//! What all profiles without times share: rows, made-up threads, and how kernel frames are told from the program's.

use super::builder::Builder;
use crate::capture::{
    Capture, EventCount, FrameId, Meaning, Mode, Nanos, ProfileRow, ProfileWaker, StackId,
    ThreadId, Timestamp,
};

/// A row without its time.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub thread: ThreadId,
    pub stack: StackId,
    pub waker: Option<ProfileWaker>,
    /// Whether the tool says that it lost a stack of it.
    pub missed: bool,
}

impl Row {
    /// A thread that waited; `frames` innermost first.
    pub fn new(out: &mut Builder<'_>, comm: &[u8], frames: &[FrameId]) -> Self {
        let stack = out.capture.stacks.intern(frames);
        Self { thread: thread(out, comm), stack, waker: None, missed: false }
    }

    /// A thread that was woken: where it had stood is unknown.
    pub fn woken<'a>(
        out: &mut Builder<'a>,
        target: &[u8],
        waker_comm: &[u8],
        waker_frames: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let waker = Some(waker(out, waker_comm, waker_frames));
        Self { waker, ..Self::new(out, target, &[]) }
    }

    /// The row with its time.
    pub fn of(self, off_cpu: Nanos) -> ProfileRow {
        ProfileRow {
            thread: self.thread,
            stack: self.stack,
            off_cpu,
            waker: self.waker,
            slice: None,
        }
    }
}

/// Time whose stacks the tool lost.
#[derive(Default)]
pub(super) struct Missed {
    rows: u64,
    time: Nanos,
}

impl Missed {
    pub fn add(&mut self, missed: bool, time: Nanos) {
        if missed {
            self.rows += 1;
            self.time += time;
        }
    }
}

/// The finished profile.
pub(super) fn finish(out: Builder<'_>, name: &str, missed: Missed) -> Capture {
    let mut capture = out.finish();
    let count = capture.profile.len() as u64;
    capture.events.push(EventCount {
        name: name.to_owned(),
        count,
        meaning: Some(Meaning::OffCpuProfile),
        sampled: false,
        every: None,
    });
    if missed.rows > 0 {
        let millis = missed.time.as_millis_f64();
        capture.warn(format!(
            "{} of {count} rows lost a stack ({millis:.1} ms): what they waited for is unknown. A larger \
             --stack-storage-size helps",
            missed.rows
        ));
    }
    capture
}

/// Who ended a wait; frames innermost first, as the waker stood.
pub(super) fn waker<'a>(
    out: &mut Builder<'a>,
    comm: &[u8],
    frames: impl Iterator<Item = &'a [u8]>,
) -> ProfileWaker {
    let names: Vec<&[u8]> = frames.filter(|name| !is_missed(name)).collect();
    let ids = innermost_first(out, &names);
    ProfileWaker { thread: thread(out, comm), stack: out.capture.stacks.intern(&ids) }
}

/// Frames of a stack that is printed innermost first. The kernel ends behind its last entry function, or at a delimiter.
pub(super) fn innermost_first<'a>(out: &mut Builder<'a>, names: &[&'a [u8]]) -> Vec<FrameId> {
    let delimiter = names.iter().position(|name| matches!(*name, b"-" | b"--"));
    let entry = || names.iter().rposition(|name| is_kernel_entry(name)).map(|at| at + 1);
    let scheduler = || names.first().is_some_and(|name| is_scheduler(name)).then_some(names.len());
    let kernel = delimiter.or_else(entry).or_else(scheduler).unwrap_or(0);
    let frames = names.iter().enumerate().filter(|(at, _)| Some(*at) != delimiter);
    frames
        .map(|(at, name)| {
            out.named_frame(if at < kernel { Mode::Kernel } else { Mode::User }, name)
        })
        .collect()
}

/// One made-up thread for each command. Only `comm-PID/TID` and `comm (TID)` tell real numbers: a plain `name-1` can be a name.
pub(super) fn thread(out: &mut Builder<'_>, comm: &[u8]) -> ThreadId {
    if let Some(&thread) = out.made_up.get(comm) {
        return thread;
    }
    let text = String::from_utf8_lossy(comm);
    let in_both = || {
        let (name, numbers) = text.rsplit_once('-')?;
        let (pid, tid) = numbers.split_once('/')?;
        Some((name, Some(pid.parse().ok()?), tid.parse().ok()?))
    };
    let in_parentheses = || {
        let (name, tid) = text.strip_suffix(')')?.rsplit_once(" (")?;
        Some((name, None, tid.parse().ok()?))
    };
    let made_up = -2 - i32::try_from(out.made_up.len()).unwrap_or(i32::MAX - 2);
    let threads = &mut out.capture.threads;
    let (name, thread) = match in_both().or_else(in_parentheses) {
        Some((name, Some(pid), tid)) => (name, threads.of_pid_tid(pid, tid)),
        Some((name, None, tid)) => (name, threads.of_tid(tid)),
        None => (&*text, threads.of_tid(made_up)),
    };
    threads.name(thread, name, Timestamp(0));
    out.made_up.insert(comm.into(), thread);
    thread
}

/// bcc's words for a stack that its table had no place for.
pub(super) fn is_missed(name: &[u8]) -> bool {
    name.starts_with(b"[Missed ")
}

/// Functions through which user code enters the kernel and kernel threads start.
pub(super) fn is_kernel_entry(name: &[u8]) -> bool {
    const ENTRIES: &[&[u8]] = &[
        b"entry_SYSCALL_",
        b"do_syscall_64",
        b"asm_exc_",
        b"asm_sysvec_",
        b"page_fault",
        b"async_page_fault",
        b"ret_from_fork",
        b"el0_",
        b"el0t_",
        b"el1_",
        b"el1h_",
        b"system_call_fastpath",
        b"sysenter_",
        b"__x64_sys_",
        b"__arm64_sys_",
    ];
    // Asked of every frame, and hardly one begins like any of these.
    let may_be = matches!(name.first(), Some(b'_' | b'a' | b'd' | b'e' | b'p' | b'r' | b's'));
    may_be && ENTRIES.iter().any(|entry| name.starts_with(entry))
}

/// Functions in which a thread leaves its CPU.
pub(super) fn is_scheduler(name: &[u8]) -> bool {
    let known: &[&[u8]] =
        &[b"schedule", b"__schedule", b"finish_task_switch", b"bpf_prog_", b"bpf_trace_run"];
    known.iter().any(|known| name.starts_with(known))
}

/// Functions in which a waker's stack ends.
pub(super) fn is_wake_function(name: &[u8]) -> bool {
    const WAKES: &[&[u8]] = &[
        b"__wake_up",
        b"wake_up",
        b"try_to_wake_up",
        b"rwsem_wake",
        b"__rwsem_do_wake",
        b"complete_signal",
    ];
    const ENDS: &[&[u8]] = &[b"_wake_function", b"wakeup", b"_wake_up", b"pollwake", b"_wake"];
    WAKES.iter().any(|known| name.starts_with(known))
        || ENDS.iter().any(|known| name.ends_with(known))
}
