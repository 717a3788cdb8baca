//! A log of system calls read beside a capture that has none.
//!
//! Log and capture rarely share a clock. Where the capture knows a moment on both (`perf record -k` writes one, and
//! `perf script --header` prints it), the log is moved by their difference; else the person who recorded both has to say by how much. Where
//! clocks are only close to each other, threads that waited inside long calls show how they lie (see `align`). How far all that may be
//! off goes into [`Capture::log_uncertainty`].

mod align;

use std::fmt;

use crate::capture::{
    Capture, Clock, Format, Meaning, Nanos, Sentence, Span, SyscallPhase, Timestamp,
};

/// Wall clocks are slewed by up to 500 parts per million (`adjtimex(2)`), and perf reads both clocks one after the other.
const SLEW: u64 = 2000;
const READING: u64 = 100_000;
/// perf's own clock counts cycles as the kernel has calibrated them; `CLOCK_MONOTONIC` is corrected by NTP. 100 parts per million of the
/// time since boot is more than crystals are off.
const DRIFT: u64 = 10_000;
const QUARTER_HOUR: i64 = 900 * 1_000_000_000;
const DAY: i64 = 96 * QUARTER_HOUR;

/// Why a log cannot be placed beside a capture.
#[derive(Debug, PartialEq, Eq)]
pub struct CannotPlace(String);

impl fmt::Display for CannotPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CannotPlace {}

/// Whether a capture is only a log of system calls.
#[must_use]
pub fn is_log(capture: &Capture) -> bool {
    matches!(capture.origin.format, Format::Strace | Format::PerfTrace | Format::MemorySyscalls)
}

/// Adds the calls of a log to a capture. `offset` is what has to be added to the log's times, in nanoseconds; `None` finds it by the clocks.
///
/// # Errors
///
/// If the clocks do not tell how log and capture lie to each other, or if they do not overlap.
pub fn add_log(
    capture: &mut Capture,
    log: &Capture,
    offset: Option<i64>,
) -> Result<(), CannotPlace> {
    let name = log.origin.format.to_string();
    let (shift, uncertainty) = match (capture.span, offset) {
        // A profile has no times: the log keeps its own.
        (None, _) => (0, Nanos::ZERO),
        (Some(_), Some(offset)) => (offset, Nanos::ZERO),
        (Some(span), None) => place(capture, span, log)?,
    };
    for note in &log.warnings {
        capture.warn(Sentence::from(format!("{name}: ")).sentence(note));
    }
    if capture.recorded(Meaning::MemorySyscalls) {
        capture.warn(format!("{name}: passed over, since the capture has memory calls of its own"));
        return Ok(());
    }
    let taken = take_over(capture, log, shift);
    if taken == 0 {
        let text = format!("the {name} and the capture do not overlap{}", hint(shift));
        return Err(CannotPlace(text));
    }
    for event in &log.events {
        capture.events.push(event.clone());
    }
    capture.losses.extend(log.losses.iter().cloned());
    if capture.span.is_some() {
        let known = capture.log_uncertainty.unwrap_or(Nanos::ZERO);
        capture.log_uncertainty = Some(known.max(uncertainty));
        capture.warn(format!(
            "the times of the {name} were moved by {} s to the capture's clock, give or take {:.1} ms",
            seconds(shift),
            uncertainty.as_millis_f64()
        ));
    }
    capture.sort();
    Ok(())
}

fn hint(shift: i64) -> String {
    format!(
        " when its times are moved by {} s; --log-offset SECONDS says by how much they have to be",
        seconds(shift)
    )
}

