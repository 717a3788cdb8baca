//! What each thread did: ran, waited for a CPU, or was blocked.
//!
//! ```text
//! switch-out (state D)        waking            switch-in             switch-out (R+)   switch-in
//!      |------- blocked ---------|---- runnable ----|---- running ---------|-- runnable --|
//! ```

mod cpus;
mod life;
pub(crate) mod load;
mod machine;
mod own_events;
mod scribe;

use std::num::NonZeroU32;

use coldcase_ingest::capture::{Capture, Nanos, Span, StackId, TaskState, ThreadId, Wakeup};

use crate::states::cpus::Cpus;
use crate::states::life::Life;
use crate::states::load::{Bins, Busy};
use crate::states::machine::Machine;

/// All threads' doings.
pub(crate) struct ThreadStates {
    /// By thread number.
    lives: Vec<Life>,
    /// How much of the time some thread ran.
    pub busy: Busy,
    /// By thread number: whether the capture shows the thread leave a CPU.
    leaves: Vec<bool>,
    /// What was seen of each CPU.
    pub cpus: Cpus,
    /// Every time that a thread was blocked, by its beginning.
    pub waits: Vec<Wait>,
    /// Whether the capture shows threads come to a CPU. It does not if only some processes were recorded (`perf
    /// record -p`): a switch is an event of the thread that leaves.
    pub comings_recorded: bool,
}

/// Index into [`ThreadStates::waits`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WaitId(pub u32);

impl WaitId {
    fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// A stretch of one thread's life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub span: Span,
    pub doing: Doing,
}

/// What a thread did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Doing {
    Running,
    /// Waiting for a CPU; the stack of the switch-out that began it, if it was taken off the CPU.
    Runnable(Option<StackId>),
    Blocked(WaitId),
}

/// One time that a thread was blocked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub thread: ThreadId,
    /// From the switch-out to the waking; or, where no waking is known, to the switch-in.
    pub span: Span,
    /// It began before the recording did.
    pub open_start: bool,
    /// It had not ended when the recording did.
    pub open_end: bool,
    pub state: TaskState,
    pub stack: Option<StackId>,
    /// The wakeup that ended it.
    pub wakeup: Option<WakeupId>,
}

/// Index into [`Capture::wakeups`], from 1, so that none takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WakeupId(NonZeroU32);

impl WakeupId {
    fn from_index(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The row.
    pub fn of(self, capture: &Capture) -> &Wakeup {
        &capture.wakeups[self.0.get() as usize - 1]
    }
}

impl ThreadStates {
    /// Reconstructs what every thread did.
    pub fn new(capture: &Capture) -> Self {
        let bins = Bins::new(capture.whole());
        let (machine, lives, busy) = scribe::write(
            || machine::empty_lives(capture),
            bins,
            |scribe| Machine::new(capture, scribe).run(),
        );
        ThreadStates {
            lives,
            leaves: machine.leaves,
            busy: Busy::new(busy),
            cpus: machine.cpus,
            waits: machine.waits,
            comings_recorded: machine.comings_recorded,
        }
    }

    /// All threads.
    pub fn threads(&self) -> impl Iterator<Item = ThreadId> {
        (0..self.lives.len()).map(ThreadId::from_index)
    }

    /// Whether the capture shows a thread leave a CPU.
    pub fn leaves(&self, thread: ThreadId) -> bool {
        self.leaves[thread.index()]
    }

    /// What a thread did, in order of time and without overlap.
    pub fn of(&self, thread: ThreadId) -> &Life {
        &self.lives[thread.index()]
    }

    /// What a thread did in a span, cut to it.
    pub fn within(&self, thread: ThreadId, span: Span) -> impl Iterator<Item = Slice> + '_ {
        self.of(thread).after(span.start).map_while(move |slice| {
            slice.span.intersect(span).map(|cut| Slice { span: cut, ..slice })
        })
    }

    /// How long a thread ran, in a span.
    pub fn ran(&self, thread: ThreadId, span: Span) -> Nanos {
        self.of(thread).ran(span)
    }

    /// How long a thread was ready and had no CPU, in a span.
    pub fn ready(&self, thread: ThreadId, span: Span) -> Nanos {
        self.of(thread).ready(span)
    }

    /// How long a thread did what counts, in a span.
    pub fn time(&self, thread: ThreadId, span: Span, counts: impl Fn(Doing) -> bool) -> Nanos {
        let slices = self.within(thread, span).filter(|slice| counts(slice.doing));
        slices.map(|slice| slice.span.duration()).sum()
    }

    /// The wait that a thread begins at once after this one, at the same place: it looked up and went on waiting.
    pub fn taken_up_again(&self, id: WaitId) -> Option<WaitId> {
        /// A switch or two, and the way out of the kernel and back.
        const AT_ONCE: Nanos = Nanos(2_000_000);
        let wait = self.wait(id);
        let mut ran = Nanos::ZERO;
        for slice in self.of(wait.thread).after(wait.span.end) {
            match slice.doing {
                Doing::Running => ran += slice.span.duration(),
                Doing::Runnable(_) => {}
                Doing::Blocked(next) => {
                    return Some(next).filter(|&next| self.wait(next).stack == wait.stack);
                }
            }
            if ran > AT_ONCE {
                return None;
            }
        }
        None
    }

    /// Every wait with its number.
    pub fn waits(&self) -> impl Iterator<Item = (WaitId, &Wait)> {
        self.waits.iter().enumerate().map(|(index, wait)| (WaitId::from_index(index), wait))
    }

    pub fn wait(&self, id: WaitId) -> &Wait {
        &self.waits[id.0 as usize]
    }
}
