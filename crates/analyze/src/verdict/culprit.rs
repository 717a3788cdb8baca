//! Who did it: the thread at which most of the waiting ends, with its call, its hold and what it did meanwhile.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Meaning, Mode, Nanos, Span, ThreadId, Timestamp, WakeupKind};

use crate::blame::chain;
use crate::blame::{Leaf, Root, root_thread};
use crate::findings::{ActivityShare, Cause, Culprit, Operation};
use crate::holds::{Evidence, Hold};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::brackets::Bracket;
use crate::sites::memory;
use crate::sites::operation::is_memory;
use crate::states::Doing;
use crate::tally::Tally;
use crate::verdict::work;
use crate::windows::RawWindow;
use crate::{cpu, losses, view};

/// A thread is a culprit if at least so much of the waiting ends at it ...
const CULPRIT_SHARE: f64 = 0.5;
/// ... or at least so much, clearly more than at any other, and as much as may end at somebody unknown; that is no strong evidence.
const LARGEST_SHARE: f64 = 0.3;
const CLEARLY_MORE: f64 = 1.5;

/// The one at whom most of the waiting ends, with the hold that mattered most.
pub(crate) struct Suspect {
    pub thread: ThreadId,
    pub hold: Hold,
    pub time: Nanos,
}

impl Suspect {
    /// Whether most of the waiting ends at it.
    pub fn has_most(&self, total: Nanos) -> bool {
        self.time.share_of(total) >= CULPRIT_SHARE
    }
}

/// Who is known to have kept those waiting who stood still.
#[derive(Default)]
pub(super) struct Blamed {
    /// Who did it ...
    pub culprit: Option<ThreadId>,
    /// ... or had what they waited for, and waited itself ...
    pub held_up: Option<Suspect>,
    /// ... or they each other, none of them more than the next.
    pub circle: Vec<ThreadId>,
}

/// The culprit among the roots of a freeze that waited for `total` in all; `None` if the waiting ends here and there.
pub(crate) fn find(leaves: &[Leaf], total: Nanos) -> Option<Suspect> {
    let mut suspects: Vec<Suspect> = Vec::new();
    for leaf in leaves {
        let (Some(thread), Some(hold)) = (root_thread(leaf.root), leaf.hold) else { continue };
        match suspects.iter_mut().find(|known| known.thread == thread) {
            Some(known) => known.time += leaf.time,
            None => suspects.push(Suspect { thread, hold, time: leaf.time }),
        }
    }
    suspects.sort_by_key(|suspect| (std::cmp::Reverse(suspect.time), suspect.thread));
    let second = suspects.get(1).map_or(0.0, |second| second.time.share_of(total));
    let mut first = suspects.into_iter().next()?;
    let clearly_more = || first.time.share_of(total) >= second * CLEARLY_MORE;
    if !is_enough(first.time, (leaves, total)) || !first.has_most(total) && !clearly_more() {
        return None;
    }
    if let Some(hold) = largest_hold(leaves, first.thread) {
        first.hold = hold;
    }
    Some(first)
}

/// Whether somebody at whom so much of the waiting ends may be named: most of it, or a good part and as much as may end at somebody unknown.
pub(crate) fn is_enough(time: Nanos, (leaves, total): (&[Leaf], Nanos)) -> bool {
    let unknown = leaves.iter().filter(|leaf| matches!(leaf.root, Root::Unknown(_)));
    let unknown: Nanos = unknown.map(|leaf| leaf.time).sum();
    let share = time.share_of(total);
    share >= CULPRIT_SHARE || share >= LARGEST_SHARE && time >= unknown
}

/// The hold of a thread behind which most was waited.
fn largest_hold(leaves: &[Leaf], thread: ThreadId) -> Option<Hold> {
    let mut holds: Vec<(Hold, Nanos)> = Vec::new();
    // A busy lock is held many thousand times.
    let mut known: BTreeMap<Span, usize> = BTreeMap::new();
    for leaf in leaves.iter().filter(|leaf| root_thread(leaf.root).is_some()) {
        let Some(hold) = leaf.hold.filter(|hold| hold.thread == thread) else { continue };
        let at = *known.entry(hold.span).or_insert_with(|| {
            holds.push((hold, Nanos::ZERO));
            holds.len() - 1
        });
        holds[at].1 += leaf.time;
    }
    holds.into_iter().max_by_key(|(_, time)| *time).map(|(hold, _)| hold)
}

