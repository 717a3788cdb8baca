//! Logs of system calls, to be read beside a capture that has none.

mod flags;
mod memory_syscalls;
mod perf_trace;
mod strace;

use rustc_hash::FxHashMap;

use super::lines::Complaints;
use crate::capture::{
    Capture, Clock, EventCount, Format, Meaning, Origin, Span, Syscall, SyscallEvent, SyscallPhase,
    ThreadId, Timestamp,
};
use crate::error::Problem;

pub(super) use memory_syscalls::{is_head as is_memory_syscalls, read as read_memory_syscalls};
pub(super) use perf_trace::{is_call as is_perf_trace, read as read_perf_trace};
pub(super) use strace::{is_call as is_strace, read as read_strace};

/// Collects calls.
struct Log {
    capture: Capture,
    counts: FxHashMap<Syscall, u64>,
}

impl Log {
    fn new(format: Format, clock: Clock) -> Self {
        let origin = Origin { format, clock, ..Origin::default() };
        Self { capture: Capture { origin, ..Capture::default() }, counts: FxHashMap::default() }
    }

    fn thread(&mut self, pid: Option<i32>, tid: i32, comm: &[u8]) -> ThreadId {
        let threads = &mut self.capture.threads;
        let thread = match pid {
            Some(pid) => threads.of_pid_tid(pid, tid),
            None => threads.of_tid(tid),
        };
        if !comm.is_empty() {
            threads.name_if_unknown(thread, &String::from_utf8_lossy(comm), Timestamp(0));
        }
        thread
    }

    fn enter(&mut self, thread: ThreadId, syscall: Syscall, args: [u64; 6], time: u64) {
        *self.counts.entry(syscall).or_default() += 1;
        self.push(thread, syscall, SyscallPhase::Enter { args }, time);
    }

    fn exit(&mut self, thread: ThreadId, syscall: Syscall, result: i64, time: u64) {
        self.push(thread, syscall, SyscallPhase::Exit { result }, time);
    }

    fn push(&mut self, thread: ThreadId, syscall: Syscall, phase: SyscallPhase, time: u64) {
        let time = Timestamp(time);
        let span = self.capture.span.get_or_insert(Span { start: time, end: time });
        *span = span.hull(Span { start: time, end: time });
        self.capture.syscalls.push(SyscallEvent { time, thread, syscall, phase, stack: None });
    }

    /// The log as a capture of system calls only.
    fn finish(mut self, complaints: Complaints, tool: &str) -> Result<Capture, Problem> {
        if self.capture.syscalls.is_empty() {
            return Err(Problem::at(
                0,
                format!("no line is a system call that coldcase reads, as {tool} prints it"),
            ));
        }
        let mut counts: Vec<(Syscall, u64)> = self.counts.into_iter().collect();
        counts.sort_unstable();
        self.capture.events = counts
            .into_iter()
            .map(|(syscall, count)| EventCount {
                name: format!("{tool}:{}", syscall.name()),
                count,
                meaning: Some(meaning(syscall)),
                sampled: false,
                every: None,
            })
            .collect();
        self.capture.sort();
        complaints.hand_over(&mut self.capture);
        Ok(self.capture)
    }
}

fn meaning(syscall: Syscall) -> Meaning {
    match syscall {
        Syscall::Mmap | Syscall::Munmap => Meaning::MemorySyscalls,
        _ => Meaning::OtherSyscalls,
    }
}

/// A call by its name.
fn syscall(name: &[u8]) -> Option<Syscall> {
    Syscall::from_name(std::str::from_utf8(name).ok()?)
}
