//! Where the waiting in a runtime's pause ends: at a thread that came late to it, at the one who makes it, or at what that one, or all who
//! help it, waited for.
//!
//! A collector that reads memory back from swap, or writes its log to a disk that does not answer, stands still itself, and with it
//! everybody who waits for the end of the pause.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Span, ThreadId, Timestamp};

use crate::blame::{Blamer, Root, Why};
use crate::findings::{Cause, Operation};
use crate::holds::Hold;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::states::{Doing, WaitId};

/// When, while a thread waited for those who help it, none of them went on, and what one of them waited for then.
type Stall = (Span, ThreadId, WaitId);

/// The stalls in the waits of those who make pauses, each wait looked at once: a thousand threads may have stood in one pause.
#[derive(Default)]
pub(crate) struct Stalls(BTreeMap<WaitId, Vec<Stall>>);

impl Stalls {
    fn of(&mut self, model: &Model<'_>, wait: WaitId) -> &[Stall] {
        self.0.entry(wait).or_insert_with(|| stalls(model, wait))
    }
}

/// Whether a wait is for something outside of the program: a device, a file system, the kernel.
fn is_for_the_machine(model: &Model<'_>, wait: WaitId) -> bool {
    let kind = model.sites.of(wait).kind;
    matches!(kind, WaitKind::Harm(cause, _) if !matches!(cause, Cause::Futex | Cause::Unknown))
}

fn stalls(model: &Model<'_>, wait: WaitId) -> Vec<Stall> {
    let (maker, span) = {
        let wait = model.states.wait(wait);
        (wait.thread, wait.span)
    };
    let siblings = &model.capture.threads.process_of(maker).threads;
    let helpers = siblings.iter().copied().filter(|&thread| runtimes::is_worker(model, thread));
    // Each change of what one of them does: +1 where it begins to go on, or to stand still.
    let mut changes: Vec<(Timestamp, bool, ThreadId, Option<WaitId>)> = Vec::new();
    for helper in helpers {
        for slice in model.states.within(helper, span) {
            let stands = match slice.doing {
                Doing::Running | Doing::Runnable(_) => None,
                Doing::Blocked(id) if is_for_the_machine(model, id) => Some(id),
                Doing::Blocked(_) => continue,
            };
            changes.push((slice.span.start, true, helper, stands));
            changes.push((slice.span.end, false, helper, stands));
        }
    }
    changes.sort_unstable();
    let mut going_on = 0_u32;
    let mut standing: BTreeMap<ThreadId, WaitId> = BTreeMap::new();
    let mut found: Vec<Stall> = Vec::new();
    let mut at = span.start;
    for (time, begins, helper, stands) in changes {
        if let Some((&who, &what)) = standing.first_key_value().filter(|_| going_on == 0)
            && at < time
        {
            found.push((Span::new(at, time), who, what));
        }
        at = time;
        match (stands, begins) {
            (None, true) => going_on += 1,
            (None, false) => going_on = going_on.saturating_sub(1),
            (Some(id), true) => {
                standing.insert(helper, id);
            }
            (Some(_), false) => {
                standing.remove(&helper);
            }
        }
    }
    found
}

impl Blamer<'_, '_> {
    /// A runtime's pause: until it could begin, whoever came late to it kept the others waiting.
    pub(super) fn pause(&mut self, maker: ThreadId, hold: &Hold, span: Span, depth: u32) {
        let mut rest = span;
        if let Some((waited, late)) = self.latecomers.of(self.model, maker, hold.span) {
            let until = waited.end.max(span.start).min(span.end);
            let piece = Span::new(span.start, until);
            match late {
                Some(late) => {
                    let of_late = Hold {
                        thread: late.thread,
                        span: Span::new(hold.span.start, late.span.end),
                        operation: Some(Operation::LateToPause),
                        stack: late.stack,
                        ..*hold
                    };
                    self.thread(late.thread, piece, Some(&of_late), depth + 1);
                }
                // Who makes a pause waited like all others.
                None => self.leaf(Root::Unknown(Why::LateUnseen), None, piece),
            }
            rest = Span::new(until, span.end);
        }
        let hold = Hold { operation: Some(Operation::RuntimePause), ..*hold };
        self.made(maker, &hold, rest, depth);
    }

