//! How long a thread usually stays off its CPU, and whether a wait stands out against that.

use std::cell::OnceCell;

use coldcase_ingest::capture::{Nanos, Span, ThreadId, Timestamp};

use crate::findings::{Cause, Operation};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::operation::is_memory;
use crate::states::{Doing, Slice, Wait, WaitId};
use crate::windows::past::{PastOfThread, Spread};
use crate::windows::timed;
use crate::{cpu, losses, runtimes};

/// How long a thread usually stays off its CPU.
pub(crate) struct Habits<'m, 'a> {
    model: &'m Model<'a>,
    thread: ThreadId,
    /// From its first long wait for a lock of the program's own to the end of its last; put together when it is first asked for.
    at_locks: OnceCell<Option<Span>>,
    /// When the thread was born, if that was in the recording.
    born: Option<Timestamp>,
}

/// How long a thread was away. Freezes ask it of the same threads again and again, so the model keeps it of those asked for.
pub(crate) struct Times {
    /// Its waits by what they are for; `None` has all of them, rest included.
    waits: Vec<(Option<Cause>, Usual)>,
    /// Where its comings were not recorded: from one leaving to the next. It was away for that long at most.
    rounds: Usual,
}

/// How many times there were, and the longest but one tenth.
#[derive(Clone, Copy, Default)]
struct Usual {
    count: usize,
    length: u64,
}

/// How the rules' names begin for a thread that writes to a pipe, a queue or a terminal from which nobody reads.
const FULL: &str = "reader of a full ";
/// So many waits make a habit.
pub(crate) const HABIT: usize = 8;
/// By so much a wait stands out against the longest but one tenth.
pub(crate) const FACTOR: u64 = 4;

/// So long a program reads its files and waits for its first work.
pub(crate) const NEW: Nanos = Nanos(1_000_000_000);

/// The longest but one tenth of some lengths, which are sorted; 0 if there are none.
pub(crate) fn usual(lengths: &[u64]) -> u64 {
    lengths.get(one_tenth_below(lengths.len())).copied().unwrap_or(0)
}

pub(crate) fn one_tenth_below(count: usize) -> usize {
    count.saturating_sub(1) * 9 / 10
}

impl Usual {
    fn of(mut lengths: Vec<u64>, past: Option<&Spread>) -> Self {
        if let Some(past) = past.filter(|past| !past.is_empty()) {
            let mut all = past.clone();
            all.add(Spread::of(&lengths));
            let (count, length) = all.usual();
            return Self { count, length };
        }
        let (count, at) = (lengths.len(), one_tenth_below(lengths.len()));
        let length = if count == 0 { 0 } else { *lengths.select_nth_unstable(at).1 };
        Self { count, length }
    }
}

/// For how long a thread was away each time.
pub(crate) struct Lengths {
    /// Its waits by what they are for; `None` has all of them, rest included.
    pub waits: Vec<(Option<Cause>, Vec<u64>)>,
    /// From one leaving to the next.
    pub rounds: Vec<u64>,
}

impl Lengths {
    /// Goes over a thread's life from a moment on.
    pub fn of(model: &Model<'_>, thread: ThreadId, from: Timestamp) -> Self {
        let mut lengths: Vec<(Option<Cause>, Vec<u64>)> = Vec::new();
        let mut rounds = Vec::new();
        let mut add = |key, length| match lengths.iter_mut().find(|(known, _)| *known == key) {
            Some((_, list)) => list.push(length),
            None => lengths.push((key, vec![length])),
        };
        let slices = model.states.of(thread).iter().filter(|slice| slice.span.start >= from);
        for slice in slices {
            let length = slice.span.duration().0;
            match slice.doing {
                Doing::Running => rounds.push(length),
                Doing::Runnable(_) => add(Some(Cause::CpuStarvation), length),
                Doing::Blocked(id) => {
                    let length = match model.series.of_one(id) {
                        Some(series) if series.waits.first() != Some(&id) => continue,
                        Some(series) => series.span.duration().0,
                        None => length,
                    };
                    add(None, length);
                    if let WaitKind::Harm(cause, _) = model.sites.of(id).kind {
                        add(Some(cause), length);
                    }
                }
            }
        }
        if model.states.comings_recorded {
            rounds.clear();
        }
        Self { waits: lengths, rounds }
    }
}

