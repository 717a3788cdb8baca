//! Servers of many processes: children of one master, with one thread each, that stand still together.
//!
//! PostgreSQL, Apache's prefork and many servers of scripting languages serve each client by a process of its own. To
//! the kernel these are strangers; what they have in common is their parent.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Context, Nanos, ProcessId, Sentence, ThreadId};

use crate::blame::stopped;
use crate::findings::{CannotTell, Cause, Possible};
use crate::model::Model;
use crate::names;
use crate::rules::WaitKind;
use crate::sites::sums::Group;
use crate::states::{Doing, WaitId};
use crate::windows::harms::Harm;
use crate::windows::{RawWindow, SEVERAL};

/// One master and the threads of its children.
pub(crate) struct Family {
    pub master: ProcessId,
    pub threads: Vec<ThreadId>,
}

/// Every master of several single-threaded processes, or of processes that share a lock.
pub(crate) fn all(model: &Model<'_>) -> Vec<Family> {
    let threads = &model.capture.threads;
    let mut families: BTreeMap<ProcessId, Vec<ThreadId>> = BTreeMap::new();
    for (id, process) in threads.processes().filter(|(_, process)| !process.kernel) {
        let (Some(parent), [only]) = (process.parent, process.threads.as_slice()) else { continue };
        let master = threads.get(parent).process;
        // A shell's children are strangers, which have names of their own.
        if threads.process_comm(master) == threads.process_comm(id) {
            families.entry(master).or_default().push(*only);
        }
    }
    for (parent, thread) in who_share(model) {
        families.entry(parent).or_default().push(thread);
    }
    for threads in families.values_mut() {
        threads.sort_unstable();
        threads.dedup();
    }
    families.retain(|_, threads| threads.len() >= SEVERAL);
    families.into_iter().map(|(master, threads)| Family { master, threads }).collect()
}

/// Threads that wait for what a brother process or the master itself lets go, with their master: whatever they are called,
/// they share a futex or a semaphore (`PTHREAD_PROCESS_SHARED`, `semop`).
fn who_share(model: &Model<'_>) -> Vec<(ProcessId, ThreadId)> {
    let threads = &model.capture.threads;
    let parent_of = |thread| {
        let parent = threads.process(threads.get(thread).process).parent?;
        Some(threads.get(parent).process)
    };
    let mut sharing = Vec::new();
    let mut has_waited = vec![false; threads.len()];
    for group in model.sums.iter().filter(|group| group.site.is_harm_by(Cause::Futex)) {
        has_waited[group.thread.index()] = true;
    }
    for (_, process) in threads.processes().filter(|(_, process)| !process.kernel) {
        for &thread in process.threads.iter().filter(|thread| has_waited[thread.index()]) {
            let Some(master) = parent_of(thread) else { break };
            let mut let_on = model.states.of(thread).iter().filter_map(|slice| match slice.doing {
                Doing::Blocked(id) => let_on_by_another(model, id),
                Doing::Running | Doing::Runnable(_) => None,
            });
            let is_kin = |waker: &ThreadId| {
                threads.get(*waker).process == master || parent_of(*waker) == Some(master)
            };
            if let Some(waker) = let_on.find(is_kin) {
                sharing.push((master, thread));
                if threads.get(waker).process != master {
                    sharing.push((master, waker));
                }
            }
        }
    }
    sharing
}

/// The thread of another process that ended a wait for a futex or a semaphore, and did not merely interrupt it.
fn let_on_by_another(model: &Model<'_>, id: WaitId) -> Option<ThreadId> {
    let threads = &model.capture.threads;
    let site = model.sites.of(id);
    if !site.is_harm_by(Cause::Futex) {
        return None;
    }
    let wakeup = model.wakeup(id).filter(|wakeup| wakeup.context == Context::Task)?;
    // A known lock may be one that is let go by a signal, as PostgreSQL's are.
    let interrupted = |stack| !site.known_lock && stopped::interrupts(model.capture, stack);
    if wakeup.stack.is_some_and(interrupted) {
        return None;
    }
    let own = threads.get(model.states.wait(id).thread).process;
    wakeup.waker.filter(|&waker| threads.get(waker).process != own)
}

/// Whether a harm can be common to a family: a futex that nobody knows is as a rule shared by nobody else, unless somebody
/// else let go of it, and each process finds a CPU or finds none by itself.
pub(crate) fn is_common(model: &Model<'_>, harm: &Harm) -> bool {
    harm.wait.is_some_and(|id| {
        harm.cause != Cause::Futex
            || model.sites.of(id).known_lock
            || let_on_by_another(model, id).is_some()
    })
}

/// Whether several processes of a family stood still. What befell the threads of one alone is that one's freeze, whoever of its
/// family had the lock: two services that a shell started are no server of many processes.
pub(crate) fn is_of_several(model: &Model<'_>, window: &RawWindow) -> bool {
    let threads = &model.capture.threads;
    let mut processes: Vec<ProcessId> =
        window.stood_still().map(|thread| threads.get(thread).process).collect();
    processes.sort_unstable();
    processes.dedup();
    processes.len() >= SEVERAL
}