    /// The pause itself, cut by what kept it from its end.
    fn made(&mut self, maker: ThreadId, hold: &Hold, rest: Span, depth: u32) {
        let model = self.model;
        let mut at = rest.start;
        for slice in model.states.within(maker, rest) {
            let Doing::Blocked(id) = slice.doing else { continue };
            if is_for_the_machine(model, id) {
                self.paused(maker, hold, Span::new(at, slice.span.start));
                self.wait(id, slice.span, Some(hold), depth + 1);
                at = slice.span.end;
                continue;
            }
            for (stall, helper, what) in self.stalls.of(model, id).to_vec() {
                let Some(stall) = stall.intersect(slice.span) else { continue };
                self.paused(maker, hold, Span::new(at, stall.start));
                self.leaf(Root::Blocked(helper, what), Some(hold), stall);
                at = stall.end;
            }
        }
        self.paused(maker, hold, Span::new(at, rest.end));
    }

    fn paused(&mut self, maker: ThreadId, hold: &Hold, span: Span) {
        if !span.is_empty() {
            self.leaf(Root::Paused(maker), Some(hold), span);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use crate::findings::{Cause, Grade, Window};
    use crate::script::{self, WAKES};

    const SWAP: &str = "D folio_wait_bit_common<swap_read_folio<do_swap_page<exc_page_fault";
    const WRITES: &str = "D schedule<percpu_rwsem_wait<__percpu_down_read<vfs_write<ksys_write";
    const THAWS: &str = "__wake_up_common<percpu_up_write<thaw_super_locked<__x64_sys_ioctl";

    /// What is found of a pause from 101 to 501 ms, whose threads g and h `do` something meanwhile.
    fn pause(does: &str) -> Window {
        let names = [
            ('v', "VM Thread"),
            ('g', "GC Thread#0"),
            ('h', "GC Thread#1"),
            ('a', "java"),
            ('b', "java"),
            ('c', "java"),
        ];
        let ends = ('a'..='c').map(|thread| format!("501ms v!{thread} {WAKES},501ms ->{thread}"));
        let ends: Vec<String> = ends.collect();
        let then = format!(
            "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>v S FUTEX,{does},{},502ms a>- S SLEEPS,503ms b>- S SLEEPS,504ms c>- S SLEEPS",
            ends.join(",")
        );
        let findings = analyze(&script::with_habits(&names, &then), &script::options());
        findings.worst().cloned().unwrap()
    }

    /// g and h stand still at `place` from 103 until 499 ms, but for h from `at_work` to 499 ms.
    fn helped(place: &str, at_work: u64) -> Window {
        let waits = "102ms v!g WAKES,102ms v!h WAKES,102ms v>g S FUTEX";
        pause(&format!(
            "{waits},103ms g>h {place},104ms h>- {place},{at_work}ms w:h,{at_work}ms ->h,499ms h>- S FUTEX,\
             499ms w:g,499ms ->g,500ms g!v WAKES,500ms g>v S FUTEX"
        ))
    }

    #[test]
    fn a_collection_that_waits_for_swap_is_long_because_of_that() {
        let found = helped(SWAP, 498);
        assert_eq!((found.cause, found.grade), (Some(Cause::Swap), Grade::Strong));
        assert!(found.culprit.is_none(), "{:?}", found.culprit);
        assert!(found.freeze.paused);
    }

    #[test]
    fn a_collection_is_at_work_while_one_of_its_threads_is() {
        let found = helped(SWAP, 110);
        assert_eq!(found.cause, Some(Cause::Futex));
        assert_eq!(found.culprit.and_then(|culprit| culprit.thread.tid), Some(script::tid('v')));
    }

    #[test]
    fn who_writes_its_log_to_a_frozen_file_system_makes_no_long_pause() {
        let found = pause(&format!("110ms v>- {WRITES},490ms x!v {THAWS},490ms ->v"));
        assert_eq!(found.cause, Some(Cause::Rwsem));
        assert!(found.culprit.is_none(), "{:?}", found.culprit);
        // Of its work it is told as before.
        let found = pause("110ms v>- S schedule<do_nanosleep,120ms w:v,120ms ->v");
        assert_eq!(found.culprit.and_then(|culprit| culprit.thread.tid), Some(script::tid('v')));
    }
}