/// Whether more than the lack of events speaks for a suspect: the lock's own events, or samples that met it on a CPU.
/// Where a switch was lost, a victim that is not seen to leave its CPU looks like the one who ran, and one that is not seen to
/// wait for the lock, on its way from its last rest, like one who rests with it. Who is woken meanwhile was such a victim.
/// So it is with one of whom it is not recorded when it came back, while a quota took off others.
pub(crate) fn is_vouched_for(model: &Model<'_>, suspect: &Suspect, raw: &RawWindow) -> bool {
    let (capture, span) = (model.capture, raw.span);
    if suspect.hold.evidence != Evidence::LockEvents && cpu::quota_may_hide(model, raw) {
        return was_met(model, suspect.thread, span, false);
    }
    if !losses::any(capture, span) || suspect.hold.evidence == Evidence::LockEvents {
        return true;
    }
    if was_woken_while_it_ran(model, suspect, span) {
        return false;
    }
    let mostly = |time: Nanos| time.share_of(span.duration()) > 0.5;
    let runs = mostly(model.states.ran(suspect.thread, span)) && capture.recorded(Meaning::Samples);
    let at_rest = |doing| match doing {
        Doing::Blocked(id) => !matches!(model.sites.of(id).kind, WaitKind::Harm(..)),
        Doing::Running | Doing::Runnable(_) => false,
    };
    let rests = mostly(model.states.time(suspect.thread, span, at_rest));
    was_met(model, suspect.thread, span, !runs && !rests)
}

/// Whether a thread that seems to run through a span did so, though events were lost: it may have left its CPU, and waited itself.
pub(crate) fn ran_for_certain(model: &Model<'_>, thread: ThreadId, span: Span) -> bool {
    let capture = model.capture;
    let unsampled = !capture.recorded(Meaning::Samples);
    !losses::any(capture, span) || was_met(model, thread, span, unsampled)
}

/// Whether so many samples met a thread on a CPU that it ran for certain, though events were lost: several where many were; where
/// few were, one, or none if it is believed without.
fn was_met(model: &Model<'_>, thread: ThreadId, span: Span, believed: bool) -> bool {
    const SEVERAL: usize = 3;
    let many = losses::many(model.capture, span);
    if believed && !many {
        return true;
    }
    let samples = model.capture.samples.iter();
    let mut met = samples.filter(|row| row.thread == thread && span.contains(row.time));
    met.nth(if many { SEVERAL - 1 } else { 0 }).is_some()
}

/// Whether a suspect was woken between the beginning of a freeze and its letting go, when it seems to run, or to be ready to,
/// all along: only who waits is woken (`try_to_wake_up`, `kernel/sched/core.c`), so its leaving was lost.
fn was_woken_while_it_ran(model: &Model<'_>, suspect: &Suspect, span: Span) -> bool {
    let Some(held) = suspect.hold.span.intersect(span) else { return false };
    let did_not_wait = |time: Timestamp| {
        model.states.of(suspect.thread).after(time).next().is_some_and(|slice| {
            !matches!(slice.doing, Doing::Blocked(_)) && slice.span.start < time
        })
    };
    let wakeups = &model.capture.wakeups;
    let from = wakeups.partition_point(|row| row.time < held.start);
    let meanwhile = wakeups[from..].iter().take_while(|row| row.time < held.end);
    // sched_wakeup repeats a little later what sched_waking has already told.
    let told_twice = || wakeups.iter().any(|row| row.kind == WakeupKind::Waking);
    let mut own = meanwhile.filter(|row| row.wakee == suspect.thread);
    own.any(|row| did_not_wait(row.time) && (row.kind == WakeupKind::Waking || !told_twice()))
}

