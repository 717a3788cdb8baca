//! Resident sizes: how much a call changed its process's, and what it was over time.
//!
//! An event gives the new size of one part of one address space, so a change is the difference to the event before. A
//! process's address space is known by the events of its own threads:
//!
//! ```text
//! main: space 7, own, anonymous 200 kB
//! main: space 7, own, anonymous 2.3 MB      + 2.1 MB, by main
//! kswapd: space 7, not own, anonymous 2.1 MB    the process of space 7: main's
//! ```

use coldcase_ingest::capture::{
    Capture, Meaning, ProcessId, ResidentPart, ResidentSize, Span, ThreadId, Timestamp,
};
use rustc_hash::FxHashMap;

use crate::details::ResidentLine;
use crate::losses;
use crate::sites::brackets::Bracket;

/// Most steps of a line: about as many as a screen shows apart.
const STEPS: usize = 600;

/// Changes of processes' resident sizes, in order of time.
pub(crate) struct ResidentSizes {
    changes: Vec<Change>,
    /// Whether each change is an event.
    complete: bool,
}

struct Change {
    time: Timestamp,
    thread: ThreadId,
    process: ProcessId,
    part: ResidentPart,
    bytes: u64,
    /// What the part was before; `None` of the first that is known of its address space.
    before: Option<u64>,
}

impl ResidentSizes {
    pub fn new(capture: &Capture) -> Self {
        let complete = capture.recorded(Meaning::RssStat)
            && !capture.sampled(Meaning::RssStat)
            && !is_filtered(&capture.origin.command);
        let mut owners = Owners::default();
        let mut sizes: FxHashMap<(ProcessId, ResidentPart), u64> = FxHashMap::default();
        let mut changes = Vec::new();
        for row in &capture.resident {
            let Some((process, is_new)) = owners.of(capture, row) else { continue };
            if is_new {
                sizes.retain(|(of, _), _| *of != process);
            }
            let &ResidentSize { time, thread, part, bytes, .. } = row;
            let before = sizes.insert((process, part), bytes);
            changes.push(Change { time, thread, process, part, bytes, before });
        }
        Self { changes, complete }
    }

    /// By how many bytes a call changed what is resident of its process; what is swapped out is not. `None` if that
    /// is not known: not every change was recorded, or not both ends of the call.
    pub fn step(&self, capture: &Capture, call: &Bracket) -> Option<i64> {
        let span = Span::new(call.enter?, call.exit.filter(|_| call.result.is_some())?);
        if !self.complete || losses::any(capture, span) {
            return None;
        }
        let process = capture.threads.get(call.thread).process;
        let from = self.changes.partition_point(|change| change.time < span.start);
        let inside = self.changes[from..].iter().take_while(|change| change.time <= span.end);
        let own = inside.filter(|change| change.thread == call.thread && change.process == process);
        let resident = own.filter(|change| change.part != ResidentPart::Swap);
        let steps = resident.map(|change| Some(signed(change.bytes) - signed(change.before?)));
        steps.sum()
    }

