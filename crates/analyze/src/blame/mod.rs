//! Where waited time went: every wait is cut by who held the lock then, and followed to what that thread did.
//!
//! ```text
//! A waits for the lock:    |------------- A blocked ---------------|
//! held by:                 |-- B --|------------ C ----------------|
//! B meanwhile:             | waits for C |
//! C meanwhile:             |--- runs --------| waits for a CPU |run|
//! blame:                   |- C runs --------| C needs a CPU   |C  |
//! ```
//!
//! This is the cascade of wPerf (Zhou et al., OSDI 2018), with holders in place of wakers where the capture has
//! them. A waker walked backwards is never followed beyond the start of the wait, which makes hand-offs lead
//! to the thread that ran (Trace Compass, critical path analysis). The pieces of a wait add up to it: the rest
//! is unknown, with its reason.

pub(crate) mod answers;
pub(crate) mod behind;
pub(crate) mod chain;
pub(crate) mod charged;
pub(crate) mod counterfactual;
pub(crate) mod deadlock;
mod event_loops;
pub(crate) mod frozen_files;
mod futexes;
pub(crate) mod network;
mod pauses;
mod pipes;
pub(crate) mod stopped;

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Nanos, ProcessId, Span, ThreadId};

use crate::blame::pauses::Stalls;
use crate::findings::{Cause, Operation};
use crate::holds::release;
use crate::holds::{Evidence, Hold};
use crate::losses;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::runtimes::late::Latecomers;
use crate::sites::LockKey;
use crate::sites::operation::is_memory;
use crate::states::{Doing, WaitId};
use crate::windows::harms::Harm;

/// Waited time that ended at one activity.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub root: Root,
    /// The hold through which the root made others wait.
    pub hold: Option<Hold>,
    pub time: Nanos,
}

/// An activity at which waiting ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Root {
    /// A thread ran.
    Running(ThreadId),
    /// A thread wanted to run.
    NeedsCpu(ThreadId),
    /// A thread of the program's runtime kept the others from running until it was done, and neither it nor those who helped it stood
    /// still meanwhile.
    Paused(ThreadId),
    /// A thread was blocked on something that is no lock; the wait's site says on what.
    Blocked(ThreadId, WaitId),
    /// The waiting thread's own wait is for no lock: a device, a signal, a limit.
    Own(WaitId),
    /// Nobody knows.
    Unknown(Why),
}

/// The thread that a root is about; `None` if nobody is to blame.
pub(crate) fn root_thread(root: Root) -> Option<ThreadId> {
    match root {
        Root::Running(thread)
        | Root::NeedsCpu(thread)
        | Root::Paused(thread)
        | Root::Blocked(thread, _) => Some(thread),
        Root::Own(_) | Root::Unknown(_) => None,
    }
}

/// Why nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Why {
    /// The wait had not ended when the recording did.
    NotEnded,
    /// It was ended by an interrupt, a timer as a rule.
    Interrupt,
    /// The capture has no wakeup for it.
    NoWakeup,
    /// Nobody is seen to let go of the lock.
    NoHolder,
    /// What the holder did is not in the capture.
    HolderUnseen,
    /// The one who makes a pause waited, and who came late to it is not to be seen.
    LateUnseen,
    /// Threads wait for each other in a circle.
    Circle,
    /// The waker was born during the wait, or ended with it: a job that was waited for, not a lock.
    Job,
    /// The waker rested since before the recording began, until something came for it.
    Rest,
    /// Following every wait behind every other would take too long.
    TooMany,
}

impl Why {
    pub fn text(self) -> &'static str {
        match self {
            Self::NotEnded => "the wait had not ended when the recording did",
            Self::Interrupt => "an interrupt ended the wait, a timer as a rule",
            Self::NoWakeup => "the capture holds no wakeup that ended the wait",
            Self::NoHolder => "nobody is seen to release the lock",
            Self::HolderUnseen => "what the holder did is not in the capture",
            Self::LateUnseen => "who came late to the runtime's pause is not to be seen",
            Self::Job => {
                "a thread that ended its work woke the waiter: it was waited for, not in the way"
            }
            Self::Rest => "the waker had rested since before the recording began",
            Self::TooMany => "there are too many waits to follow each of them",
            Self::Circle => "threads wait for each other in a circle",
        }
    }
}

