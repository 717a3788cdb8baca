//! Reports of blocked tasks in a kernel log: the hung-task detector's, and what `echo w > /proc/sysrq-trigger` dumps.
//!
//! ```text
//! [13116.874592] INFO: task mv:2172 blocked for more than 1 seconds.
//! [13116.882282] task:mv              state:D stack:0     pid:2172  tgid:2172  ppid:2143   flags:0x00080001
//! [13116.882285] Call Trace:
//! [13116.882288]  __schedule+0x3cc/0xf50
//! [13116.882290]  ? __mmap_region+0x657/0xf20
//! [13116.882304]  mnt_want_write+0x96/0xc0
//! ```
//!
//! Frames with `?` are leftovers on the stack, not callers. A task that is reported again and again waited all along, so its longest
//! time counts; a dump gives none. Only tasks in the state `D` count as blocked: `echo t` dumps all that sleep, and the detector also
//! the one that likely owns the lock, whatever it does. (`kernel/hung_task.c`, `sched_show_task` in `kernel/sched/core.c`, Linux 3.10
//! to 7.2.)

mod parts;

use rustc_hash::FxHashMap;

use super::builder::Builder;
use super::lines::{Complaints, Line, Lines};
use super::profile::{self, Missed};
use super::progress::Progress;
use crate::capture::{
    Capture, Format, Mode, NameKind, Nanos, ProfileRow, Sentence, ThreadId, Timestamp,
};
use crate::error::Problem;
use parts::{Task, after, blocked, frame, message, old_task, release, task};

/// Whether a line begins such a report.
pub(super) fn is_report(line: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(line, text).is_some();
    (has(b"INFO: task ") && has(b" for more than "))
        || has(b"Show Blocked State")
        || has(b": Show State")
        || after(message(line), b"task:").and_then(task).is_some()
}

/// Whether a report begins anywhere in a text.
pub(super) fn holds_report(text: &[u8]) -> bool {
    [&b"INFO: task "[..], b"Show Blocked State", b": Show State"]
        .iter()
        .any(|words| memchr::memmem::find(text, words).is_some())
}

/// Reads a whole log.
pub(super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut reader = Reader {
        out: Builder::new(Format::KernelLog),
        reports: Vec::new(),
        others: 0,
        said: FxHashMap::default(),
        owners: Vec::new(),
    };
    let mut complaints = Complaints::default();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        if let Some(reason) = reader.line(line) {
            complaints.add(line, reason);
        }
    }
    if reader.reports.is_empty() {
        return Err(Problem::at(
            0,
            "no blocked task's stack is in the log (lines `task:NAME state:D ... pid:N`)",
        ));
    }
    let mut capture = reader.finish();
    complaints.hand_over(&mut capture);
    Ok(capture)
}

/// A blocked task's report.
struct Report<'a> {
    thread: ThreadId,
    tid: i32,
    /// Innermost first.
    frames: Vec<&'a [u8]>,
    open: bool,
}