/// Whether a window of one process is part of one of its family.
pub(crate) fn is_part_of(window: &RawWindow, family: &RawWindow) -> bool {
    family.span.intersect(window.span).is_some()
        && window.crew.iter().any(|thread| family.crew.contains(thread))
}

/// Several children of one master that rested for long until one of them signalled all of them: what PostgreSQL's
/// backends look like at a lock, where their functions have no names. A notification looks the same.
pub(crate) fn hint(model: &Model<'_>) -> Option<(Possible, CannotTell)> {
    let rests = long_rests(model);
    let (family, waker, waiters) =
        all(model).into_iter().find_map(|family| signalled(model, &rests, family))?;
    let threads = &model.capture.threads;
    let comm = threads.process_comm(family.master);
    let longest = waiters.iter().map(|&id| model.states.wait(id).span.duration()).max()?;
    let possible = Possible { comm: comm.to_owned(), processes: waiters.len() as u64, longest };
    let missing = CannotTell {
        cause: Cause::Futex,
        missing: Sentence::from("names for the functions of ").task(comm).words(&format!(
            " (--symfs), which tell a wait for a lock (ProcSleep, LWLockAcquire) from rest: {} of its processes rested for \
             up to {:.0} ms until one of them, pid {}, signalled them, which is how PostgreSQL releases a lock",
            waiters.len(),
            longest.as_millis_f64(),
            threads.get(waker).tid,
        )),
    };
    Some((possible, missing))
}

/// Rests of a length that would be a freeze if they were none, in order.
fn long_rests(model: &Model<'_>) -> Vec<WaitId> {
    /// Shorter rest is nobody's freeze.
    const LONG: Nanos = Nanos(200_000_000);
    let is_rest = |group: &Group| group.site.kind == WaitKind::Idle && group.longest >= LONG;
    if !model.sums.iter().any(is_rest) {
        return Vec::new();
    }
    let waits = model.states.waits().filter(|(id, wait)| {
        !wait.open_start
            && wait.span.duration() >= LONG
            && model.sites.of(*id).kind == WaitKind::Idle
    });
    waits.map(|(id, _)| id).collect()
}

