//! Folded off-CPU stacks: `comm;frame;frame... microseconds`, outermost frame first.
//!
//! As bcc's `offcputime -f` writes them (`-` between user and kernel frames with `-d`) and FlameGraph's
//! scripts read them (`_[k]` behind kernel frames). Times, wakers and most thread numbers are unknown.

use rustc_hash::FxHashMap;

use crate::capture::{
    Capture, EventCount, Format, FrameId, Meaning, Mode, Nanos, Origin, ProfileRow, ThreadId,
    Timestamp,
};
use crate::error::Problem;
use crate::symbols::demangle::demangle;

/// Reads folded stacks, as far as lines can be read.
pub(crate) fn read(bytes: &[u8]) -> Result<Capture, Problem> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::default();
    let mut bad = None;
    let mut bad_lines = 0_u64;
    let mut offset = 0;
    for (number, line) in text.split('\n').enumerate() {
        if !is_comment(line) && reader.add(line).is_none() {
            bad_lines += 1;
            bad.get_or_insert((number + 1, offset));
        }
        offset += line.len() + 1;
    }
    let rows = reader.capture.profile.len() as u64;
    if rows < bad_lines.max(1) {
        return Err(Problem::UnknownFormat(what_it_is(bytes)));
    }
    if let Some((line, offset)) = bad {
        reader.capture.warnings.push(format!(
            "{bad_lines} lines are not of the form `comm;frame;frame... microseconds`; the first is line \
             {line}, at byte {offset}"
        ));
    }
    let name = "folded stacks".to_owned();
    let meaning = Some(Meaning::OffCpuProfile);
    reader.capture.events.push(EventCount { name, count: rows, meaning, sampled: false });
    Ok(reader.capture)
}

struct Reader {
    capture: Capture,
    threads: FxHashMap<String, ThreadId>,
}

impl Default for Reader {
    fn default() -> Self {
        let origin = Origin { format: Format::Folded, ..Origin::default() };
        Self { capture: Capture { origin, ..Capture::default() }, threads: FxHashMap::default() }
    }
}

