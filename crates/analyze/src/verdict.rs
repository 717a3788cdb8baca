//! From a freeze and its blame to what is said of it: cause, culprit, grade.

use coldcase_ingest::capture::{Meaning, Mode, Nanos, Span, ThreadId};

use crate::blame::{Blamer, Leaf, Root, Why};
use crate::findings::{
    ActivityShare, BlameRow, Cause, Culprit, Freeze, Grade, Lock, LockMode, Operation, Window,
};
use crate::holds::{Evidence, Hold};
use crate::memory;
use crate::model::Model;
use crate::names;
use crate::operation::is_memory;
use crate::rules::WaitKind;
use crate::tally::Tally;
use crate::thread_state::Doing;
use crate::view;
use crate::windows::{self, RawWindow};
use crate::{chain, counterfactual, cpu, losses, network, rhythm, runtime, stopped, work};

/// A thread is a culprit if at least so much of the waiting ends at it ...
const CULPRIT_SHARE: f64 = 0.5;
/// ... or at least so much, and clearly more than at any other.
const LARGEST_SHARE: f64 = 0.3;
const CLEARLY_MORE: f64 = 1.5;

/// Judges a freeze; `None` if what looked like one was rest.
pub(crate) fn judge(model: &Model<'_>, raw: &RawWindow) -> Option<Window> {
    let mut blamer = Blamer::new(model);
    raw.harms.iter().for_each(|harm| blamer.add(harm));
    let leaves = blamer.leaves();
    let total: Nanos = raw.harms.iter().map(|harm| harm.span.duration()).sum();
    let queue = raw.cause == Cause::Futex && !raw.known_lock;
    if queue && waits_for_work(model, raw, &leaves).share_of(total) > 0.5 {
        return None;
    }
    let cause = cause(model, raw, &leaves, total);
    if queue && cause == Cause::Futex && windows::comes_and_goes(model, raw) {
        return None;
    }
    // A holder that found no CPU is a victim itself, and so is the one who does the others' I/O.
    let held = match cause {
        Cause::CpuStarvation | Cause::CpuThrottle => false,
        _ => raw.cause.is_lock() && (raw.cause != Cause::Futex || cause.is_lock()),
    };
    let culprit = if held { find_culprit(&leaves, total) } else { None };
    let culprit = culprit.filter(|suspect| is_vouched_for(model, suspect, raw.span));
    let feeder = culprit.as_ref().is_some_and(|suspect| rhythm::feeds(model, raw, suspect.thread));
    if queue && cause == Cause::Futex && feeder {
        return None;
    }
    let kind = if cause.is_lock() { cause } else { raw.cause };
    let lock = raw.cause.is_lock().then(|| lock(model, raw, kind, culprit.as_ref()));
    let grade = grade(model, raw, cause, culprit.as_ref(), &leaves, total);
    let mut evidence = cpu::evidence(model, raw);
    if cause == Cause::Network {
        evidence.push(network::evidence(model, raw));
    }
    evidence.extend(evidence_of(model, raw, culprit.as_ref(), &leaves, total));
    let sender = if cause == Cause::Stopped { stopped::sender(model, raw) } else { None };
    evidence.extend(sender.as_ref().map(|sender| sender.evidence.clone()));
    let root = culprit.as_ref().map(|suspect| suspect.thread);
    let known_queue = root.filter(|_| grade <= Grade::Strong);
    let culprit = culprit.as_ref().map(|suspect| describe(model, raw, suspect));
    Some(Window {
        cause: Some(cause),
        grade,
        evidence,
        freeze: freeze(model, raw, total),
        lock,
        culprit: culprit.or(sender.map(|sender| sender.culprit)),
        blame: blame_rows(model, &leaves),
        chain: chain::of_longest(model, raw, root),
        without_culprit: known_queue
            .and_then(|culprit| counterfactual::without(model, raw, culprit)),
    })
}

/// The one at whom most of the waiting ends, with the hold that mattered most.
struct Suspect {
    thread: ThreadId,
    hold: Hold,
    time: Nanos,
}