    /// The parts of a process's resident size over time, in the order of [`ResidentPart`], as far as they are known.
    pub fn lines(&self, process: ProcessId) -> Vec<ResidentLine> {
        let of_part = |part| {
            let own = self.changes.iter();
            let own = own.filter(move |row| row.process == process && row.part == part);
            let steps = thinned(&own.map(|row| (row.time, row.bytes)).collect::<Vec<_>>());
            (!steps.is_empty()).then_some(ResidentLine { part, steps })
        };
        ResidentPart::ALL.into_iter().filter_map(of_part).collect()
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Whether perf was told to leave out some of the events: a filter holds for the event before it.
fn is_filtered(command: &[String]) -> bool {
    let after = command.iter().skip_while(|word| !word.contains("rss_stat")).skip(1);
    let mut options = after.filter(|word| word.starts_with("--filter") || word.starts_with("-e"));
    options.next().is_some_and(|word| word.starts_with("--filter"))
}

/// Which process an address space belongs to.
#[derive(Default)]
struct Owners {
    of_space: FxHashMap<u32, ProcessId>,
    space_of: FxHashMap<ProcessId, u32>,
}

impl Owners {
    /// The process of a row's address space, and whether that space is new to it: after an exec, a process has
    /// another one.
    fn of(&mut self, capture: &Capture, row: &ResidentSize) -> Option<(ProcessId, bool)> {
        let current = capture.threads.get(row.thread).process;
        // Kernel threads borrow the address spaces of others.
        if row.own && !capture.threads.process(current).kernel {
            let is_new = self.space_of.insert(current, row.space) != Some(row.space);
            self.of_space.insert(row.space, current);
            return Some((current, is_new));
        }
        let owner = *self.of_space.get(&row.space)?;
        let main = capture.threads.process(owner).threads.iter();
        let mut ends = main.map(|&thread| capture.threads.get(thread).ended);
        // A process that ends lets go of its memory itself; later the number is another's.
        let gone = ends.all(|end| end.is_some_and(|end| end < row.time)) && current != owner;
        (!gone && self.space_of.get(&owner) == Some(&row.space)).then_some((owner, false))
    }
}

/// A line without the steps that nobody could see: each that is kept differs by a thousandth of the largest size or
/// more from the one before, and the last is always kept.
fn thinned(steps: &[(Timestamp, u64)]) -> Vec<(Timestamp, u64)> {
    let most = steps.iter().map(|step| step.1).max().unwrap_or(0);
    let mut least = (most / 1_000).max(1);
    loop {
        let mut kept: Vec<(Timestamp, u64)> = Vec::new();
        for &step in steps {
            if kept.last().is_none_or(|last| last.1.abs_diff(step.1) >= least) {
                kept.push(step);
            }
        }
        if kept.len() <= STEPS || least >= most {
            kept.extend(steps.last().filter(|last| kept.last() != Some(last)));
            return kept;
        }
        least = least.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{EventCount, Syscall};

    use super::*;
    use crate::script;

    /// Rows `TIME THREAD SPACE own|other PART BYTES`, parted by `,`.
    fn capture(rows: &str) -> Capture {
        let mut capture = script::process(Capture::default(), &[('a', "server"), ('b', "server")]);
        for row in rows.split(',') {
            let words: Vec<&str> = row.split_whitespace().collect();
            let thread = script::thread(&mut capture, words[1]);
            let part = match words[4] {
                "anon" => ResidentPart::Anonymous,
                "swap" => ResidentPart::Swap,
                _ => ResidentPart::File,
            };
            capture.resident.push(ResidentSize {
                time: Timestamp(words[0].parse().unwrap()),
                thread,
                space: words[2].parse().unwrap(),
                own: words[3] == "own",
                part,
                bytes: words[5].parse().unwrap(),
            });
        }
        capture.events.push(EventCount {
            name: "kmem:rss_stat".into(),
            count: 0,
            meaning: Some(Meaning::RssStat),
            sampled: false,
            every: None,
        });
        capture
    }

    fn call(capture: &mut Capture, start: u64, end: u64) -> Bracket {
        Bracket {
            thread: script::thread(capture, "a"),
            syscall: Syscall::Mmap,
            enter: Some(Timestamp(start)),
            exit: Some(Timestamp(end)),
            args: None,
            result: Some(0),
            stack: None,
        }
    }

    fn step(rows: &str) -> Option<i64> {
        let mut capture = capture(rows);
        let call = call(&mut capture, 10, 20);
        ResidentSizes::new(&capture).step(&capture, &call)
    }

    #[test]
    fn a_call_is_charged_with_what_its_own_thread_changed() {
        let rows = "5 a 7 own anon 1000, 12 a 7 own anon 5000, 14 b 7 own anon 6000, 15 a 7 own anon 6500, 25 a 7 own anon 0";
        assert_eq!(step(rows), Some(4500));
        let swapped =
            "5 a 7 own anon 9000, 6 a 7 own swap 0, 12 a 7 own anon 1000, 13 a 7 own swap 8000";
        assert_eq!(step(swapped), Some(-8000));
        assert_eq!(step("5 a 7 own anon 1000"), Some(0));
    }

    #[test]
    fn what_was_before_the_first_event_is_not_guessed() {
        assert_eq!(step("12 a 7 own anon 5000, 14 a 7 own anon 6000"), None);
        // exec: a new address space, whose sizes have nothing to do with those of the old one.
        assert_eq!(step("5 a 7 own anon 1000, 12 a 8 own anon 6000"), None);
    }

    #[test]
    fn what_another_changes_belongs_to_the_process_of_the_address_space() {
        let capture = capture(
            "1 c 9 other anon 70, 2 a 7 own anon 100, 3 c 7 other anon 50, 4 c 9 own anon 10, 5 c 7 own file 1",
        );
        let sizes = ResidentSizes::new(&capture);
        let process = capture.threads.get(capture.resident[1].thread).process;
        let lines = sizes.lines(process);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].steps, [(Timestamp(2), 100), (Timestamp(3), 50)]);
    }

    #[test]
    fn some_events_are_not_all() {
        let told = |command: &str| {
            let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
            is_filtered(&command)
        };
        assert!(told("perf record -e kmem:rss_stat --filter size>4 -e x"));
        assert!(!told("perf record -e kmem:rss_stat -a -e x --filter flags!=1"));
        assert!(!told("perf record -e x --filter flags!=1 -e kmem:rss_stat/call-graph=no/"));
    }

    #[test]
    fn a_long_line_keeps_its_shape() {
        let steps: Vec<_> = (0..100_000).map(|at| (Timestamp(at), at % 20_000)).collect();
        let kept = thinned(&steps);
        assert!(kept.len() <= STEPS + 1);
        assert_eq!((kept.first(), kept.last()), (steps.first(), steps.last()));
        let at = |time| kept.iter().rev().find(|step| step.0 <= time).unwrap().1;
        assert!(steps.iter().all(|step| at(step.0).abs_diff(step.1) < 400));
    }
}