fn signalled(
    model: &Model<'_>,
    rests: &[WaitId],
    family: Family,
) -> Option<(Family, ThreadId, Vec<WaitId>)> {
    /// One call of the scheduler after the other.
    const TOGETHER: Nanos = Nanos(20_000_000);
    let by_signal = |id: WaitId| {
        let wakeup = model.wakeup(id)?;
        let mut names = names::kernel(model.capture, wakeup.stack?);
        let sends = names.any(|name| name.starts_with("do_send_") || name.starts_with("kill_"));
        let sender = wakeup.waker.filter(|waker| sends && family.threads.contains(waker))?;
        Some((sender, wakeup.time, id))
    };
    let own = |id: &WaitId| family.threads.contains(&model.states.wait(*id).thread);
    let waits = rests.iter().copied().filter(own);
    let mut ended: Vec<_> = waits.filter_map(by_signal).collect();
    ended.sort_unstable_by_key(|&(sender, time, _)| (sender, time));
    let together = ended.chunk_by(|a, b| a.0 == b.0 && b.1.since(a.1) <= TOGETHER);
    let most = together.max_by_key(|chunk| chunk.len()).filter(|chunk| chunk.len() >= SEVERAL)?;
    let (sender, waiters) = (most[0].0, most.iter().map(|row| row.2).collect());
    Some((family, sender, waiters))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Timestamp};

    use super::*;
    use crate::script;

    const RESTS: &str = "schedule<ep_poll<do_epoll_wait";

    /// A master m, and its children with their names.
    fn children(names: &[(char, &str)]) -> Capture {
        let mut capture = script::process(Capture::default(), &[('m', "server")]);
        for &(letter, comm) in names {
            let (child, master) = (script::tid(letter), script::tid('m'));
            let thread = capture.threads.fork(child, child, Some(master), Timestamp(0));
            capture.threads.name(thread, comm, Timestamp(0));
        }
        capture
    }

    /// Three children that rest for 400 ms until someone signals all of them.
    fn signalled_by(waker: char, how: &str) -> Option<String> {
        let capture =
            children(&[('a', "server"), ('b', "server"), ('c', "server"), ('d', "server")]);
        let mut script = vec!["0 .d".to_owned()];
        script.extend(('a'..='c').map(|child| format!("1ms {child}>- S {RESTS}")));
        script.extend(('a'..='c').map(|child| format!("401ms {waker}!{child} {how}")));
        script.extend(('a'..='c').map(|child| format!("402ms ->{child}")));
        let capture = script::record(capture, &script.join(","));
        hint(&script::model(&capture)).map(|(_, hint)| hint.missing.to_string())
    }

    #[test]
    fn children_of_their_masters_name_are_a_family() {
        let capture = children(&[('a', "server"), ('b', "server"), ('c', "server")]);
        let families = all(&script::model(&capture));
        assert_eq!(families.len(), 1);
        assert_eq!(families[0].threads.len(), 3);
    }

    #[test]
    fn what_a_shell_starts_is_none() {
        let capture = children(&[('a', "grep"), ('b', "sed"), ('c', "awk")]);
        assert!(all(&script::model(&capture)).is_empty());
    }

    #[test]
    fn one_child_that_signals_the_others_is_named() {
        let told = signalled_by('d', "try_to_wake_up<do_send_sig_info").unwrap();
        assert!(told.contains("rested for up to 400 ms until one of them, pid 100"), "{told}");
    }

    #[test]
    fn a_signal_of_a_stranger_is_no_release() {
        assert_eq!(signalled_by('x', "try_to_wake_up<do_send_sig_info"), None);
    }

    #[test]
    fn a_wakeup_that_is_no_signal_is_none_either() {
        assert_eq!(signalled_by('d', "try_to_wake_up<ep_poll_callback"), None);
    }

    const WAITS: &str = "schedule<futex_wait_queue<__futex_wait<futex_wait";

    /// Three children of different names, each of whose waits for a futex the waker ends.
    fn let_on_by(waker: char, how: &str) -> usize {
        let capture = children(&[('a', "parse"), ('b', "index"), ('c', "rank"), ('d', "store")]);
        let mut script = vec!["0 .d".to_owned()];
        script.extend(('a'..='c').map(|child| format!("1ms {child}>- S {WAITS}")));
        script.extend(('a'..='c').map(|child| format!("9ms {waker}!{child} {how},9ms ->{child}")));
        let capture = script::record(capture, &script.join(","));
        all(&script::model(&capture)).iter().map(|family| family.threads.len()).sum()
    }

    #[test]
    fn who_lets_go_of_what_its_brothers_wait_for_shares_it_with_them() {
        assert_eq!(let_on_by('d', "futex_wake"), 4);
        assert_eq!(let_on_by('m', "futex_wake"), 3);
        assert_eq!(let_on_by('x', "futex_wake"), 0);
    }

    #[test]
    fn threads_of_one_process_freeze_as_that_one_and_not_as_the_shell_that_started_it() {
        // a to d are a service, whose file k keeps locked; m, a shell, started both.
        let waits = "schedule<locks_lock_inode_wait<__x64_sys_flock";
        let lets_go = "try_to_wake_up<__wake_up<__locks_wake_up_blocks<locks_lock_inode_wait";
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let frozen = |processes: &[&str]| {
            let mut capture = children(&[('k', "backup")]);
            for process in processes {
                let first = script::tid(process.chars().next().unwrap());
                for letter in process.chars() {
                    let tid = script::tid(letter);
                    let parent = if tid == first { script::tid('m') } else { first };
                    let thread = capture.threads.fork(first, tid, Some(parent), Timestamp(0));
                    capture.threads.name(thread, "service", Timestamp(0));
                }
            }
            let mut events = vec!["0 .k".to_owned()];
            for at in (0..120).step_by(10) {
                for t in 'a'..='d' {
                    events.push(format!("{}ms {t}>- S {sleeps}", at + 1));
                }
                events.extend(('a'..='d').map(|t| format!("{}ms ->{t}", at + 6)));
            }
            events.extend(('a'..='d').map(|t| format!("121ms {t}>- S {waits}")));
            events.push("200ms .k,400ms .k".to_owned());
            events.extend(('a'..='d').map(|t| format!("421ms k!{t} {lets_go},421ms ->{t}")));
            events.extend(('a'..='d').map(|t| format!("425ms {t}>- S {sleeps}")));
            let capture = script::record(capture, &events.join(","));
            let findings = crate::analyze(&capture, &script::options());
            let told = findings
                .windows
                .iter()
                .map(|window| (window.freeze.pid, window.freeze.threads_blocked));
            told.collect::<Vec<_>>()
        };
        let pid = |letter| Some(script::tid(letter));
        assert_eq!(frozen(&["abcd"]), [(pid('a'), 4)]);
        assert_eq!(frozen(&["a", "b", "c", "d"]), [(pid('m'), 4)]);
    }

    #[test]
    fn a_debugger_of_the_same_shell_shares_no_lock_with_whom_it_stops() {
        let attaches = "try_to_wake_up<complete_signal<__send_signal_locked<ptrace_attach";
        let leaves = "try_to_wake_up<__ptrace_unlink<__ptrace_detach";
        assert_eq!((let_on_by('d', attaches), let_on_by('d', leaves)), (0, 0));
    }

    #[test]
    fn a_shell_that_freezes_and_thaws_what_it_started_shares_no_lock_with_it() {
        let freezes = "try_to_wake_up<signal_wake_up_state<cgroup_freeze_task<cgroup_do_freeze";
        let thaws = "try_to_wake_up<cgroup_freeze_task<cgroup_do_freeze<cgroup_freeze_write";
        assert_eq!((let_on_by('m', freezes), let_on_by('m', thaws)), (0, 0));
    }
}