/// Threads that hand a lock on make chains as long as there are threads; beyond this it is a circle.
const MAX_DEPTH: u32 = 256;
/// So many pieces of waits are followed in one freeze. A thousand threads that hand a lock round take half a million;
/// their number grows with the square of the threads'.
const MOST_PIECES: u32 = 10_000_000;

/// Where the waiting of some harms ends, the largest part first, and how long it is in all.
pub(crate) fn of(model: &Model<'_>, harms: &[Harm]) -> (Vec<Leaf>, Nanos) {
    let mut blamer = Blamer::new(model);
    harms.iter().for_each(|harm| blamer.add(harm));
    (blamer.leaves(), harms.iter().map(|harm| harm.span.duration()).sum())
}

/// Whether a wait was for a thread to do its work, and for no lock.
pub(crate) fn is_for_job(model: &Model<'_>, wait: WaitId) -> bool {
    let waker = model.wakeup(wait).and_then(|wakeup| wakeup.waker);
    waker.is_some_and(|waker| {
        is_job(model, waker, model.states.wait(wait).span) || runtimes::is_worker(model, waker)
    })
}

/// Whether a thread lived for what another waited for: born during the wait, or ended with it.
fn is_job(model: &Model<'_>, waker: ThreadId, wait: Span) -> bool {
    const WITH_IT: Nanos = Nanos(5_000_000);
    let thread = model.capture.threads.get(waker);
    let around = Span::new(wait.end, wait.end.plus(WITH_IT));
    thread.born.is_some_and(|born| wait.contains(born))
        || thread.ended.is_some_and(|ended| around.contains(ended))
}

/// Follows waits to their roots.
pub(crate) struct Blamer<'m, 'a> {
    model: &'m Model<'a>,
    leaves: BTreeMap<(Root, Option<HoldId>), (Option<Hold>, Nanos)>,
    pieces: u32,
    latecomers: Latecomers,
    stalls: Stalls,
}

/// Tells holds apart.
type HoldId = (ThreadId, Span, Evidence);

impl<'m, 'a> Blamer<'m, 'a> {
    pub fn new(model: &'m Model<'a>) -> Self {
        Self {
            model,
            leaves: BTreeMap::new(),
            pieces: 0,
            latecomers: Latecomers::default(),
            stalls: Stalls::default(),
        }
    }

    /// Follows the time that a thread was kept from running.
    pub fn add(&mut self, harm: &Harm) {
        match harm.wait {
            Some(wait) => self.wait(wait, harm.span, None, 0),
            None => self.leaf(Root::NeedsCpu(harm.thread), None, harm.span),
        }
    }

    /// Every root with its time, the largest first.
    pub fn leaves(self) -> Vec<Leaf> {
        let leaves = self.leaves.into_iter();
        let mut leaves: Vec<Leaf> =
            leaves.map(|((root, _), (hold, time))| Leaf { root, hold, time }).collect();
        leaves.sort_by(|a, b| b.time.cmp(&a.time).then(a.root.cmp(&b.root)));
        leaves
    }

    fn wait(&mut self, id: WaitId, span: Span, via: Option<&Hold>, depth: u32) {
        let site = self.model.sites.of(id);
        if depth > MAX_DEPTH {
            return self.leaf(Root::Unknown(Why::Circle), via, span);
        }
        if self.pieces > MOST_PIECES {
            return self.leaf(Root::Unknown(Why::TooMany), via, span);
        }
        if via.is_some() && self.may_have_ended(id) {
            return self.unseen(span, via);
        }
        match (site.kind, site.lock) {
            _ if frozen_files::is_wait(self.model, id) => self.own(id, span, via),
            (WaitKind::Harm(Cause::Futex, _), _) => self.futex(id, span, via, depth),
            (WaitKind::Harm(..), Some(key)) => {
                let waiter = self.model.states.wait(id).thread;
                for (piece, hold) in self.model.holds.cut(key, waiter, span) {
                    match hold {
                        Some(hold) => self.thread(hold.thread, piece, Some(&hold), depth + 1),
                        None => self.without_holder(id, key, piece, via, depth),
                    }
                }
            }
            (WaitKind::Other, _) if self.model.states.wait(id).stack.is_none() => {
                self.for_something(id, span, via, depth);
            }
            (WaitKind::Idle, _) if via.is_some() => self.at_loop(id, span, via, depth),
            _ => self.own(id, span, via),
        }
    }

