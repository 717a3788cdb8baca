//! Maps that bpftrace prints: `@name[kstack, ustack, comm]: sum`, stacks over several lines.
//!
//! ```text
//! @offcpu[
//!     __schedule+1560
//!     rwsem_down_write_slowpath+480
//! ,
//!     0x557825d4327c
//! , serve-1]: 16747
//! ```
//!
//! The keys stand in any order. A value may be a number, or `count N, average N, total N`; histograms are passed over. What a value
//! means only the script says: nanoseconds are what `nsecs` counts, so that is assumed unless the map's name has a unit.

use std::collections::BTreeMap;

use super::builder::Builder;
use super::lines::{Complaints, Line, Lines};
use super::number;
use super::profile::{self, Missed, Row};
use super::progress::Progress;
use crate::capture::{
    Capture, Format, FrameId, Location, Mode, NameKind, Nanos, Sentence, StackId, ThreadId,
};
use crate::error::Problem;

/// Whether a line begins an entry of a map.
pub(super) fn is_entry(line: &[u8]) -> bool {
    line.strip_prefix(b"@").is_some_and(|rest| {
        let name =
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        matches!(rest.get(name), Some(b'[' | b':'))
    })
}

/// Reads a whole text.
pub(super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let mut reader = Reader {
        out: Builder::new(Format::Bpftrace),
        maps: BTreeMap::new(),
        skipped: BTreeMap::new(),
    };
    let mut complaints = Complaints::default();
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next() {
        progress.reached(line.offset);
        if is_entry(line.bytes) && reader.entry(line, &mut lines).is_none() {
            complaints.add(line, "an entry of a map that ends before its value");
        }
    }
    let mut capture = reader.finish()?;
    complaints.hand_over(&mut capture);
    Ok(capture)
}

struct Reader<'a> {
    out: Builder<'a>,
    /// What was printed of the maps that have stacks, each time, by the map's name.
    maps: BTreeMap<&'a [u8], Prints<'a>>,
    /// What cannot be used, by the map's name.
    skipped: BTreeMap<&'a [u8], &'static str>,
}

/// What tells entries of a map apart: thread, stack and the key's texts.
type Key<'a> = (ThreadId, StackId, Vec<&'a [u8]>);

/// A map as it was printed once.
type Print<'a> = BTreeMap<Key<'a>, (Row, u64)>;

/// A map as it was printed again and again.
#[derive(Default)]
struct Prints<'a> {
    all: Vec<Print<'a>>,
    /// The value of the latest entry.
    latest: u64,
}

impl<'a> Prints<'a> {
    /// Takes an entry. bpftrace prints the smallest sums first, and nothing between two times: where they fall, it began anew.
    fn add(&mut self, key: Key<'a>, row: Row, value: u64) {
        if self.all.is_empty() || value < self.latest {
            self.all.push(Print::new());
        }
        self.latest = value;
        if let Some(print) = self.all.last_mut() {
            let sum = print.entry(key).or_insert((row, 0));
            sum.1 = sum.1.saturating_add(value);
        }
    }

    /// Whether the map was never cleared between: most keys stay, and no sum is smaller. Stacks of a process that has ended are printed
    /// without names and are other keys; of a few keys alone, sums that were cleared can grow by chance.
    fn goes_on(&self) -> bool {
        const KEYS: usize = 8;
        let later = |before: &Print<'_>, after: &Print<'_>| {
            let both = before.iter().filter_map(|(key, sum)| Some((sum.1, after.get(key)?.1)));
            let (grown, all) = both.fold((0, 0), |(grown, all), (before, after)| {
                (grown + usize::from(after >= before), all + 1)
            });
            grown == all && all >= KEYS.max(before.len() / 2)
        };
        self.all.len() > 1 && self.all.is_sorted_by(later)
    }
}