pub(crate) fn root_thread(root: Root) -> Option<ThreadId> {
    match root {
        Root::Running(thread)
        | Root::NeedsCpu(thread)
        | Root::Paused(thread)
        | Root::Blocked(thread, _) => Some(thread),
        Root::Own(_) | Root::Unknown(_) => None,
    }
}

/// Time for which nobody is known.
fn unknown(leaves: &[Leaf]) -> Nanos {
    let unknown = leaves.iter().filter(|leaf| matches!(leaf.root, Root::Unknown(_)));
    unknown.map(|leaf| leaf.time).sum()
}

fn find_culprit(leaves: &[Leaf], total: Nanos) -> Option<Suspect> {
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut best_hold: Vec<(Hold, Nanos)> = Vec::new();
    for leaf in leaves {
        let (Some(thread), Some(hold)) = (root_thread(leaf.root), leaf.hold) else { continue };
        match suspects.iter_mut().find(|known| known.thread == thread) {
            Some(known) => known.time += leaf.time,
            None => suspects.push(Suspect { thread, hold, time: leaf.time }),
        }
        match best_hold
            .iter_mut()
            .find(|known| known.0.thread == thread && known.0.span == hold.span)
        {
            Some(known) => known.1 += leaf.time,
            None => best_hold.push((hold, leaf.time)),
        }
    }
    suspects.sort_by_key(|suspect| (std::cmp::Reverse(suspect.time), suspect.thread));
    let second = suspects.get(1).map_or(0.0, |second| second.time.share_of(total));
    let mut first = suspects.into_iter().next()?;
    let share = first.time.share_of(total);
    if share < CULPRIT_SHARE && (share < LARGEST_SHARE || share < second * CLEARLY_MORE) {
        return None;
    }
    let own = best_hold.into_iter().filter(|(hold, _)| hold.thread == first.thread);
    if let Some((hold, _)) = own.max_by_key(|(_, time)| *time) {
        first.hold = hold;
    }
    Some(first)
}

/// Whether more than the lack of events speaks for a suspect: the lock's own events, or samples that met it on a CPU.
/// Where a switch was lost, a victim that is not seen to leave its CPU looks like the one who ran.
fn is_vouched_for(model: &Model<'_>, suspect: &Suspect, span: Span) -> bool {
    const TIMES: usize = 3;
    let capture = model.capture;
    if !losses::any(capture, span) || suspect.hold.evidence == Evidence::LockEvents {
        return true;
    }
    let met = capture.samples.iter();
    let met = met.filter(|row| row.thread == suspect.thread && span.contains(row.time));
    let met = met.take(TIMES).count();
    let ran = model.states.time(suspect.thread, span, |doing| doing == Doing::Running);
    let runs = ran.share_of(span.duration()) > 0.5 && capture.recorded(Meaning::Samples);
    if losses::many(capture, span) { met == TIMES } else { met > 0 || !runs }
}

/// Time that ends at threads which themselves wait for work from outside, or which bring work now and then: who
/// sleeps and then wakes the others itself hands out work; who sleeps with a lock wakes one, and that one the
/// next.
fn waits_for_work(model: &Model<'_>, raw: &RawWindow, leaves: &[Leaf]) -> Nanos {
    let resting = leaves.iter().filter(|leaf| match leaf.root {
        Root::Blocked(thread, wait) => {
            let site = model.sites.of(wait);
            let sleeps = model.sites.name(site) == "sleep";
            site.kind == WaitKind::Idle && (!sleeps || wakes_them_itself(model, raw, thread))
        }
        Root::Unknown(why) => why == Why::Job,
        _ => false,
    });
    resting.map(|leaf| leaf.time).sum()
}

