//! `perf script`: an event a line with the names and numbers of who was current, its fields, and its callchain below.
//!
//! ```text
//! serve-3  8735 [001] 10994.054984:   lock:contention_begin: 0xffff888142d27778 (flags=WRITE)
//!         ffffffff821fd2b1 rwsem_down_write_slowpath+0x1e1 ([kernel.kallsyms])
//! ```
//!
//! perf prints the fields in one order, whatever the order of `-F`
//! (`perf_sample__fprintf_start`, `tools/perf/builtin-script.c`, Linux 6.1).

use super::builder::{Builder, Moment};
use super::events;
use super::frames::Chains;
use super::header;
use super::lines::{Complaints, Line, Lines};
use super::number;
use super::processes;
use super::progress::Progress;
use crate::capture::{Capture, CpuId, Format, Loss, LossKind, Meaning, Timestamp};
use crate::error::Problem;

/// Whether a line is an event's.
pub(super) fn is_event(line: &[u8]) -> bool {
    Head::parse(line).is_some_and(|head| !head.event.is_empty())
}

/// Whether a text has events of the scheduler, but no times.
pub(super) fn lacks_times(text: &[u8]) -> bool {
    const FRONT: usize = 1 << 16;
    let front = &text[..text.len().min(FRONT)];
    memchr::memmem::find(front, b" sched:sched_switch: ").is_some()
        && !Lines::new(front).any(|line| is_event(line.bytes))
}

/// Reads a whole text.
pub(super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut reader = Reader {
        out: Builder::new(Format::PerfScript),
        chains: Chains::default(),
        complaints: Complaints::default(),
        processes_known: false,
        sampled: Vec::new(),
    };
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next() {
        progress.reached(line.offset);
        reader.line(line, &mut lines);
    }
    reader.finish()
}

const DIFFERENCES: &str = "its times go to and fro, as those of perf script --deltatime, which are the time since the event before: print it without";

struct Reader<'a> {
    out: Builder<'a>,
    chains: Chains<'a>,
    complaints: Complaints,
    /// Whether any line had a process's number beside the thread's.
    processes_known: bool,
    /// Events that the header says were sampled.
    sampled: Vec<&'a [u8]>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: Line<'a>, lines: &mut Lines<'a>) {
        match line.bytes.first() {
            None => {}
            Some(b'#') => {
                let capture = &mut self.out.capture;
                self.sampled.extend(header::line(line.bytes, &mut capture.origin));
            }
            Some(b'\t') => {
                self.complaints.add(line, "a frame without the event that it belongs to")
            }
            Some(_) => match Head::parse(line.bytes) {
                Some(head) if !head.event.is_empty() => self.event(line, &head, lines),
                Some(head) => self.record(&head),
                None => self
                    .complaints
                    .add(line, "not of the form `comm tid [cpu] time: event: fields`"),
            },
        }
    }

    fn event(&mut self, line: Line<'a>, head: &Head<'a>, lines: &mut Lines<'a>) {
        let time = Timestamp(head.time);
        let base = head.event.rsplit(|&byte| byte == b':').next().unwrap_or(head.event);
        let tracepoint = head.event.contains(&b':') && events::meaning(base).is_some();
        let sample = !tracepoint && is_sample(head.event);
        let meaning = match (tracepoint, sample) {
            (true, _) => events::meaning(base),
            (_, true) => Some(Meaning::Samples),
            _ => None,
        };
        self.out.count(head.event, meaning, time);
        self.processes_known |= head.pid.is_some();
        let Some(tid) = head.tid.filter(|&tid| tid >= 0) else {
            self.block(lines);
            return;
        };
        let thread = self.out.thread(head.pid, tid, head.comm, time);
        let own_line = if sample && !head.fields.is_empty() { head.fields } else { b"" };
        let chain = self.block(lines);
        let chain = if chain.is_empty() { own_line } else { chain };
        let stack = self.chains.stack(chain, &mut self.out);
        let at = Moment { time, cpu: head.cpu, thread, stack, context: None };
        if sample {
            events::add_sample(&mut self.out, at);
        } else if tracepoint && events::add(&mut self.out, base, head.fields, at).is_none() {
            self.complaints.add(
                line,
                match head.fields {
                    b"" => "an event without its fields: print them, too (perf script without -F, or with -F +trace)",
                    _ => "an event whose fields cannot be read",
                },
            );
        }
    }

    /// The lines of a callchain. A text that was copied has blanks where perf writes a tab.
    fn block(&self, lines: &mut Lines<'a>) -> &'a [u8] {
        match lines.peek() {
            Some(b'\t') => lines.block(),
            Some(b' ') if Head::parse(lines.next_line()).is_none() => lines.block(),
            _ => b"",
        }
    }

    /// `--show-lost-events` and `--show-task-events`.
    fn record(&mut self, head: &Head<'a>) {
        let time = Timestamp(head.time);
        let Some(rest) = head.fields.strip_prefix(b"PERF_RECORD_") else { return };
        if let Some(count) = rest.strip_prefix(b"LOST lost ").and_then(number::decimal) {
            let note = "the recording's buffer was full".to_owned();
            let loss = Loss { time: Some(time), kind: LossKind::Lost, count, note };
            self.out.capture.losses.push(loss);
        }
    }

    fn finish(mut self) -> Result<Capture, Problem> {
        if self.out.capture.events.is_empty() {
            return Err(Problem::at(0, "no line is an event as `perf script` prints it"));
        }
        if self.out.goes_to_and_fro() {
            return Err(Problem::at(0, DIFFERENCES));
        }
        for event in &mut self.out.capture.events {
            event.sampled = self.sampled.contains(&event.name.as_bytes());
        }
        let mut capture = self.out.finish();
        processes::mark_kernel_threads(&mut capture);
        if !self.processes_known {
            processes::join(&mut capture);
            capture.warn(
                "the text does not say which threads form a process (perf script -F +pid,+ip,+sym,+dso does): threads that share an \
                 address space are taken for one"
                    .to_owned(),
            );
        }
        if capture.stacks.is_empty() {
            capture.warn(
                "the text has no callchains: what threads waited for is unknown (perf record -g; perf script without -G, and not with -F +pid alone, \
                 which drops them)"
                    .to_owned(),
            );
        }
        self.complaints.hand_over(&mut capture);
        Ok(capture)
    }
}

