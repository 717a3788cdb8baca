//! Folded off-CPU stacks: `comm;frame;frame... microseconds`, outermost frame first.
//!
//! As bcc's `offcputime -f` writes them (`-` between user and kernel frames with `-d`), its `offwaketime -f` (behind `--` stands the
//! waker, innermost frame first, its name last), its `wakeuptime -f` (the waker, its frames, the woken), and FlameGraph's and
//! inferno's scripts (`_[k]` behind kernel frames, `_[i]` inlined, `_[j]` made by a JIT, `_[w]` of a waker).
//! Times and most thread numbers are unknown.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;

use super::builder::Builder;
use super::lines::{Complaints, Line, Lines};
use super::number;
use super::profile::{self, Row};
use super::progress::Progress;
use crate::capture::{Capture, Format, FrameId, Mode, Nanos, Seed};
use crate::error::Problem;

/// Reads folded stacks, as far as lines can be read; `unknown` says what the text is if hardly a line can.
pub(super) fn read(
    text: &[u8],
    progress: &mut Progress<'_>,
    unknown: impl FnOnce() -> String,
) -> Result<Capture, Problem> {
    let mut reader = Reader {
        out: Builder::new(Format::Folded),
        wakers_first: wakers_first(text),
        rows: HashTable::new(),
        seed: Seed::default(),
        missed: profile::Missed::default(),
        inside: 0,
        leaving: 0,
    };
    let mut complaints = Complaints::default();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        if !is_comment(line.bytes) && reader.add(line).is_none() {
            complaints.add(line, "not of the form `comm;frame;frame... microseconds`");
        }
    }
    // A text whose lines all end with a number has sums of something, but not of stacks.
    let has_stacks = reader.rows.iter().any(|&(_, stack, _)| stack.contains(&b';'));
    if !has_stacks || (reader.out.capture.profile.len() as u64) < complaints.count().max(1) {
        return Err(Problem::UnknownFormat(unknown()));
    }
    if reader.ran() {
        return Err(Problem::UnknownFormat(RAN.to_owned()));
    }
    let mut capture = profile::finish(reader.out, "folded stacks", reader.missed);
    complaints.hand_over(&mut capture);
    Ok(capture)
}

const RAN: &str = "it is a profile of what ran on CPUs: its stacks do not end in the scheduler, as those of waits do, so it shows nothing of what threads \
     waited for; `coldcase recipe` says how to record";

struct Reader<'a> {
    out: Builder<'a>,
    /// Whether the lines are those of `wakeuptime -f`.
    wakers_first: bool,
    /// What stacks became, with the stacks' hashes: a table that grows asks for all of them again.
    rows: HashTable<(u64, &'a [u8], Row)>,
    seed: Seed,
    missed: profile::Missed,
    /// Stacks that go into the kernel, and those of them that show how somebody left a CPU.
    inside: usize,
    leaving: usize,
}

impl<'a> Reader<'a> {
    fn add(&mut self, line: Line<'a>) -> Option<()> {
        let (stack, time) = split(line.bytes)?;
        let hash = self.seed.hash_one(stack);
        let row = match self.rows.find(hash, |&(_, known, _)| known == stack) {
            Some(&(.., row)) => row,
            None => {
                let row = self.row(stack)?;
                self.rows.insert_unique(hash, (hash, stack, row), |&(hash, ..)| hash);
                row
            }
        };
        self.missed.add(row.missed, time);
        self.out.capture.profile.push(row.of(time));
        Some(())
    }

    /// Whether the stacks are samples of what ran: of those that go into the kernel, hardly any pass through the scheduler, in which all
    /// who leave a CPU do, or wake somebody. Some are met in it.
    fn ran(&self) -> bool {
        const ENOUGH: usize = 10;
        const HARDLY_ANY: usize = 10;
        self.inside >= ENOUGH && self.leaving * HARDLY_ANY < self.inside
    }

    fn row(&mut self, stack: &'a [u8]) -> Option<Row> {
        let mut names = names(stack);
        let comm = names.next().filter(|comm| !comm.is_empty())?;
        let names: Vec<&[u8]> = names.filter(|name| !name.is_empty()).collect();
        if self.wakers_first {
            let (target, frames) = names.split_last()?;
            return Some(Row::woken(&mut self.out, target, comm, frames.iter().rev().copied()));
        }
        let waker = waker_at(&names);
        let (own, waker) = names.split_at(waker.unwrap_or(names.len()));
        let missed = own.iter().any(|name| profile::is_missed(name));
        let kernel_from = kernel_boundary(own);
        let is_inside = own[kernel_from..].iter().any(|name| !is_delimiter(name));
        if is_inside && !missed {
            self.inside += 1;
            // Whoever was waited for stands beside who waited. Who leaves does so in an innermost frame.
            self.leaving += usize::from(names.iter().rev().any(|name| leaves(name)));
        }
        let ids = frames(&mut self.out, own, kernel_from);
        let mut row = Row::new(&mut self.out, comm, &ids);
        row.missed = missed;
        if let [_, frames @ .., name] = waker {
            row.waker = Some(profile::waker(&mut self.out, name, frames.iter().copied()));
        }
        Some(row)
    }
}

