//! `strace -f -ttt -T`: a call a line, with the thread's number, when it began and how long it took.
//!
//! ```text
//! 18826 1795308428.229783 mmap(NULL, 3221225472, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_POPULATE, -1, 0 <unfinished ...>
//! 18826 1795308429.214000 <... mmap resumed>) = 0x7f63f8000000 <0.984210>
//! ```

use rustc_hash::FxHashMap;

use super::super::lines::{Complaints, Line, Lines};
use super::super::number;
use super::super::progress::Progress;
use super::{Log, flags, syscall};
use crate::capture::{Capture, Clock, Format, Syscall};
use crate::error::Problem;

/// Times of the day stay below; seconds since 1970 have been above since 1973.
const EARLIEST_WALL: u64 = 100_000_000 * 1_000_000_000;

/// Whether a line is a call as strace prints it.
pub(in super::super) fn is_call(line: &[u8]) -> bool {
    Head::parse(line).is_some_and(|head| {
        head.rest.starts_with(b"<... ")
            || head.rest.starts_with(b"+++ ")
            || memchr::memchr(b'(', head.rest).is_some_and(|open| {
                open > 0
                    && head.rest[..open].iter().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_'
                    })
            })
    })
}

/// Reads a whole log.
pub(in super::super) fn read(text: &[u8], progress: &mut Progress<'_>) -> Result<Capture, Problem> {
    let clock = clock(text)?;
    let mut reader = Reader {
        log: Log::new(Format::Strace, clock),
        clock,
        open: FxHashMap::default(),
        timeless: 0,
        single: false,
    };
    let mut complaints = Complaints::default();
    for line in Lines::new(text) {
        progress.reached(line.offset);
        if let Err(reason) = reader.line(line) {
            complaints.add(line, reason);
        }
    }
    let Reader { mut log, timeless, single, .. } = reader;
    if timeless > 0 {
        log.capture.warn(format!(
            "{timeless} calls have no duration and are left out (strace -T gives it)"
        ));
    }
    if single {
        log.capture.warn("the log has no thread numbers (strace -f gives them): its calls belong to a thread that \
             the capture cannot be asked for".to_owned());
    }
    log.finish(complaints, "strace")
}

/// What the times count, by the first line that has one.
fn clock(text: &[u8]) -> Result<Clock, Problem> {
    let heads = Lines::new(text).filter_map(|line| Some((line.offset, Head::parse(line.bytes)?)));
    let mut times = Vec::new();
    for (offset, head) in heads.take(100) {
        match head.time {
            Time::OfDay(_) => return Ok(Clock::TimeOfDay),
            Time::Seconds(time) if time >= EARLIEST_WALL => return Ok(Clock::Wall),
            Time::Seconds(time) => times.push((offset, time)),
        }
    }
    match times.first() {
        Some((offset, _)) => Err(Problem::at(
            *offset,
            "the times are those of strace -r, each since the call before: where calls overlap they cannot be added up; \
             record with strace -f -ttt -T",
        )),
        None => Ok(Clock::Wall),
    }
}

struct Reader {
    log: Log,
    /// What the times of its first lines count.
    clock: Clock,
    /// Calls that were interrupted by another thread's line, and when they began.
    open: FxHashMap<i32, (u64, Syscall)>,
    timeless: u64,
    single: bool,
}