/// Whether an event that is no tracepoint samples what runs on a CPU.
fn is_sample(event: &[u8]) -> bool {
    const CLOCKS: &[&[u8]] =
        &[b"cpu-clock", b"task-clock", b"cycles", b"cpu-cycles", b"cpu/cycles", b"instructions"];
    CLOCKS.iter().any(|clock| {
        event
            .strip_prefix(*clock)
            .is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    })
}

/// The front of an event's line.
#[derive(Debug, PartialEq)]
struct Head<'a> {
    comm: &'a [u8],
    pid: Option<i32>,
    tid: Option<i32>,
    cpu: Option<CpuId>,
    time: u64,
    /// Without its last colon; empty for a record that is no event.
    event: &'a [u8],
    fields: &'a [u8],
}

impl<'a> Head<'a> {
    /// The time is the first `digits.digits:` that has a thread's number in front.
    fn parse(line: &'a [u8]) -> Option<Self> {
        memchr::memchr_iter(b':', line).find_map(|colon| {
            let start = memchr::memrchr(b' ', &line[..colon])? + 1;
            let time = number::seconds(&line[start..colon])?;
            Self::before(line[..start].trim_ascii(), time)
                .map(|head| head.with_event(&line[colon + 1..]))
        })
    }

    /// `comm pid/tid [cpu]`, each but the thread's number optional, and the wall's date and time of `-F +tod`.
    fn before(text: &'a [u8], time: u64) -> Option<Self> {
        let (mut text, mut last) = last_word(text);
        if is_time_of_day(last) {
            (text, last) = last_word(last_word(text).0);
        }
        let cpu = last.strip_prefix(b"[").and_then(|cpu| number::decimal(cpu.strip_suffix(b"]")?));
        let (comm, numbers) = if cpu.is_some() { last_word(text) } else { (text, last) };
        let cpu = cpu.and_then(|cpu| CpuId::new(u32::try_from(cpu).ok()?));
        let (pid, tid) = match memchr::memchr(b'/', numbers) {
            Some(slash) => (number::tid(&numbers[..slash]), &numbers[slash + 1..]),
            None => (None, numbers),
        };
        let tid = Some(number::tid(tid)?);
        Some(Self { comm, pid, tid, cpu, time, event: b"", fields: b"" })
    }

    fn with_event(mut self, rest: &'a [u8]) -> Self {
        let mut rest = rest.trim_ascii();
        let (word, behind) = first_word(rest);
        if number::decimal(word).is_some() {
            // The sample's period.
            rest = behind;
        }
        let (word, behind) = first_word(rest);
        match word.strip_suffix(b":") {
            Some(event) => (self.event, self.fields) = (event, behind),
            None => self.fields = rest,
        }
        self
    }
}