/// The names between the semicolons.
fn names(stack: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b';', stack).chain([stack.len()]);
    ends.scan(0, |start, end| Some(&stack[std::mem::replace(start, end + 1)..end]))
}

/// Whether a function is one in which a thread leaves its CPU, or wakes another one.
fn leaves(name: &[u8]) -> bool {
    let name = without_annotation(name);
    let before = [&b"preempt_schedule"[..], b"io_schedule"];
    profile::is_scheduler(name)
        || profile::is_wake_function(name)
        || before.iter().any(|known| name.starts_with(known))
}

/// Where the waker begins: behind `--`, or in older versions behind a `-` that follows the function in which the thread leaves its CPU.
fn waker_at(names: &[&[u8]]) -> Option<usize> {
    let older = || {
        let border = names.iter().position(|name| *name == b"-").filter(|at| *at > 0)?;
        let before = names[border - 1];
        let leaves = profile::is_scheduler(before) || before.starts_with(b"preempt_schedule");
        leaves.then_some(border)
    };
    names.iter().position(|name| *name == b"--").or_else(older)
}

/// A line's stack, and its time.
fn split(line: &[u8]) -> Option<(&[u8], Nanos)> {
    const LONGEST: usize = 1 << 20;
    let line = line.trim_ascii_end();
    if line.len() > LONGEST {
        return None;
    }
    let space = memchr::memrchr(b' ', line)?;
    let value = &line[space + 1..];
    let nanos = match number::decimal(value) {
        Some(micros) => micros.checked_mul(1000)?,
        None => fraction(value)?,
    };
    Some((&line[..space], Nanos(nanos)))
}

/// Microseconds with a fraction.
fn fraction(value: &[u8]) -> Option<u64> {
    let micros: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    let sound =
        micros.is_finite() && micros >= 0.0 && value.first().is_some_and(u8::is_ascii_digit);
    // A float holds every whole number of nanoseconds below 2^53: 104 days.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    sound.then_some((micros * 1000.0) as u64)
}

/// Frames of a thread that waits, innermost first.
fn frames<'a>(out: &mut Builder<'a>, names: &[&'a [u8]], kernel_from: usize) -> Vec<FrameId> {
    let frames = names.iter().enumerate().rev();
    let frames = frames.filter(|(_, name)| !is_delimiter(name) && !profile::is_missed(name));
    frames
        .map(|(index, name)| {
            let mode = if index >= kernel_from { Mode::Kernel } else { Mode::User };
            out.named_frame(mode, without_annotation(name))
        })
        .collect()
}

fn without_annotation(name: &[u8]) -> &[u8] {
    match name {
        [name @ .., b'_', b'[', b'k' | b'j' | b'i' | b'w', b']'] if !name.is_empty() => name,
        _ => name,
    }
}

fn is_comment(line: &[u8]) -> bool {
    line.trim_ascii().is_empty() || line.starts_with(b"#")
}

fn is_delimiter(name: &[u8]) -> bool {
    matches!(name, b"-" | b"--")
}

/// Index of the first kernel frame, outermost first. Known by the delimiter, by `_[k]`, or by the functions
/// through which user code enters the kernel and kernel threads start.
fn kernel_boundary(names: &[&[u8]]) -> usize {
    let marked = names.iter().position(|name| is_delimiter(name) || name.ends_with(b"_[k]"));
    let entered = || names.iter().position(|name| profile::is_kernel_entry(name));
    let looks = || {
        let user_end = names.iter().rposition(|name| !is_c_identifier(name));
        let inner = names.last().is_some_and(|name| profile::is_scheduler(name));
        if inner { user_end.map_or(0, |at| at + 1) } else { names.len() }
    };
    marked.or_else(entered).unwrap_or_else(looks)
}

