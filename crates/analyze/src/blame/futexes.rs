//! Who had a futex for which a thread waited: whoever let it on, and before that whoever let that one on.

use coldcase_ingest::capture::{Context, Nanos, Span, ThreadId};

use crate::blame::{Blamer, Root, Why, is_job, stopped};
use crate::findings::{Cause, Operation};
use crate::holds::release;
use crate::holds::{Evidence, Hold};
use crate::runtimes::{self, interpreter, late};
use crate::states::{Doing, WaitId};

impl Blamer<'_, '_> {
    /// Locks of programs have no events: whoever woke the waiter had, or came by way of, the lock.
    pub(super) fn futex(&mut self, id: WaitId, span: Span, via: Option<&Hold>, depth: u32) {
        if self.model.sites.name(self.model.sites.of(id)) == interpreter::LOCK {
            self.interpreters(id, span, via, depth);
        } else {
            self.by_waker(id, span, via, depth);
        }
    }

    /// Of an interpreter's lock each release that let somebody on is seen, whoever that was: until then, the one who let go had it.
    fn interpreters(&mut self, id: WaitId, span: Span, via: Option<&Hold>, depth: u32) {
        let waiter = self.model.states.wait(id).thread;
        let process = self.model.capture.threads.get(waiter).process;
        for (piece, hold) in self.model.holds.cut_interpreters(process, waiter, span) {
            // What it held it for is in its stacks; it took it before the call that it let go in.
            match hold.map(|hold| Hold { operation: None, ..hold }) {
                Some(hold) => self.thread(hold.thread, piece, Some(&hold), depth + 1),
                None => self.by_waker(id, piece, via, depth),
            }
        }
    }

    fn by_waker(&mut self, id: WaitId, span: Span, via: Option<&Hold>, depth: u32) {
        match self.waker(id, via) {
            Ok((waker, hold)) if runtimes::is_collector(self.model, waker) => {
                self.pause(waker, &hold, span, depth);
            }
            // What workers do, they do for the one who waits for them.
            Ok((waker, _)) if runtimes::is_worker(self.model, waker) => match via {
                Some(_) => self.own(id, span, via),
                None => self.leaf(Root::Unknown(Why::Job), via, span),
            },
            Ok((waker, hold)) => self.thread(waker, span, Some(&hold), depth + 1),
            // Who looked up in vain again and again, and at last found the lock free, is a victim of whoever had it.
            Err(Why::Interrupt) if via.is_some() && self.is_sliced(id) => {
                self.leaf(Root::Unknown(Why::NoHolder), via, span);
            }
            // The last in the chain waits for nobody that is known: a timed wait is its own root, and so is one for a job.
            Err(Why::Interrupt | Why::Job) if via.is_some() => self.own(id, span, via),
            Err(why) => self.leaf(Root::Unknown(why), via, span),
        }
    }

    /// Who ended a futex wait. A timed wait that runs out is taken up again at once: then the next that a thread ends
    /// counts.
    fn waker(&self, id: WaitId, via: Option<&Hold>) -> Result<(ThreadId, Hold), Why> {
        let model = self.model;
        let known_lock = model.sites.of(id).known_lock;
        let last = model.series.let_on(model.capture, &model.states, id);
        // What a holder waits for after it has let go is its own affair.
        let last = last.filter(|&last| {
            via.is_none_or(|hold| model.states.wait(last).span.start < hold.span.end)
        });
        let id = last.unwrap_or(id);
        let wait = model.states.wait(id);
        if wait.open_end {
            return Err(Why::NotEnded);
        }
        let wakeup = model.wakeup(id).ok_or(Why::NoWakeup)?;
        let waker = wakeup.waker.filter(|&waker| {
            waker != wait.thread
                && wakeup.context == Context::Task
                && !model.capture.threads.get(waker).is_idle_task()
        });
        let waker = waker.ok_or(Why::Interrupt)?;
        let interrupted = |stack| stopped::interrupts(model.capture, stack);
        // Where a program waits for its lock in a poll, a signal may hand it on, as PostgreSQL's does.
        let at_futex =
            || wait.stack.is_some_and(|stack| release::waits_at_futex(model.capture, stack));
        if wakeup.stack.is_some_and(interrupted) && (!known_lock || at_futex()) {
            return Err(Why::NoHolder);
        }
        if !known_lock && is_job(model, waker, wait.span) && !self.hands_on(wait.thread, wait.span)
        {
            return Err(Why::Job);
        }
        let hold = Hold {
            thread: waker,
            span: Span::new(wait.span.start, wakeup.time),
            open_start: wait.open_start,
            mode: None,
            evidence: match wakeup.stack {
                Some(_) => Evidence::ReleaseStack,
                None => Evidence::Waker,
            },
            operation: late::ends_stop_of_world(model, id, waker).then_some(Operation::LateToPause),
            call: model.brackets.at(waker, wakeup.time).copied(),
            stack: wakeup.stack,
        };
        Ok((waker, hold))
    }