struct Reader<'a> {
    out: Builder<'a>,
    reports: Vec<Report<'a>>,
    /// Tasks in other states.
    others: u64,
    /// How long the detector says that a task is blocked, in seconds.
    said: FxHashMap<i32, u64>,
    owners: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Takes a line; the reason if it belongs to a report and cannot be read.
    fn line(&mut self, line: Line<'a>) -> Option<&'static str> {
        let text = message(line.bytes);
        if let Some(release) = release(text) {
            self.out.capture.origin.kernel = Some(String::from_utf8_lossy(release).into_owned());
        } else if let Some(rest) = after(text, b"INFO: task ") {
            self.close();
            if let Some((tid, seconds)) = blocked(rest) {
                let known = self.said.entry(tid).or_default();
                *known = seconds.max(*known);
                return None;
            }
            let of_a_lock = memchr::memmem::find(rest, b" blocked on a").is_some();
            if of_a_lock {
                self.owners.push(String::from_utf8_lossy(rest).into_owned());
            }
            return (!of_a_lock).then_some("a report of a blocked task without its time");
        }
        if let Some(rest) = after(text, b"task:") {
            self.close();
            let Some(task) = task(rest) else {
                return Some("a report of a task without its number");
            };
            self.task(task);
        } else if let Some(task) = old_task(text) {
            self.close();
            self.task(task);
        } else {
            self.below(text.trim_ascii());
        }
        None
    }

    fn task(&mut self, task: Task<'a>) {
        if task.state != b'D' {
            self.others += 1;
            return;
        }
        let thread = self.out.thread(task.pid, task.tid, task.comm, Timestamp(0));
        self.reports.push(Report { thread, tid: task.tid, frames: Vec::new(), open: true });
    }

    /// A line below a task's first. Between its frames stand what a worker works on, registers where the kernel itself faulted, and
    /// what other processors say meanwhile.
    fn below(&mut self, text: &'a [u8]) {
        let Some(report) = self.reports.last_mut().filter(|report| report.open) else { return };
        let ends = text == b"</TASK>"
            || (text.eq_ignore_ascii_case(b"Call Trace:") && !report.frames.is_empty());
        if ends {
            report.open = false;
        } else if let Some(Some(name)) = frame(text) {
            report.frames.push(name);
        }
    }

    fn close(&mut self) {
        if let Some(report) = self.reports.last_mut() {
            report.open = false;
        }
    }

    fn finish(mut self) -> Capture {
        let mut seen: FxHashMap<i32, usize> = FxHashMap::default();
        let reports = std::mem::take(&mut self.reports);
        let count = reports.len();
        for report in reports {
            let names = report.frames.iter();
            let frames: Vec<_> =
                names.map(|name| self.out.named_frame(Mode::Kernel, name)).collect();
            let stack = self.out.capture.stacks.intern(&frames);
            let off_cpu = Nanos::from_millis(
                self.said.get(&report.tid).copied().unwrap_or(0).saturating_mul(1000),
            );
            let row =
                ProfileRow { thread: report.thread, stack, off_cpu, waker: None, slice: None };
            let rows = &mut self.out.capture.profile;
            // The last report of a task stands for all.
            match seen.get(&report.tid) {
                Some(&at) => rows[at] = row,
                None => {
                    seen.insert(report.tid, rows.len());
                    rows.push(row);
                }
            }
        }
        let timeless = self.out.capture.profile.iter().all(|row| row.off_cpu == Nanos::ZERO);
        let mut capture = profile::finish(self.out, "blocked tasks", Missed::default());
        let tasks = capture.profile.len();
        let others = match self.others {
            0 => String::new(),
            others => format!(". {others} tasks in other states were passed over"),
        };
        capture.warn(format!(
            "{count} reports of {tasks} blocked tasks: kernel stacks at moments, {}{others}",
            if timeless { "without any time" } else { "each with the least time that it waited" }
        ));
        capture.warnings.extend(
            self.owners
                .iter()
                .map(|said| Sentence::from("the kernel says: task ").name(NameKind::Quote, said)),
        );
        capture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[    1.5] something else+0x1/0x2\n\
[13116.8] INFO: task my mv:2172 blocked for more than 1 seconds.\n[13116.8]       Not tainted 6.18.44 #1\n\
[13116.8] task:my mv           state:D stack:0     pid:2172  tgid:2170  ppid:2143   task_flags:0x400000 flags:0x00080001\n\
[13116.8] Call Trace:\n[13116.8]  <TASK>\n[13116.8]  __schedule+0x3cc/0xf50\n[13116.8]  ? stale+0x1/0x2\n[13116.8]  ext4_x+0x96/0xc0 [ext4]\n\
[13116.8] RIP: 0033:0x7f9fb9039350\n[13116.8]  </TASK>\n\
[13117.8] INFO: task my mv:2172 blocked for more than 2 seconds.\n\
[13117.8] INFO: task my mv:2172 is blocked on a mutex likely owned by task cp:2180.\n\
[13117.8] task:my mv           state:D stack:0     pid:2172  tgid:2170  ppid:2143\n[13117.8]  __schedule+0x3cc/0xf50\n[13117.8]  do_it+0x1/0x2\n";

    fn read_text(text: &str) -> Capture {
        assert!(text.lines().any(|line| is_report(line.as_bytes())));
        read(text.as_bytes(), &mut Progress::new(&mut |_, _| {}, 0)).unwrap()
    }

    #[test]
    fn a_task_that_is_reported_twice_waited_once() {
        for text in [LOG.to_owned(), LOG.replace("[1311", "Nov 22 00:00:01 host kernel: [1311")] {
            let capture = read_text(&text);
            assert_eq!(capture.profile.len(), 1);
            let row = capture.profile[0];
            assert_eq!(row.off_cpu, Nanos::from_millis(2000));
            let thread = capture.threads.get(row.thread);
            assert_eq!((thread.comm(), thread.tid), ("my mv", 2172));
            assert_eq!(capture.threads.process_of(row.thread).pid, Some(2170));
            assert_eq!(capture.stacks.frames(row.stack).len(), 2);
            assert!(
                capture.warnings.iter().any(|note| note.contains("likely owned by task cp:2180"))
            );
        }
    }

    #[test]
    fn a_dump_has_no_times() {
        let dump = "[1.5] sysrq: Show Blocked State\n[1.5] task:cp state:D stack:0 pid:7 ppid:1 flags:0x1\n[1.5] Call Trace:\n[1.5]  __schedule+0x1/0x2\n";
        let capture = read_text(dump);
        assert_eq!(capture.profile[0].off_cpu, Nanos::ZERO);
        assert!(capture.warnings[0].contains("without any time"));
    }

    #[test]
    fn reports_that_are_cut_are_named() {
        let capture =
            read_text(&format!("{LOG}[2] INFO: task x:1 blocked for mo\n[3] task:y state:D st"));
        assert_eq!(
            capture.warnings.iter().filter(|note| note.contains("; the first is line")).count(),
            2
        );
    }
}