/// Whether most waits of a window are for a condition or a semaphore, as far as the C library's functions have
/// names. With somebody asleep at the other end, that is a lock or a queue with a pause.
fn wait_for_a_signal(model: &Model<'_>, raw: &RawWindow) -> bool {
    const FUNCTIONS: &[&str] = &[
        "__futex_abstimed_wait_common",
        "pthread_cond_wait",
        "pthread_cond_timedwait",
        "__pthread_cond_wait",
        "___pthread_cond_wait",
        "sem_wait",
        "sem_timedwait",
        "sem_clockwait",
        "do_futex_wait",
    ];
    let stacks = raw.waits().filter_map(|id| model.states.wait(id).stack);
    let for_signal = stacks.filter(|&stack| {
        names::user(model.capture, stack)
            .any(|name| FUNCTIONS.iter().any(|known| name.split('@').next() == Some(*known)))
    });
    for_signal.count() * 2 > raw.waits().count()
}

/// Whether most waits of a window were ended by this one thread.
pub(crate) fn wakes_them_itself(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    let wakeups = raw.waits().filter_map(|id| model.wakeup(id));
    let by_it = wakeups.filter(|wakeup| wakeup.waker == Some(thread));
    by_it.count() * 2 > raw.waits().count()
}

/// How much of the waiting has to come down to something to be its cause. A holder shares its CPU with others
/// as a matter of course, so only one that hardly ran was starved.
fn decisive(cause: Cause) -> f64 {
    if cause == Cause::CpuStarvation { 0.8 } else { 0.5 }
}

/// What the waiting comes down to: the lock, or what its holder itself waited for (the cause under the cause).
fn cause(model: &Model<'_>, raw: &RawWindow, leaves: &[Leaf], total: Nanos) -> Cause {
    let of_leaf = |leaf: &Leaf| match leaf.root {
        Root::NeedsCpu(_) if raw.cause == Cause::CpuThrottle => Some(Cause::CpuThrottle),
        Root::NeedsCpu(_) => Some(Cause::CpuStarvation),
        Root::Blocked(_, wait) | Root::Own(wait) => match model.sites.of(wait).kind {
            WaitKind::Harm(cause, _) => Some(cause),
            WaitKind::Idle | WaitKind::Other => None,
        },
        Root::Running(_) | Root::Paused(_) | Root::Unknown(_) => None,
    };
    let causes: Tally<Cause> =
        leaves.iter().filter_map(|leaf| Some((of_leaf(leaf)?, leaf.time))).collect();
    match causes.largest() {
        Some((cause, time)) if time.share_of(total) > decisive(cause) && !cause.is_lock() => cause,
        _ if raw.cause == Cause::Futex && behind_mmap_lock(leaves).share_of(total) > 0.5 => {
            Cause::MmapLock
        }
        _ => raw.cause,
    }
}

/// Waiting for a lock of the program that ends at a hold of `mmap_lock`: its holder waited for that.
fn behind_mmap_lock(leaves: &[Leaf]) -> Nanos {
    let held = leaves.iter().filter(|leaf| {
        let operation = leaf.hold.and_then(|hold| hold.operation);
        operation.is_some_and(is_memory)
    });
    held.map(|leaf| leaf.time).sum()
}