/// A part of a key.
enum Part<'a> {
    Stack(Vec<&'a [u8]>),
    Text(&'a [u8]),
}

impl<'a> Part<'a> {
    fn text(&self) -> Option<&'a [u8]> {
        match self {
            Part::Stack(_) => None,
            Part::Text(text) => Some(text),
        }
    }
}

impl<'a> Reader<'a> {
    fn entry(&mut self, first: Line<'a>, lines: &mut Lines<'a>) -> Option<()> {
        let length = first.bytes.iter().position(|byte| matches!(byte, b'[' | b':'))?;
        let name = &first.bytes[..length];
        if first.bytes[length] == b':' {
            self.skipped.insert(
                name,
                if first.bytes.trim_ascii_end().ends_with(b":") {
                    "a histogram"
                } else {
                    "no stacks"
                },
            );
            return Some(());
        }
        let (parts, value) = read_key(&first.bytes[length + 1..], lines)?;
        if value.is_empty() {
            self.skipped.insert(name, "a histogram");
            return Some(());
        }
        let value = total(value)?;
        match self.row(&parts) {
            Some(row) => {
                let texts = parts.iter().filter_map(Part::text).collect();
                let key = (row.thread, row.stack, texts);
                self.maps.entry(name).or_default().add(key, row, value);
            }
            None => {
                self.skipped.insert(name, "no stacks");
            }
        }
        Some(())
    }

    fn row(&mut self, parts: &[Part<'a>]) -> Option<Row> {
        let mut frames = Vec::new();
        let stacks = parts.iter().filter_map(|part| match part {
            Part::Stack(names) => Some(names),
            Part::Text(_) => None,
        });
        let (kernel, user): (Vec<_>, Vec<_>) = stacks.partition(|names| is_kernel(names));
        if kernel.is_empty() && user.is_empty() {
            return None;
        }
        for (names, mode) in kernel
            .iter()
            .map(|names| (names, Mode::Kernel))
            .chain(user.iter().map(|names| (names, Mode::User)))
        {
            frames.extend(names.iter().map(|name| self.frame(name, mode)));
        }
        let comm = parts.iter().filter_map(Part::text).find(|text| number::decimal(text).is_none());
        Some(Row::new(&mut self.out, comm.unwrap_or(b"unknown"), &frames))
    }

    fn frame(&mut self, name: &'a [u8], mode: Mode) -> FrameId {
        match address(name) {
            Some(address) => self.out.capture.frames.intern(mode, Location::Address(address)),
            None => self.out.named_frame(mode, without_offset(name)),
        }
    }

    fn finish(mut self) -> Result<Capture, Problem> {
        let most = self.maps.iter().max_by_key(|(name, rows)| {
            (
                rows.all
                    .iter()
                    .flat_map(BTreeMap::values)
                    .map(|sum| sum.1)
                    .fold(0, u64::saturating_add),
                std::cmp::Reverse(**name),
            )
        });
        let Some((&used, _)) = most else {
            return Err(Problem::at(
                0,
                "no map of the text has stacks as its keys and sums as its values",
            ));
        };
        let (unit, word) = unit(used);
        let mut prints = self.maps.remove(used).unwrap_or_default();
        let (count, goes_on) = (prints.all.len(), prints.goes_on());
        if goes_on {
            prints.all.drain(..count - 1);
        }
        for (row, value) in prints.all.into_iter().flat_map(BTreeMap::into_values) {
            let time = Nanos(value.saturating_mul(unit));
            self.out.capture.profile.push(row.of(time));
        }
        for name in self.maps.keys() {
            self.skipped.insert(name, "a second map with stacks");
        }
        let mut capture = profile::finish(self.out, "bpftrace map", Missed::default());
        let quoted = |words: &str, name: &[u8]| {
            Sentence::from(words).name(NameKind::Quote, &String::from_utf8_lossy(name))
        };
        let values = quoted("the values of ", used);
        capture.warn(values.words(&format!(" are taken for {word} off-CPU")));
        if goes_on {
            let printed = quoted("", used);
            capture.warn(printed.words(&format!(
                " is printed {count} times, with all that was before: the last time counts"
            )));
        }
        for (name, why) in self.skipped {
            capture.warn(quoted("", name).words(&format!(" was passed over: {why}")));
        }
        Ok(capture)
    }
}

/// The parts of a key, whose first line is `first`, and the value behind it.
fn read_key<'a>(first: &'a [u8], lines: &mut Lines<'a>) -> Option<(Vec<Part<'a>>, &'a [u8])> {
    let mut parts = Vec::new();
    let mut stack: Option<Vec<&'a [u8]>> = None;
    let mut line = first;
    loop {
        let frame = line.strip_prefix(b"    ").or(line.strip_prefix(b"\t"));
        if let Some(frame) = frame.filter(|frame| !frame.starts_with(b",")) {
            stack.get_or_insert_default().push(without_perf(frame.trim_ascii()));
        } else {
            if let Some(stack) = stack.take() {
                parts.push(Part::Stack(stack));
            }
            let end = memchr::memmem::rfind(line, b"]:");
            let texts = &line[..end.unwrap_or(line.len())];
            let texts = texts.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            parts.extend(texts.filter(|text| !text.is_empty()).map(Part::Text));
            if let Some(end) = end {
                return Some((parts, line[end + 2..].trim_ascii()));
            }
        }
        if is_entry(lines.next_line()) {
            return None;
        }
        line = lines.next()?.bytes;
    }
}