impl Times {
    /// Goes over a thread's life, and over what is known of it from before.
    pub fn of(model: &Model<'_>, thread: ThreadId) -> Self {
        let past = model.part.past.and_then(|past| past.of(thread));
        let from = if past.is_some() { model.counted_span().start } else { model.span.start };
        let Lengths { mut waits, rounds } = Lengths::of(model, thread, from);
        let known = |key| waits.iter().any(|(known, _)| *known == key);
        let gone = past.into_iter().flat_map(PastOfThread::kinds).filter(|&key| !known(key));
        let gone: Vec<_> = gone.map(|key| (key, Vec::new())).collect();
        waits.extend(gone);
        let waits = waits
            .into_iter()
            .map(|(key, list)| (key, Usual::of(list, past.and_then(|past| past.waits(key)))));
        Self { waits: waits.collect(), rounds: Usual::of(rounds, past.map(|past| &past.rounds)) }
    }

    fn waits(&self, key: Option<Cause>) -> Usual {
        let mut waits = self.waits.iter();
        waits.find_map(|&(known, usual)| (known == key).then_some(usual)).unwrap_or_default()
    }
}

impl<'m, 'a> Habits<'m, 'a> {
    pub fn new(model: &'m Model<'a>, thread: ThreadId) -> Self {
        Self { model, thread, at_locks: OnceCell::new(), born: born_here(model, thread) }
    }

    /// What is usual for its waits of a kind.
    fn usual(&self, key: Option<Cause>) -> Usual {
        self.model.times(self.thread).waits(key)
    }

    /// Whether a wait stands out against all others of its kind; `None` if there are too few to say.
    fn stands_out(&self, length: Nanos, key: Option<Cause>) -> Option<bool> {
        let usual = self.usual(key);
        (usual.count >= HABIT).then(|| length.0 >= usual.length.saturating_mul(FACTOR))
    }

    /// Whether the thread normally comes to a CPU several times in a span of this length.
    pub fn is_lively(&self, length: Nanos) -> bool {
        let usual = self.usual(None);
        usual.count >= HABIT && usual.length.saturating_mul(FACTOR) <= length.0
    }

    /// Whether all long waits for locks of the program's own lie close together: then they are many only because whoever had the lock
    /// took it again and again, and no habit.
    fn is_at_locks_for_once(&self) -> bool {
        const PART: u64 = 3;
        const LONG: Nanos = Nanos(10_000_000);
        let of_locks = |slice: &Slice| match slice.doing {
            Doing::Blocked(id) => self.model.sites.of(id).known_lock,
            Doing::Running | Doing::Runnable(_) => false,
        };
        let hull = self.at_locks.get_or_init(|| {
            let slices = self.model.states.of(self.thread).long(LONG).filter(of_locks);
            slices.map(|slice| slice.span).reduce(Span::hull)
        });
        hull.is_some_and(|hull| hull.duration().0 <= self.model.span.duration().0 / PART)
    }

    /// Whether a wait is longer than what the thread usually does, as far as that is known.
    pub fn is_unheard_of(&self, span: Span) -> bool {
        !self.is_new(span) && self.stands_out(span.duration(), None) == Some(true)
    }

    /// Whether the thread was born in the recording and has hardly done anything yet, or never did.
    pub fn is_newcomer(&self) -> bool {
        self.born.is_some() && self.usual(None).count < HABIT
    }

    /// Whether the thread is so new that nobody knows what is usual for it: what it does first is to read its files, and to wait for
    /// its first work. Where events were lost, waits seem long that were not, and who lives short has nothing to hold against them.
    fn is_new(&self, span: Span) -> bool {
        self.born.is_some_and(|born| {
            span.start < born.plus(NEW) || losses::any(self.model.capture, span)
        })
    }

    /// The same of waits for another process, which may be new, too: only what is long for anybody is late then.
    fn is_new_to_answers(&self, span: Span) -> bool {
        const LATE: Nanos = Nanos(500_000_000);
        self.born.is_some() && span.duration() < LATE || self.is_new(span)
    }

    /// Whether the thread was added to a process that is older than it: as a worker of a pool that was too small, as a rule.
    fn is_added(&self) -> bool {
        let threads = &self.model.capture.threads;
        let process = threads.process_of(self.thread);
        let mut first =
            process.threads.iter().filter(|&&id| Some(threads.get(id).tid) == process.pid);
        self.born.is_some()
            && process.began.is_none()
            && !first.any(|&first| born_here(self.model, first).is_some())
    }