/// What the threads that make a runtime's pause did in a window.
fn paused(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> String {
    let threads = raw
        .crew
        .iter()
        .filter(|&&other| runtime::is_collector(model, other) || runtime::is_worker(model, other));
    let time = |counts: fn(Doing) -> bool| -> Nanos {
        threads.clone().map(|&other| model.states.time(other, raw.span, counts)).sum()
    };
    let ran = time(|doing| doing == Doing::Running).as_millis_f64();
    let wanted = time(|doing| matches!(doing, Doing::Runnable(_))).as_millis_f64();
    format!(
        "{} is a thread of the Java VM: the others stood at a safepoint or waited for its collector, at no lock of \
         the program; the VM's threads ran for {ran:.0} ms in sum and waited {wanted:.0} ms for a CPU",
        view::thread_name(model.capture, thread).comm
    )
}

fn freeze(model: &Model<'_>, raw: &RawWindow, blocked: Nanos) -> Freeze {
    let threads = &model.capture.threads;
    let opens = |open: fn(&crate::thread_state::Wait) -> bool| {
        raw.waits().any(|id| open(model.states.wait(id)))
    };
    Freeze {
        pid: threads.process(raw.process).pid,
        comm: threads.process_comm(raw.process).to_owned(),
        span: Some(raw.span),
        open_start: raw.span.start <= model.span.start || opens(|wait| wait.open_start),
        open_end: raw.span.end >= model.span.end && opens(|wait| wait.open_end),
        threads_blocked: u32::try_from(raw.stood_still().count()).unwrap_or(u32::MAX),
        blocked,
    }
}

fn lock(model: &Model<'_>, raw: &RawWindow, kind: Cause, culprit: Option<&Suspect>) -> Lock {
    let of_lock = raw.harms.iter().filter(|harm| harm.cause == kind);
    let sites = of_lock.filter_map(|harm| harm.wait).map(|wait| model.sites.of(wait));
    let address = sites.filter_map(|site| site.address).next();
    Lock { kind, mode: culprit.and_then(|suspect| suspect.hold.mode), address }
}

fn describe(model: &Model<'_>, raw: &RawWindow, suspect: &Suspect) -> Culprit {
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
        activity: activity(model, suspect),
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

/// The memory or file call that a thread stood in for most of a span.
fn long_call(model: &Model<'_>, thread: ThreadId, span: Span) -> Option<crate::brackets::Bracket> {
    let calls = model.brackets.of(thread).iter();
    let long = calls.filter(|call| {
        let covered = call.span(model.span).overlap(span).share_of(span.duration());
        covered > 0.5 && is_memory(Operation::Syscall(call.syscall))
    });
    long.max_by_key(|call| call.span(model.span).overlap(span)).copied()
}

/// What the culprit did during its hold.
fn activity(model: &Model<'_>, suspect: &Suspect) -> Vec<ActivityShare> {
    let span = suspect.hold.span;
    let ran = model.states.time(suspect.thread, span, |doing| doing == Doing::Running);
    let off_cpu = model.states.within(suspect.thread, span).filter_map(|slice| {
        let what = match slice.doing {
            Doing::Running => return None,
            Doing::Runnable(_) => "waiting for a CPU".to_owned(),
            Doing::Blocked(wait) => format!("blocked: {}", model.sites.name(model.sites.of(wait))),
        };
        Some((what, slice.span.duration()))
    });
    let on_cpu = work::on_cpu(model, suspect.thread, span, ran).sorted();
    let shares: Tally<String> = on_cpu.into_iter().chain(off_cpu).collect();
    let shares = shares.sorted().into_iter().filter(|(_, time)| *time > Nanos::ZERO);
    shares.map(|(what, time)| ActivityShare { what, time }).collect()
}

fn grade(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    culprit: Option<&Suspect>,
    leaves: &[Leaf],
    total: Nanos,
) -> Grade {
    let mut grade = match culprit {
        Some(suspect) => grade_of_holds(raw, suspect, leaves),
        None if raw.cause.is_lock() => Grade::Circumstantial,
        // What a thread waited for stands in its own stack or state.
        None if cause == Cause::CpuStarvation || cause == Cause::CpuThrottle => {
            Grade::Circumstantial
        }
        None if cause == Cause::Network && !network::sender_was_busy(model, raw) => {
            Grade::Circumstantial
        }
        None => Grade::Strong,
    };
    let unknown = unknown(leaves);
    let sampled =
        [Meaning::Switches, Meaning::Waking].iter().any(|&event| model.capture.sampled(event));
    let may_be_a_pause = raw.cause == Cause::Futex
        && !raw.known_lock
        && culprit.is_some_and(|suspect| rhythm::slept(model, raw, suspect.thread))
        && wait_for_a_signal(model, raw);
    if unknown.share_of(total) > 0.5 || losses::any(model.capture, raw.span) || may_be_a_pause {
        grade = grade.max(Grade::Circumstantial);
    }
    if sampled {
        grade = Grade::Undetermined;
    }
    grade
}

fn grade_of_holds(raw: &RawWindow, suspect: &Suspect, leaves: &[Leaf]) -> Grade {
    let share = |evidence: &[Evidence]| {
        let own = leaves.iter().filter(|leaf| root_thread(leaf.root) == Some(suspect.thread));
        let shown =
            own.filter(|leaf| leaf.hold.is_some_and(|hold| evidence.contains(&hold.evidence)));
        shown.map(|leaf| leaf.time).sum::<Nanos>().share_of(suspect.time)
    };
    let futex = raw.cause == Cause::Futex;
    let names_itself = futex || suspect.hold.operation.is_some() || suspect.hold.call.is_some();
    if share(&[Evidence::LockEvents]) >= 0.8 {
        Grade::Proven
    } else if share(&[Evidence::LockEvents, Evidence::ReleaseStack]) >= 0.8 && names_itself {
        Grade::Strong
    } else {
        Grade::Circumstantial
    }
}

fn evidence_of(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: Option<&Suspect>,
    leaves: &[Leaf],
    total: Nanos,
) -> Vec<String> {
    let mut evidence = Vec::new();
    if let Some(suspect) = culprit {
        let name = view::thread_name(model.capture, suspect.thread);
        let comm = &name.comm;
        let share = 100.0 * suspect.time.share_of(total);
        evidence.push(format!("{share:.0} % of the waiting ends at {comm}"));
        evidence.push(match suspect.hold.evidence {
            Evidence::LockEvents => {
                format!("the lock's own events show when {comm} took it and let go")
            }
            Evidence::ReleaseStack => {
                format!("{comm} woke those who waited, from a stack that lets go of the lock")
            }
            Evidence::Waker => format!("{comm} woke those who waited; its stack was not recorded"),
            Evidence::Overlap => {
                format!("a call of {comm} spans the waiting; nothing else points to it")
            }
        });
        if suspect.hold.operation == Some(Operation::RuntimePause) {
            evidence.push(paused(model, raw, suspect.thread));
        }
        if suspect.hold.mode == Some(LockMode::Read) && raw.cause == Cause::MmapLock {
            evidence.push(
                "it held the lock as a reader: writers waited, and readers behind them".into(),
            );
        }
    }
    let unknown = unknown(leaves);
    if unknown > Nanos::ZERO {
        evidence.push(format!(
            "for {:.1} % of the waiting nobody is known",
            100.0 * unknown.share_of(total)
        ));
    }
    if losses::any(model.capture, raw.span) {
        evidence.push("events were lost in or near the window".into());
    }
    evidence
}

/// One row for each activity, the largest first.
fn blame_rows(model: &Model<'_>, leaves: &[Leaf]) -> Vec<BlameRow> {
    let mut rows: Vec<BlameRow> = Vec::new();
    for leaf in leaves {
        let row = blame_row(model, leaf);
        match rows.iter_mut().find(|known| known.thread == row.thread && known.doing == row.doing) {
            Some(known) => known.time += row.time,
            None => rows.push(row),
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.time));
    rows
}

fn blame_row(model: &Model<'_>, leaf: &Leaf) -> BlameRow {
    let capture = model.capture;
    let holding = |hold: &Option<Hold>| {
        let operation = hold.and_then(|hold| hold.operation).map(Operation::word);
        operation.map_or(String::new(), |word| format!(" in {word}"))
    };
    let thread = root_thread(leaf.root).map(|thread| view::thread_name(capture, thread));
    let (doing, unknown) = match leaf.root {
        Root::Running(_) => (format!("on a CPU{}", holding(&leaf.hold)), false),
        Root::Paused(_) => ("paused the others for its runtime".to_owned(), false),
        Root::NeedsCpu(_) => (format!("waiting for a CPU{}", holding(&leaf.hold)), false),
        Root::Blocked(_, wait) | Root::Own(wait) => {
            let site = model.sites.name(model.sites.of(wait));
            (format!("blocked: {site}{}", holding(&leaf.hold)), false)
        }
        Root::Unknown(why) => (why.text().to_owned(), true),
    };
    BlameRow { thread, doing, time: leaf.time, unknown }
}
