//! Who held which lock, and when: from the lock's own events or, without them, from the wakeups that end waits.
//!
//! ```text
//! waiter A  ----------blocked-----------|
//! waiter B      ------blocked-------------------|
//! holder W  [enter munmap ... up_read -> A]          W held until it woke A
//! waiter A                              [  -> B]     A held from its own waking until it woke B: the baton
//! ```
//!
//! A release says for certain who held a lock at that moment, and less certainly since when: not before the
//! holder's own wait for it ended, not before it entered its call, not before it last let go.

pub(crate) mod mm;
pub(crate) mod release;
pub(crate) mod series;
pub(crate) mod sightings;

use std::collections::BinaryHeap;
use std::hash::Hash;

use coldcase_ingest::capture::{
    Capture, Context, ProcessId, SeededMap, Span, StackId, ThreadId, Timestamp,
};
use rustc_hash::FxHashMap;

use crate::findings::{Cause, LockMode, Operation};
use crate::holds::mm::{AddressSpaces, MmapHold};
use crate::holds::release::Release;
use crate::runtimes::interpreter;
use crate::sites::brackets::{Bracket, Brackets};
use crate::sites::of_stacks::OfStacks;
use crate::sites::operation;
use crate::sites::{LockKey, Sites};
use crate::states::{Doing, ThreadStates, WaitId};

/// One time that a thread held a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub thread: ThreadId,
    pub span: Span,
    /// It began before the recording did.
    pub open_start: bool,
    pub mode: Option<LockMode>,
    pub evidence: Evidence,
    pub operation: Option<Operation>,
    pub call: Option<Bracket>,
    /// Where the holder stood, when it took the lock or when it let go.
    pub stack: Option<StackId>,
}

/// How a hold is known, the best first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Evidence {
    /// The lock's own events.
    LockEvents,
    /// The holder's stack when it let go.
    ReleaseStack,
    /// It woke the waiter; its stack is not known.
    Waker,
    /// Nothing but a call of the same address space at the same time.
    Overlap,
}

/// All holds, by lock.
pub(crate) struct Holds {
    /// From lock events: several threads can hold at once, as readers.
    events: SeededMap<LockKey, Overlapping>,
    /// From releases, by the moment of the release.
    releases: SeededMap<LockKey, Vec<Hold>>,
    /// The same of interpreters' locks, of which a process has one, whichever futex a thread waits at for it.
    interpreters: SeededMap<ProcessId, Vec<Hold>>,
}

impl Holds {
    pub fn new(
        capture: &Capture,
        states: &ThreadStates,
        sites: &Sites,
        brackets: &Brackets,
        spaces: &AddressSpaces,
    ) -> Self {
        let mut holds = Self {
            events: SeededMap::default(),
            releases: SeededMap::default(),
            interpreters: SeededMap::default(),
        };
        for (process, _) in capture.threads.processes() {
            let list = spaces.holds(process);
            if !list.is_empty() {
                let list = list.iter().map(|hold| from_events(capture, brackets, hold)).collect();
                holds.events.insert(LockKey::Mmap(process), Overlapping::new(list));
            }
        }
        let seen = Seen { capture, states, brackets };
        for (key, releases) in collect_releases(capture, states, |id| sites.of(id).lock) {
            if !holds.events.contains_key(&key) {
                holds.releases.insert(key, seen.holds(key, &releases));
            }
        }
        if let Some(interpreter) = sites.number(interpreter::LOCK) {
            let process = |id| capture.threads.get(states.wait(id).thread).process;
            let of_process = |id| (sites.of(id).number() == interpreter).then(|| process(id));
            for (process, releases) in collect_releases(capture, states, of_process) {
                let key = LockKey::Kind(Cause::Futex, process);
                holds.interpreters.insert(process, seen.holds(key, &releases));
            }
        }
        holds
    }

    /// The same for a wait for the interpreter's lock of a process.
    pub fn cut_interpreters(
        &self,
        process: ProcessId,
        waiter: ThreadId,
        span: Span,
    ) -> Vec<(Span, Option<Hold>)> {
        let holds = self.interpreters.get(&process).map_or(&[][..], Vec::as_slice);
        cut_by_releases(holds, waiter, span)
    }

