//! Blocks of frames with a time below, as `offcputime`, `offwaketime` and `wakeuptime` of bcc and libbpf-tools print them.
//!
//! ```text
//!     __schedule                        waker:           main 4242
//!     rwsem_down_write_slowpath         main                          outermost first
//!     vm_mmap_pgoff                     up_write
//!     -                serve-5 (16088)  --               --
//!         5752498                       rwsem_down_write_slowpath
//!                                       target:          serve-5 16088
//!                                           5752498
//! ```
//!
//! `wakeuptime` has the woken first and the waker's frames below. Older versions put addresses before names, and a bare name for the
//! thread; `offcputime -v` of libbpf-tools numbers its frames. Times are microseconds.

use super::builder::Builder;
use super::lines::{Complaints, Line, Lines};
use super::number;
use super::profile::{self, Missed, Row};
use super::progress::Progress;
use crate::capture::{Capture, Format, Nanos};
use crate::error::Problem;

/// Whether a line ends a block's stack: the name of a thread, as only these tools print it.
pub(super) fn is_thread(line: &[u8]) -> bool {
    matches!(Entry::parse(line), Some(Entry::Thread(_) | Entry::Target(_) | Entry::Waker(_)))
}

/// Whether a line is the head of these tools' output.
pub(super) fn is_head(line: &[u8]) -> bool {
    line.starts_with(b"Tracing ") && memchr::memmem::find(line, b"time (us)").is_some()
}

/// Whether a line is a block's time.
pub(super) fn is_time(line: &[u8]) -> bool {
    line.strip_prefix(b"        ").is_some_and(|rest| number::decimal(rest).is_some())
}

/// Reads a whole text.
pub(super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut out = Builder::new(Format::OffCpuBlocks);
    let mut missed = Missed::default();
    let mut complaints = Complaints::default();
    let mut block: Vec<(Line<'_>, Entry<'_>)> = Vec::new();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        let Some(entry) = Entry::parse(line.bytes) else {
            // The words of the tool around its blocks.
            continue;
        };
        match entry {
            Entry::Time(micros) => match row(&mut out, &block, &mut complaints) {
                Some(row) => {
                    let time = Nanos(micros.saturating_mul(1000));
                    missed.add(row.missed, time);
                    out.capture.profile.push(row.of(time));
                    block.clear();
                }
                None => {
                    complaints.add(line, "a time without the block that it belongs to");
                    block.clear();
                }
            },
            entry => block.push((line, entry)),
        }
    }
    if let Some((line, _)) = block.first() {
        complaints.add(*line, "the beginning of a block that has no time");
    }
    if out.capture.profile.is_empty() {
        return Err(Problem::at(0, "no block of frames has a time below it"));
    }
    let mut capture = profile::finish(out, "off-CPU blocks", missed);
    complaints.hand_over(&mut capture);
    Ok(capture)
}

