//! A freeze as it is found, before anything is said of it.

use coldcase_ingest::capture::{Context, Nanos, ProcessId, Span, ThreadId};

use crate::findings::Cause;
use crate::model::Model;
use crate::states::WaitId;
use crate::windows::harms::Harm;

/// One freeze of one process.
#[derive(Clone, Debug)]
pub(crate) struct RawWindow {
    /// What froze; for a family of processes, their master.
    pub process: ProcessId,
    /// All threads of the process, or of the master's children.
    pub crew: Vec<ThreadId>,
    pub span: Span,
    pub harms: Vec<Harm>,
    /// By what most of the time was lost.
    pub cause: Cause,
    pub threads: Vec<ThreadId>,
    /// Functions of the program say that most of its waits were for a lock; a futex alone does not.
    pub known_lock: bool,
}

impl RawWindow {
    /// The waits of which the freeze is made; time in want of a CPU is none.
    pub fn waits(&self) -> impl Iterator<Item = WaitId> + '_ {
        self.harms.iter().filter_map(|harm| harm.wait)
    }

    /// Threads that stood still for a good part of the freeze.
    pub fn stood_still(&self) -> impl Iterator<Item = ThreadId> + '_ {
        self.stood_still_for(|_| true)
    }

    /// The freeze of those who stood still in it for a good part, for whatever reason.
    pub fn of_all_who_stood_still(&self) -> Self {
        self.of(self.stood_still().collect())
    }

    /// The freeze of those who stood still for a good part of it at the kind of lock at which most of its time was lost, or at
    /// a lock of the program behind it. Who had the lock, and stood still with it, is why they waited, and not one of them.
    pub fn of_those_at_the_lock(&self, holder: Option<ThreadId>) -> Self {
        let of_memory = |cause| matches!(cause, Cause::MmapLock | Cause::VmaLock);
        let at_lock = self.stood_still_for(|harm| {
            harm.cause == self.cause
                || harm.cause == Cause::Futex
                || of_memory(harm.cause) && of_memory(self.cause)
        });
        self.of(at_lock.filter(|&thread| Some(thread) != holder).collect())
    }

    /// Whether threads were let on again and again: that is a queue with little in it, or chronic contention. Timed
    /// waits that run out and are taken up again let nobody on.
    pub fn comes_and_goes(&self, model: &Model<'_>) -> bool {
        const TIMES: usize = 3;
        // Who has the lock may wait for its disk as often as it likes.
        let at_futex = self.harms.iter().filter(|harm| harm.cause == Cause::Futex);
        let wakeups = at_futex.filter_map(|harm| model.wakeup(harm.wait?));
        wakeups.filter(|wakeup| wakeup.context == Context::Task).count()
            > TIMES * self.threads.len()
    }

    fn stood_still_for<'s>(
        &'s self,
        counts: impl Fn(&Harm) -> bool + 's,
    ) -> impl Iterator<Item = ThreadId> + 's {
        let enough = self.span.duration().0 / 10;
        self.threads.iter().copied().filter(move |&thread| {
            let own = self.harms.iter().filter(|harm| harm.thread == thread && counts(harm));
            own.map(|harm| harm.span.duration()).sum::<Nanos>().0 >= enough
        })
    }

    /// The freeze of these threads alone, all of whose waiting in it counts. Where it is made of many short waits of one thread
    /// after the other, nobody stood still for a good part, and it is everyone's.
    pub fn of(&self, threads: Vec<ThreadId>) -> Self {
        if threads.is_empty() {
            return self.clone();
        }
        let own = || self.harms.iter().filter(|harm| threads.contains(&harm.thread));
        let making = own().filter(|harm| harm.makes_window).map(|harm| harm.span);
        let span = making.reduce(Span::hull).unwrap_or(self.span);
        let harms = own().filter_map(|harm| harm.inside(span)).collect();
        let crew = self.crew.clone();
        Self { span, harms, threads, crew, ..*self }
    }
}
