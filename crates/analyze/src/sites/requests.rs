//! Rests of servers in the middle of a request, which are waits for a lock that is let go by a signal.
//!
//! PostgreSQL's backends wait for a lock of a table or a row at the latch at which they wait for their clients as well: in epoll, until
//! the one who lets go of the lock sends a signal (`ProcSleep`, `src/backend/storage/lmgr/proc.c`; `SetLatch`,
//! `src/backend/storage/ipc/latch.c`). Without names for its functions the stack is that of rest. But who was asked for something and
//! has not answered does not rest; and where a brother's signals let several go on at once, who then answer, they waited for what
//! that one had. A notification (`NOTIFY`) finds servers that nobody had asked.

use std::collections::{BTreeMap, BTreeSet};

use coldcase_ingest::capture::{
    Capture, Context, Nanos, ProcessId, Span, StackId, ThreadId, Timestamp,
};

use crate::names;
use crate::rules::WaitKind;
use crate::sites::Sites;
use crate::sites::of_stacks::OfStacks;
use crate::states::{Doing, ThreadStates, WaitId};
use crate::windows::SEVERAL;

/// What such waits are called.
pub(crate) const SITE: &str = "lock of the program, let go by a signal";
/// One call of the scheduler after the other.
const TOGETHER: Nanos = Nanos(20_000_000);

/// So many servers at least have to be known to have been asked: one may wait for a helper, as for the worker of a parallel query.
const PROVEN: usize = 2;

/// What a server was seen to do with its clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Talk {
    /// It was woken by who sent it something.
    Asked,
    /// It sent something, and woke who waited for that.
    Answered,
}

/// A rest that a brother's signal ended.
struct Signalled {
    by: ThreadId,
    time: Timestamp,
    thread: ThreadId,
    id: WaitId,
}