    /// Every hold with its lock, by its beginning.
    pub fn all(&self) -> Vec<(LockKey, Hold)> {
        let events = self.events.iter().map(|(key, list)| (key, &list.holds));
        let lists = events.chain(&self.releases);
        let mut all: Vec<(LockKey, Hold)> =
            lists.flat_map(|(&key, holds)| holds.iter().map(move |&hold| (key, hold))).collect();
        all.sort_by_key(|(key, hold)| (hold.span.start, hold.span.end, hold.thread, *key));
        all
    }

    /// Cuts a thread's wait for a lock by who held it: pieces in order of time, which fill the span.
    pub fn cut(&self, key: LockKey, waiter: ThreadId, span: Span) -> Vec<(Span, Option<Hold>)> {
        match (self.events.get(&key), self.releases.get(&key)) {
            (Some(holds), _) => holds.cut(waiter, span),
            (None, Some(holds)) => cut_by_releases(holds, waiter, span),
            (None, None) => vec![(span, None)],
        }
    }
}

fn from_events(capture: &Capture, brackets: &Brackets, hold: &MmapHold) -> Hold {
    let call = brackets.at(hold.thread, hold.span.start).copied();
    let of_stack = hold.stack.and_then(|stack| operation::of_stack(capture, stack));
    Hold {
        thread: hold.thread,
        span: hold.span,
        open_start: hold.open_start,
        mode: Some(hold.mode),
        evidence: Evidence::LockEvents,
        operation: of_stack.or(call.map(|call| Operation::Syscall(call.syscall))),
        call,
        stack: hold.stack,
    }
}

/// One thread let go of a lock and woke a waiter.
struct Released {
    time: Timestamp,
    waker: ThreadId,
    kind: Option<Release>,
    stack: Option<StackId>,
}

#[derive(Default)]
struct OfLock {
    releases: Vec<Released>,
    waits: Vec<WaitId>,
}

/// Who let go of locks, by what `key_of` tells them apart.
fn collect_releases<K: Hash + Eq>(
    capture: &Capture,
    states: &ThreadStates,
    key_of: impl Fn(WaitId) -> Option<K>,
) -> SeededMap<K, OfLock> {
    let mut locks: SeededMap<K, OfLock> = SeededMap::default();
    let mut kinds = OfStacks::new(capture);
    for (id, wait) in states.waits() {
        let Some(key) = key_of(id) else { continue };
        let lock = locks.entry(key).or_default();
        lock.waits.push(id);
        let Some(wakeup) = wait.wakeup.map(|wakeup| wakeup.of(capture)) else { continue };
        let Some(waker) = wakeup.waker.filter(|&waker| waker != wait.thread) else { continue };
        let kind =
            wakeup.stack.and_then(|stack| kinds.get(stack, || release::of_stack(capture, stack)));
        // In an interrupt the current thread is a bystander; a stack without a release is a queuer's.
        if wakeup.context == Context::Task && (kind.is_some() || wakeup.stack.is_none()) {
            let (time, stack) = (wakeup.time, wakeup.stack);
            lock.releases.push(Released { time, waker, kind, stack });
        }
    }
    for lock in locks.values_mut() {
        lock.releases.sort_by_key(|release| (release.time, release.waker));
        lock.releases.dedup_by_key(|release| (release.time, release.waker));
    }
    locks
}

fn is_of_program(key: LockKey) -> bool {
    matches!(key, LockKey::Futex(..) | LockKey::Kind(Cause::Futex, _))
}

fn waits_by_thread(waits: &[WaitId], states: &ThreadStates) -> FxHashMap<ThreadId, Vec<Timestamp>> {
    let mut ends: FxHashMap<ThreadId, Vec<Timestamp>> = FxHashMap::default();
    for &id in waits {
        let wait = states.wait(id);
        ends.entry(wait.thread).or_default().push(wait.span.end);
    }
    for list in ends.values_mut() {
        list.sort_unstable();
    }
    ends
}

/// What bounds the start of a hold of which only the end is seen.
struct Seen<'a> {
    capture: &'a Capture,
    states: &'a ThreadStates,
    brackets: &'a Brackets,
}