fn is_c_identifier(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

/// Whether the lines are those of `wakeuptime -f`: in front of the last name, which is that of the woken, stands a function that wakes.
fn wakers_first(text: &[u8]) -> bool {
    let (mut wakers, mut others) = (0, 0);
    for line in Lines::new(text).take(100) {
        let Some((stack, _)) = split(line.bytes) else { continue };
        let mut names = stack.rsplit(|&byte| byte == b';').skip(1);
        let wakes = names.next().is_some_and(profile::is_wake_function);
        *(if wakes { &mut wakers } else { &mut others }) += 1;
    }
    wakers > others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Capture, Problem> {
        super::read(text, &mut Progress::new(&mut |_, _| {}, 0), || "unknown".to_owned())
    }

    fn frames(capture: &Capture, stack: crate::capture::StackId) -> Vec<(Mode, String)> {
        let ids = capture.stacks.frames(stack).iter().rev();
        ids.map(|&id| {
            let frame = capture.frames.get(id);
            (frame.mode, frame.function().unwrap().to_owned())
        })
        .collect()
    }

    #[test]
    fn samples_of_what_ran_are_refused() {
        let text = |leaves: &str| -> String {
            let line = |at| {
                format!("serve-{at};main;work_{at};vfs_read_[k];copy_page_to_iter_[k]{leaves} 2\n")
            };
            (0..20).map(line).collect::<String>() + "serve;main;schedule_[k];__schedule_[k] 1\n"
        };
        let problem = read(text("").as_bytes()).unwrap_err().to_string();
        assert!(problem.contains("what ran on CPUs"), "{problem}");
        assert!(read(text(";schedule_[k]").as_bytes()).is_ok());
        // Of a program's own frames nobody knows.
        assert!(read(text("").replace("_[k]", "").as_bytes()).is_ok());
    }

    #[test]
    fn every_way_to_mark_the_kernel_is_understood() {
        let text = "serve-1;main;work;-;do_syscall_64;schedule 1500\n\
                    serve-1;main;do_it_[k];schedule_[k] 2\n\
                    serve-1;main;work;entry_SYSCALL_64_after_hwframe;schedule 3\n\
                    serve-1;std::main;work::run;futex_wait;schedule 4\n";
        let capture = read(text.as_bytes()).unwrap();
        let kernel = |row: usize| {
            let frames = frames(&capture, capture.profile[row].stack);
            frames.iter().filter(|frame| frame.0 == Mode::Kernel).count()
        };
        assert_eq!([kernel(0), kernel(1), kernel(2), kernel(3)], [2, 2, 2, 2]);
        assert_eq!(frames(&capture, capture.profile[0].stack).len(), 4);
        assert_eq!(capture.profile[0].off_cpu, Nanos(1_500_000));
        assert_eq!(capture.threads.len(), 1);
        assert_eq!(capture.threads.iter().next().unwrap().1.comm(), "serve-1");
    }

    #[test]
    fn bad_lines_are_named_and_the_others_read() {
        let capture = read(b"a;b;c 10\nnonsense\na;b 20\n").unwrap();
        assert_eq!(capture.profile.len(), 2);
        assert!(capture.warnings[0].contains("line 2, at byte 9"), "{}", capture.warnings[0]);
    }

    #[test]
    fn negative_and_endless_values_are_refused() {
        let capture = read(b"a;b 1\na;b -1\na;b inf\na;b nan\na;b 2\na;b 3.5\na;b 4\n").unwrap();
        let times: Vec<u64> = capture.profile.iter().map(|row| row.off_cpu.0).collect();
        assert_eq!(times, [1000, 2000, 3500, 4000]);
    }

    #[test]
    fn annotations_and_missed_stacks_are_no_part_of_names() {
        let text = b"java;Main.run_[j];inlined_[i];sys_futex_[k] 10\n\
                     app;main;[Missed Kernel Stack] 30\napp;[Missed User Stack];-;do_syscall_64;schedule 5\n";
        let capture = read(text).unwrap();
        let names: Vec<String> =
            frames(&capture, capture.profile[0].stack).into_iter().map(|frame| frame.1).collect();
        assert_eq!(names, ["Main.run", "inlined", "sys_futex"]);
        assert_eq!(frames(&capture, capture.profile[1].stack).len(), 1);
        assert!(capture.warnings[0].contains("2 of 3"), "{:?}", capture.warnings);
    }

    #[test]
    fn the_wakers_stack_of_offwaketime_is_kept_apart() {
        let text = b"serve-1;main;work;do_syscall_64;schedule;--;up_write;__vm_munmap;do_syscall_64;drop;main 77\n";
        let capture = read(text).unwrap();
        let row = capture.profile[0];
        assert_eq!(frames(&capture, row.stack).last().unwrap().1, "schedule");
        let waker = row.waker.unwrap();
        assert_eq!(capture.threads.get(waker.thread).comm(), "main");
        let names: Vec<_> = frames(&capture, waker.stack).into_iter().rev().collect();
        let expected = [
            (Mode::Kernel, "up_write"),
            (Mode::Kernel, "__vm_munmap"),
            (Mode::Kernel, "do_syscall_64"),
            (Mode::User, "drop"),
        ];
        assert_eq!(names, expected.map(|(mode, name)| (mode, name.to_owned())));
    }

    #[test]
    fn hostile_names_are_only_names() {
        let text = "a b;<script>alert(1)</script>;operator new(unsigned long) 5\n\u{fffd};x 6\n";
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend(b"\xff\xfe;\xc3\x28 7\n");
        let long = [b"c;".as_slice(), &vec![b'x'; 3 << 20], b" 8\n"].concat();
        bytes.extend(long);
        let capture = read(&bytes).unwrap();
        assert_eq!(capture.profile.len(), 3);
        assert!(capture.warnings[0].contains("longer than 1 MiB"), "{:?}", capture.warnings);
    }
}