/// A line of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Entry<'a> {
    Frame(&'a [u8]),
    /// `-` or `--` alone: between kernel and user.
    Border,
    /// `-    -` or `--    --`: between waker and target.
    Separator,
    /// `-    name (tid)`.
    Thread(&'a [u8]),
    Target(&'a [u8]),
    Waker(&'a [u8]),
    Time(u64),
}

impl<'a> Entry<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        // libbpf-tools' wakeuptime has a tab where the others have blanks.
        let text = line.strip_prefix(b"    ").or(line.strip_prefix(b"\t"))?.trim_ascii();
        if (is_time(line) || line.starts_with(b"\t"))
            && let Some(micros) = number::decimal(text)
        {
            return Some(Self::Time(micros));
        }
        let (word, rest) = text.split_at(memchr::memchr(b' ', text).unwrap_or(text.len()));
        let rest = rest.trim_ascii();
        Some(match (word, rest) {
            (b"", b"") => return None,
            (b"-" | b"--", b"") => Self::Border,
            (b"-", b"-") | (b"--", b"--") => Self::Separator,
            (b"-", name) => Self::Thread(name),
            (b"target:", name) => Self::Target(without_number(name)),
            (b"waker:", name) => Self::Waker(without_number(name)),
            (count, frame) if count.starts_with(b"#") && frame.starts_with(b"0x") => {
                Self::Frame(numbered(frame))
            }
            (address, name)
                if !name.is_empty() && address.len() >= 12 && number::hex(address).is_some() =>
            {
                Self::Frame(name)
            }
            _ => Self::Frame(text),
        })
    }
}

/// The function of `0x00007fd7ddf0c017 sched_yield+0x7 (/usr/lib/libc.so.6+0xee017)`; behind an address without a name stands the file of
/// another frame.
fn numbered(frame: &[u8]) -> &[u8] {
    let name = memchr::memchr(b' ', frame).map_or(&b""[..], |at| &frame[at + 1..]);
    match memchr::memmem::find(name, b"+0x") {
        Some(plus) if !name.starts_with(b"(") => &name[..plus],
        _ => b"[unknown]",
    }
}

/// `name 123`, since bcc 0.26: the number is the process's for one and the thread's for the other, so it is not used.
fn without_number(name: &[u8]) -> &[u8] {
    match memchr::memrchr(b' ', name) {
        Some(space) if number::decimal(&name[space + 1..]).is_some() => &name[..space],
        _ => name,
    }
}

fn row<'a>(
    out: &mut Builder<'a>,
    block: &[(Line<'a>, Entry<'a>)],
    complaints: &mut Complaints,
) -> Option<Row> {
    let entries: Vec<Entry<'a>> = block.iter().map(|(_, entry)| *entry).collect();
    let mut missed =
        entries.iter().any(|entry| matches!(entry, Entry::Frame(name) if profile::is_missed(name)));
    let mut row = match *entries.as_slice() {
        [Entry::Waker(waker), ref rest @ .., Entry::Target(target)] => {
            let border = rest.iter().position(|entry| *entry == Entry::Separator)?;
            let mut waking = frames(&rest[..border]);
            waking.reverse();
            let waker = profile::waker(out, waker, waking.into_iter());
            let ids = profile::innermost_first(out, &frames(&rest[border + 1..]));
            Row { waker: Some(waker), ..Row::new(out, target, &ids) }
        }
        [Entry::Target(target), ref rest @ .., Entry::Waker(waker)] => {
            let mut waking = frames(rest);
            // Innermost first in older versions, outermost first in newer ones.
            if waking.first().is_some_and(|name| profile::is_kernel_entry(name)) {
                waking.reverse();
            }
            Row::woken(out, target, waker, waking.into_iter())
        }
        [ref rest @ .., Entry::Thread(name)] | [ref rest @ .., Entry::Frame(name)] => {
            let names = frames(rest);
            let own = last_stack(&names);
            if own > 0 {
                complaints.add(block[0].0, "the first of a stack without its thread and time");
            }
            let ids = profile::innermost_first(out, &names[own..]);
            // Of a stack that it lost, libbpf-tools' offcputime tells the terminal only.
            missed = (missed && own == 0) || names.is_empty();
            Row::new(out, name, &ids)
        }
        _ => return None,
    };
    row.missed = missed;
    Some(row)
}

/// Where the last of several stacks begins: where they lost the user's frames, some versions of libbpf-tools' offcputime leave the kernel's
/// without thread and time, and go on with the next stack.
fn last_stack(names: &[&[u8]]) -> usize {
    let leaves = |name: &[u8]| name == b"__schedule" || name.starts_with(b"finish_task_switch");
    let traces = |name: &[u8]| {
        [&b"bpf_prog_"[..], b"bpf_trace_run", b"__bpf_trace_", b"__traceiter_"]
            .iter()
            .any(|known| name.starts_with(known))
    };
    let Some(mut start) = names.iter().rposition(|name| leaves(name)) else { return 0 };
    while start > 0 && (leaves(names[start - 1]) || traces(names[start - 1])) {
        start -= 1;
    }
    start
}

