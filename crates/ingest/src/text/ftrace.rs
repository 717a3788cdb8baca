//! The kernel's own trace (`/sys/kernel/tracing/trace`, `trace_pipe`) and `trace-cmd report`: an event a line, its stack in lines behind.
//!
//! ```text
//!    apt-cache-32551   [000] d.h2. 10830.161242: sched_waking: comm=serve-3 pid=32545 prio=120 target_cpu=000
//!    apt-cache-32551   [000] d.h2. 10830.161249: <stack trace>
//!  => try_to_wake_up
//! ```
//!
//! trace-cmd leaves the flags out unless told otherwise, may put the buffer's name in front, and calls the stack's event
//! `kernel_stack:`. Only the kernel's frames are there.

use rustc_hash::FxHashMap;

use super::builder::{Builder, Moment};
use super::events;
use super::lines::{Complaints, Line, Lines};
use super::number;
use super::processes;
use super::progress::Progress;
use crate::capture::{Capture, Context, CpuId, Format, Loss, LossKind, Mode, Syscall, Timestamp};
use crate::error::Problem;

/// Whether a line says that the text is a trace.
pub(super) fn is_head(line: &[u8]) -> bool {
    let bracket = |text: &[u8]| {
        Head::parse(text)
            .is_some_and(|head| head.has_flags || events::meaning(head.event).is_some())
    };
    line.starts_with(b"# tracer:") || bracket(line)
}

/// Reads a whole text.
pub(super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut reader = Reader {
        out: Builder::new(Format::Ftrace),
        pending: FxHashMap::default(),
        waiting: None,
        complaints: Complaints::default(),
        groups: false,
    };
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next() {
        progress.reached(line.offset);
        reader.line(line, &mut lines);
    }
    if reader.out.capture.events.is_empty() && is_latency_format(text) {
        return Err(Problem::at(0, LATENCY_FORMAT));
    }
    reader.finish()
}

const LATENCY_FORMAT: &str = "it is a trace in the latency format, whose times begin anew: echo 0 > options/latency-format, and read the trace again";

/// Whether the head is the one of `options/latency-format` (`print_trace_header`, `kernel/trace/trace.c`, Linux 6.18).
fn is_latency_format(text: &[u8]) -> bool {
    let mut head = Lines::new(text).take_while(|line| line.bytes.starts_with(b"#"));
    head.any(|line| memchr::memmem::find(line.bytes, b" latency trace v").is_some())
}

/// An event that waits for its stack, which comes as the next event of the same thread.
struct Pending<'a> {
    line: Line<'a>,
    name: &'a [u8],
    fields: &'a [u8],
    at: Moment,
}