/// `13:29:20.043604`
fn is_time_of_day(word: &[u8]) -> bool {
    let mut parts = word.split(|&byte| byte == b':');
    let mut two_digits =
        || parts.next().is_some_and(|part| part.len() == 2 && number::decimal(part).is_some());
    two_digits()
        && two_digits()
        && parts.next().and_then(number::seconds).is_some()
        && parts.next().is_none()
}

fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr2(b' ', b'\t', text).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

fn last_word(text: &[u8]) -> (&[u8], &[u8]) {
    let start = memchr::memrchr(b' ', text).map_or(0, |at| at + 1);
    (text[..start].trim_ascii_end(), &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(line: &str) -> (String, Option<i32>, Option<i32>, Option<u32>, u64, String, String) {
        let head = Head::parse(line.as_bytes()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            text(head.comm),
            head.pid,
            head.tid,
            head.cpu.map(CpuId::number),
            head.time,
            text(head.event),
            text(head.fields),
        )
    }

    #[test]
    fn the_front_of_a_line_is_read_with_any_fields() {
        let own = |text: &str| text.to_owned();
        for (line, expected) in [
            (
                "my app 1:2  8735 [001] 10994.054984:                lock:contention_begin: 0xff (flags=WRITE)",
                (
                    own("my app 1:2"),
                    None,
                    Some(8735),
                    Some(1),
                    10_994_054_984_000,
                    own("lock:contention_begin"),
                    own("0xff (flags=WRITE)"),
                ),
            ),
            (
                "          serve-3  8730/8735  10994.054984123:     250000 cpu-clock:pppH: ",
                (
                    own("serve-3"),
                    Some(8730),
                    Some(8735),
                    None,
                    10_994_054_984_123,
                    own("cpu-clock:pppH"),
                    own(""),
                ),
            ),
            (
                "            perf  7345 [000] 2026-11-23 13:29:20.043604 48797.779395: sched:sched_waking: comm=a pid=18",
                (
                    own("perf"),
                    None,
                    Some(7345),
                    Some(0),
                    48_797_779_395_000,
                    own("sched:sched_waking"),
                    own("comm=a pid=18"),
                ),
            ),
            (
                ":17 17 [000] 1.5: sched:sched_waking: comm=a pid=1 prio=1 target_cpu=000",
                (
                    own(":17"),
                    None,
                    Some(17),
                    Some(0),
                    1_500_000_000,
                    own("sched:sched_waking"),
                    own("comm=a pid=1 prio=1 target_cpu=000"),
                ),
            ),
            (
                "swapper     0 [000] 10.5: PERF_RECORD_LOST lost 12",
                (
                    own("swapper"),
                    None,
                    Some(0),
                    Some(0),
                    10_500_000_000,
                    own(""),
                    own("PERF_RECORD_LOST lost 12"),
                ),
            ),
        ] {
            assert_eq!(head(line), expected);
        }
        for wrong in
            ["", "hello world", "a 12 [000] 1234: b: c", "a [000] 1.5: b: c", "12:30:01.5: x"]
        {
            assert!(Head::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn times_since_the_event_before_are_refused_and_a_text_turned_round_is_not() {
        let text = |times: &mut dyn Iterator<Item = u32>| -> String {
            times
                .map(|time| {
                    format!("a 1 [000] 0.{time:06}: sched:sched_wakeup: comm=a pid=2 prio=120\n")
                })
                .collect()
        };
        let read = |text: String| {
            let mut progress = |_, _| {};
            super::read(text.as_bytes(), &mut Progress::new(&mut progress, text.len()))
        };
        let differences = text(&mut (0..100).map(|n| n * n * 31 % 997));
        let problem = read(differences).err().map(|problem| problem.to_string());
        assert!(problem.is_some_and(|problem| problem.contains("--deltatime")));
        assert!(read(text(&mut (0..100).rev())).is_ok());
        assert!(read(text(&mut (0..100))).is_ok());
        // Two texts, one behind the other.
        assert!(read(text(&mut (0..100).chain(0..90))).is_ok());
    }

    #[test]
    fn clocks_are_told_from_other_events() {
        for event in
            [&b"cpu-clock:pppH"[..], b"cycles", b"cycles:P", b"cpu-clock/freq=99/", b"cpu/cycles/"]
        {
            assert!(is_sample(event));
        }
        for event in [&b"cycles2"[..], b"page-faults", b"context-switches", b"sched:sched_switch"] {
            assert!(!is_sample(event));
        }
    }
}
