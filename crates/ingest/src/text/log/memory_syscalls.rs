//! The log of `contrib/memory-syscalls.bt`, which describes its format.

use super::super::lines::{Complaints, Line, Lines};
use super::super::number;
use super::super::progress::Progress;
use super::{Log, syscall};
use crate::capture::{Capture, Clock, Format};
use crate::error::Problem;

/// Whether a line is the log's first.
pub(in super::super) fn is_head(line: &[u8]) -> bool {
    line.starts_with(b"coldcase-memory-syscalls 1 ")
}

/// Reads a whole log.
pub(in super::super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut log = Log::new(Format::MemorySyscalls, Clock::Monotonic);
    let mut complaints = Complaints::default();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        let text = line.bytes.trim_ascii();
        let own_words = text.is_empty() || is_head(text) || text.starts_with(b"Attaching ");
        if !own_words && add(&mut log, line).is_none() {
            complaints.add(line, "neither an entry nor an exit as memory-syscalls.bt writes them");
        }
    }
    log.finish(complaints, "memory-syscalls.bt")
}

fn add(log: &mut Log, line: Line<'_>) -> Option<()> {
    let mut words = line.bytes.splitn(13, |&byte| byte == b' ');
    let kind = words.next()?;
    let time = number::decimal(words.next()?)?;
    let (pid, tid) = (number::tid(words.next()?)?, number::tid(words.next()?)?);
    let call = syscall(words.next()?)?;
    match kind {
        b"enter" => {
            let mut args = [0; 6];
            for arg in &mut args {
                *arg = number::hex(words.next()?)?;
            }
            let thread = log.thread(Some(pid), tid, words.next()?);
            log.enter(thread, call, args, time);
        }
        b"exit" => {
            let result = number::any(words.next()?)?.cast_signed();
            let thread = log.thread(Some(pid), tid, words.next()?);
            log.exit(thread, call, result, time);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_exits_are_read_and_cut_lines_named() {
        let text = b"coldcase-memory-syscalls 1 clock=monotonic\n\
enter 10834174829014 32540 32541 mmap 0 c0000000 3 c022 ffffffff 0 my app\n\
exit 10835354267278 32540 32541 mmap -12 my app\nenter 10835755153092 32540 325";
        let capture = read(text, &mut Progress::new(&mut |_, _| {}, 0)).unwrap();
        assert_eq!(capture.syscalls.len(), 2);
        let thread = capture.syscalls[0].thread;
        assert_eq!(capture.threads.process_of(thread).pid, Some(32540));
        assert_eq!(capture.threads.get(thread).tid, 32541);
        assert!(capture.warnings[0].contains("line 4"), "{:?}", capture.warnings);
    }
}