/// The rests of single-threaded brothers that were ended together by the signals of one of them, if some of them are known to have
/// been between a question and its answer.
pub(crate) fn at_locks(capture: &Capture, states: &ThreadStates, sites: &Sites) -> Vec<WaitId> {
    let brothers = Brothers::new(capture);
    if brothers.0.is_empty() {
        return Vec::new();
    }
    let mut ended = signalled(capture, states, sites, &brothers);
    ended.sort_by_key(|row| (row.by, row.time, row.id));
    let servers: BTreeSet<ThreadId> = ended.iter().map(|row| row.thread).collect();
    if servers.len() < SEVERAL {
        return Vec::new();
    }
    let talks = talks(capture, &brothers, &servers);
    // What a server did with its clients last before a rest, and first after it.
    let around = |id: WaitId| {
        let wait = states.wait(id);
        let own = talks.get(&wait.thread).map_or(&[][..], Vec::as_slice);
        let (before, after) =
            own.split_at(own.partition_point(|&(time, _)| time <= wait.span.start));
        (before.last().map(|row| row.1), after.first().map(|row| row.1))
    };
    let was_asked = |id: WaitId| around(id) == (Some(Talk::Asked), Some(Talk::Answered));
    // Helpers have no clients: who writes the log is woken by each who wants it written.
    ended.retain(|row| talks.contains_key(&row.thread));
    // Who lets go of a lock signals all who wait for it without a pause.
    let at_once = |one: &Signalled, next: &Signalled| {
        let mut meanwhile = states.within(one.by, Span::new(one.time, next.time));
        one.by == next.by
            && next.time.since(one.time) <= TOGETHER
            && !meanwhile.any(|slice| matches!(slice.doing, Doing::Blocked(_)))
    };
    let groups = handed_on(states, ended.chunk_by(at_once).map(|rows| rows.iter().collect()));
    let mut found = Vec::new();
    for together in groups {
        let count = |rows: &mut dyn Iterator<Item = &&Signalled>| {
            rows.map(|row| row.thread).collect::<BTreeSet<ThreadId>>().len()
        };
        // A client that does not sleep is not woken, and then nobody sees that it asked, or was answered.
        if count(&mut together.iter()) < SEVERAL
            || count(&mut together.iter().filter(|row| was_asked(row.id))) < PROVEN
        {
            continue;
        }
        for row in together {
            let before = looked_up_from(capture, states, row)
                .filter(|&(id, by_timer)| by_timer || around(id).0 == Some(Talk::Asked));
            let waits = before.map(|(id, _)| id).into_iter().chain([row.id]);
            found.extend(waits.filter(|&id| sites.of(id).kind == WaitKind::Idle));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Those who were let on together, with those whom they let on in turn, one after the other: a lock that only one may have goes from hand
/// to hand (`ProcLockWakeup`, `src/backend/storage/lmgr/proc.c`). Who hands it on had waited for it beside those who get it.
fn handed_on<'s>(
    states: &ThreadStates,
    groups: impl Iterator<Item = Vec<&'s Signalled>>,
) -> Vec<Vec<&'s Signalled>> {
    let mut groups: Vec<Vec<&Signalled>> = groups.collect();
    groups.sort_by_key(|rows| rows.first().map(|row| (row.time, row.id)));
    let mut joined: Vec<Vec<&Signalled>> = Vec::new();
    let mut last: BTreeMap<ThreadId, (usize, WaitId)> = BTreeMap::new();
    for rows in groups {
        let Some(first) = rows.first() else { continue };
        let had = last.get(&first.by).filter(|(_, had)| {
            let had = states.wait(*had).span;
            let mut meanwhile = states.within(first.by, Span::new(had.end, first.time));
            had.end <= first.time
                && first.time.since(had.end) <= TOGETHER
                && rows.iter().any(|row| states.wait(row.id).span.start < had.end)
                && !meanwhile.any(|slice| matches!(slice.doing, Doing::Blocked(_)))
        });
        let at = had.map_or(joined.len(), |(at, _)| *at);
        last.extend(rows.iter().map(|row| (row.thread, (at, row.id))));
        match joined.get_mut(at) {
            Some(group) => group.extend(rows),
            None => joined.push(rows),
        }
    }
    joined
}

/// The wait before a rest, and whether a timer of the process's own is seen to have interrupted it to have a look
/// (`deadlock_timeout`); of a CPU that idled, nothing may be seen of its timers.
fn looked_up_from(
    capture: &Capture,
    states: &ThreadStates,
    rest: &Signalled,
) -> Option<(WaitId, bool)> {
    /// A look is a matter of microseconds, and of a CPU for it.
    const LOOK: Nanos = Nanos(50_000_000);
    let start = states.wait(rest.id).span.start;
    let before = states.of(rest.thread).before(start).find_map(|slice| match slice.doing {
        Doing::Blocked(id) => Some(id),
        Doing::Running | Doing::Runnable(_) => None,
    });
    let wait = states.wait(before?);
    if start.since(wait.span.end) > LOOK {
        return None;
    }
    let Some(wakeup) = wait.wakeup else { return Some((before?, false)) };
    let stack = wakeup.of(capture).stack;
    let by_timer = stack.is_some_and(|stack| is_by_own_timer(capture, stack));
    by_timer.then_some((before?, true))
}

/// `kernel/time/itimer.c`, `kernel/time/posix-timers.c`.
fn is_by_own_timer(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack)
        .any(|name| matches!(name, "it_real_fn" | "posix_timer_fn" | "posix_timer_event"))
}

/// Processes of one thread each by their parent and their name, which make them brothers, where there are enough of them.
struct Brothers<'a>(BTreeMap<ThreadId, (ProcessId, &'a str)>);

impl<'a> Brothers<'a> {
    fn new(capture: &'a Capture) -> Self {
        let threads = &capture.threads;
        let processes = threads.processes().filter(|(_, process)| !process.kernel);
        let single = processes.filter_map(|(id, process)| {
            let [only] = process.threads.as_slice() else { return None };
            let master = threads.get(process.parent?).process;
            Some((*only, (master, threads.process_comm(id))))
        });
        let kin: BTreeMap<ThreadId, (ProcessId, &str)> = single.collect();
        let mut count: BTreeMap<(ProcessId, &str), usize> = BTreeMap::new();
        for of in kin.values() {
            *count.entry(*of).or_default() += 1;
        }
        // Several that wait, and the one who lets them go on.
        Self(kin.into_iter().filter(|(_, of)| count[of] > SEVERAL).collect())
    }