impl Reader {
    fn line(&mut self, line: Line<'_>) -> Result<(), &'static str> {
        const NO_CALL: &str = "not a call as strace -f -ttt -T prints it";
        let text = line.bytes.trim_ascii();
        if text.is_empty() || text.starts_with(b"strace: ") {
            return Ok(());
        }
        let head = Head::parse(text).ok_or(NO_CALL)?;
        let time = head.time.on(self.clock).ok_or("of another clock than those before")?;
        let rest = head.rest;
        if rest.starts_with(b"+++") || rest.starts_with(b"---") {
            return Ok(());
        }
        self.single |= head.tid.is_none();
        let tid = head.tid.unwrap_or(-2);
        if let Some(resumed) = rest.strip_prefix(b"<... ") {
            let behind = memchr::memmem::find(resumed, b" resumed>").ok_or(NO_CALL)? + 9;
            let Some((began, call)) = self.open.remove(&tid) else { return Ok(()) };
            if let Some((result, duration)) = self.outcome(&resumed[behind..])? {
                let thread = self.log.thread(None, tid, b"");
                self.log.exit(thread, call, result, began.saturating_add(duration));
            }
            return Ok(());
        }
        let open = memchr::memchr(b'(', rest).ok_or(NO_CALL)?;
        let Some(call) = syscall(&rest[..open]) else { return Ok(()) };
        let behind = &rest[open + 1..];
        if let Some(args) = behind.strip_suffix(b"<unfinished ...>") {
            self.open.insert(tid, (time, call));
            let thread = self.log.thread(None, tid, b"");
            self.log.enter(thread, call, arguments(args), time);
            return Ok(());
        }
        let end = memchr::memmem::rfind(behind, b" = ").ok_or(NO_CALL)?;
        let args = behind[..end].trim_ascii_end();
        let args = args.strip_suffix(b")").unwrap_or(args);
        let Some((result, duration)) = self.outcome(&behind[end..])? else { return Ok(()) };
        let thread = self.log.thread(None, tid, b"");
        self.log.enter(thread, call, arguments(args), time);
        self.log.exit(thread, call, result, time.saturating_add(duration));
        Ok(())
    }

    /// Result and duration of `) = 0x7f63f8000000 <0.984210>`, `= -1 ENOMEM (...) <0.000012>`, `= ?`; none without a duration.
    fn outcome(&mut self, text: &[u8]) -> Result<Option<(i64, u64)>, &'static str> {
        let end = memchr::memmem::rfind(text, b"= ").ok_or("a call without its result")?;
        let word = text[end + 2..].split(|&byte| byte == b' ').next().unwrap_or_default();
        // Of a thread that was ended meanwhile, strace knows none.
        let result = if word == b"?" { Some(0) } else { number::any(word) };
        let result = result.ok_or("a call whose result is no number")?.cast_signed();
        let duration = duration(text);
        self.timeless += u64::from(duration.is_none());
        Ok(duration.map(|duration| (result, duration)))
    }
}

/// `<0.984210>` at a line's end, in nanoseconds.
fn duration(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_end().strip_suffix(b">")?;
    number::seconds(&text[memchr::memrchr(b'<', text)? + 1..])
}

/// Up to six arguments; what is no number and no flag is 0. `clone` and `clone3` name theirs.
fn arguments(text: &[u8]) -> [u64; 6] {
    let mut args = [0; 6];
    if let Some(at) = memchr::memmem::find(text, b"flags=CLONE_") {
        let rest = &text[at + 6..];
        let end =
            rest.iter().position(|byte| matches!(byte, b',' | b'}' | b' ')).unwrap_or(rest.len());
        args[0] = flags::value(&rest[..end]).unwrap_or(0);
        return args;
    }
    for (arg, part) in args.iter_mut().zip(text.split(|&byte| byte == b',')) {
        *arg = flags::value(part.trim_ascii()).unwrap_or(0);
    }
    args
}

/// The front of a line.
struct Head<'a> {
    tid: Option<i32>,
    time: Time,
    rest: &'a [u8],
}

/// Nanoseconds since midnight, or since another beginning.
enum Time {
    OfDay(u64),
    Seconds(u64),
}

impl<'a> Head<'a> {
    /// `TID TIME rest`, `[pid TID] TIME rest`, or `TIME rest`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let (tid, rest) = match line.strip_prefix(b"[pid ") {
            Some(rest) => {
                let close = memchr::memchr(b']', rest)?;
                (
                    Some(number::tid(rest[..close].trim_ascii())?),
                    rest[close + 1..].trim_ascii_start(),
                )
            }
            None => {
                let (word, behind) = word(line);
                match number::tid(word) {
                    Some(tid) => (Some(tid), behind),
                    None => (None, line),
                }
            }
        };
        let (word, rest) = word(rest);
        Some(Self { tid, time: Time::parse(word)?, rest })
    }
}