struct Reader<'a> {
    out: Builder<'a>,
    /// The last event of each CPU.
    pending: FxHashMap<u32, Pending<'a>>,
    /// The CPU whose stack's frames follow.
    waiting: Option<u32>,
    complaints: Complaints,
    /// Whether lines had the thread group's number (`record-tgid`).
    groups: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: Line<'a>, lines: &mut Lines<'a>) {
        let text = line.bytes.trim_ascii();
        if text.is_empty()
            || text.starts_with(b"#")
            || text.starts_with(b"cpus=")
            || text.starts_with(b"version = ")
        {
            return;
        }
        if text.starts_with(b"=>") {
            return self.frames(line, lines);
        }
        if let Some(lost) = lost_events(text) {
            let note = "the trace's buffer was full".to_owned();
            let loss = Loss { time: None, kind: LossKind::Lost, count: lost, note };
            return self.out.capture.losses.push(loss);
        }
        match Head::parse(line.bytes) {
            Some(head) if matches!(head.event, b"<stack trace>" | b"kernel_stack") => {
                self.waiting = Some(head.cpu);
            }
            Some(head) if matches!(head.event, b"<user stack trace>" | b"user_stack") => {}
            Some(head) => self.event(line, &head),
            None => {
                self.complaints.add(line, "not of the form `task-tid [cpu] time: event: fields`")
            }
        }
    }

    fn event(&mut self, line: Line<'a>, head: &Head<'a>) {
        let time = Timestamp(head.time);
        self.flush(head.cpu);
        self.groups |= head.tgid.is_some();
        let (name, fields) = syscall(head.event, head.fields).unwrap_or((head.event, head.fields));
        self.out.count(name, events::meaning(name), time);
        let thread = self.out.thread(head.tgid, head.tid, head.comm, time);
        let at =
            Moment { time, cpu: CpuId::new(head.cpu), thread, stack: None, context: head.context };
        self.pending.insert(head.cpu, Pending { line, name, fields, at });
    }

    /// All lines that begin with `=>`, the first of which has been read.
    fn frames(&mut self, first: Line<'a>, lines: &mut Lines<'a>) {
        let start = first.bytes;
        let mut names = vec![frame_name(start)];
        while lines.next_line().trim_ascii_start().starts_with(b"=>") {
            let Some(line) = lines.next() else { break };
            names.push(frame_name(line.bytes));
        }
        let Some(cpu) = self.waiting.take() else {
            return self.complaints.add(first, "a frame without the event that it belongs to");
        };
        let frames: Vec<_> = names
            .into_iter()
            .filter(|name| !name.is_empty())
            .map(|name| self.out.named_frame(Mode::Kernel, name))
            .collect();
        let stack = self.out.capture.stacks.intern(&frames);
        if let Some(pending) = self.pending.get_mut(&cpu) {
            pending.at.stack = Some(stack);
        }
        self.flush(cpu);
    }

    /// Hands on the event of a CPU, with its stack or without.
    fn flush(&mut self, cpu: u32) {
        let Some(Pending { line, name, fields, at }) = self.pending.remove(&cpu) else { return };
        if events::meaning(name).is_some() && events::add(&mut self.out, name, fields, at).is_none()
        {
            self.complaints.add(line, "an event whose fields cannot be read");
        }
    }

    fn finish(mut self) -> Result<Capture, Problem> {
        if self.out.capture.events.is_empty() {
            return Err(Problem::at(0, "no line is an event as ftrace prints it"));
        }
        let mut cpus: Vec<u32> = self.pending.keys().copied().collect();
        cpus.sort_unstable();
        for cpu in cpus {
            self.flush(cpu);
        }
        let mut capture = self.out.finish();
        // An event is handed on when the next one of its CPU comes, so the rows of two CPUs are not in order.
        capture.sort();
        processes::mark_kernel_threads(&mut capture);
        if !self.groups {
            processes::join(&mut capture);
            capture.warn(
                "the trace does not say which threads form a process (echo 1 > options/record-tgid does): threads that \
                 share an address space are taken for one"
                    .to_owned(),
            );
        }
        if capture.switches.iter().all(|switch| switch.stack.is_none()) {
            capture.warn(
                "the trace has no stacks (echo 1 > options/stacktrace, or trace-cmd record -T)"
                    .to_owned(),
            );
        }
        self.complaints.hand_over(&mut capture);
        Ok(capture)
    }
}

/// ` => do_syscall_64` or `=> do_syscall_64 (ffffffff821ef691)`.
fn frame_name(line: &[u8]) -> &[u8] {
    let name = line.trim_ascii().strip_prefix(b"=>").unwrap_or_default().trim_ascii();
    &name[..memchr::memchr2(b' ', b'+', name).unwrap_or(name.len())]
}

/// `CPU:1 [LOST 123 EVENTS]`, `CPU:1 [123 EVENTS DROPPED]`.
fn lost_events(text: &[u8]) -> Option<u64> {
    let rest = text.strip_prefix(b"CPU:")?;
    let open = memchr::memchr(b'[', rest)?;
    let words = rest[open + 1..].split(|&byte| byte == b' ');
    words.filter_map(number::decimal).next().or(Some(1))
}

/// The kernel prints `sys_mmap(addr: 0, ...)` and `sys_mmap -> 0x7f...` for `sys_enter_mmap` and `sys_exit_mmap`.
fn syscall<'a>(event: &'a [u8], fields: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let name = |call: &[u8], enters: bool| -> Option<&'static [u8]> {
        let call = Syscall::from_name(std::str::from_utf8(call).ok()?)?;
        Some(event_name(call, enters))
    };
    if let Some(call) = event.strip_prefix(b"sys_")
        && let Some(open) = memchr::memchr(b'(', call)
    {
        let behind = &call[open + 1..];
        let arguments = behind.strip_suffix(b")").unwrap_or(behind);
        return Some((name(&call[..open], true)?, arguments));
    }
    let call = event
        .strip_prefix(b"sys_")
        .filter(|call| !call.starts_with(b"enter_") && !call.starts_with(b"exit_"))?;
    Some((name(call, false)?, fields.strip_prefix(b"-> ")?))
}