    fn are(&self, one: ThreadId, other: ThreadId) -> bool {
        one != other && self.0.get(&one).is_some_and(|kin| self.0.get(&other) == Some(kin))
    }
}

fn signalled(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    brothers: &Brothers<'_>,
) -> Vec<Signalled> {
    let mut sends = OfStacks::new(capture);
    let rests = states.waits().filter(|(id, _)| sites.of(*id).kind == WaitKind::Idle);
    let ended = rests.filter_map(|(id, wait)| {
        let wakeup = wait.wakeup?.of(capture);
        let (by, stack) = (wakeup.waker?, wakeup.stack?);
        let by_signal = wakeup.context == Context::Task
            && sends.get(stack, || sends_a_signal(capture, stack))
            && brothers.are(by, wait.thread);
        by_signal.then_some(Signalled { by, time: wakeup.time, thread: wait.thread, id })
    });
    ended.collect()
}

/// What these servers were asked and answered, in order of time.
fn talks(
    capture: &Capture,
    brothers: &Brothers<'_>,
    servers: &BTreeSet<ThreadId>,
) -> BTreeMap<ThreadId, Vec<(Timestamp, Talk)>> {
    let mut sends = OfStacks::new(capture);
    let mut talks: BTreeMap<ThreadId, Vec<(Timestamp, Talk)>> = BTreeMap::new();
    for row in &capture.wakeups {
        let (Some(waker), Some(stack)) = (row.waker, row.stack) else { continue };
        let (asks, answers) = (servers.contains(&row.wakee), servers.contains(&waker));
        if !(asks || answers)
            || brothers.are(waker, row.wakee)
            || !sends.get(stack, || sends_data(capture, stack))
        {
            continue;
        }
        if asks {
            talks.entry(row.wakee).or_default().push((row.time, Talk::Asked));
        }
        if answers {
            talks.entry(waker).or_default().push((row.time, Talk::Answered));
        }
    }
    talks
}

/// `kernel/signal.c`.
fn sends_a_signal(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack)
        .any(|name| name.starts_with("do_send_") || name.starts_with("kill_"))
}

