//! `perf sched timehist`: a switch a line, with how long the thread had run, and the innermost frames of its stack.
//!
//! ```text
//!            time    cpu  task name             wait time  sch delay   run time  state
//!                         [tid/pid]                (msec)     (msec)     (msec)
//! --------------- ------  --------------------  ---------  ---------  ---------  -----
//!    10993.825035 [0000]  serve-1[8733/8730]        0.000      0.027      0.106      S  next: swapper/0[0]  do_nanosleep <- hrtimer_nanosleep
//! ```
//!
//! The stack is that of the thread as it leaves; the times stand for what was before. So a line is a switch-out now, and a switch-in
//! as long ago as the thread had run (`timehist_print_sample`, `tools/perf/builtin-sched.c`, Linux 6.1).

use super::builder::Builder;
use super::events;
use super::lines::{Complaints, Line, Lines};
use super::number;
use super::processes;
use super::progress::Progress;
use crate::capture::{
    Capture, Context, CpuId, Format, Meaning, Mode, StackId, Switch, TaskState, ThreadId,
    Timestamp, Wakeup, WakeupKind,
};
use crate::error::Problem;

/// Five callers and the tracepoint's own function: `--max-stack` by default.
const CUT_AT: usize = 6;

/// Whether a line is the head of the table.
pub(super) fn is_head(line: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(line, text).is_some();
    has(b"task name") && has(b"sch delay") && has(b"run time")
}

/// Reads a whole text.
pub(super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut reader =
        Reader { out: Builder::new(Format::Timehist), states: false, deepest: 0, stacks: 0 };
    let mut complaints = Complaints::default();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        if is_head(line.bytes) {
            reader.states |= memchr::memmem::find(line.bytes, b"state").is_some();
        } else if !is_decoration(line.bytes) && reader.row(line).is_none() {
            complaints.add(line, "not of the form `time [cpu] task[tid/pid] wait delay run`");
        }
    }
    if reader.out.capture.switches.is_empty() {
        return Err(Problem::at(0, "no line is a switch as `perf sched timehist` prints it"));
    }
    let mut capture = reader.finish();
    complaints.hand_over(&mut capture);
    Ok(capture)
}

fn is_decoration(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.is_empty()
        || line.starts_with(b"---")
        || line.starts_with(b"[tid")
        || line.starts_with(b"Samples do not")
}

struct Reader<'a> {
    out: Builder<'a>,
    /// Whether the table has a column of states (`--state`).
    states: bool,
    /// The most frames that a stack has; the tool cuts there unless told otherwise.
    deepest: usize,
    stacks: u64,
}

impl<'a> Reader<'a> {
    fn row(&mut self, line: Line<'a>) -> Option<()> {
        let text = line.bytes.trim_ascii_start();
        let (time, rest) = word(text);
        let time = Timestamp(number::seconds(time)?);
        let (cpu, rest) = word(rest);
        let cpu = number::decimal(cpu.strip_prefix(b"[")?.strip_suffix(b"]")?)?;
        let cpu = u32::try_from(cpu).ok().and_then(CpuId::new);
        if let Some(at) = memchr::memmem::find(rest, b" awakened: ") {
            return self.wakeup(time, rest[..at].trim_ascii(), rest[at + 11..].trim_ascii());
        }
        if memchr::memmem::find(rest, b" migrated: ").is_some() {
            return Some(());
        }
        self.switch(time, cpu, rest)
    }

    fn wakeup(&mut self, time: Timestamp, waker: &'a [u8], wakee: &'a [u8]) -> Option<()> {
        // A task that perf has no numbers for is a name only.
        let waker = self.thread(last_column(waker), time);
        let wakee = self.thread(wakee, time)?;
        // Interrupts are not told from the thread that they interrupt, except where nobody ran.
        let idle = waker.is_some_and(|waker| self.out.capture.threads.get(waker).is_idle_task());
        let context = if idle { Context::HardIrq } else { Context::Task };
        let kind = WakeupKind::Wakeup;
        self.out.count(b"sched:sched_wakeup", Some(Meaning::Wakeup), time);
        self.out.capture.wakeups.push(Wakeup { time, waker, wakee, context, kind, stack: None });
        Some(())
    }

    fn switch(&mut self, time: Timestamp, cpu: Option<CpuId>, rest: &'a [u8]) -> Option<()> {
        let (task, times) = split_times(rest)?;
        let (_wait, times) = word(times);
        let (_delay, times) = word(times);
        let (run, mut rest) = word(times);
        let run = number::millis(run)?;
        let mut state = TaskState::Unknown;
        if self.states {
            let (letters, behind) = word(rest);
            state = events::task_state(letters);
            rest = behind;
        }
        let mut into = None;
        if let Some(next) = rest.strip_prefix(b"next: ") {
            let end = memchr::memchr(b']', next)? + 1;
            into = Some(self.thread(&next[..end], time)?);
            rest = &next[end..];
        }
        let thread = self.thread(last_column(task), time)?;
        let stack = self.stack(rest.trim_ascii());
        let came = Timestamp(time.0.saturating_sub(run));
        let state_before = TaskState::Unknown;
        self.out.count(b"sched:sched_switch", Some(Meaning::Switches), time);
        let switches = &mut self.out.capture.switches;
        switches.push(Switch {
            time: came,
            cpu,
            out: None,
            into: Some(thread),
            state: state_before,
            stack: None,
            priority: None,
        });
        let (out, priority) = (Some(thread), None);
        switches.push(Switch { time, cpu, out, into, state, stack, priority });
        Some(())
    }