/// `__schedule+1560`, of `kstack(perf)` too: `ffffffff821facd8 __schedule+1560 (/usr/lib/libc.so.6)`.
fn without_perf(frame: &[u8]) -> &[u8] {
    let Some(blank) = memchr::memchr(b' ', frame) else { return frame };
    if address(&frame[..blank]).is_none() {
        return frame;
    }
    let name = &frame[blank + 1..];
    let file = memchr::memmem::rfind(name, b" (").filter(|_| name.ends_with(b")"));
    file.map_or(name, |file| &name[..file])
}

/// `0x557825d4327c`, or `ffffffff821facd8` of `kstack(raw)`.
fn address(name: &[u8]) -> Option<u64> {
    let digits = name.strip_prefix(b"0x").or((name.len() >= 12).then_some(name))?;
    number::hex(digits)
}

/// A number, or the total of `stats()`; of an average nothing can be made.
fn total(value: &[u8]) -> Option<u64> {
    let number = match memchr::memmem::find(value, b"total ") {
        Some(at) => &value[at + 6..],
        None => value,
    };
    number::decimal(number.trim_ascii())
}

/// The kernel's stacks end at an entry function, begin in the scheduler, or have addresses with the highest bit set.
fn is_kernel(names: &[&[u8]]) -> bool {
    let known = |name: &[u8]| profile::is_kernel_entry(name) || profile::is_scheduler(name);
    names.iter().any(|name| known(without_offset(name)))
        || names.iter().any(|name| address(name).is_some_and(|address| address >> 63 == 1))
}

/// A function without `+1560`.
fn without_offset(name: &[u8]) -> &[u8] {
    match memchr::memrchr(b'+', name) {
        Some(at) if number::decimal(&name[at + 1..]).is_some() => &name[..at],
        _ => name,
    }
}