/// On one machine who sends delivers its data itself (`net/ipv4/tcp.c`, `net/unix/af_unix.c`).
fn sends_data(capture: &Capture, stack: StackId) -> bool {
    const CALLS: [&str; 4] =
        ["tcp_sendmsg", "unix_stream_sendmsg", "sock_sendmsg", "sock_write_iter"];
    names::kernel(capture, stack).any(|name| CALLS.contains(&name))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Timestamp};

    use crate::analyze;
    use crate::findings::{Cause, Grade};
    use crate::script;

    const LATCH: &str = "schedule<ep_poll<do_epoll_wait";
    const SENDS: &str = "try_to_wake_up<unix_stream_sendmsg<sock_sendmsg";
    const SIGNALS: &str =
        "try_to_wake_up<ep_poll_callback<signalfd_notify<do_send_sig_info<kill_pid_info";

    /// Three servers of one master rest until their client x asks them at 100 ms, and then until d, a brother of theirs that runs, does
    /// `lets_go` at 500 ms; each answers then. What is found: the cause, the processes and the culprit.
    fn found(asks: bool, lets_go: &str) -> Option<(Cause, u32, Option<i32>, Grade)> {
        found_with(asks, lets_go, ".d")
    }

    /// A server m of four processes.
    fn server() -> Capture {
        let mut capture = script::process(Capture::default(), &[('m', "server")]);
        for child in 'a'..='d' {
            let (child, master) = (script::tid(child), script::tid('m'));
            let thread = capture.threads.fork(child, child, Some(master), Timestamp(0));
            capture.threads.name(thread, "server", Timestamp(0));
        }
        capture
    }

    /// The same, where d does something from 101 ms on.
    fn found_with(
        asks: bool,
        lets_go: &str,
        does: &str,
    ) -> Option<(Cause, u32, Option<i32>, Grade)> {
        let capture = server();
        let mut events = vec!["0 .x".to_owned()];
        let mut round = |at: u64, until: u64, asks: bool, how: &str, does: &str| {
            for child in 'a'..='c' {
                if asks {
                    events.push(format!("{at}ms x!{child} {SENDS},{at}ms ->{child}"));
                    events.push(format!("{at}ms {child}>- S {LATCH}"));
                }
            }
            events.push(format!("{at}ms ->d,{at}ms {does}"));
            for child in 'a'..='c' {
                events.push(format!("{until}ms d!{child} {how}"));
            }
            for child in 'a'..='c' {
                events.push(format!("{until}ms ->{child},{until}ms {child}!x {SENDS}"));
                events.push(format!("{until}ms {child}>- S {LATCH}"));
            }
        };
        for at in 0..20 {
            round(5 * at + 1, 5 * at + 2, true, SIGNALS, ".d");
        }
        round(101, 500, asks, lets_go, does);
        events.push("501ms .x".to_owned());
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let worst = findings.worst()?;
        let culprit = worst.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        Some((worst.cause?, worst.freeze.threads_blocked, culprit, worst.grade))
    }

    #[test]
    fn servers_that_were_asked_and_rest_until_a_brother_signals_them_waited_for_its_lock() {
        let lock = (Cause::Futex, 3, Some(script::tid('d')), Grade::Strong);
        assert_eq!(found(true, SIGNALS), Some(lock));
    }

    #[test]
    fn who_rested_with_the_lock_may_have_passed_on_what_came_from_outside() {
        let (_, _, culprit, grade) =
            found_with(true, SIGNALS, &format!("d>- S {LATCH},500ms ->d")).unwrap();
        assert_eq!((culprit, grade), (Some(script::tid('d')), Grade::Circumstantial));
    }

    #[test]
    fn servers_that_nobody_asked_rest() {
        assert_eq!(found(false, SIGNALS), None);
    }

    #[test]
    fn who_is_woken_by_anything_else_waited_for_no_lock() {
        assert_eq!(found(true, "try_to_wake_up<ep_poll_callback<pipe_write"), None);
    }

    #[test]
    fn a_lock_that_those_who_waited_hand_on_is_that_of_the_one_who_had_it_first() {
        // d lets a go, a lets b go when it has done, and b lets c go.
        let capture = server();
        let mut events = vec!["0 .x".to_owned()];
        let mut round = |at: u64, until: u64| {
            for child in 'a'..='c' {
                events.push(format!("{at}ms x!{child} {SENDS},{at}ms ->{child}"));
                events.push(format!("{at}ms {child}>- S {LATCH}"));
            }
            events.push(format!("{at}ms ->d,{at}ms .d"));
            for (at, (by, child)) in (until..).zip([('d', 'a'), ('a', 'b'), ('b', 'c')]) {
                events.push(format!("{at}ms {by}!{child} {SIGNALS}"));
                if by != 'd' {
                    events.push(format!("{at}ms {by}!x {SENDS},{at}ms {by}>- S {LATCH}"));
                }
                events.push(format!("{at}ms ->{child}"));
            }
            let at = until + 3;
            events.push(format!("{at}ms c!x {SENDS},{at}ms c>- S {LATCH}"));
        };
        for at in 0..20 {
            round(10 * at + 1, 10 * at + 2);
        }
        round(201, 500);
        events.push("504ms .x".to_owned());
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let worst = findings.worst().unwrap();
        let culprit = worst.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        assert_eq!(
            (worst.cause, worst.freeze.threads_blocked, culprit),
            (Some(Cause::Futex), 3, Some(script::tid('d')))
        );
    }
}