    /// Whether a wait is one of several short ones in which a thread waited for the same.
    fn is_sliced(&self, id: WaitId) -> bool {
        const SLICES: usize = 3;
        /// Who sleeps for longer with a lock makes the others wait, however often it has slept before.
        const SHORT: Nanos = Nanos(50_000_000);
        let slices = self.model.series.of(id).map_or(1, |series| series.waits.len());
        slices >= SLICES && self.model.states.wait(id).span.duration() < SHORT
    }

    /// Whether a thread, as soon as it was woken, let on another that had waited with it: a lock goes from hand to hand.
    fn hands_on(&self, thread: ThreadId, wait: Span) -> bool {
        const AT_ONCE: Nanos = Nanos(2_000_000);
        /// No machine has more wakeups in that time.
        const MOST: usize = 1 << 14;
        let model = self.model;
        let wakeups = &model.capture.wakeups;
        let from = wakeups.partition_point(|wakeup| wakeup.time < wait.end);
        let soon = wakeups[from..]
            .iter()
            .take(MOST)
            .take_while(|next| next.time <= wait.end.plus(AT_ONCE));
        let mut own =
            soon.filter(|next| next.waker == Some(thread) && next.context == Context::Task);
        own.any(|next| {
            let together = Span::new(wait.end.minus(Nanos(1)), wait.end);
            model.states.within(next.wakee, together).any(|slice| match slice.doing {
                Doing::Blocked(id) => model.sites.of(id).is_harm_by(Cause::Futex),
                Doing::Running | Doing::Runnable(_) => false,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use crate::script;

    /// Who is to blame where d has a lock from 110 ms to 410 ms, for which a and b wait, and `then`.
    fn culprit(then: &str, lock: &str) -> Option<i32> {
        let threads = ['m', 'a', 'b', 'c', 'd'].map(|letter| (letter, "python3"));
        let waits = "111ms a>- S LOCK,112ms b>- S LOCK,113ms .d";
        let events = format!("{waits},{then}").replace("LOCK", &format!("FUTEX<user:{lock}"));
        let capture = script::with_habits(&threads, &events);
        let findings = analyze(&capture, &script::options());
        findings.worst()?.culprit.as_ref()?.thread.tid
    }

    #[test]
    fn who_lets_on_a_thread_that_was_let_on_before_had_the_lock_in_between_only() {
        // c, which slept meanwhile, takes the lock after a has had it.
        let then = "118ms c>- S SLEEPS,410ms d!a WAKES,410ms ->a,410500000 d>- S SLEEPS,410500000 ->c,410600000 a>- S LOCK,\
                    411ms c!a WAKES,411ms ->a,411200000 a!b WAKES,411200000 ->b,412ms a>- S SLEEPS,412ms b>- S SLEEPS,420ms .m";
        for lock in ["take_gil", "__lll_lock_wait"] {
            assert_eq!(culprit(then, lock), Some(script::tid('d')), "{lock}");
        }
    }

    #[test]
    fn who_waited_for_the_lock_itself_did_not_have_it_before() {
        // c, which slept meanwhile, is let on before a, which has waited for longer.
        let then = "118ms c>- S SLEEPS,400ms ->c,401ms c>- S LOCK,410ms d!c WAKES,410ms ->c,410500000 d>- S SLEEPS,\
                    411ms c!a WAKES,411ms ->a,411200000 a!b WAKES,411200000 ->b,412ms a>- S SLEEPS,412ms b>- S SLEEPS,420ms .m";
        assert_eq!(culprit(then, "take_gil"), Some(script::tid('d')));
    }
}