impl Seen<'_> {
    /// The holds of one lock, whose releases are in order of time.
    fn holds(&self, key: LockKey, of_lock: &OfLock) -> Vec<Hold> {
        let wait_ends = waits_by_thread(&of_lock.waits, self.states);
        let beginning = self.capture.span.map_or(Timestamp(0), |span| span.start);
        let mut last_of: FxHashMap<ThreadId, (Timestamp, Option<Release>)> = FxHashMap::default();
        let mut operations = OfStacks::new(self.capture);
        // No lock of the kernel is kept from call to call.
        let in_calls = !is_of_program(key);
        of_lock
            .releases
            .iter()
            .map(|release| {
                let call = self.brackets.at(release.waker, release.time).copied();
                let known = |time: Option<Timestamp>| time.filter(|&time| time <= release.time);
                let waited = wait_ends.get(&release.waker).and_then(|ends| {
                    ends[..ends.partition_point(|&end| end <= release.time)].last().copied()
                });
                // A downgrade lets readers in, and the hold goes on.
                let before = last_of.insert(release.waker, (release.time, release.kind));
                let let_go =
                    before.filter(|before| before.1 != Some(Release::Downgrade)).map(|last| last.0);
                let entered = call.and_then(|call| call.enter).filter(|_| in_calls);
                let outside = self.brackets.last_outside(release.waker, release.time);
                let outside = outside.filter(|_| in_calls);
                let bounds = [known(waited), known(let_go), known(entered), known(outside)];
                let start = bounds.into_iter().flatten().max();
                let start = self.last_in_another_call(key, release, start).or(start);
                let of_stack = release.stack.and_then(|stack| {
                    operations.get(stack, || operation::of_stack(self.capture, stack))
                });
                let operation = of_stack.or(call.map(|call| Operation::Syscall(call.syscall)));
                Hold {
                    thread: release.waker,
                    span: Span::new(start.unwrap_or(beginning), release.time),
                    open_start: start.is_none(),
                    mode: release.kind.and_then(|kind| {
                        release::taken_as(self.capture, kind, operation, release.stack)
                    }),
                    evidence: match release.stack {
                        Some(_) => Evidence::ReleaseStack,
                        None => Evidence::Waker,
                    },
                    operation,
                    call,
                    stack: release.stack,
                }
            })
            .collect()
    }

    /// When a thread was last seen to stand in another call than the one in which it let go, later than `since`: no lock of the
    /// kernel is kept from call to call, but for those of files and of a frozen file system.
    fn last_in_another_call(
        &self,
        key: LockKey,
        release: &Released,
        since: Option<Timestamp>,
    ) -> Option<Timestamp> {
        if is_of_program(key) {
            return None;
        }
        let entry_of = |stack| operation::entry(self.capture, stack);
        let own = entry_of(release.stack?)?;
        if release::is_thaw(self.capture, release.stack?) {
            return None;
        }
        let before = self.states.of(release.waker).before(release.time);
        let before = before.take_while(|slice| since.is_none_or(|since| slice.span.end > since));
        let mut elsewhere = before.filter(|slice| {
            let stack = match slice.doing {
                Doing::Running => None,
                Doing::Runnable(stack) => stack,
                Doing::Blocked(wait) => self.states.wait(wait).stack,
            };
            stack.and_then(entry_of).is_some_and(|entry| entry != own)
        });
        elsewhere.next().map(|slice| slice.span.end)
    }
}

/// Holds of one lock that several threads may have at once, in order of their start.
struct Overlapping {
    holds: Vec<Hold>,
    /// The latest end among the holds up to each.
    reach: Vec<Timestamp>,
}

impl Overlapping {
    fn new(holds: Vec<Hold>) -> Self {
        let ends = holds.iter().scan(Timestamp(0), |latest, hold| {
            *latest = hold.span.end.max(*latest);
            Some(*latest)
        });
        let reach = ends.collect();
        Self { holds, reach }
    }

    /// Where several readers hold at once, the one that stays longest is what the waiter waits for.
    fn cut(&self, waiter: ThreadId, span: Span) -> Vec<(Span, Option<Hold>)> {
        let after = self.reach.partition_point(|end| *end <= span.start);
        let before = self.holds.partition_point(|hold| hold.span.start < span.end);
        cut_by_events(self.holds.get(after..before).unwrap_or_default(), waiter, span)
    }
}

