//! The events that a freeze's figures come from, so that a reviewer can look them up with `perf script`.

use coldcase_ingest::capture::{
    Meaning, MmapLock, MmapLockPhase, Sentence, Syscall, ThreadId, Timestamp, WakeupKind,
};

use crate::blame::chain;
use crate::details::{Figure, Proof};
use crate::findings::{ChainLink, Grade, Operation, ThreadName, Window};
use crate::model::Model;
use crate::states::WaitId;
use crate::view::thread_name;
use crate::windows::RawWindow;

/// The events behind a window's figures, by figure and in order of time.
pub(crate) fn of(model: &Model<'_>, raw: &RawWindow, window: &Window) -> Vec<Proof> {
    let waits: Vec<WaitId> = raw.waits().collect();
    let wait = |id: WaitId| model.states.wait(id);
    let first = waits.iter().copied().min_by_key(|&id| (wait(id).span.start, id));
    let last = waits.iter().copied().max_by_key(|&id| (wait(id).span.end, id));
    let wholes = waits.iter().map(|&id| chain::whole(model, id));
    let longest = wholes.max_by_key(|whole| (whole.span.duration(), whole.last));
    let mut proofs = Vec::new();
    proofs.extend(first.and_then(|id| begin(model, Figure::Freeze, id)));
    proofs.extend(last.and_then(|id| end(model, Figure::Freeze, id)));
    proofs.extend(longest.and_then(|whole| begin(model, Figure::LongestWait, whole.first)));
    proofs.extend(longest.and_then(|whole| end(model, Figure::LongestWait, whole.last)));
    proofs.extend(call(model, window));
    proofs.extend(hold(model, window));
    proofs.extend(window.chain.iter().filter_map(|link| release(model, link)));
    proofs.sort_by_key(|proof| (proof.figure, proof.time));
    proofs
}

/// The switch-out that began a wait.
fn begin(model: &Model<'_>, figure: Figure, id: WaitId) -> Option<Proof> {
    let wait = model.states.wait(id);
    if wait.open_start {
        return None;
    }
    Some(Proof {
        figure,
        event: event_of(model, &[Meaning::Switches, Meaning::SwitchRecords])?,
        time: wait.span.start,
        thread: thread_name(model.capture, wait.thread),
        tells: format!("it leaves its CPU: {}", model.sites.name(model.sites.of(id))).into(),
    })
}

/// The waking that ended a wait, or the switch-in where no waking is known.
fn end(model: &Model<'_>, figure: Figure, id: WaitId) -> Option<Proof> {
    let wait = model.states.wait(id);
    if wait.open_end {
        return None;
    }
    let event = match wait.wakeup {
        Some(_) => waking(model),
        None => event_of(model, &[Meaning::Switches, Meaning::SwitchRecords]),
    };
    let tells = chain::end(model, id);
    let waker = tells.waker.map(|waker| named(&thread_name(model.capture, waker)));
    let tells = match (waker, wait.wakeup) {
        (Some(waker), _) => {
            Sentence::from("it is woken by ").sentence(&waker).words(&format!(": {}", tells.how))
        }
        (None, Some(_)) => "it is woken by an interrupt".into(),
        (None, None) => "it is on a CPU again".into(),
    };
    let thread = thread_name(model.capture, wait.thread);
    Some(Proof { figure, event: event?, time: wait.span.end, thread, tells })
}

/// Entry and exit of the culprit's call.
fn call(model: &Model<'_>, window: &Window) -> Vec<Proof> {
    let Some(culprit) = &window.culprit else { return Vec::new() };
    let (Some(Operation::Syscall(syscall)), Some(start)) = (culprit.operation, culprit.start)
    else {
        return Vec::new();
    };
    let entered = thread_of(model, &culprit.thread)
        .and_then(|thread| model.brackets.at(thread, start))
        .filter(|call| call.enter == Some(start) && call.syscall == syscall);
    let Some(entered) = entered else { return Vec::new() };
    let proof = |edge: &str, time: Timestamp, tells: String| {
        let event = syscall_event(model, edge, syscall)?;
        let (thread, tells) = (culprit.thread.clone(), tells.into());
        Some(Proof { figure: Figure::Call, event, time, thread, tells })
    };
    let size = culprit.bytes.map_or(String::new(), |bytes| format!(" of {bytes} bytes"));
    let began = proof("enter", start, format!("it enters {}{size}", syscall.name()));
    let ended = entered.exit.and_then(|time| {
        let result = entered.result.map_or(String::new(), |result| format!(", result {result:#x}"));
        let step = model.resident.step(model.capture, entered);
        let step = step.filter(|&step| step != 0).map_or_else(String::new, |step| {
            let way = if step > 0 { "more" } else { "fewer" };
            format!("; {} bytes {way} are resident than before", step.unsigned_abs())
        });
        proof("exit", time, format!("it comes back{result}{step}"))
    });
    began.into_iter().chain(ended).collect()
}