    /// Whether a long wait is a harm and not the thread's way of life.
    pub fn is_unusual(&self, span: Span, cause: Cause, wait: Option<WaitId>) -> bool {
        let (model, length) = (self.model, span.duration());
        let site = wait.map(|id| model.sites.of(id));
        let known_lock = site.is_some_and(|site| site.known_lock);
        // What a new process does first may be to wait for its turn.
        if self.born.is_some() && site.is_some_and(|site| model.sites.name(site) == "file lock") {
            return false;
        }
        let ran_out = wait.is_some_and(|id| timed::ran_out(model, id));
        let wait = wait.map(|id| model.states.wait(id));
        // Of a process that was not recorded there are only others' wakings: since when it waited, nobody knows.
        let unseen = !model.states.comings_recorded && !model.states.leaves(self.thread);
        if wait.is_some_and(|wait| wait.open_start && (wait.open_end || unseen)) {
            return false;
        }
        match cause {
            // Nobody rests at these: a long wait is a harm even if all are long.
            Cause::MmapLock
            | Cause::VmaLock
            | Cause::Rwsem
            | Cause::Mutex
            | Cause::Stopped
            | Cause::MemoryLimit
            | Cause::CpuThrottle
            | Cause::Reclaim
            | Cause::Compaction
            | Cause::Swap
            | Cause::Unknown => true,
            // A producer that is faster than its consumer waits at what is between them as a matter of course.
            Cause::Network if site.is_some_and(|site| model.sites.name(site).starts_with(FULL)) => {
                !self.is_new_to_answers(span)
                    && self.usual(Some(cause)).count < HABIT
                    && self.stands_out(length, None) == Some(true)
            }
            // An answer is known to be late by what is usual for the thread.
            Cause::Network => {
                !self.is_new_to_answers(span) && self.stands_out(length, Some(cause)) != Some(false)
            }
            Cause::DiskIo | Cause::PageFaultIo | Cause::FsJournal => {
                !self.is_new(span)
                    && self.stands_out(length, Some(cause)).unwrap_or(self.born.is_none())
            }
            Cause::Futex if known_lock => {
                self.stands_out(length, Some(cause)) != Some(false) || self.is_at_locks_for_once()
            }
            Cause::Futex => {
                let behind_a_call = || {
                    let rounds = model.times(self.thread).rounds;
                    let unheard_of = length.0 >= rounds.length.saturating_mul(FACTOR);
                    rounds.count >= HABIT
                        && unheard_of
                        && wait.is_some_and(|wait| is_behind_a_call(model, wait))
                };
                // Whom a runtime's collector lets on it had stopped, however new that one is.
                let was_stopped = || {
                    let by = wait.and_then(|wait| wait.wakeup?.of(model.capture).waker);
                    by.is_some_and(|by| runtimes::is_collector(model, by))
                        && !losses::any(model.capture, span)
                };
                !ran_out
                    && (!self.is_new(span) && !self.is_added() || was_stopped())
                    && (self.stands_out(length, None) == Some(true) || behind_a_call())
                    && !model.unnamed_go().contains(&model.capture.threads.get(self.thread).process)
            }
            Cause::CpuStarvation => {
                let unheard_of =
                    self.born.is_none() && self.stands_out(length, Some(cause)) == Some(true);
                length >= LONG_FOR_A_CPU
                    && (unheard_of || cpu::are_all_kept(model, span))
                    // Of a process whose own events perf may not see there are only the wakings and comings, which
                    // others cause: it seems to wait for a CPU from its last waking on.
                    && model.states.leaves(self.thread)
            }
            Cause::MemorySyscall => false,
        }
    }
}

/// When a thread was born, if that was in the recording.
pub(crate) fn born_here(model: &Model<'_>, thread: ThreadId) -> Option<Timestamp> {
    let recorded = Span::new(model.begins(), model.span.end);
    model.capture.threads.get(thread).born.filter(|&born| recorded.contains(born))
}

/// Whether a thread of the same process stood in a memory call of its own for most of a wait.
fn is_behind_a_call(model: &Model<'_>, wait: &Wait) -> bool {
    let process = model.capture.threads.get(wait.thread).process;
    let others = model.capture.threads.process(process).threads.iter();
    let mut calls = others.flat_map(|&other| model.brackets.of(other));
    calls.any(|call| {
        is_memory(Operation::Syscall(call.syscall))
            && call.duration().is_some()
            && call.span(model.span).overlap(wait.span).share_of(wait.span.duration()) > 0.5
    })
}

