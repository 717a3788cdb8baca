//! Waits that are taken in slices: a thread looks up now and then, finds the lock held, and waits on.
//!
//! Python's `take_gil` waits 5 ms at a time, and PostgreSQL's `ProcSleep` looks for deadlocks after a second. Of a
//! futex that nobody knows such a series may be a pool that polls its queue: it counts as one wait only where
//! something else tells. The kernel's own pauses of who writes faster than the disk count as one where the thread else rests:
//! `balance_dirty_pages` (`mm/page-writeback.c`) lets it sleep for 200 ms at most, and looks again. A program that does nothing
//! but write is slowed down by them as a matter of course.

use rustc_hash::FxHashMap;

use coldcase_ingest::capture::{Capture, Context, Span, ThreadId};

use crate::findings::Cause;
use crate::holds::release;
use crate::names;
use crate::rules::WaitKind;
use crate::runtimes::interpreter;
use crate::sites::Sites;
use crate::sites::of_stacks::OfStacks;
use crate::sites::sums::Sums;
use crate::states::{Doing, ThreadStates, WaitId};
use crate::windows::habits::HABIT;

/// Series of two waits and more.
pub(crate) struct Series {
    rows: Vec<Row>,
    of_wait: FxHashMap<WaitId, usize>,
}

/// Several waits that are one.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub thread: ThreadId,
    pub waits: Vec<WaitId>,
    pub span: Span,
    /// They are known to be one wait: a function of the program says that they are for a lock, or they are the kernel's pauses.
    pub is_one: bool,
}

impl Series {
    pub fn new(capture: &Capture, states: &ThreadStates, sites: &mut Sites, sums: &Sums) -> Self {
        let mut series = Self { rows: Vec::new(), of_wait: FxHashMap::default() };
        let may_have = sums.of_threads(capture, |site| {
            site.is_harm_by(Cause::Futex) || site.is_harm_by(Cause::DiskIo)
        });
        let rests = sums.of_threads(capture, |site| site.kind == WaitKind::Idle);
        let mut paused = OfStacks::new(capture);
        let threads = capture.threads.iter().map(|(thread, _)| thread);
        for thread in threads.filter(|thread| may_have[thread.index()] > 0) {
            let has_rests = rests[thread.index()] >= HABIT as u64;
            let mut open: Vec<WaitId> = Vec::new();
            for slice in states.of(thread).iter() {
                let Doing::Blocked(id) = slice.doing else { continue };
                let follows = open.last().is_some_and(|&before| {
                    states.taken_up_again(before) == Some(id)
                        && (goes_on(capture, states, sites, (before, id))
                            || has_rests && is_pause(capture, states, &mut paused, before))
                });
                if !follows {
                    series.add(thread, &open, states, sites);
                    open.clear();
                }
                open.push(id);
            }
            series.add(thread, &open, states, sites);
        }
        for row in &mut series.rows {
            if !row.is_one && interpreter::is_its_lock(capture, states, row) {
                row.is_one = true;
                sites.know(&row.waits, interpreter::LOCK);
            }
        }
        series
    }

    fn add(&mut self, thread: ThreadId, waits: &[WaitId], states: &ThreadStates, sites: &Sites) {
        let [first, .., last] = *waits else { return };
        let span = Span::new(states.wait(first).span.start, states.wait(last).span.end);
        let site = sites.of(first);
        let is_one = site.known_lock || site.is_harm_by(Cause::DiskIo);
        self.of_wait.extend(waits.iter().map(|&wait| (wait, self.rows.len())));
        self.rows.push(Row { thread, waits: waits.to_vec(), span, is_one });
    }

    /// The series that a wait is part of.
    pub fn of(&self, wait: WaitId) -> Option<&Row> {
        self.of_wait.get(&wait).map(|&row| &self.rows[row])
    }

    /// The wait at whose end somebody is known to have let go of what this one was for: of those of its series from it on the first
    /// that a thread ended, else the last. Who was let on and came too late waits on for another.
    pub fn let_on(&self, capture: &Capture, states: &ThreadStates, wait: WaitId) -> Option<WaitId> {
        let waits = &self.of(wait)?.waits;
        let from = &waits[waits.iter().position(|&it| it == wait)?..];
        let by_thread = |&&id: &&WaitId| !timed_out(capture, states, id);
        from.iter().find(by_thread).or(from.last()).copied()
    }

    /// The series that is known to be one wait.
    pub fn of_one(&self, wait: WaitId) -> Option<&Row> {
        self.of(wait).filter(|row| row.is_one)
    }

    /// Every series.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }
}

/// Whether a wait is a pause that the kernel gives who writes faster than the disk, until its time is up.
fn is_pause(
    capture: &Capture,
    states: &ThreadStates,
    paused: &mut OfStacks<bool>,
    id: WaitId,
) -> bool {
    const PAUSES: &str = "balance_dirty_pages";
    let stack = states.wait(id).stack;
    stack.is_some_and(|it| {
        paused.get(it, || names::kernel(capture, it).any(|name| name.starts_with(PAUSES)))
    })
}