/// The names of frames, with a `-` where kernel and user meet.
fn frames<'a>(entries: &[Entry<'a>]) -> Vec<&'a [u8]> {
    let names = entries.iter().filter_map(|entry| match entry {
        Entry::Frame(name) if !profile::is_missed(name) => Some(*name),
        Entry::Border => Some(&b"-"[..]),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Mode, StackId};

    fn read_text(text: &str) -> Capture {
        read(text.as_bytes(), &mut Progress::new(&mut |_, _| {}, 0)).unwrap()
    }

    fn names(capture: &Capture, stack: StackId) -> Vec<(Mode, &str)> {
        let frames = capture.stacks.frames(stack).iter().map(|&id| capture.frames.get(id));
        frames.map(|frame| (frame.mode, frame.function().unwrap())).collect()
    }

    #[test]
    fn offcputime_of_libbpf_tools_is_read() {
        let capture = read_text(
            "Tracing off-CPU time (us)...\n\n    __schedule\n    do_syscall_64\n    main\n    -                my serve (16088)\n        5752498\n\n",
        );
        let row = capture.profile[0];
        assert_eq!(row.off_cpu, Nanos(5_752_498_000));
        let thread = capture.threads.get(row.thread);
        assert_eq!((thread.comm(), thread.tid), ("my serve", 16088));
        let expected =
            [(Mode::Kernel, "__schedule"), (Mode::Kernel, "do_syscall_64"), (Mode::User, "main")];
        assert_eq!(names(&capture, row.stack), expected);
    }

    #[test]
    fn wakers_and_woken_are_told_apart_in_either_order() {
        let both = read_text(
            "    waker:           main 4242\n    main_loop\n    -\n    entry_SYSCALL_64_after_hwframe\n    up_write\n    --               --\n    schedule\n    do_syscall_64\n    -\n    work\n    target:          serve 16088\n        77\n\n",
        );
        let waker = both.profile[0].waker.unwrap();
        assert_eq!(both.threads.get(waker.thread).comm(), "main");
        let expected = [
            (Mode::Kernel, "up_write"),
            (Mode::Kernel, "entry_SYSCALL_64_after_hwframe"),
            (Mode::User, "main_loop"),
        ];
        assert_eq!(names(&both, waker.stack), expected);
        assert_eq!(names(&both, both.profile[0].stack).len(), 3);

        let woken = read_text(
            "    target:          vmstat\n    ffffffff810df082 hrtimer_wakeup\n    ffffffff8178adee asm_sysvec_apic\n    waker:           swapper/1\n        4000415\n",
        );
        let row = woken.profile[0];
        assert_eq!(woken.threads.get(row.thread).comm(), "vmstat");
        assert!(woken.stacks.frames(row.stack).is_empty());
        assert_eq!(names(&woken, row.waker.unwrap().stack)[0], (Mode::Kernel, "hrtimer_wakeup"));
    }

    #[test]
    fn numbered_frames_are_read() {
        let capture = read_text(
            "    #0  0xffffffff821facd8 __schedule+0x618\n    #1  0xffffffff81000130 entry_SYSCALL_64_after_hwframe+0x76\n    #2  0x00007fd7ddf0c017 sched_yield+0x7 (/usr/lib/libc.so.6+0xee017)\n    #3  0x00005638a6b24f30 (/usr/lib/libc.so.6+0xee017)\n    -                python3 (1916)\n        4895\n\n",
        );
        let expected = [
            (Mode::Kernel, "__schedule"),
            (Mode::Kernel, "entry_SYSCALL_64_after_hwframe"),
            (Mode::User, "sched_yield"),
            (Mode::User, "[unknown]"),
        ];
        assert_eq!(names(&capture, capture.profile[0].stack), expected);
    }

    /// As some versions of libbpf-tools' offcputime print it where their table of stacks is full.
    #[test]
    fn a_stack_that_lost_its_thread_is_no_part_of_the_next() {
        let capture = read_text(
            "    bpf_prog_6896_sched_switch\n    bpf_trace_run4\n    __schedule\n    rwsem_down_write_slowpath\n    do_syscall_64\n    bpf_prog_6896_sched_switch\n    bpf_trace_run4\n    __schedule\n    schedule\n    kthread\n    ret_from_fork\n    -                kworker/0:2 (30024)\n        224032\n\n    -                slot (1937)\n        982\n\n",
        );
        assert_eq!(names(&capture, capture.profile[0].stack).len(), 6);
        assert!(capture.warnings.iter().any(|note| note.contains("1 of 2 rows lost a stack")));
        assert!(capture.warnings.iter().any(|note| note.contains("without its thread")));
    }

    #[test]
    fn cut_blocks_are_named() {
        let capture = read_text(
            "        13\n\n    schedule\n    a\n        14\n\n    schedule\n    vfs_read\n",
        );
        assert_eq!(capture.profile.len(), 1);
        assert!(
            capture.warnings.iter().any(|note| note.contains("line 1, at byte 0")),
            "{:?}",
            capture.warnings
        );
        assert!(
            capture.warnings.iter().any(|note| note.contains("no time") && note.contains("line 7"))
        );
    }
}