/// The lock's own events of the hold that the verdict is about: the one that lasted exactly that long.
fn hold(model: &Model<'_>, window: &Window) -> Vec<Proof> {
    let Some(culprit) = window.culprit.as_ref().filter(|_| window.grade == Grade::Proven) else {
        return Vec::new();
    };
    let (Some(thread), Some(held)) = (thread_of(model, &culprit.thread), culprit.held) else {
        return Vec::new();
    };
    let own = model.capture.mmap_locks.iter().filter(|event| event.thread == thread);
    let mut taken: Option<&MmapLock> = None;
    for event in own {
        match event.phase {
            MmapLockPhase::Acquired { success: true } => taken = Some(event),
            MmapLockPhase::Released => {
                if let Some(taken) = taken.take()
                    && event.time.since(taken.time) == held
                {
                    return lock_events(model, &culprit.thread, taken, event);
                }
            }
            _ => {}
        }
    }
    Vec::new()
}

fn lock_events(
    model: &Model<'_>,
    thread: &ThreadName,
    taken: &MmapLock,
    released: &MmapLock,
) -> Vec<Proof> {
    let mode = if taken.write { "writing" } else { "reading" };
    let proof = |ending: &str, event: &MmapLock, tells: String| {
        let mut events = model.capture.events.iter();
        let named = events.find(|known| known.name.ends_with(ending))?;
        Some(Proof {
            figure: Figure::Hold,
            event: named.name.clone(),
            time: event.time,
            thread: thread.clone(),
            tells: tells.into(),
        })
    };
    let proofs = [
        proof("mmap_lock_acquire_returned", taken, format!("it has the lock for {mode}")),
        proof("mmap_lock_released", released, "it releases the lock".to_owned()),
    ];
    proofs.into_iter().flatten().collect()
}

fn release(model: &Model<'_>, link: &ChainLink) -> Option<Proof> {
    let waker = link.waker.as_ref()?;
    Some(Proof {
        figure: Figure::Release,
        event: waking(model)?,
        time: link.span.end,
        thread: waker.clone(),
        tells: Sentence::from("it wakes ")
            .sentence(&named(&link.waiter))
            .words(&format!(": {}", link.how)),
    })
}

fn named(thread: &ThreadName) -> Sentence {
    let tid = thread.tid.map_or(String::new(), |tid| format!(" (tid {tid})"));
    Sentence::default().task(&thread.comm).words(&tid)
}

fn thread_of(model: &Model<'_>, name: &ThreadName) -> Option<ThreadId> {
    let mut threads = model.capture.threads.iter();
    threads.find(|(_, thread)| Some(thread.tid) == name.tid).map(|(id, _)| id)
}

/// The name of the event by which wakings are known.
fn waking(model: &Model<'_>) -> Option<String> {
    let mut rows = model.capture.wakeups.iter();
    let any = rows.any(|row| row.kind == WakeupKind::Waking);
    event_of(model, &[if any { Meaning::Waking } else { Meaning::Wakeup }])
}

/// The name of the recorded event with the first of these meanings.
fn event_of(model: &Model<'_>, meanings: &[Meaning]) -> Option<String> {
    let events = &model.capture.events;
    meanings.iter().find_map(|&meaning| {
        let with = events.iter().find(|event| event.meaning == Some(meaning));
        with.map(|event| event.name.clone())
    })
}

/// `syscalls:sys_enter_mmap`, or `raw_syscalls:sys_enter` where calls were recorded so.
fn syscall_event(model: &Model<'_>, edge: &str, syscall: Syscall) -> Option<String> {
    let own = format!("syscalls:sys_{edge}_{}", syscall.name());
    let raw = format!("raw_syscalls:sys_{edge}");
    let mut events = model.capture.events.iter();
    events.find(|event| event.name == own || event.name == raw).map(|event| event.name.clone())
}