impl Time {
    /// In nanoseconds, if it is of this clock: a line from another log is not, nor is one whose front was cut off.
    fn on(self, clock: Clock) -> Option<u64> {
        match self {
            Self::OfDay(time) => (clock == Clock::TimeOfDay).then_some(time),
            Self::Seconds(time) => (clock == Clock::Wall && time >= EARLIEST_WALL).then_some(time),
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        if memchr::memchr(b':', text).is_none() {
            return number::seconds(text).map(Self::Seconds);
        }
        let mut parts = text.split(|&byte| byte == b':');
        let (hours, minutes) = (number::decimal(parts.next()?)?, number::decimal(parts.next()?)?);
        let last = parts.next()?;
        let seconds =
            number::seconds(last).or_else(|| number::decimal(last)?.checked_mul(1_000_000_000))?;
        // A leap second is the last of its minute.
        let sound =
            hours < 24 && minutes < 60 && seconds <= 61_000_000_000 && parts.next().is_none();
        sound.then(|| Self::OfDay((hours * 3600 + minutes * 60) * 1_000_000_000 + seconds))
    }
}

fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::SyscallPhase;

    fn read_text(text: &str) -> Result<Capture, Problem> {
        read(text.as_bytes(), &mut Progress::new(&mut |_, _| {}, 0))
    }

    const CUT: &str = "18826 1795308428.229783 mmap(NULL, 3221225472, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_POPULATE, -1, 0 <unfinished ...>\n\
18830 1795308428.300000 munmap(0x7f63f8000000, 4096) = 0 <0.000107>\n\
18830 1795308428.300200 futex(0x7f, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>\n\
18826 1795308429.214000 <... mmap resumed>) = 0x7f63f8000000 <0.984210>\n\
18830 1795308429.300000 brk(NULL) = ?\n\
18830 1795308429.400000 +++ exited with 0 +++\n";

    #[test]
    fn a_call_that_was_interrupted_in_the_text_is_one_call() {
        let capture = read_text(CUT).unwrap();
        assert_eq!(capture.origin.clock, Clock::Wall);
        let calls: Vec<_> =
            capture.syscalls.iter().map(|row| (row.syscall.name(), row.time.0)).collect();
        assert_eq!(
            calls,
            [
                ("mmap", 1_795_308_428_229_783_000),
                ("munmap", 1_795_308_428_300_000_000),
                ("munmap", 1_795_308_428_300_107_000),
                ("futex", 1_795_308_428_300_200_000),
                ("mmap", 1_795_308_429_213_993_000),
            ]
        );
        let SyscallPhase::Enter { args } = capture.syscalls[0].phase else { panic!("it enters") };
        assert_eq!(args, [0, 3_221_225_472, 3, 0x8002, u64::MAX, 0]);
        assert!(capture.warnings[0].contains("1 calls have no duration"), "{:?}", capture.warnings);
    }

    #[test]
    fn clocks_are_told_apart_and_relative_times_refused() {
        let of_day = CUT.replace("1795308428", "00:47:08").replace("1795308429", "00:47:09");
        let capture = read_text(&of_day).unwrap();
        assert_eq!(capture.origin.clock, Clock::TimeOfDay);
        assert_eq!(capture.syscalls[0].time.0, 2_828_229_783_000);
        let problem = read_text(
            "18826      0.000041 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0) = 0x7f <0.000012>\n",
        );
        assert!(problem.unwrap_err().to_string().contains("strace -r"));
    }

    #[test]
    fn lines_of_another_clock_and_cut_ones_are_left_out_and_said() {
        let other = "\
18831 00:47:08.300000 munmap(0x7f63f8000000, 4096) = 0 <0.000107>\n\
18831 308428.300000 munmap(0x7f63f8000000, 4096) = 0 <0.000107>\n\
18831 1795308428.300000 munmap(0x7f63f8000000, 4096) = 0x7g <0.000107>\n";
        let capture = read_text(&format!("{CUT}{other}")).unwrap();
        let alone = read_text(CUT).unwrap();
        let times = |capture: &Capture| {
            let exits = capture
                .syscalls
                .iter()
                .filter(|row| matches!(row.phase, SyscallPhase::Exit { .. }));
            exits.map(|row| row.time).collect::<Vec<_>>()
        };
        assert_eq!(times(&capture), times(&alone));
        let said = |text| capture.warnings.iter().any(|warning| warning.contains(text));
        assert!(said("of another clock") && said("no number"), "{:?}", capture.warnings);
    }

    #[test]
    fn other_texts_are_none() {
        assert!(is_call(b"[pid 18826] 00:47:08.229783 mmap(NULL, 3221225472, PROT_READ) = 0"));
        for line in [&b"serve-1;main 10"[..], b"18826 12 mmap(", b"10.5 hello (world)", b""] {
            assert!(!is_call(line));
        }
    }
}