    /// Whether a holder's wait may have ended long before it is seen to run again: its waking is among the events that were lost,
    /// or was one to a lock, for which it must have begun to wait later. What it was stopped by, or slept for, on its way to a lock
    /// is not what it did with it.
    fn may_have_ended(&self, id: WaitId) -> bool {
        let capture = self.model.capture;
        let wait = self.model.states.wait(id);
        let site = self.model.sites.of(id);
        let for_lock = site.lock.is_some() || site.is_harm_by(Cause::Futex);
        let is_other = match self.model.wakeup(id) {
            None => !wait.open_end && !capture.wakeups.is_empty(),
            Some(wakeup) => {
                let kind = wakeup.stack.and_then(|stack| release::of_stack(capture, stack));
                !for_lock && kind.is_some() && matches!(site.kind, WaitKind::Harm(..))
            }
        };
        is_other && losses::any(capture, wait.span)
    }

    /// Nothing in the capture says what a wait was for, unless the one who ended it let go of a futex, or brought something.
    fn for_something(&mut self, id: WaitId, span: Span, via: Option<&Hold>, depth: u32) {
        let stack = self.model.wakeup(id).and_then(|wakeup| wakeup.stack);
        let capture = self.model.capture;
        if stack.is_some_and(|stack| release::wakes_futex(capture, stack)) {
            self.futex(id, span, via, depth);
        } else if via.is_some()
            && stack.is_some_and(|stack| release::tells_a_poller(capture, stack))
        {
            self.leaf(Root::Unknown(Why::Rest), via, span);
        } else {
            self.unseen(span, via);
        }
    }

    /// The wait is for no lock: here it ends.
    fn own(&mut self, id: WaitId, span: Span, via: Option<&Hold>) {
        let thread = self.model.states.wait(id).thread;
        let root = if via.is_some() { Root::Blocked(thread, id) } else { Root::Own(id) };
        self.leaf(root, via, span);
    }

    /// Nobody is known to have held the lock in this piece: a memory call of the same process may explain it. Only
    /// what is not in the capture speaks for that (the caller does not wait), so it counts where nothing was lost.
    fn without_holder(
        &mut self,
        id: WaitId,
        key: LockKey,
        piece: Span,
        via: Option<&Hold>,
        depth: u32,
    ) {
        if let LockKey::Mmap(process) = key
            && !losses::any(self.model.capture, piece)
            && let Some(hold) =
                self.overlapping(id, process, piece).or_else(|| self.witnessed(id, process, piece))
        {
            return self.thread(hold.thread, piece, Some(&hold), depth + 1);
        }
        let wait = self.model.states.wait(id);
        // Who held the outer lock is known, whoever has the inner one. Where events were lost and nothing tells the two locks apart, it may
        // have waited for the same one, like the others.
        let may_be_the_same =
            matches!(key, LockKey::Kind(..)) && losses::any(self.model.capture, piece);
        if via.is_some_and(|hold| hold.operation.is_some())
            && !matches!(key, LockKey::Mmap(_) | LockKey::Futex(..))
            && !may_be_the_same
        {
            return self.leaf(Root::Blocked(wait.thread, id), via, piece);
        }
        let why = match wait.wakeup {
            _ if wait.open_end => Why::NotEnded,
            None => Why::NoWakeup,
            Some(_) => Why::NoHolder,
        };
        self.leaf(Root::Unknown(why), via, piece);
    }

    /// The memory call, of another thread that did not itself wait for this lock, which covers most of a
    /// piece.
    fn overlapping(&self, id: WaitId, process: ProcessId, piece: Span) -> Option<Hold> {
        /// Shorter pieces are hand-overs, and tell nothing.
        const WORTH_NAMING: Nanos = Nanos(1_000_000);
        if piece.duration() < WORTH_NAMING {
            return None;
        }
        let model = self.model;
        let waiter = model.states.wait(id).thread;
        let threads = &model.capture.threads.process(process).threads;
        let calls = threads.iter().filter(|&&thread| thread != waiter).flat_map(|&thread| {
            model.brackets.of(thread).iter().filter(move |call| {
                is_memory(Operation::Syscall(call.syscall))
                    && call.span(model.span).overlap(piece).share_of(piece.duration()) > 0.8
            })
        });
        let free = calls
            .filter(|call| self.time_waiting(call.thread, piece).share_of(piece.duration()) < 0.2);
        let call = free.max_by_key(|call| (call.span(model.span).overlap(piece), call.thread))?;
        Some(Hold {
            thread: call.thread,
            span: call.span(model.span),
            open_start: call.enter.is_none(),
            mode: None,
            evidence: Evidence::Overlap,
            operation: Some(Operation::Syscall(call.syscall)),
            call: Some(*call),
            stack: call.stack,
        })
    }