/// What is said of a culprit.
pub(crate) fn describe(model: &Model<'_>, raw: &RawWindow, suspect: &Suspect) -> Culprit {
    let capture = model.capture;
    let hold = &suspect.hold;
    let long_call = long_call(model, suspect.thread, raw.span);
    let call = if raw.cause == Cause::Futex { long_call } else { hold.call };
    let operation = match (raw.cause, call) {
        (Cause::Futex, None) => Some(hold.operation.unwrap_or(Operation::UserLock)),
        (Cause::Futex, Some(call)) => Some(Operation::Syscall(call.syscall)),
        _ => hold.operation,
    };
    let same_call =
        |operation| call.is_some_and(|call| operation == Some(Operation::Syscall(call.syscall)));
    let call = call.filter(|_| same_call(operation));
    let user_stack = hold.stack.map(|stack| view::frames(capture, stack, Mode::User));
    let user_stack = user_stack.filter(|frames| !frames.is_empty());
    let of_call =
        || call.and_then(|call| call.stack).map(|stack| view::frames(capture, stack, Mode::User));
    Culprit {
        thread: view::thread_name(capture, suspect.thread),
        operation,
        bytes: call.and_then(|call| memory::bytes(&call, &model.brk)),
        flags: call.map(|call| memory::flags(&call)).unwrap_or_default(),
        start: call.map_or(Some(hold.span.start).filter(|_| !hold.open_start), |call| call.enter),
        duration: call.and_then(|call| call.duration()),
        held: began(raw, hold).then(|| hold.span.duration()),
        activity: activity(model, suspect.thread, meanwhile(model, raw, hold)),
        kernel_stack: hold
            .stack
            .map(|stack| view::frames(capture, stack, Mode::Kernel))
            .unwrap_or_default(),
        user_stack: user_stack.or_else(of_call).unwrap_or_default(),
    }
}

/// Whether it is known when a hold began. Of a program's own lock only the release is seen; without lock events it
/// is the call that says since when, at the earliest.
fn began(raw: &RawWindow, hold: &Hold) -> bool {
    let known = hold.evidence == Evidence::LockEvents || hold.call.is_some();
    known && !hold.open_start && raw.cause != Cause::Futex
}

/// When to look at what a holder did: while it held the lock, in the freeze where it is not known since when; in all of the freeze
/// where others asked for it in slices, of which only the last shows who held it.
fn meanwhile(model: &Model<'_>, raw: &RawWindow, hold: &Hold) -> Span {
    let in_slices = |id| chain::whole(model, id).first != id;
    if raw.waits().any(in_slices) {
        raw.span
    } else if began(raw, hold) || raw.cause == Cause::Futex {
        hold.span
    } else {
        hold.span.intersect(raw.span).unwrap_or(hold.span)
    }
}

/// The memory or file call that a thread stood in for most of a span.
fn long_call(model: &Model<'_>, thread: ThreadId, span: Span) -> Option<Bracket> {
    let calls = model.brackets.of(thread).iter();
    let long = calls.filter(|call| {
        let covered = call.span(model.span).overlap(span).share_of(span.duration());
        covered > 0.5 && is_memory(Operation::Syscall(call.syscall))
    });
    long.max_by_key(|call| call.span(model.span).overlap(span)).copied()
}