/// On a busy machine a thread waits tens of milliseconds for a CPU as a matter of course.
const LONG_FOR_A_CPU: Nanos = Nanos(100_000_000);

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Timestamp};

    use crate::script::{self, FUTEX, SLEEPS, WAKES};
    use crate::windows;

    /// How many freezes there are where a to d sleep for 5 ms again and again, and at last wait for m, which computes for 100 ms; those
    /// of `born` are born at the beginning of the recording.
    fn freezes(born: &str, rounds: u64) -> usize {
        freezes_of(born, Capture::default(), rounds)
    }

    fn freezes_of(born: &str, mut capture: Capture, rounds: u64) -> usize {
        for thread in "mabcd".chars() {
            let (pid, tid) = (script::tid('m'), script::tid(thread));
            if born.contains(thread) {
                capture.threads.fork(pid, tid, None, Timestamp(1));
            } else {
                capture.threads.of_pid_tid(pid, tid);
            }
        }
        let mut events = vec!["0 .m".to_owned()];
        for round in 0..rounds {
            let at = 10 * round;
            events.extend(('a'..='d').map(|thread| format!("{}ms {thread}>- S {SLEEPS}", at + 1)));
            events.extend(('a'..='d').map(|thread| format!("{}ms ->{thread}", at + 6)));
        }
        let at = 10 * rounds;
        let next = || "abcd".chars().zip("bcdm".chars());
        events.extend(next().map(|(thread, next)| format!("{at}ms {thread}>{next} S {FUTEX}")));
        let end = at + 100;
        events.extend(('a'..='d').map(|thread| format!("{end}ms m!{thread} {WAKES}")));
        events.push(format!("{end}ms m>a S {SLEEPS}"));
        events.extend(next().map(|(thread, next)| format!("{end}ms {thread}>{next} S {SLEEPS}")));
        let capture = script::record(capture, &events.join(","));
        windows::find(&script::model(&capture), &script::options()).len()
    }

    #[test]
    fn a_new_process_freezes_when_it_has_shown_what_is_usual_for_it() {
        assert_eq!(freezes("", 10), 1);
        assert_eq!(freezes("mabcd", 110), 1);
        assert_eq!(freezes("mabcd", 90), 0);
        // Added to a pool.
        assert_eq!(freezes("abcd", 110), 0);
        // Born into a program that began in the recording, as perf's own command does.
        let mut capture = Capture::default();
        let main = capture.threads.of_pid_tid(script::tid('m'), script::tid('m'));
        capture.threads.exec(main, Timestamp(1));
        assert_eq!(freezes_of("abcd", capture, 110), 1);
        // Stopped by a runtime's collector.
        let mut capture = Capture::default();
        let main = capture.threads.of_pid_tid(script::tid('m'), script::tid('m'));
        capture.threads.name(main, "VM Thread", Timestamp(0));
        assert_eq!(freezes_of("abcd", capture, 90), 1);
    }

    #[test]
    fn a_lock_that_is_taken_again_and_again_for_once_is_no_habit() {
        const WAITS: &str = "schedule<futex_wait_queue<do_futex<user:__lll_lock_wait<user:serve";
        // m keeps a and b for 80 ms, twelve times, at once or with a pause after each; they sleep in between.
        let freezes = |pause: u64| {
            let threads = [('m', "main"), ('a', "serve"), ('b', "serve")];
            let capture = script::process(Capture::default(), &threads);
            let mut events = vec!["0 .m".to_owned()];
            for round in 0..12 {
                let at = 1000 + round * (90 + pause);
                events.push(format!("{at}ms a>b S {WAITS},{at}ms b>m S {WAITS}"));
                let end = at + 80;
                events.push(format!(
                    "{end}ms m!a {WAKES},{end}ms m!b {WAKES},{end}ms m>a S {SLEEPS}"
                ));
                events.push(format!("{}ms a>b S {SLEEPS},{}ms b>- S {SLEEPS}", end + 1, end + 2));
                events.push(format!("{}ms ->m,{}ms m>a S {SLEEPS}", end + 3, end + 9));
            }
            events.push("5000ms .m".to_owned());
            let capture = script::record(capture, &events.join(","));
            windows::find(&script::model(&capture), &script::options()).len()
        };
        assert_eq!(freezes(0), 1);
        assert_eq!(freezes(200), 0);
    }

    #[test]
    fn since_when_somebody_waits_of_whom_only_the_waking_was_recorded_nobody_knows() {
        // a lets b on at mmap_lock, of whose process nothing was recorded, or of the whole machine.
        let freezes = |command: &[&str]| {
            let wakes = "try_to_wake_up<wake_up_q<rwsem_wake<up_write<vm_mmap_pgoff";
            let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
            let events = format!("0 .a,1ms a>- S {sleeps},300ms .a,301ms a!b {wakes},302ms .a");
            let capture = script::process(Capture::default(), &[('a', "server")]);
            let mut capture = script::record(capture, &events);
            capture.origin.command = command.iter().map(|word| (*word).to_owned()).collect();
            windows::find(&script::model(&capture), &script::options()).len()
        };
        assert_eq!(freezes(&["perf", "record", "-a"]), 1);
        assert_eq!(freezes(&["perf", "record", "-p", "97"]), 0);
    }
}
