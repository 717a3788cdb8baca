//! Why a freeze came to be, beyond who did it and in which call: who had the CPUs, what held up the holder itself, where
//! those who freed memory stood.

use coldcase_ingest::capture::{Nanos, Sentence, StackId, Syscall, ThreadId};

use crate::blame::{chain, stopped};
use crate::cpu::had_cpus::HadCpus;
use crate::findings::{Cause, Culprit, Operation, ThreadName};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes::{Stop, interpreter};
use crate::sites::memory;
use crate::states::{Doing, WaitId};
use crate::tally::Tally;
use crate::verdict::culprit::Suspect;
use crate::verdict::{awaited, disks, kept_off};
use crate::windows::RawWindow;
use crate::{cpu, names, runtimes, view};

/// What explains a freeze, in a sentence each; nothing where its cause says it all.
pub(crate) fn of(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    culprit: Option<&Suspect>,
    had_cpus: Option<&HadCpus>,
) -> Vec<Sentence> {
    let mut reasons: Vec<Sentence> =
        had_cpus.into_iter().flat_map(|had| had.reasons(model, raw)).collect();
    reasons.extend(cpu::reasons(model, raw));
    reasons.extend(Stop::of(model, raw).map(Stop::reason));
    reasons.extend(culprit.and_then(|suspect| {
        if suspect.hold.operation == Some(Operation::RuntimePause) {
            Some(paused(model, raw, suspect.thread))
        } else {
            of_held_up(model, raw, suspect.thread)
                .or_else(|| awaited::reason(model, raw, suspect.thread))
        }
    }));
    reasons.extend(swapped_out(model, raw, cause));
    reasons.extend(disks::reason(model, raw, cause));
    if cause == Cause::Stopped {
        reasons.extend(stopped::freezer(model, &raw.crew, raw.span));
    }
    reasons.extend(culprit.and_then(|suspect| of_lock(model, raw, suspect)));
    reasons.extend(culprit.and_then(|suspect| filled(model, suspect)));
    reasons.extend(culprit.and_then(|suspect| kept_off::reason(model, raw, suspect)));
    reasons
}

/// A time as reports print theirs, as far as these sentences need it.
pub(super) fn length(time: Nanos) -> String {
    let millis = time.as_millis_f64();
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.2} s", millis / 1000.0) }
}

/// What is known of a lock of the program by the one who had it.
fn of_lock(model: &Model<'_>, raw: &RawWindow, suspect: &Suspect) -> Option<Sentence> {
    if suspect.hold.operation.is_some() {
        return None;
    }
    let ran = model.states.ran(suspect.thread, raw.span);
    let ran = ran.share_of(raw.span.duration()) > 0.9;
    let one_wait = |id| {
        let whole = chain::whole(model, id).span.overlap(raw.span);
        let python = model.sites.name(model.sites.of(id)) == interpreter::LOCK;
        python && whole.share_of(raw.span.duration()) > 0.9
    };
    if ran && raw.waits().any(one_wait) {
        // `take_gil` asks after each slice, and the interpreter looks between two instructions (`Python/ceval_gil.c`).
        return Some(
            "Others asked for the interpreter lock every 5 ms, and Python releases it between two instructions of a \
             program: this was a single one, in code that is not Python (a regular expression, a copy, an extension)"
                .into(),
        );
    }
    // kernel/exit.c: do_exit()
    let ends = |name: &str| matches!(name, "exit_files" | "put_files_struct");
    if names::kernel(model.capture, suspect.hold.stack?).any(ends) {
        return Some(
            "The holder's process was ending with the lock: the kernel gives back its memory first, and its files with their \
             locks after that"
                .into(),
        );
    }
    // fs/locks.c
    let of_call = |name: &str| match name {
        "posix_lock_inode" | "fcntl_setlk" => Some("fcntl"),
        "flock_lock_inode" => Some("flock"),
        _ => None,
    };
    let call = names::kernel(model.capture, suspect.hold.stack?).find_map(of_call)?;
    Some(
        format!("The file is locked by {call}, until the holder unlocks or closes it; which file is not recorded")
            .into(),
    )
}

