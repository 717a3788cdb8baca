//! Threads that wait for each other's locks, none of which can let the next one on.
//!
//! ```text
//! A has 1, wants 2   |-------- blocked at 2 --------| gives up, lets go of 1
//! B has 2, wants 1      |------- blocked at 1 --------| gets 1, and then lets go of 2
//! ```
//!
//! Whoever gives up first lets the others on, and would be taken for the one who had the lock. It had one, as each of the circle had.

use coldcase_ingest::capture::{
    ProcessId, Sentence, Span, Syscall, SyscallPhase, ThreadId, Timestamp,
};

use crate::findings::Cause;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::LockKey;
use crate::states::{Doing, WaitId};
use crate::tally::Tally;
use crate::verdict::culprit::Suspect;
use crate::view;
use crate::windows::RawWindow;

/// Longer circles are not followed.
const LONGEST: usize = 64;

/// Those of a freeze who waited for each other's locks, where that is what the others waited for; of a futex that nothing says is a
/// lock, only where somebody is known to have kept them from it.
pub(crate) fn of(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    culprit: Option<&Suspect>,
) -> Vec<ThreadId> {
    let longest = || {
        let known = cause != Cause::Futex || raw.known_lock;
        let harms = raw.harms.iter().filter(|_| known);
        harms.max_by_key(|harm| (harm.span.duration(), harm.thread)).map(|harm| harm.thread)
    };
    let from = culprit.map(|suspect| suspect.thread).or_else(longest);
    let from = from.filter(|_| cause.is_lock());
    from.map_or_else(Vec::new, |from| circle(model, raw.span, from))
}

/// How it is known that threads waited for each other, in a sentence; nothing where they did not.
pub(crate) fn evidence(model: &Model<'_>, circle: &[ThreadId]) -> Option<Sentence> {
    let task = |&thread| {
        let name = view::thread_name(model.capture, thread);
        let tid = name.tid.map_or(String::new(), |tid| format!(" (tid {tid})"));
        Sentence::default().task(&name.comm).words(&tid)
    };
    let members: Vec<Sentence> = circle.iter().map(task).collect();
    (!members.is_empty()).then(|| {
        Sentence::list(&members).words(
            ": each had the lock for which the one before it waited, and waited itself through most of the freeze (a deadlock)",
        )
    })
}

/// The circle of threads to which a thread's waiting leads, each of which waited through most of a span for a lock of the next, from its
/// lowest thread on. Empty if there is none, or if the capture has no addresses of locks.
fn circle(model: &Model<'_>, span: Span, from: ThreadId) -> Vec<ThreadId> {
    let mut way = vec![from];
    while let Some(next) = way.last().and_then(|&last| awaited(model, span, last)) {
        if let Some(at) = way.iter().position(|&known| known == next) {
            let mut circle = way.split_off(at);
            let lowest = (0..circle.len()).min_by_key(|&at| circle[at]);
            circle.rotate_left(lowest.unwrap_or(0));
            return circle;
        }
        if way.len() == LONGEST {
            break;
        }
        way.push(next);
    }
    Vec::new()
}

/// Who had the lock for which a thread waited through most of a span, and waited for one itself.
fn awaited(model: &Model<'_>, span: Span, thread: ThreadId) -> Option<ThreadId> {
    let (id, part) = at_lock(model, span, thread)?;
    match model.sites.of(id).lock? {
        LockKey::Futex(process, address) => {
            let (owner, time) = first_to_let_go(model, id, process, address)?;
            let (own, _) = at_lock(model, span, owner)?;
            // Whoever let go of it before it waited itself had it no more.
            (model.states.wait(own).span.end <= time).then_some(owner)
        }
        key @ LockKey::Address(_) => {
            let pieces = model.holds.cut(key, thread, part).into_iter();
            let had: Tally<ThreadId> =
                pieces.filter_map(|(piece, hold)| Some((hold?.thread, piece.duration()))).collect();
            let (owner, time) = had.largest()?;
            let most = time.share_of(part.duration()) > 0.5;
            (most && at_lock(model, span, owner).is_some()).then_some(owner)
        }
        LockKey::Mmap(_) | LockKey::Kind(..) => None,
    }
}

/// The wait for a lock in which a thread stood for most of a span, and the part of it in there.
fn at_lock(model: &Model<'_>, span: Span, thread: ThreadId) -> Option<(WaitId, Span)> {
    let waits = model.states.within(thread, span).filter_map(|slice| match slice.doing {
        Doing::Blocked(id) => Some((id, slice.span)),
        Doing::Running | Doing::Runnable(_) => None,
    });
    let (id, part) = waits.max_by_key(|(_, part)| part.duration())?;
    let at_lock = matches!(model.sites.of(id).kind, WaitKind::Harm(cause, _) if cause.is_lock());
    (at_lock && part.duration().share_of(span.duration()) > 0.5).then_some((id, part))
}