/// What to add to the log's times, and how far that may be off.
fn place(capture: &Capture, span: Span, log: &Capture) -> Result<(i64, Nanos), CannotPlace> {
    let cannot = |why: &str| {
        Err(CannotPlace(format!(
            "the {} cannot be placed beside the capture: {why}; say what to add to its times with --log-offset SECONDS",
            log.origin.format
        )))
    };
    let logged = log.whole();
    let wall = capture.origin.wall_clock;
    let wall_shift = wall.map(|wall| difference(wall.clock_ns, wall.wall_ns));
    let since = |wall_ns: u64| {
        let apart = wall.map_or(0, |wall| wall.wall_ns.abs_diff(wall_ns));
        Nanos(READING + apart / SLEW)
    };
    match (log.origin.clock, wall_shift) {
        (Clock::Wall, Some(shift)) => Ok((shift, since(logged.start.0))),
        (Clock::TimeOfDay, Some(shift)) => {
            // Midnight of which day, in which zone: the one multiple of a quarter of an hour that makes them overlap.
            let middle = difference(
                span.start.0 / 2 + span.end.0 / 2,
                logged.start.0 / 2 + logged.end.0 / 2,
            );
            let zone = (middle - shift).rem_euclid(DAY);
            let zone = (zone + QUARTER_HOUR / 2) / QUARTER_HOUR * QUARTER_HOUR;
            let days = (middle - shift).div_euclid(DAY) * DAY;
            let shift = shift + days + zone;
            Ok((shift, since(logged.start.0.saturating_add_signed(shift))))
        }
        (Clock::Wall | Clock::TimeOfDay, None) => cannot(
            "the capture does not know the wall's time (perf record -k CLOCK_MONOTONIC writes it)",
        ),
        (Clock::Monotonic, _) if is_monotonic(capture) => Ok((0, Nanos::ZERO)),
        (Clock::Perf, _) if !is_monotonic(capture) && capture.origin.wall_clock.is_none() => {
            Ok((0, Nanos::ZERO))
        }
        (Clock::Monotonic | Clock::Perf, _) => {
            let about = Nanos(span.end.0 / DRIFT);
            Ok(align::by_waits(capture, log, about).unwrap_or((0, about)))
        }
        (Clock::Relative | Clock::Own, _) => cannot("its times begin with its own first line"),
    }
}

/// Whether the recording was told to use the clock that BPF programs read.
fn is_monotonic(capture: &Capture) -> bool {
    let words = capture.origin.command.iter().map(|word| word.to_ascii_lowercase());
    words.into_iter().any(|word| {
        let word = word.trim_start_matches("-k").trim_start_matches("--clockid=").to_owned();
        matches!(word.as_str(), "mono" | "monotonic" | "clock_monotonic")
    })
}

/// Adds the calls that overlap the capture; how many events.
fn take_over(capture: &mut Capture, log: &Capture, shift: i64) -> usize {
    let moved = |time: Timestamp| Timestamp(time.0.saturating_add_signed(shift));
    let end = capture.span.map_or(Timestamp(u64::MAX), |span| span.end);
    let start = capture.span.map_or(Timestamp(0), |span| span.start);
    let mut ended_before = rustc_hash::FxHashMap::default();
    for row in &log.syscalls {
        if matches!(row.phase, SyscallPhase::Exit { .. }) && moved(row.time) < start {
            ended_before.insert(row.thread, row.time);
        }
    }
    let mut taken = 0;
    for row in &log.syscalls {
        let time = moved(row.time);
        let over = ended_before.get(&row.thread).is_some_and(|&last| row.time <= last);
        if over || time > end {
            continue;
        }
        let theirs = log.threads.get(row.thread);
        let thread = match log.threads.process_of(row.thread).pid {
            Some(pid) => capture.threads.of_pid_tid(pid, theirs.tid),
            None => capture.threads.of_tid(theirs.tid),
        };
        if !theirs.comm().is_empty() {
            capture.threads.name_if_unknown(thread, theirs.comm(), time);
        }
        capture.syscalls.push(crate::capture::SyscallEvent { time, thread, ..*row });
        taken += 1;
    }
    taken
}

fn difference(a: u64, b: u64) -> i64 {
    a.cast_signed().saturating_sub(b.cast_signed())
}