impl Reader {
    fn add(&mut self, line: &str) -> Option<()> {
        let (stack, value) = line.trim_end().rsplit_once(' ')?;
        let micros: f64 =
            value.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
        let mut names = stack.split(';');
        let comm = names.next().filter(|comm| !comm.is_empty())?;
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        let kernel_from = kernel_boundary(&names);
        let frames = &mut self.capture.frames;
        let mut ids: Vec<FrameId> = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !is_delimiter(name)) {
            let mode = if index >= kernel_from { Mode::Kernel } else { Mode::User };
            let name = demangle(name.strip_suffix("_[k]").unwrap_or(name));
            ids.push(frames.intern_name(mode, &name));
        }
        ids.reverse();
        let stack = self.capture.stacks.intern(&ids);
        let thread = self.thread(comm);
        // A float holds every whole number of nanoseconds below 2^53: 104 days.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        let off_cpu = Nanos((micros * 1000.0) as u64);
        self.capture.profile.push(ProfileRow { thread, stack, off_cpu });
        Some(())
    }

    /// One made-up thread for each command. Only `comm-PID/TID` tells real numbers: a plain `name-1` can be
    /// a name.
    fn thread(&mut self, comm: &str) -> ThreadId {
        if let Some(&thread) = self.threads.get(comm) {
            return thread;
        }
        let made_up = -2 - i32::try_from(self.threads.len()).unwrap_or(i32::MAX - 2);
        let numbers = comm.rsplit_once('-').and_then(|(name, numbers)| {
            let (pid, tid) = numbers.split_once('/')?;
            Some((name, pid.parse().ok()?, tid.parse().ok()?))
        });
        let table = &mut self.capture.threads;
        let (name, thread) = match numbers {
            Some((name, pid, tid)) => (name, table.of_pid_tid(pid, tid)),
            None => (comm, table.of_tid(made_up)),
        };
        table.name(thread, name, Timestamp(0));
        self.threads.insert(comm.to_owned(), thread);
        thread
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn is_delimiter(name: &str) -> bool {
    matches!(name, "-" | "--")
}

/// Index of the first kernel frame, outermost first. Known by the delimiter, by `_[k]`, or by the functions
/// through which user code enters the kernel and kernel threads start.
fn kernel_boundary(names: &[&str]) -> usize {
    let marked = names.iter().position(|name| is_delimiter(name) || name.ends_with("_[k]"));
    let entered = || names.iter().position(|name| is_kernel_entry(name));
    let looks = || {
        let user_end = names.iter().rposition(|name| !is_c_identifier(name));
        let inner = names.last().is_some_and(|name| is_scheduler(name));
        if inner { user_end.map_or(0, |at| at + 1) } else { names.len() }
    };
    marked.or_else(entered).unwrap_or_else(looks)
}

fn is_kernel_entry(name: &str) -> bool {
    const ENTRIES: &[&str] = &[
        "entry_SYSCALL_",
        "do_syscall_64",
        "asm_exc_",
        "asm_sysvec_",
        "page_fault",
        "async_page_fault",
        "ret_from_fork",
        "el0_",
        "el0t_",
        "el1_",
        "system_call_fastpath",
        "sysenter_",
        "__x64_sys_",
        "__arm64_sys_",
    ];
    ENTRIES.iter().any(|entry| name.starts_with(entry))
}

fn is_scheduler(name: &str) -> bool {
    ["schedule", "__schedule", "finish_task_switch"].iter().any(|known| name.starts_with(known))
}

fn is_c_identifier(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

/// What a file is that no reader knows, as far as its first bytes tell.
fn what_it_is(bytes: &[u8]) -> String {
    let known: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "it is gzip-compressed; unpack it first: gunzip -k FILE"),
        (b"\xfd7zXZ", "it is xz-compressed; unpack it first: unxz -k FILE"),
        (b"\x17\x08\x44tracing", "it is a trace.dat of trace-cmd, which coldcase does not read"),
        (b"\x7fELF", "it is a program or library, not a capture"),
        (b"PERFFILE", "it is a perf.data of version 1, from before Linux 2.6.37"),
    ];
    let found = known.iter().find(|(magic, _)| bytes.starts_with(magic));
    found.map_or_else(
        || {
            "it is neither a perf.data (which begins with PERFILE2) nor folded stacks (lines of \
             `comm;frame;frame... microseconds`)"
                .to_owned()
        },
        |(_, what)| (*what).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(capture: &Capture, row: usize) -> Vec<(Mode, String)> {
        let ids = capture.stacks.frames(capture.profile[row].stack).iter().rev();
        ids.map(|&id| {
            let frame = capture.frames.get(id);
            (frame.mode, frame.function().unwrap().to_owned())
        })
        .collect()
    }

    #[test]
    fn every_way_to_mark_the_kernel_is_understood() {
        let text = "serve-1;main;work;-;do_syscall_64;schedule 1500\n\
                    serve-1;main;do_it_[k];schedule_[k] 2\n\
                    serve-1;main;work;entry_SYSCALL_64_after_hwframe;schedule 3\n\
                    serve-1;std::main;work::run;futex_wait;schedule 4\n";
        let capture = read(text.as_bytes()).unwrap();
        let kernel =
            |row| frames(&capture, row).iter().filter(|frame| frame.0 == Mode::Kernel).count();
        assert_eq!([kernel(0), kernel(1), kernel(2), kernel(3)], [2, 2, 2, 2]);
        assert_eq!(frames(&capture, 0).len(), 4);
        assert_eq!(capture.profile[0].off_cpu, Nanos(1_500_000));
        assert_eq!(capture.threads.len(), 1);
        assert_eq!(capture.threads.get(ThreadId(0)).comm(), "serve-1");
    }

    #[test]
    fn bad_lines_are_named_and_the_others_read() {
        let capture = read(b"a;b;c 10\nnonsense\na;b 20\n").unwrap();
        assert_eq!(capture.profile.len(), 2);
        assert!(capture.warnings[0].contains("line 2, at byte 9"), "{}", capture.warnings[0]);
    }

    #[test]
    fn other_files_are_named_for_what_they_are() {
        for (bytes, word) in [
            (&b"hello world\nthis is a log\nof something\n"[..], "neither"),
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (&b"\x7fELF\x02\x01"[..], "program"),
        ] {
            let problem = read(bytes).unwrap_err().to_string();
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn negative_and_endless_values_are_refused() {
        let capture = read(b"a;b 1\na;b -1\na;b inf\na;b nan\na;b 2\na;b 3\na;b 4\n").unwrap();
        assert_eq!(capture.profile.len(), 4);
    }
}