/// Nanoseconds of a map's unit, by a word in its name, and the unit.
fn unit(name: &[u8]) -> (u64, &'static str) {
    let has = |units: &[&[u8]]| name.split(|&byte| byte == b'_').any(|word| units.contains(&word));
    if has(&[b"us", b"usec", b"usecs"]) {
        (1_000, "microseconds")
    } else if has(&[b"ms", b"msec", b"msecs"]) {
        (1_000_000, "milliseconds")
    } else {
        (1, "nanoseconds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Capture {
        read(text.as_bytes(), &mut Progress::new(&mut |_, _| {}, 0)).unwrap()
    }

    const MAP: &str = "Attaching 3 probes...\n\n@ms: \n[0]        84 |@@@    |\n[1]         0 |     |\n\n\
        @offcpu[\n    __schedule+1560\n    asm_exc_page_fault+34\n, \n    0x557825d4327c\n    main+5\n, my serve]: 16747\n\
        @offcpu[other, 77, \n    __schedule+1560\n    schedule+35\n]: count 2, average 5, total 10\n@n: 5\n";

    #[test]
    fn stacks_names_and_sums_are_read_in_any_order() {
        let capture = read_text(MAP);
        assert_eq!(capture.profile.len(), 2);
        let row = capture.profile[0];
        assert_eq!(
            (capture.threads.get(row.thread).comm(), row.off_cpu),
            ("my serve", Nanos(16747))
        );
        let frames = capture.stacks.frames(row.stack).iter().map(|&id| capture.frames.get(id));
        let modes: Vec<_> = frames.map(|frame| (frame.mode, frame.function())).collect();
        let kernel = |name| (Mode::Kernel, Some(name));
        assert_eq!(
            modes,
            [
                kernel("__schedule"),
                kernel("asm_exc_page_fault"),
                (Mode::User, None),
                (Mode::User, Some("main"))
            ]
        );
        let row = capture.profile[1];
        assert_eq!((capture.threads.get(row.thread).comm(), row.off_cpu), ("other", Nanos(10)));
        let said: Vec<&str> = capture.warnings.iter().map(|said| &**said).collect();
        let said = said.join("\n");
        assert!(
            said.contains("@ms was passed over: a histogram") && said.contains("nanoseconds"),
            "{said}"
        );
    }

    #[test]
    fn a_map_that_is_printed_again_counts_once_unless_it_was_cleared() {
        let print = |sums: std::ops::Range<u64>| -> String {
            let entry = |(tid, sum)| {
                format!("@[\n    __schedule+1560\n    asm_exc_page_fault+34\n, a, {tid}]: {sum}\n")
            };
            sums.enumerate().map(entry).collect()
        };
        let sum =
            |text: &str| -> u64 { read_text(text).profile.iter().map(|row| row.off_cpu.0).sum() };
        assert_eq!(sum(&print(0..9)), 36);
        assert_eq!(sum(&format!("{}{}", print(0..9), print(1..10))), 45);
        let cleared = print(1..10).replace("a, 8]: 9", "a, 8]: 7");
        assert_eq!(sum(&format!("{}{cleared}", print(0..9))), 36 + 43);
    }

    #[test]
    fn stacks_of_every_mode_are_read() {
        for (frame, name) in [
            ("    __schedule+1560", Some("__schedule")),
            ("\tffffffff821facd8 __schedule+1560 ([kernel])", Some("__schedule")),
            ("\tffffffff821facd8 __schedule+1560", Some("__schedule")),
            ("    ffffffff821facd8", None),
        ] {
            let capture = read_text(&format!("@[\n{frame}\n, a]: 5\n"));
            let frames = capture.stacks.frames(capture.profile[0].stack);
            let frame = capture.frames.get(frames[0]);
            assert_eq!((frame.mode, frame.function()), (Mode::Kernel, name));
        }
    }

    #[test]
    fn a_unit_in_the_name_counts() {
        assert_eq!(unit(b"@offcpu_us").0, 1_000);
        assert_eq!(unit(b"@cpus").0, 1);
        assert_eq!(
            read_text(&MAP.replace("@offcpu", "@wait_ms")).profile[1].off_cpu,
            Nanos(10_000_000)
        );
    }

    #[test]
    fn an_entry_that_is_cut_is_named() {
        let capture = read_text(&format!("{MAP}@offcpu[\n    __schedule+1560\n"));
        assert!(
            capture.warnings.iter().any(|note| note.contains("ends before its value")),
            "{:?}",
            capture.warnings
        );
    }
}