/// The first of a process that let go of a futex after a thread began to wait for it, by its call: that one had it then.
fn first_to_let_go(
    model: &Model<'_>,
    id: WaitId,
    process: ProcessId,
    address: u64,
) -> Option<(ThreadId, Timestamp)> {
    let wait = model.states.wait(id);
    let calls = &model.capture.syscalls;
    let from = calls.partition_point(|call| call.time <= wait.span.start);
    let lets_go = calls[from..].iter().find(|call| {
        let of_it = matches!(call.phase, SyscallPhase::Enter { args }
            if call.syscall == Syscall::Futex && args[0] == address && wakes(args[1]));
        of_it && model.capture.threads.get(call.thread).process == process
    })?;
    (lets_go.thread != wait.thread).then_some((lets_go.thread, lets_go.time))
}

/// Whether an operation of the futex call lets waiters on (`include/uapi/linux/futex.h`).
fn wakes(operation: u64) -> bool {
    /// All but `FUTEX_PRIVATE_FLAG` and `FUTEX_CLOCK_REALTIME`.
    const COMMAND: u64 = 0x7f;
    /// `FUTEX_WAKE`, `FUTEX_REQUEUE`, `FUTEX_CMP_REQUEUE`, `FUTEX_WAKE_OP`, `FUTEX_UNLOCK_PI`, `FUTEX_WAKE_BITSET`.
    const WAKE: [u64; 6] = [1, 3, 4, 5, 7, 10];
    WAKE.contains(&(operation & COMMAND))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, SyscallEvent, SyscallPhase};

    use super::*;
    use crate::analyze;
    use crate::script;

    /// A futex call of a thread at a time in ms: its address and operation.
    fn call(capture: &mut Capture, at: u64, letter: &str, (address, wakes): (u64, bool)) {
        let phase = SyscallPhase::Enter { args: [address, u64::from(wakes), 0, 0, 0, 0] };
        let thread = script::thread(capture, letter);
        let time = Timestamp(at * 1_000_000);
        capture.syscalls.push(SyscallEvent {
            time,
            thread,
            syscall: Syscall::Futex,
            phase,
            stack: None,
        });
        let phase = SyscallPhase::Exit { result: 0 };
        capture.syscalls.push(SyscallEvent {
            time: Timestamp(time.0 + 1),
            thread,
            syscall: Syscall::Futex,
            phase,
            stack: None,
        });
    }

    /// Who is blamed where d has a lock for which a, b and c wait, and gives up waiting itself at 501 ms for one that a has, or not.
    fn blamed(with_addresses: bool, of_a: bool) -> (Vec<i32>, Option<i32>) {
        let threads = ['m', 'a', 'b', 'c', 'd'].map(|letter| (letter, "serve"));
        let lock = "FUTEX<user:__lll_lock_wait";
        let events = format!(
            "101ms d>a S FUTEX,101ms a>b S {lock},101ms b>c S {lock},101ms c>m S {lock},501ms w:d,501ms m>d S SLEEPS,\
             502ms d!a WAKES,502ms d>a S SLEEPS,503ms a!b WAKES,503ms ->b,504ms b!c WAKES,504ms a>- S SLEEPS,504ms ->c,\
             505ms b>- S SLEEPS,506ms c>- S SLEEPS,520ms .m"
        );
        let mut capture = script::with_habits(&threads, &events);
        if with_addresses {
            for letter in ["a", "b", "c", "d"] {
                let address = if letter == "d" { 2 } else { 1 };
                call(&mut capture, 100, letter, (address, false));
                // It ends with the wait.
                capture.syscalls.pop();
            }
            call(&mut capture, 502, "d", (1, true));
            if of_a {
                call(&mut capture, 503, "a", (2, true));
            }
            call(&mut capture, 504, "b", (1, true));
        }
        let findings = analyze(&capture, &script::options());
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        let circle = window.deadlock.iter().filter_map(|thread| thread.tid).collect();
        let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        (circle, culprit)
    }

    #[test]
    fn who_gives_up_first_of_those_who_wait_for_each_other_is_no_culprit() {
        let (a, d) = (script::tid('a'), script::tid('d'));
        assert_eq!(blamed(true, true), (vec![a, d], None));
        assert_eq!(blamed(true, false), (vec![], Some(d)));
        assert_eq!(blamed(false, false), (vec![], Some(d)));
    }
}