fn seconds(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    format!("{sign}{}", Timestamp(nanos.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{EventCount, Origin, Syscall, SyscallEvent, WallClock};

    const SECOND: u64 = 1_000_000_000;
    const WALL: u64 = 1_795_308_428 * SECOND;

    fn capture(wall: bool) -> Capture {
        let wall_clock = wall.then_some(WallClock { clock_ns: 100 * SECOND, wall_ns: WALL });
        let span = Some(Span { start: Timestamp(100 * SECOND), end: Timestamp(110 * SECOND) });
        Capture { span, origin: Origin { wall_clock, ..Origin::default() }, ..Capture::default() }
    }

    fn log(clock: Clock, at: u64) -> Capture {
        let origin = Origin { format: Format::Strace, clock, ..Origin::default() };
        let mut log = Capture { origin, ..Capture::default() };
        let thread = log.threads.of_tid(7);
        let row = |time, phase| SyscallEvent {
            time: Timestamp(time),
            thread,
            syscall: Syscall::Mmap,
            phase,
            stack: None,
        };
        log.syscalls = vec![
            row(at - 60 * SECOND, SyscallPhase::Enter { args: [1; 6] }),
            row(at - 59 * SECOND, SyscallPhase::Exit { result: 0 }),
            row(at, SyscallPhase::Enter { args: [2; 6] }),
            row(at + SECOND, SyscallPhase::Exit { result: 0 }),
        ];
        log.span = Some(Span { start: Timestamp(at - 60 * SECOND), end: Timestamp(at + SECOND) });
        let name = "strace:mmap".to_owned();
        let meaning = Some(Meaning::MemorySyscalls);
        log.events.push(EventCount { name, count: 2, meaning, sampled: false, every: None });
        log
    }

    #[test]
    fn a_log_of_the_walls_time_is_moved_to_the_captures_clock() {
        let mut with = capture(true);
        add_log(&mut with, &log(Clock::Wall, WALL + 3 * SECOND), None).unwrap();
        let times: Vec<u64> = with.syscalls.iter().map(|row| row.time.0).collect();
        assert_eq!(
            times,
            [103 * SECOND, 104 * SECOND],
            "what ended before the capture is left out"
        );
        assert!(with.log_uncertainty.unwrap() < Nanos::from_millis(100));
        assert!(with.recorded(Meaning::MemorySyscalls));
        let refused = add_log(&mut capture(false), &log(Clock::Wall, WALL), None).unwrap_err();
        assert!(refused.to_string().contains("--log-offset"));
    }

    #[test]
    fn a_time_of_day_finds_its_day_and_zone() {
        for hours in [0, 2, 23] {
            let of_day = (WALL + 3 * SECOND + hours * 3600 * SECOND) % (86400 * SECOND);
            if of_day > 60 * SECOND {
                let mut with = capture(true);
                add_log(&mut with, &log(Clock::TimeOfDay, of_day), None).unwrap();
                assert_eq!(with.syscalls[0].time.0, 103 * SECOND, "{hours}");
            }
        }
    }

    #[test]
    fn an_offset_that_is_given_is_exact_and_one_that_misses_is_refused() {
        let mut with = capture(false);
        let shift = -(3600 * SECOND.cast_signed());
        let log = log(Clock::Relative, 3703 * SECOND);
        add_log(&mut with, &log, Some(shift)).unwrap();
        assert_eq!(
            (with.syscalls[0].time.0, with.log_uncertainty),
            (103 * SECOND, Some(Nanos::ZERO))
        );
        let missed = add_log(&mut capture(false), &log, Some(0)).unwrap_err();
        assert!(missed.to_string().contains("do not overlap"), "{missed}");
        assert!(
            add_log(&mut capture(true), &log, None).unwrap_err().to_string().contains("first line")
        );
    }

    #[test]
    fn a_profile_takes_the_log_as_it_is() {
        let mut profile = Capture::default();
        add_log(&mut profile, &log(Clock::Relative, 3703 * SECOND), None).unwrap();
        assert_eq!((profile.syscalls.len(), profile.log_uncertainty), (4, None));
    }
}