/// Whether a wait is continued by the next that the thread begins at once. Who was let on by another thread has got what it
/// waited for, unless a known lock says otherwise: whoever is woken for one may find it taken, but who has it lets
/// others on before it waits again.
fn goes_on(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    (id, next): (WaitId, WaitId),
) -> bool {
    let site = sites.of(id);
    site.is_harm_by(Cause::Futex)
        && (timed_out(capture, states, id)
            || site.known_lock && !lets_others_on(capture, states, (id, next)))
}

/// Whether no thread is seen to have let on who waited: a whole CPU's wakings can be missing.
fn timed_out(capture: &Capture, states: &ThreadStates, id: WaitId) -> bool {
    let wakeup = states.wait(id).wakeup.map(|wakeup| wakeup.of(capture));
    wakeup.is_none_or(|wakeup| wakeup.context != Context::Task)
}

/// Whether a thread ended a futex wait of another between two of its own.
fn lets_others_on(capture: &Capture, states: &ThreadStates, (id, next): (WaitId, WaitId)) -> bool {
    let (before, after) = (states.wait(id), states.wait(next));
    let between = Span::new(before.span.end, after.span.start);
    let mut runs = states.within(before.thread, between).filter(|it| it.doing == Doing::Running);
    runs.any(|run| {
        let from = capture.wakeups.partition_point(|row| row.time < run.span.start);
        let within = capture.wakeups[from..].iter().take_while(|row| row.time <= run.span.end);
        within
            .filter(|row| row.waker == Some(before.thread))
            .any(|row| row.stack.is_some_and(|stack| release::wakes_futex(capture, stack)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{self, FUTEX};

    /// The lengths of a's series, in waits, with whether its lock is known.
    fn series(comm: &str, script: &str) -> Vec<(usize, bool)> {
        let capture = script::process(Capture::default(), &[('a', comm)]);
        let capture = script::record(capture, &script.replace("FUTEX", FUTEX));
        let model = script::model(&capture);
        model.series.iter().map(|row| (row.waits.len(), row.is_one)).collect()
    }

    #[test]
    fn waits_that_time_out_one_after_the_other_are_one() {
        let script = "1ms a>- S FUTEX,6ms ->a,7ms a>- S FUTEX,12ms ->a,13ms a>- S FUTEX,18ms ->a";
        assert_eq!(series("server", script), [(3, false)]);
    }

    #[test]
    fn whom_another_thread_let_on_has_what_it_waited_for() {
        let script = "1ms a>- S FUTEX,6ms b!a,6ms ->a,7ms a>- S FUTEX,12ms b!a,12ms ->a";
        assert_eq!(series("server", script), []);
    }

    #[test]
    fn who_found_a_known_lock_taken_waits_on_and_who_had_it_begins_anew() {
        let waits = |between: &str| {
            let script = "1ms a>- S FUTEX<user:__GI___lll_lock_wait,3ms b!a WAKES,3ms ->a,BETWEEN3500000 a>- S \
                          FUTEX<user:__GI___lll_lock_wait,6ms b!a WAKES,6ms ->a,7ms .a";
            let wakes = "try_to_wake_up<wake_up_q<futex_wake<do_futex";
            series("server", &script.replace("BETWEEN", between).replace("WAKES", wakes))
        };
        assert_eq!(waits(""), [(2, true)]);
        assert_eq!(waits("3400000 a!c WAKES,"), []);
    }

    #[test]
    fn pauses_of_who_writes_too_fast_are_one_wait_unless_it_does_nothing_else() {
        let pause = "D schedule<schedule_timeout<io_schedule_timeout<balance_dirty_pages<generic_perform_write";
        let rest: Vec<String> = (0..8)
            .map(|at| format!("{}ms a>- S schedule<ep_poll,{}ms ->a", at * 2 + 1, at * 2 + 2))
            .collect();
        let pauses = format!("21ms a>- {pause},53ms ->a,53100000 a>- {pause},85ms ->a,86ms .a");
        assert_eq!(series("server", &format!("{},{pauses}", rest.join(","))), [(2, true)]);
        assert_eq!(series("dd", &pauses), []);
    }

    #[test]
    fn who_runs_long_in_between_begins_anew() {
        let script = "1ms a>- S FUTEX,6ms ->a,16ms a>- S FUTEX,21ms ->a,22ms .a";
        assert_eq!(series("server", script), []);
    }

    #[test]
    fn waits_of_five_milliseconds_in_python_are_for_its_lock() {
        let waits = "1000000 a>- S FUTEX,6100000 ->a,6110000 a>- S FUTEX,11210000 ->a,\
                     11220000 a>- S FUTEX,13000000 b!a,13000000 ->a,14000000 .a";
        assert_eq!(series("python3", waits), [(3, true)]);
        assert_eq!(series("server", waits), [(3, false)]);
    }
}
