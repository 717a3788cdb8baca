//! Why a freeze came to be, beyond who did it and in which call: who had the CPUs, what held up the holder itself, where
//! those who freed memory stood.

use coldcase_ingest::capture::{Nanos, Sentence, StackId, ThreadId};

use crate::culprit::Suspect;
use crate::findings::{Cause, Operation};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::tally::Tally;
use crate::thread_state::{Doing, WaitId};
use crate::windows::RawWindow;
use crate::{chain, cpu, names, runtime, view};

/// What explains a freeze, in a sentence each; nothing where its cause says it all.
pub(crate) fn of(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    culprit: Option<&Suspect>,
) -> Vec<Sentence> {
    let mut reasons = cpu::reasons(model, raw);
    reasons.extend(culprit.and_then(|suspect| {
        if suspect.hold.operation == Some(Operation::RuntimePause) {
            Some(paused(model, raw, suspect.thread))
        } else {
            held_up(model, raw, suspect.thread)
        }
    }));
    if matches!(cause, Cause::Reclaim | Cause::MemoryLimit) {
        reasons.extend(swapped_out(model, raw));
    }
    reasons
}

/// A time as reports print theirs, as far as these sentences need it.
fn length(time: Nanos) -> String {
    let millis = time.as_millis_f64();
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.2} s", millis / 1000.0) }
}

/// What the threads that make a runtime's pause did in a window.
fn paused(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Sentence {
    let ran = |of: &dyn Fn(ThreadId) -> bool, counts: fn(Doing) -> bool| -> Nanos {
        let threads = raw.crew.iter().copied().filter(|&other| of(other));
        threads.map(|other| model.states.time(other, raw.span, counts)).sum()
    };
    let worker = |other| runtime::is_worker(model, other);
    let own = |other| runtime::is_collector(model, other) || worker(other);
    let running = |doing| doing == Doing::Running;
    let wanted = length(ran(&own, |doing| matches!(doing, Doing::Runnable(_))));
    let helped = ran(&worker, running);
    let what = if helped.share_of(raw.span.duration()) > 0.5 {
        // A heap dump and an inspection of the heap use the collector's threads too.
        let helped = length(helped);
        format!(
            "its collector's threads ran for {helped} in sum, for a garbage collection or other work on the heap,"
        )
    } else {
        format!("its threads ran for {} in sum", length(ran(&own, running)))
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

/// Until whom a holder itself stood still for most of a freeze, and until whom that one did.
fn held_up(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Option<Sentence> {
    /// More are a convoy, which the chain shows.
    const LINKS: usize = 3;
    let threads = &model.capture.threads;
    let mut seen = vec![holder];
    let mut links: Vec<Sentence> = Vec::new();
    while let Some(&thread) = seen.last().filter(|_| links.len() < LINKS) {
        let Some(id) = long_wait(model, raw, thread) else { break };
        let end = chain::end(model, id);
        let Some(waker) = end.waker.filter(|waker| !seen.contains(waker)) else { break };
        let wait = model.states.wait(id);
        let itself = if links.is_empty() { " itself" } else { "" };
        let site = model.sites.name(model.sites.of(id));
        let time = length(wait.span.duration());
        let waker_name = view::thread_name(model.capture, waker);
        let foreign =
            waker_name.pid.filter(|_| threads.get(waker).process != threads.get(holder).process);
        let pid = foreign.map_or(String::new(), |pid| format!(" (pid {pid})"));
        links.push(
            Sentence::default()
                .task(threads.get(thread).comm())
                .words(&format!("{itself} waited {time} at {site} until "))
                .task(&waker_name.comm)
                .words(&format!("{pid} {}", end.how)),
        );
        seen.push(waker);
    }
    (!links.is_empty()).then(|| Sentence::list(&links))
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

fn swapped_out(model: &Model<'_>, raw: &RawWindow) -> Option<Sentence> {
    waited_for_swap(model, raw).map(|share| {
        format!(
            "To make room they wrote pages to swap, and for {:.0} % of the time waited for its device",
            100.0 * share
        )
        .into()
    })
}

/// How much of the waiting of those who had to free memory was for the device that they wrote it to, if most was.
pub(crate) fn waited_for_swap(model: &Model<'_>, raw: &RawWindow) -> Option<f64> {
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