/// Cuts a span by holds in order of their start.
fn cut_by_events(holds: &[Hold], waiter: ThreadId, span: Span) -> Vec<(Span, Option<Hold>)> {
    let active: Vec<&Hold> =
        holds.iter().filter(|hold| hold.thread != waiter && hold.span.end > span.start).collect();
    let mut borders: Vec<Timestamp> = active
        .iter()
        .flat_map(|hold| [hold.span.start, hold.span.end])
        .filter(|&time| span.start < time && time < span.end)
        .chain([span.start, span.end])
        .collect();
    borders.sort_unstable();
    borders.dedup();
    // Holds that began before a piece, the one that counts on top; one that has ended is dropped when it gets there.
    let mut begun = BinaryHeap::new();
    let mut next = active.iter().enumerate().peekable();
    let pieces = borders.windows(2).map(|pair| {
        let piece = Span::new(pair[0], pair[1]);
        while let Some((index, hold)) = next.next_if(|(_, hold)| hold.span.start <= piece.start) {
            let writes = hold.mode == Some(LockMode::Write);
            begun.push((writes, hold.span.end, hold.thread, index));
        }
        while begun.peek().is_some_and(|&(_, end, ..)| end <= piece.start) {
            begun.pop();
        }
        (piece, begun.peek().map(|&(.., index)| *active[index]))
    });
    pieces.collect()
}

/// Until a release, the lock was held by whoever released it.
fn cut_by_releases(holds: &[Hold], waiter: ThreadId, span: Span) -> Vec<(Span, Option<Hold>)> {
    let mut pieces = Vec::new();
    let mut at = span.start;
    let from = holds.partition_point(|hold| hold.span.end <= span.start);
    for hold in &holds[from..] {
        if at >= span.end {
            break;
        }
        if hold.thread == waiter {
            continue;
        }
        let until = hold.span.end.min(span.end);
        let since = hold.span.start.clamp(at, until);
        // A release after the end of the wait tells only of a hold that began before it.
        if hold.span.end > span.end && since >= span.end {
            break;
        }
        pieces.push((Span::new(at, since), None));
        pieces.push((Span::new(since, until), Some(*hold)));
        at = until;
    }
    pieces.push((Span::new(at, span.end), None));
    pieces.retain(|(piece, _)| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    fn hold(thread: usize, start: u64, end: u64, mode: LockMode) -> Hold {
        Hold {
            thread: ThreadId::from_index(thread),
            span: Span::new(Timestamp(start), Timestamp(end)),
            open_start: false,
            mode: Some(mode),
            evidence: Evidence::LockEvents,
            operation: None,
            call: None,
            stack: None,
        }
    }

    #[test]
    fn no_lock_of_the_kernel_is_kept_from_one_call_to_another() {
        // a lets b go, sleeps in another call, and lets b go again, out of the same call as before.
        let begin = |between: &str| {
            let waits = "schedule<rwsem_down_write_slowpath<down_write<ext4_buffered_write_iter<__x64_sys_write";
            let lets =
                "try_to_wake_up<wake_up_q<rwsem_wake<up_write<ext4_dio_write_iter<__x64_sys_write";
            let script = format!(
                "1 .a,2 b>- D {waits},3 a!b {lets},4 ->b,5 a>- {between},30 ->a,40 b>- D {waits},50 a!b {lets},51 ->b,60 b>-"
            );
            let capture = script::process(Capture::default(), &[('a', "a"), ('b', "b")]);
            let capture = script::record(capture, &script);
            let model = script::model(&capture);
            let holds = model.holds.all();
            holds.iter().find(|(_, hold)| hold.span.end.0 == 50).unwrap().1.span.start.0
        };
        assert_eq!(begin("S schedule<hrtimer_nanosleep<__x64_sys_clock_nanosleep"), 30);
        assert_eq!(begin("D schedule<io_schedule<__x64_sys_write"), 3);
    }

    #[test]
    fn of_several_holders_a_writer_counts_and_else_who_stays_longest() {
        use LockMode::{Read, Write};
        let holds = [
            hold(7, 0, 5, Write),
            hold(1, 0, 50, Read),
            hold(2, 10, 30, Read),
            hold(3, 20, 25, Write),
            hold(4, 40, 90, Read),
            hold(5, 95, 99, Read),
            hold(6, 100, 120, Write),
        ];
        let span = Span::new(Timestamp(5), Timestamp(100));
        let cut = Overlapping::new(holds.to_vec()).cut(ThreadId::from_index(9), span);
        let rows: Vec<_> = cut
            .iter()
            .map(|(piece, hold)| {
                (piece.start.0, piece.end.0, hold.map_or(0, |hold| hold.thread.index()))
            })
            .collect();
        let whole = [
            (5, 10, 1),
            (10, 20, 1),
            (20, 25, 3),
            (25, 30, 1),
            (30, 40, 1),
            (40, 50, 4),
            (50, 90, 4),
            (90, 95, 0),
            (95, 99, 5),
            (99, 100, 0),
        ];
        assert_eq!(rows, whole);
    }
}