/// `sys_enter_NAME` or `sys_exit_NAME`, of a call that coldcase reads.
fn event_name(call: Syscall, enters: bool) -> &'static [u8] {
    macro_rules! names {
        ($($variant:ident $name:literal)*) => {
            match (call, enters) {
                $((Syscall::$variant, true) => concat!("sys_enter_", $name).as_bytes(),
                  (Syscall::$variant, false) => concat!("sys_exit_", $name).as_bytes(),)*
                _ => b"sys_other",
            }
        };
    }
    names! {
        Mmap "mmap" Munmap "munmap" Brk "brk" Mremap "mremap" Mprotect "mprotect"
        PkeyMprotect "pkey_mprotect" Madvise "madvise" Mlock "mlock" Mlock2 "mlock2" Mlockall "mlockall"
        Munlock "munlock" Munlockall "munlockall" Clone "clone" Clone3 "clone3" Fork "fork" Vfork "vfork"
        Futex "futex" Fsync "fsync" Fdatasync "fdatasync"
    }
}

/// The front of a line.
struct Head<'a> {
    comm: &'a [u8],
    tid: i32,
    tgid: Option<i32>,
    cpu: u32,
    time: u64,
    /// Whether the flags of the kernel's own trace are there.
    has_flags: bool,
    context: Option<Context>,
    event: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Head<'a> {
    /// `task-tid (tgid) [cpu] flags time: event: fields`; the group and the flags are optional.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let open = memchr::memmem::find(line, b" [")?;
        let close = open + memchr::memchr(b']', &line[open..])?;
        let cpu = u32::try_from(number::decimal(&line[open + 2..close])?).ok()?;
        let (comm, tid, tgid) = task(line[..open].trim_ascii())?;
        let rest = line[close + 1..].trim_ascii_start();
        let (first, behind) = word(rest);
        let flags = Some(first).filter(|flags| !flags.ends_with(b":"));
        let (time, rest) = if flags.is_some() { word(behind) } else { (first, behind) };
        let time = time.strip_suffix(b":")?;
        // Clocks that count cycles or events have no point: their times mean nothing here.
        let time = number::seconds(time)?;
        let (event, fields) = event(rest.trim_ascii());
        Some(Self {
            comm,
            tid,
            tgid,
            cpu,
            time,
            has_flags: flags.is_some(),
            context: flags.and_then(context),
            event,
            fields,
        })
    }
}

/// `name-123`, `name-123 (456)`, `instance: name-123`; names may hold `-`, blanks and parentheses.
fn task(text: &[u8]) -> Option<(&[u8], i32, Option<i32>)> {
    let (text, tgid) = match text.strip_suffix(b")") {
        Some(inner) => {
            let open = memchr::memrchr(b'(', inner)?;
            (inner[..open].trim_ascii_end(), number::tid(inner[open + 1..].trim_ascii()))
        }
        None => (text, None),
    };
    let dash = memchr::memrchr(b'-', text)?;
    let tid = number::tid(&text[dash + 1..])?;
    let comm = &text[..dash];
    // trace-cmd puts the buffer's name in front, aligned by blanks.
    let comm = memchr::memmem::find(comm, b":  ").map_or(comm, |at| comm[at + 1..].trim_ascii());
    Some((comm, tid, tgid))
}

/// The third flag: `h` a hardware interrupt, `H` one in a softirq, `s` a softirq, `Z`, `z` an NMI (`Documentation/trace/ftrace.rst`).
fn context(flags: &[u8]) -> Option<Context> {
    Some(match flags.get(2)? {
        b'h' | b'H' | b'z' | b'Z' => Context::HardIrq,
        b's' => Context::SoftIrq,
        _ => Context::Task,
    })
}