/// Why a call that makes a mapping filled it at once, where its flags did not ask for that.
fn filled(model: &Model<'_>, suspect: &Suspect) -> Option<Sentence> {
    use Syscall::{Brk, Mmap, Mremap};
    let call = suspect.hold.call.filter(|call| matches!(call.syscall, Brk | Mmap | Mremap))?;
    let asks = |flag: String| flag == "MAP_POPULATE" || flag == "MAP_LOCKED";
    let asked = call.args.is_none() || memory::flags(&call).into_iter().any(asks);
    let fills = |stack| names::kernel(model.capture, stack).any(|name| name == "__mm_populate");
    (!asked && suspect.hold.stack.is_some_and(fills)).then(|| {
        "The call filled all of its new pages at once, as it does in a process that has locked its memory (mlockall)"
            .into()
    })
}

/// What the threads that make a runtime's pause did in a window.
fn paused(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Sentence {
    let ran = |of: &dyn Fn(ThreadId) -> bool, counts: fn(Doing) -> bool| -> Nanos {
        let threads = raw.crew.iter().copied().filter(|&other| of(other));
        threads.map(|other| model.states.time(other, raw.span, counts)).sum()
    };
    let worker = |other| runtimes::is_worker(model, other);
    let own = |other| runtimes::is_collector(model, other) || worker(other);
    let running = |doing| doing == Doing::Running;
    let wanted = length(ran(&own, |doing| matches!(doing, Doing::Runnable(_))));
    let helped = ran(&worker, running);
    let what = if helped.share_of(raw.span.duration()) > 0.5 {
        // A heap dump and an inspection of the heap use the collector's threads too.
        let helped = length(helped);
        format!(
            "its collector's threads ran for {helped} in total, for a garbage collection or other work on the heap,"
        )
    } else {
        format!("its threads ran for {} in total", length(ran(&own, running)))
    };
    Sentence::default().task(model.capture.threads.get(thread).comm()).words(&format!(
        " is a thread of the Java VM: the others stood at a safepoint or waited for its collector, at no lock of \
         the program; {what} and waited {wanted} for a CPU"
    ))
}

/// What held up the one who had the lock, where that and not the lock is the cause.
pub(crate) fn of_holder(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Option<Sentence> {
    let waits = model.states.within(holder, raw.span).filter_map(|slice| {
        let what = match slice.doing {
            Doing::Running => return None,
            Doing::Runnable(_) => "for a CPU".to_owned(),
            Doing::Blocked(id) => format!("at {}", model.sites.name(model.sites.of(id))),
        };
        Some((what, slice.span.duration()))
    });
    let (site, time) = waits.collect::<Tally<String>>().largest()?;
    let name = view::thread_name(model.capture, holder);
    let tid = name.tid.map_or(String::new(), |tid| format!(" (tid {tid})"));
    Some(Sentence::default().task(&name.comm).words(&format!(
        "{tid} had what the others waited for, and itself waited {} {site}",
        length(time)
    )))
}

/// The waits in which a holder stood still for most of a freeze, and the one who ended that, with who ended each.
fn held_up(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Vec<(WaitId, ThreadId)> {
    /// More are a convoy, which the chain shows.
    const LINKS: usize = 3;
    let mut links: Vec<(WaitId, ThreadId)> = Vec::new();
    let mut next = Some(holder);
    while let Some(thread) = next.take().filter(|_| links.len() < LINKS) {
        let Some(id) = long_wait(model, raw, thread) else { break };
        let waker = chain::end(model, id).waker;
        let known = |waker| waker == holder || links.iter().any(|link| link.1 == waker);
        next = waker.filter(|&waker| !known(waker));
        links.extend(next.map(|waker| (id, waker)));
    }
    links
}

/// Until whom a holder itself stood still, and until whom that one did.
fn of_held_up(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Option<Sentence> {
    let threads = &model.capture.threads;
    let told = |(index, (id, waker)): (usize, (WaitId, ThreadId))| {
        let wait = model.states.wait(id);
        let itself = if index == 0 { " itself" } else { "" };
        let site = model.sites.name(model.sites.of(id));
        let time = length(wait.span.duration());
        let foreign = threads.get(waker).process != threads.get(holder).process;
        let waker = view::thread_name(model.capture, waker);
        let pid = waker.pid.filter(|_| foreign);
        let pid = pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        Sentence::default()
            .task(threads.get(wait.thread).comm())
            .words(&format!("{itself} waited {time} at {site} until "))
            .task(&waker.comm)
            .words(&format!("{pid} {}", chain::end(model, id).how))
    };
    let links: Vec<Sentence> =
        held_up(model, raw, holder).into_iter().enumerate().map(told).collect();
    (!links.is_empty()).then(|| Sentence::list(&links))
}

/// Who at last held up a freeze's culprit.
pub(crate) fn held_up_by(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: Option<&Culprit>,
) -> Option<ThreadName> {
    let (_, last) = held_up(model, raw, of_crew(model, raw, culprit)?).pop()?;
    Some(view::thread_name(model.capture, last))
}

/// For whom, who was at work, a freeze's culprit waited with its lock.
pub(crate) fn awaited(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: Option<&Culprit>,
) -> Option<ThreadName> {
    awaited::at_work(model, raw, of_crew(model, raw, culprit)?)
}

/// The culprit's thread, where it is one of those that froze.
fn of_crew(model: &Model<'_>, raw: &RawWindow, culprit: Option<&Culprit>) -> Option<ThreadId> {
    let tid = culprit?.thread.tid?;
    let threads = &model.capture.threads;
    raw.crew.iter().copied().find(|&thread| threads.get(thread).tid == tid)
}

/// The wait, other than rest, in which a thread stood for most of a freeze.
fn long_wait(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Option<WaitId> {
    let waits = model.states.within(thread, raw.span).filter_map(|slice| match slice.doing {
        Doing::Blocked(id) => Some((id, slice.span.duration())),
        _ => None,
    });
    let (id, time) = waits.max_by_key(|(_, time)| *time)?;
    let harm = matches!(model.sites.of(id).kind, WaitKind::Harm(..));
    (harm && time.share_of(raw.span.duration()) > 0.5).then_some(id)
}

fn swapped_out(model: &Model<'_>, raw: &RawWindow, cause: Cause) -> Option<Sentence> {
    waited_for_swap(model, raw, Some(cause)).map(|share| {
        format!(
            "To make room they wrote pages to swap, and for {:.0} % of the time waited for its device",
            100.0 * share
        )
        .into()
    })
}

/// How much of the waiting of those who had to free memory, as the cause of a freeze says, was for the device that they
/// wrote it to, if most was.
pub(crate) fn waited_for_swap(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Option<Cause>,
) -> Option<f64> {
    cause.filter(|cause| matches!(cause, Cause::Reclaim | Cause::MemoryLimit))?;
    /// mm/page_io.c: `swap_writepage` (4.14 to 6.15), `swap_writeout` (6.16 and later).
    const WRITES: [&str; 3] = ["swap_writepage", "__swap_writepage", "swap_writeout"];
    /// block/blk-wbt.c, block/blk-mq-tag.c, kernel/sched/core.c.
    const DEVICE: [&str; 4] = ["wbt_wait", "rq_qos_wait", "blk_mq_get_tag", "io_schedule"];
    let has = |stack: StackId, list: &[&str]| {
        names::kernel(model.capture, stack).any(|name| list.contains(&name))
    };
    let time = |counts: &dyn Fn(StackId) -> bool| -> Nanos {
        let waits = raw.waits().map(|id| model.states.wait(id));
        waits.filter(|wait| wait.stack.is_some_and(counts)).map(|wait| wait.span.duration()).sum()
    };
    let of_device = time(&|stack| has(stack, &WRITES) && has(stack, &DEVICE));
    let share = of_device.share_of(time(&|_| true));
    (share > 0.5).then_some(share)
}