    /// The thread that ran through most of a piece and was seen in a memory operation on the way: when it was
    /// taken off its CPU, or by a sample.
    fn witnessed(&self, id: WaitId, process: ProcessId, piece: Span) -> Option<Hold> {
        let model = self.model;
        let waiter = model.states.wait(id).thread;
        let threads = &model.capture.threads.process(process).threads;
        let others = threads.iter().copied().filter(|&thread| thread != waiter);
        let mut seen = others.filter_map(|thread| {
            let (stack, operation) = model.sightings().first(thread, piece)?;
            let ran = model.states.time(thread, piece, |doing| !matches!(doing, Doing::Blocked(_)));
            (ran.share_of(piece.duration()) > 0.5).then_some((thread, stack, operation))
        });
        let (thread, stack, operation) = seen.next()?;
        // Two that fit are none.
        if seen.next().is_some() {
            return None;
        }
        Some(Hold {
            thread,
            span: piece,
            open_start: true,
            mode: None,
            evidence: Evidence::Overlap,
            operation: Some(operation),
            call: None,
            stack: Some(stack),
        })
    }

    fn time_waiting(&self, thread: ThreadId, span: Span) -> Nanos {
        let sites = &self.model.sites;
        self.model.states.time(
            thread,
            span,
            |doing| matches!(doing, Doing::Blocked(id) if sites.of(id).lock.is_some()),
        )
    }

    /// What a thread did in a span during which it kept others waiting.
    fn thread(&mut self, thread: ThreadId, span: Span, via: Option<&Hold>, depth: u32) {
        let model = self.model;
        let mut at = span.start;
        for slice in model.states.within(thread, span) {
            self.unseen(Span::new(at, slice.span.start), via);
            match slice.doing {
                Doing::Running if self.waited_unseen(thread, slice.span) => {
                    self.leaf(Root::Unknown(Why::NoWakeup), via, slice.span);
                }
                Doing::Running => self.leaf(Root::Running(thread), via, slice.span),
                // Where its comings were not recorded, nobody knows how long it waited for a CPU.
                Doing::Runnable(_) if !model.states.comings_recorded => {
                    self.leaf(Root::Running(thread), via, slice.span);
                }
                Doing::Runnable(_) => self.leaf(Root::NeedsCpu(thread), via, slice.span),
                Doing::Blocked(id) => self.wait(id, slice.span, via, depth + 1),
            }
            at = slice.span.end;
        }
        self.unseen(Span::new(at, span.end), via);
    }

    /// Whether a thread that seems to run had begun to wait for a lock, and who let it on, and when, is not recorded: not even that it
    /// came back is, where only some processes were recorded.
    fn waited_unseen(&self, thread: ThreadId, span: Span) -> bool {
        let model = self.model;
        if model.states.comings_recorded {
            return false;
        }
        let before =
            model.states.of(thread).before(span.end).find(|slice| slice.doing != Doing::Running);
        before.is_some_and(|slice| match slice.doing {
            Doing::Blocked(id) => {
                let site = model.sites.of(id);
                model.states.wait(id).wakeup.is_none()
                    && (site.known_lock || site.lock.is_some() && !site.is_harm_by(Cause::Futex))
            }
            Doing::Running | Doing::Runnable(_) => false,
        })
    }

    fn unseen(&mut self, span: Span, via: Option<&Hold>) {
        if !span.is_empty() {
            self.leaf(Root::Unknown(Why::HolderUnseen), via, span);
        }
    }

    fn leaf(&mut self, root: Root, via: Option<&Hold>, span: Span) {
        let id = via.map(|hold| (hold.thread, hold.span, hold.evidence));
        self.pieces = self.pieces.saturating_add(1);
        let entry = self.leaves.entry((root, id)).or_insert((via.copied(), Nanos::ZERO));
        entry.1 += span.duration();
    }
}