/// The event's name ends at its colon; a system call's has none: `sys_mmap(...)`, `sys_mmap -> 0x0`.
fn event(text: &[u8]) -> (&[u8], &[u8]) {
    if text.starts_with(b"<") {
        return (text, b"");
    }
    if text.starts_with(b"sys_")
        && !text.starts_with(b"sys_enter")
        && !text.starts_with(b"sys_exit")
    {
        return match memchr::memmem::find(text, b" -> ") {
            Some(at) => (&text[..at], text[at..].trim_ascii()),
            None => (text, b""),
        };
    }
    let end = memchr::memchr(b':', text).unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default().trim_ascii())
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "# tracer: nop\n#\n#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n\
   my-app-32551   [000] d.h2. 10830.161242: sched_waking: comm=serve-3 pid=32545 prio=120 target_cpu=000\n\
   my-app-32551   [000] d.h2. 10830.161249: <stack trace>\n => try_to_wake_up\n => hrtimer_wakeup\n\
  serve-3-32545   [001] ..... 10830.170000: sys_mmap(addr: 0, len: c0000000, prot: 3, flags: c022, fd: ffffffff, off: 0)\n\
  serve-3-32545   [001] ..... 10831.170000: sys_mmap -> 0x7f0000000000\n\
CPU:1 [LOST 12 EVENTS]\n\
  serve-3-32545   [001] d..2. 10831.180000: sched_switch: prev_comm=serve-3 prev_pid=32545 prev_prio=120 prev_state=S ==> next_comm=swapper/1 next_pid=0 next_prio=120\n";

    const REPORT: &str = "cpus=2\n\
inst:          my-app-32551 [000] 10830.161242: sched_waking:         serve-3:32545 [120] CPU:000\n\
inst:          my-app-32551 [000] 10830.161249: kernel_stack:         <stack trace >\n=> try_to_wake_up (ffffffff813aa9c4)\n=> handle_softirqs (ffffffff810df494)\n\
inst:         serve-3-32545 [001] 10830.170000: sys_enter_mmap:       addr: 0x00000000, len: 0xc0000000, prot: 0x00000003, flags: 0x0000c022, fd: 0xffffffff, off: 0x00000000\n\
inst:         serve-3-32545 [001] 10831.170000: sys_exit_mmap:        0x7f0000000000\n\
CPU:1 [12 EVENTS DROPPED]\n\
inst:         serve-3-32545 [001] 10831.180000: sched_switch:         serve-3:32545 [120] S ==> swapper/1:0 [120]\n";

    fn read_text(text: &str) -> Capture {
        assert!(text.lines().any(|line| is_head(line.as_bytes())));
        read(text.as_bytes(), &mut Progress::new(&mut |_, _| {}, 0)).unwrap()
    }

    #[test]
    fn the_kernels_trace_and_trace_cmds_report_say_the_same() {
        for text in [KERNEL, REPORT] {
            let capture = read_text(text);
            assert_eq!(
                (capture.wakeups.len(), capture.switches.len(), capture.syscalls.len()),
                (1, 1, 2),
                "{text}"
            );
            let waking = capture.wakeups[0];
            assert_ne!(waking.context, Context::Task);
            assert_eq!(capture.threads.get(waking.waker.unwrap()).comm(), "my-app");
            assert_eq!(capture.threads.get(waking.wakee).tid, 32545);
            assert_eq!(capture.stacks.frames(waking.stack.unwrap()).len(), 2);
            assert_eq!(capture.lost_events(), 12);
            let call = capture.syscalls[0];
            assert_eq!(call.syscall, Syscall::Mmap);
            assert!(
                matches!(call.phase, crate::capture::SyscallPhase::Enter { args } if args[1] == 0xc000_0000)
            );
        }
    }

    #[test]
    fn the_group_of_a_thread_is_read_where_it_is() {
        let capture = read_text(
            "  serve-3-32545 (  32540) [001] d..2. 10831.180000: sched_switch: prev_comm=serve-3 prev_pid=32545 prev_prio=120 prev_state=S ==> next_comm=swapper/1 next_pid=0 next_prio=120\n",
        );
        let (id, _) = capture.threads.iter().next().unwrap();
        assert_eq!(capture.threads.process_of(id).pid, Some(32540));
    }

    #[test]
    fn lines_that_are_cut_are_counted() {
        let capture = read_text(&format!("{KERNEL}  serve-3-32545   [001] d..2. 108"));
        assert!(
            capture.warnings.iter().any(|note| note.contains("line 12")),
            "{:?}",
            capture.warnings
        );
    }
}
