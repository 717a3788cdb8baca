//! A freeze as it is found, before anything is said of it.

use coldcase_ingest::capture::{Context, Nanos, ProcessId, Span, ThreadId};

use crate::findings::Cause;
use crate::model::Model;
use crate::states::WaitId;
use crate::windows::habits::Habits;
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

    /// Whether most who stood still had hardly done anything yet: that thousands who start, or end, wait for each other is no freeze
    /// of those who normally run, unless somebody kept them waiting.
    pub fn is_of_newcomers(&self, model: &Model<'_>) -> bool {
        let new = self.threads.iter().filter(|&&thread| Habits::new(model, thread).is_newcomer());
        new.count() * 2 > self.threads.len()
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

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Timestamp};

    use crate::findings::Cause;
    use crate::script::{self, SLEEPS};

    /// The freezes of a to d, some of which are born at 1 ms: at 100 ms they wait for a mutex, and nobody knows who
    /// lets them on at 400 ms.
    fn freezes(born: &str) -> Vec<(Option<Cause>, u32)> {
        let mut capture = Capture::default();
        for thread in "mabcd".chars() {
            let (pid, tid) = (script::tid('m'), script::tid(thread));
            if born.contains(thread) {
                capture.threads.fork(pid, tid, None, Timestamp(1_000_000));
            } else {
                capture.threads.of_pid_tid(pid, tid);
            }
        }
        let mutex =
            "S schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex<user:__lll_lock_wait";
        let mut events = vec!["0 .m".to_owned()];
        events.extend(('a'..='d').map(|thread| format!("2ms {thread}>- S {SLEEPS}")));
        events.extend(('a'..='d').map(|thread| format!("99ms ->{thread}")));
        events.extend(('a'..='d').map(|thread| format!("100ms {thread}>- {mutex}")));
        events.extend(('a'..='d').map(|thread| format!("400ms w:{thread}")));
        events.extend(
            ('a'..='d').map(|thread| format!("401ms ->{thread},401ms {thread}>- S {SLEEPS}")),
        );
        events.push("402ms .m".to_owned());
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        let windows = crate::analyze(&capture, &script::options()).windows.into_iter();
        windows.map(|window| (window.cause, window.freeze.threads_blocked)).collect()
    }

    #[test]
    fn newcomers_that_wait_for_nobody_who_is_known_are_no_freeze() {
        assert_eq!(freezes(""), [(Some(Cause::Futex), 4)]);
        assert_eq!(freezes("ab"), [(Some(Cause::Futex), 4)]);
        assert_eq!(freezes("abcd"), []);
    }
}