/// What a culprit did in a span, its hold as a rule.
pub(crate) fn activity(model: &Model<'_>, thread: ThreadId, span: Span) -> Vec<ActivityShare> {
    if model.capture.shows_locks_alone() {
        return Vec::new();
    }
    // Where its comings were not recorded, nobody knows how long it waited for a CPU.
    let blind = !model.states.comings_recorded;
    let ran = model.states.time(thread, span, |doing| match doing {
        Doing::Running => true,
        Doing::Runnable(_) => blind,
        Doing::Blocked(_) => false,
    });
    let off_cpu = model.states.within(thread, span).filter_map(|slice| {
        let what = match slice.doing {
            Doing::Running => return None,
            Doing::Runnable(_) if blind => return None,
            Doing::Runnable(_) => "waiting for a CPU".to_owned(),
            Doing::Blocked(wait) => format!("blocked: {}", model.sites.name(model.sites.of(wait))),
        };
        Some((what, slice.span.duration()))
    });
    let on_cpu = work::on_cpu(model, thread, span, ran).sorted();
    let shares: Tally<String> = on_cpu.into_iter().chain(off_cpu).collect();
    let shares = shares.sorted().into_iter().filter(|(_, time)| *time > Nanos::ZERO);
    shares.map(|(what, time)| ActivityShare { what, time }).collect()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::analyze;
    use crate::script;

    #[test]
    fn who_is_taken_off_by_a_quota_may_not_have_run_on_where_its_coming_back_is_not_recorded() {
        // `perf record -p`: d has a lock of the program, and leaves its CPU once.
        let culprit_beside = |d_left_at: &str, later: &str| {
            let threads = ['m', 'a', 'b', 'c', 'd'].map(|letter| (letter, "server"));
            let waits =
                ['a', 'b', 'c'].map(|t| format!("101ms {t}>- S FUTEX<user:__lll_lock_wait"));
            let ends = ['a', 'b', 'c'].map(|t| format!("501ms d!{t} WAKES<user:__lll_lock_wake"));
            let sleeps = ['a', 'b', 'c', 'd'].map(|t| format!("502ms {t}>- S SLEEPS"));
            let events = format!(
                "{},102ms d>- R+ {d_left_at},{},{},503ms .m{later}",
                waits.join(","),
                ends.join(","),
                sleeps.join(",")
            );
            let mut capture = script::with_habits(&threads, &events);
            let idle = script::thread(&mut capture, "-");
            capture.switches.retain(|row| row.out != Some(idle));
            capture.origin.command = ["perf", "record", "-p", "109"].map(str::to_owned).to_vec();
            let findings = analyze(&capture, &script::options());
            findings.worst().unwrap().culprit.as_ref().map(|culprit| culprit.thread.tid)
        };
        let culprit = |d_left_at: &str| culprit_beside(d_left_at, "");
        assert_eq!(culprit("schedule<irqentry_exit_to_user_mode"), Some(Some(script::tid('d'))));
        // A CPU that idles under who could go on was taken from all by a quota, and from more than were seen to leave.
        let leaves = |to: char| -> String {
            let leaves =
                |at: u64| format!(",{at}ms m>{to} R+ preempt_schedule_irq,{}ms ->m", at + 90);
            [600, 700, 800].map(leaves).concat()
        };
        let in_turn = |to| culprit_beside("schedule<preempt_schedule_irq", &leaves(to));
        assert_eq!([in_turn('a'), in_turn('-')], [Some(Some(script::tid('d'))), None]);
        assert_eq!(culprit("schedule<throttle_cfs_rq_work<task_work_run"), None);
    }

    #[test]
    fn what_a_holder_waited_for_before_anybody_wanted_its_lock_is_not_what_kept_them() {
        // s writes /proc/PID/clear_refs of a's process; before that it waited for a pipe.
        let (sleeps, pipe) = ("schedule<do_nanosleep", "schedule<anon_pipe_read<vfs_read");
        let fault = "schedule<rwsem_down_read_slowpath<down_read<lock_mm_and_find_vma<do_user_addr_fault<exc_page_fault";
        let lets_go = "try_to_wake_up<wake_up_q<rwsem_wake<up_write<clear_refs_write<vfs_write";
        let capture = script::process(Capture::default(), &[('a', "server")]);
        let capture = script::process(capture, &[('s', "shell")]);
        let mut events = vec![format!("0 .s,1ms s>- S {pipe}")];
        for at in (0..100).step_by(10) {
            events.push(format!("{}ms a>- S {sleeps},{}ms ->a", at + 2, at + 6));
        }
        events.push(format!("199ms k!s try_to_wake_up,200ms ->s,201ms a>s D {fault},401ms s!a {lets_go},402ms s>a S {pipe},403ms a>- S {sleeps}"));
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let culprit = findings.worst().unwrap().culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.comm, "shell");
        let told: Vec<&str> = culprit.activity.iter().map(|row| row.what.as_str()).collect();
        assert!(!told.iter().any(|what| what.contains("pipe")), "{told:?}");
    }
}
