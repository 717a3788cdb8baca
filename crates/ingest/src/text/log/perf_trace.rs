//! `perf trace`: a call a line, when it began and how long it took in milliseconds, with arguments by name; zeros are left out.
//!
//! ```text
//! 11096706.888 (         ): coldcase-lab/18826 mmap(len: 3221225472, prot: READ|WRITE, flags: PRIVATE|POPULATE) ...
//! 11096706.888 (983.632 ms): coldcase-lab/18826  ... [continued]: mmap())    = 0x7f63f8000000
//! ```

use rustc_hash::FxHashSet;

use super::super::lines::{Complaints, Lines};
use super::super::number;
use super::super::progress::Progress;
use super::{Log, flags, syscall};
use crate::capture::{Capture, Clock, Format, Syscall, Timestamp};
use crate::error::Problem;

/// Whether a line is a call as perf trace prints it.
pub(in super::super) fn is_call(line: &[u8]) -> bool {
    Head::parse(line).is_some()
}

/// Reads a whole log.
pub(in super::super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut log = Log::new(Format::PerfTrace, Clock::Relative);
    let mut open: FxHashSet<(i32, Syscall)> = FxHashSet::default();
    let mut complaints = Complaints::default();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        if line.bytes.trim_ascii().is_empty() {
            continue;
        }
        match Head::parse(line.bytes) {
            Some(head) => call(&mut log, &mut open, &head),
            None => complaints.add(line, "not a call as perf trace prints it"),
        }
    }
    // Without -T the first call is at zero.
    const A_SECOND: Timestamp = Timestamp(1_000_000_000);
    if log.capture.span.is_some_and(|span| span.start > A_SECOND) {
        log.capture.origin.clock = Clock::Perf;
    }
    log.finish(complaints, "perf trace")
}

/// `None` for calls that coldcase does not read.
fn call(log: &mut Log, open: &mut FxHashSet<(i32, Syscall)>, head: &Head<'_>) {
    let (continued, text) = match head.rest.strip_prefix(b"... [continued]: ") {
        Some(text) => (true, text),
        None => (false, head.rest),
    };
    let Some(paren) = memchr::memchr(b'(', text) else { return };
    let Some(syscall) = syscall(&text[..paren]) else { return };
    let thread = log.thread(None, head.tid, head.comm);
    let behind = &text[paren + 1..];
    if !continued || !open.remove(&(head.tid, syscall)) {
        log.enter(thread, syscall, arguments(syscall, behind), head.time);
    }
    match (head.duration, memchr::memmem::rfind(behind, b" = ")) {
        (Some(duration), Some(at)) => {
            let word = behind[at + 3..].trim_ascii().split(|&byte| byte == b' ').next();
            let result = word.and_then(number::any).unwrap_or(0).cast_signed();
            log.exit(thread, syscall, result, head.time.saturating_add(duration));
        }
        _ => {
            open.insert((head.tid, syscall));
        }
    }
}

/// The kernel's names of the arguments, in the order of the call (`SYSCALL_DEFINE` in `mm/`, Linux 6.1).
fn names(syscall: Syscall) -> &'static [&'static [u8]] {
    match syscall {
        Syscall::Mmap => &[b"addr", b"len", b"prot", b"flags", b"fd", b"off"],
        Syscall::Munmap => &[b"addr", b"len"],
        Syscall::Mremap => &[b"addr", b"old_len", b"new_len", b"flags", b"new_addr"],
        Syscall::Brk => &[b"brk"],
        Syscall::Mprotect => &[b"start", b"len", b"prot"],
        Syscall::Madvise => &[b"start", b"len_in", b"behavior"],
        Syscall::Mlock => &[b"start", b"len"],
        Syscall::Mlockall => &[b"flags"],
        Syscall::Clone => &[b"clone_flags"],
        _ => &[],
    }
}

fn arguments(syscall: Syscall, text: &[u8]) -> [u64; 6] {
    let mut args = [0; 6];
    let end = memchr::memchr(b')', text).unwrap_or(text.len());
    for part in text[..end].split(|&byte| byte == b',') {
        let Some(colon) = memchr::memchr(b':', part) else { continue };
        let name = part[..colon].trim_ascii();
        let value = flags::value(part[colon + 1..].trim_ascii()).unwrap_or(0);
        if let Some(at) = names(syscall).iter().position(|known| *known == name) {
            args[at] = value;
        }
    }
    args
}

/// The front of a line.
struct Head<'a> {
    /// In nanoseconds.
    time: u64,
    /// In nanoseconds; `None` if the call had not ended.
    duration: Option<u64>,
    comm: &'a [u8],
    tid: i32,
    rest: &'a [u8],
}

impl<'a> Head<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let open = memchr::memmem::find(line, b" (")?;
        let close = open + memchr::memmem::find(&line[open..], b"):")?;
        let time = number::millis(&line[..open])?;
        let inside = line[open + 2..close].trim_ascii();
        let duration = match inside.strip_suffix(b" ms") {
            Some(millis) => Some(number::millis(millis.trim_ascii())?),
            None if inside.is_empty() => None,
            None => return None,
        };
        let task = line[close + 2..].trim_ascii_start();
        let slash = memchr::memchr(b'/', task)?;
        // A name may hold slashes and blanks: the number follows the first slash that a number follows.
        let (slash, tid, rest) =
            memchr::memchr_iter(b'/', task).filter(|&at| at >= slash).find_map(|at| {
                let behind = &task[at + 1..];
                let end = memchr::memchr(b' ', behind)?;
                Some((at, number::tid(&behind[..end])?, behind[end..].trim_ascii_start()))
            })?;
        Some(Self { time, duration, comm: &task[..slash], tid, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::SyscallPhase;

    #[test]
    fn calls_are_read_whole_and_in_two_parts() {
        let text = b"     0.000 ( 0.023 ms): kworker/0:1/17 munmap(addr: 0x7f63f8000000, len: 4096)   = 0\n\
11096706.888 (         ): coldcase-lab/18826 mmap(len: 3221225472, prot: READ|WRITE, flags: PRIVATE|POPULATE) ...\n\
nonsense\n\
11096706.888 (983.632 ms): coldcase-lab/18826  ... [continued]: mmap())    = 0x7f63f8000000\n";
        let capture = read(text, &mut Progress::new(&mut |_, _| {}, 0)).unwrap();
        assert_eq!(capture.origin.clock, Clock::Relative);
        assert_eq!(capture.syscalls.len(), 4);
        assert_eq!(capture.threads.get(capture.syscalls[0].thread).comm(), "kworker/0:1");
        let SyscallPhase::Enter { args } = capture.syscalls[2].phase else { panic!("it enters") };
        assert_eq!(args[..4], [0, 3_221_225_472, 3, 0x8002]);
        assert_eq!(capture.syscalls[3].time, Timestamp(11_097_690_520_000));
        assert!(capture.warnings[0].contains("line 3"), "{:?}", capture.warnings);
    }
}