    /// `name[tid]`, `name[tid/pid]`, or a name that the tool gives the idle task.
    fn thread(&mut self, text: &'a [u8], time: Timestamp) -> Option<ThreadId> {
        if matches!(text, b"<idle>" | b"swapper") {
            return Some(self.out.other(0, b"swapper", time));
        }
        if let Some(tid) = text.strip_prefix(b":") {
            return Some(self.out.other(number::tid(tid)?, b"", time));
        }
        let open = memchr::memrchr(b'[', text)?;
        let numbers = text[open + 1..].strip_suffix(b"]")?;
        let (tid, pid) = match memchr::memchr(b'/', numbers) {
            Some(slash) => (number::tid(&numbers[..slash])?, number::tid(&numbers[slash + 1..])?),
            // A main thread has one number.
            None => (number::tid(numbers)?, number::tid(numbers)?),
        };
        Some(self.out.thread(Some(pid).filter(|&pid| pid > 0), tid, &text[..open], time))
    }

    /// `inner <- outer <- ...`: kernel frames only, as far as the tool prints them.
    fn stack(&mut self, text: &'a [u8]) -> Option<StackId> {
        if text.is_empty() {
            return None;
        }
        let mut frames = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b" <- ").unwrap_or(rest.len());
            frames.push(self.out.named_frame(Mode::Kernel, rest[..end].trim_ascii()));
            rest = rest.get(end + 4..).unwrap_or_default();
        }
        self.stacks += 1;
        self.deepest = self.deepest.max(frames.len());
        Some(self.out.capture.stacks.intern(&frames))
    }

    fn finish(self) -> Capture {
        let Self { out, states, deepest, stacks } = self;
        let mut capture = out.finish();
        // A line tells of a coming in the past, so the rows are out of order by nature.
        capture.sort();
        processes::mark_kernel_threads(&mut capture);
        if !states {
            capture.warn(
                "the text has no states: who was blocked and who was only preempted cannot be told apart (perf sched \
                 timehist --state)"
                    .to_owned(),
            );
        }
        if stacks == 0 {
            capture.warn(
                "the text has no stacks (perf sched timehist -g, of a recording with -g)"
                    .to_owned(),
            );
        } else if deepest <= CUT_AT {
            capture.warn(
                "stacks are cut at a few frames: the calls that threads stood in may be missing (perf sched timehist \
                 --max-stack 64)"
                    .to_owned(),
            );
        }
        capture
    }
}

/// The task's column, and the three times behind it: the first of three numbers of milliseconds in a row.
fn split_times(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        let start = at + text[at..].iter().position(|byte| *byte != b' ')?;
        let end = start + memchr::memchr(b' ', &text[start..]).unwrap_or(text.len() - start);
        if number::millis(&text[start..end]).is_some() {
            return Some((text[..start].trim_ascii(), &text[start..]));
        }
        at = end;
        if at >= text.len() {
            return None;
        }
    }
}

/// The task behind the picture of CPUs that `-V` adds (`s  `, ` i `): those columns are single letters and blanks.
fn last_column(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii();
    while let Some((b's' | b'i' | b'm', rest)) = text.split_first()
        && rest.first() == Some(&b' ')
    {
        text = rest.trim_ascii_start();
    }
    text
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "           time    cpu  012  task name                       wait time  sch delay   run time  state\n\
                             [tid/pid]                          (msec)     (msec)     (msec)\n\
--------------- ------  ---  ------------------------------  ---------  ---------  ---------  -----\n\
   10.500000 [0000]       swapper                                                          awakened: my serve[8733/8730]\n\
   10.500100 [0000]  s    perf[8840]                          0.000      0.000      0.050      D  next: my serve[8733]   schedule_timeout <- wait_for_completion\n\
   10.600100 [0001]   i   <idle>                              0.106      0.000      1.183      I  next: my serve[8733]           \n\
   10.700100 [0000]  s    my serve[8733/8730]                 0.000      0.027    100.000      S  next: swapper/0[0]   down_write <- a <- b <- c <- d <- e <- f\n";

    fn read_text(text: &str) -> Capture {
        read(text.as_bytes(), &mut Progress::new(&mut |_, _| {}, 0)).unwrap()
    }

    #[test]
    fn a_line_is_a_going_now_and_a_coming_then() {
        let capture = read_text(TEXT);
        assert_eq!((capture.switches.len(), capture.wakeups.len()), (6, 1));
        let serve = capture.threads.iter().find(|(_, thread)| thread.tid == 8733).unwrap();
        assert_eq!(serve.1.comm(), "my serve");
        assert_eq!(capture.threads.process_of(serve.0).pid, Some(8730));
        let came =
            capture.switches.iter().find(|row| row.into == Some(serve.0) && row.out.is_none());
        assert_eq!(came.unwrap().time, Timestamp(10_600_100_000));
        let went = capture.switches.iter().find(|row| row.out == Some(serve.0)).unwrap();
        assert_eq!((went.time, went.state), (Timestamp(10_700_100_000), TaskState::Sleeping));
        assert_eq!(capture.stacks.frames(went.stack.unwrap()).len(), 7);
        assert!(capture.warnings.is_empty(), "{:?}", capture.warnings);
    }

    #[test]
    fn what_the_text_lacks_is_said() {
        let capture = read_text(
            &TEXT
                .replace("  state", "")
                .replace(" D ", "")
                .replace(" I ", "")
                .replace(" S ", "")
                .replace(" <- e <- f", ""),
        );
        assert_eq!(capture.warnings.len(), 2, "{:?}", capture.warnings);
        assert!(capture.switches.iter().all(|row| row.state == TaskState::Unknown));
    }

    #[test]
    fn cut_lines_are_counted_with_their_place() {
        let capture = read_text(&TEXT[..TEXT.len() - 90]);
        assert!(
            capture.warnings.iter().any(|note| note.contains("line 7")),
            "{:?}",
            capture.warnings
        );
    }
}
