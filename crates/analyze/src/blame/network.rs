//! Answers that came late: threads that wait in a receive for somebody at the other end of a connection.
//!
//! A receive, or a poll before it, is a server's rest or a client's want, and the kernel does not say which. A thread
//! that has its rest elsewhere (it sleeps, or waits in epoll) wants something of the other end there, and how long
//! that usually takes is seen.

use coldcase_ingest::capture::{Capture, Nanos, Sentence, ThreadId};

use crate::blame::answers::{is_late, usual_senders, who_answered};
use crate::blame::stopped;
use crate::blame::{self, Leaf, Root};
use crate::findings::{Cause, Culprit, ThreadName};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::sums::Sums;
use crate::sites::{Site, Sites};
use crate::states::{Doing, ThreadStates, WaitId};
use crate::tally::Tally;
use crate::verdict::culprit;
use crate::view;
use crate::windows::RawWindow;
use crate::windows::habits::{self, FACTOR, HABIT};

/// The rules' names for a thread that waits for data. The C library's resolver, and many a database's client, poll
/// before they receive.
const WAITS_FOR_DATA: [&str; 2] = ["socket receive", POLL];
const POLL: &str = "poll, select";

/// The receives and polls in which a thread waited far longer than it usually does.
pub(crate) fn late_answers(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    sums: &Sums,
) -> Vec<WaitId> {
    let numbers = WAITS_FOR_DATA.map(|name| sites.number(name));
    let kind = |site: &Site| numbers.iter().position(|&number| number == Some(site.number()));
    let rests =
        sums.of_threads(capture, |site| site.kind == WaitKind::Idle && kind(site).is_none());
    let for_data = [0, 1].map(|wanted| sums.of_threads(capture, |site| kind(site) == Some(wanted)));
    let mut late = Vec::new();
    for (thread, _) in capture.threads.iter() {
        let is_habit = |counts: &[u64]| counts[thread.index()] >= HABIT as u64;
        if !is_habit(&rests) || !for_data.iter().any(|counts| is_habit(counts)) {
            continue;
        }
        let mut for_data: [Vec<(u64, WaitId)>; 2] = Default::default();
        for slice in states.of(thread).iter() {
            let Doing::Blocked(id) = slice.doing else { continue };
            // The waking by another process is not recorded then: it may have got its answer, and run on.
            let untold = states.wait(id).open_end && !states.comings_recorded;
            if let Some(kind) = kind(sites.of(id)).filter(|_| !untold) {
                for_data[kind].push((slice.span.duration().0, id));
            }
        }
        for waits in for_data.iter().filter(|waits| waits.len() >= HABIT) {
            let mut lengths: Vec<u64> = waits.iter().map(|(length, _)| *length).collect();
            lengths.sort_unstable();
            let long = habits::usual(&lengths).saturating_mul(FACTOR);
            late.extend(waits.iter().filter(|(length, _)| *length >= long).map(|(_, id)| id));
        }
    }
    late.sort_unstable();
    late
}

/// Whether what is waited for at a site is data.
pub(crate) fn is_for_data(sites: &Sites, site: &Site) -> bool {
    WAITS_FOR_DATA.contains(&sites.name(site))
}

/// Whether nothing but polls makes a freeze: what one of them waits for is known less well than what many do.
pub(crate) fn is_of_polls(model: &Model<'_>, raw: &RawWindow) -> bool {
    let name = |id| model.sites.name(model.sites.of(id));
    raw.cause == Cause::Network && raw.waits().all(|id| name(id) == POLL)
}

/// Whose answer a freeze waited for, on the same machine.
pub(crate) struct OtherEnd {
    /// The thread that ended the waits.
    pub thread: ThreadId,
    /// It ran, slept, was stopped or waited for a device, and for nobody: what it did meanwhile is why the answer came late.
    pub is_to_blame: bool,
    /// It was ready to answer and found no CPU: who had that is why.
    pub is_starved: bool,
}

/// Who ended the waits at which a freeze's waiting of `total` comes down; `None` if they were ended from outside of what
/// was recorded, or by one after another.
pub(crate) fn other_end(
    model: &Model<'_>,
    raw: &RawWindow,
    leaves: &[Leaf],
    total: Nanos,
) -> Option<OtherEnd> {
    let answered = leaves.iter().filter_map(|leaf| match leaf.root {
        Root::Own(id) | Root::Blocked(_, id) => Some((who_answered(model, id)?, leaf.time)),
        _ => None,
    });
    let senders: Tally<ThreadId> = answered.collect();
    let (thread, time) = senders.largest()?;
    if time.share_of(total) <= 0.5 {
        return None;
    }
    // A server that waits for requests may not have got this one, and one that waits for a lock, for an answer or for a CPU is a
    // victim itself.
    let own_doing = model.states.time(thread, raw.span, |doing| match doing {
        Doing::Running => true,
        // Where its comings were not recorded, nobody knows how long it waited for a CPU.
        Doing::Runnable(_) => !model.states.comings_recorded,
        Doing::Blocked(id) => {
            let site = model.sites.of(id);
            let of_its_own = matches!(site.kind, WaitKind::Harm(cause, _)
                if !cause.is_lock() && cause != Cause::Network);
            of_its_own || model.sites.name(site) == "sleep"
        }
    });
    // On a busy machine it shares its CPU as a matter of course; whoever waits longer for one than it does anything is kept from it.
    let ready = ready(model, raw, thread);
    let is_late = (own_doing + ready).share_of(raw.span.duration()) > 0.5;
    let is_starved = is_late && ready > own_doing;
    let ran = model.states.ran(thread, raw.span);
    let may_have_waited = ran.share_of(raw.span.duration()) > 0.5
        && !culprit::ran_for_certain(model, thread, raw.span);
    let is_to_blame = is_late && !is_starved && !may_have_waited;
    Some(OtherEnd { thread, is_to_blame, is_starved })
}

/// A freeze without the one whose answers it waited for, who may have stood still in it as well: why, not who.
pub(crate) fn without_other_end(model: &Model<'_>, raw: RawWindow) -> RawWindow {
    let (leaves, total) = blame::of(model, &raw.harms);
    match other_end(model, &raw, &leaves, total) {
        Some(other) if raw.threads.contains(&other.thread) => {
            let others = raw.threads.iter().copied().filter(|&thread| thread != other.thread);
            raw.of(others.collect())
        }
        _ => raw,
    }
}

/// Who found no CPU, and so answered late, of those for whose answers a freeze waited.
pub(crate) fn starved_end(model: &Model<'_>, raw: &RawWindow) -> Option<ThreadId> {
    let (leaves, total) = blame::of(model, &raw.harms);
    let end = other_end(model, raw, &leaves, total).filter(|end| end.is_starved)?;
    Some(end.thread)
}

/// The one at the other end, and how long it was known to wait for a CPU in a freeze.
pub(crate) fn starved(model: &Model<'_>, raw: &RawWindow, other: &OtherEnd) -> (ThreadName, Nanos) {
    (view::thread_name(model.capture, other.thread), ready(model, raw, other.thread))
}

/// How long a thread was known to wait for a CPU in a freeze.
fn ready(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> Nanos {
    let is_ready = |doing| matches!(doing, Doing::Runnable(_)) && model.states.comings_recorded;
    model.states.time(thread, raw.span, is_ready)
}

/// What is known where the recording ended before the answers came: who gave those before.
fn not_yet(model: &Model<'_>, raw: &RawWindow) -> Vec<Sentence> {
    let mut told = vec!["The answers had not come when the recording ended".into()];
    let senders = usual_senders(model, raw);
    let all: u64 = senders.values().sum();
    if let Some((&sender, times)) = senders.iter().max_by_key(|(_, times)| **times)
        && times * 2 > all
        && all >= HABIT as u64
    {
        let name = view::thread_name(model.capture, sender);
        let of = name.pid.map_or(String::new(), |pid| format!(" of process {pid}"));
        let ran = model.states.ran(sender, raw.span).share_of(raw.span.duration());
        let most = Sentence::from("Most answers before came from ").task(&name.comm);
        told.push(
            most.words(&format!("{of}, which was on a CPU for {:.0} % of the window", 100.0 * ran)),
        );
    }
    told
}

/// Whether a thread waited for data, or at its event loop, through most of a window.
pub(crate) fn rested(model: &Model<'_>, thread: ThreadId, raw: &RawWindow) -> bool {
    let rested = model.states.time(thread, raw.span, |doing| match doing {
        Doing::Blocked(id) => {
            let site = model.sites.of(id);
            is_for_data(&model.sites, site) || model.sites.name(site) == "epoll"
        }
        Doing::Running | Doing::Runnable(_) => false,
    });
    rested.share_of(raw.span.duration()) > 0.5
}

/// That answers came from several threads, none of which gave most of them; `None` if most came from nobody that was recorded.
fn from_many(model: &Model<'_>, raw: &RawWindow) -> Option<Sentence> {
    let late: Vec<WaitId> = raw.waits().filter(|&id| is_late(model, id)).collect();
    let mut senders: Vec<ThreadId> =
        late.iter().filter_map(|&id| who_answered(model, id)).collect();
    if senders.len() * 2 <= late.len() {
        return None;
    }
    senders.sort_unstable();
    senders.dedup();
    if senders.len() < 2 {
        return None;
    }
    let threads = &model.capture.threads;
    let comm = threads.process_comm(threads.get(*senders.first()?).process);
    let same = senders.iter().all(|&id| threads.process_comm(threads.get(id).process) == comm);
    let many = format!("The answers came from {} threads", senders.len());
    let of = if same { Sentence::from(many + " of ").task(comm) } else { Sentence::from(many) };
    Some(of.words(", none of which gave most of them"))
}

/// The one at the other end as a culprit, if what it did meanwhile is why the answer came late.
pub(crate) fn culprit(model: &Model<'_>, raw: &RawWindow, other: &OtherEnd) -> Option<Culprit> {
    other.is_to_blame.then(|| {
        let thread = view::thread_name(model.capture, other.thread);
        Culprit::without_call(thread, culprit::activity(model, other.thread, raw.span))
    })
}

/// What is known of the other end.
pub(crate) fn reasons(
    model: &Model<'_>,
    raw: &RawWindow,
    other: Option<&OtherEnd>,
) -> Vec<Sentence> {
    let Some(other) = other else {
        let mut for_answer = raw.waits().filter(|&id| is_late(model, id)).peekable();
        let some = for_answer.peek().is_some();
        return if some && for_answer.all(|id| model.states.wait(id).open_end) {
            not_yet(model, raw)
        } else {
            vec![
                from_many(model, raw)
                    .unwrap_or_else(|| "The answers came from outside of what was recorded".into()),
            ]
        };
    };
    let name = view::thread_name(model.capture, other.thread);
    let of = name.pid.map_or(String::new(), |pid| format!(" of process {pid}"));
    if other.is_starved {
        let share = 100.0 * ready(model, raw, other.thread).share_of(raw.span.duration());
        let found_none = format!(
            "{of} answered late because it found no CPU: it was ready to run for {share:.0} % of the window"
        );
        return vec![Sentence::default().task(&name.comm).words(&found_none)];
    }
    let ran = model.states.ran(other.thread, raw.span);
    let late = Sentence::default().task(&name.comm).words(&format!(
        "{of} answered late: it was on a CPU for {:.0} % of the window",
        100.0 * ran.share_of(raw.span.duration())
    ));
    let late = if rested(model, other.thread, raw) {
        late.words(", and waited itself for somebody to ask or to answer it")
    } else {
        late
    };
    let stopped = model.states.within(other.thread, raw.span).find_map(|slice| match slice.doing {
        Doing::Blocked(id) => Some(id).filter(|&id| stopped::is_stop(model, id)),
        Doing::Running | Doing::Runnable(_) => None,
    });
    let sender = stopped.and_then(|stop| stopped::sender(model, stop));
    let by = sender.map(|sender| {
        let who = &sender.culprit.thread;
        let pid = who.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        Sentence::from("It was stopped by ").task(&who.comm).words(&pid)
    });
    std::iter::once(late).chain(by).collect()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Context, Loss, LossKind, Timestamp};

    use super::*;
    use crate::analyze;
    use crate::blame::answers::is_by_other_end;
    use crate::findings::{Findings, Grade};
    use crate::script::{self, SLEEPS};

    const RECEIVES: &str = "schedule<sk_wait_data<tcp_recvmsg_locked<tcp_recvmsg";

    /// Twelve rounds of a thread: a rest, unless it has none, and an answer after 1 ms; then one after 100 ms.
    fn rounds(rests: bool, waits: &str) -> Capture {
        let mut script = vec!["0 .a".to_owned()];
        for round in 0..12 {
            let at = 10 * round;
            if rests {
                script.push(format!("{}ms a>- S {SLEEPS},{}ms ->a", at + 1, at + 5));
            }
            script.push(format!("{}ms a>- S {waits},{}ms b!a,{}ms ->a", at + 6, at + 7, at + 7));
        }
        script.push(format!("120ms a>- S {waits},220ms b!a tcp_sendmsg,220ms ->a,221ms a>-"));
        script::record(Capture::default(), &script.join(","))
    }

    fn late(capture: &Capture) -> usize {
        let model = script::model(capture);
        let late = |id| model.sites.of(id).is_harm_by(Cause::Network);
        model.states.waits().filter(|&(id, _)| late(id)).count()
    }

    #[test]
    fn an_answer_that_stands_out_is_late() {
        assert_eq!(late(&rounds(true, RECEIVES)), 1);
    }

    #[test]
    fn who_rests_in_its_receives_waits_for_no_answer() {
        assert_eq!(late(&rounds(false, RECEIVES)), 0);
    }

    #[test]
    fn who_owes_an_answer_that_has_not_come_is_told_by_who_gave_those_before() {
        // The recording ends before b, which runs, has answered for the last time.
        let capture = script::process(Capture::default(), &[('a', "client")]);
        let mut capture = script::process(capture, &[('b', "server")]);
        capture.origin.command = ["record", "-a"].map(str::to_owned).to_vec();
        let mut events = vec!["0 .b".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{}ms a>b S {SLEEPS},{}ms b>a S {SLEEPS}", at + 1, at + 5));
            events.push(format!("{}ms a>b S {RECEIVES},{}ms b!a tcp_sendmsg", at + 6, at + 7));
            events.push(format!("{}ms b>a S {SLEEPS}", at + 8));
        }
        events.push(format!("130ms a>b S {RECEIVES},330ms .b"));
        let findings =
            analyze(&script::record(capture, &events.join(",")), &crate::Options::default());
        let window = findings.worst().unwrap();
        assert_eq!((window.cause, window.grade), (Some(Cause::Network), Grade::Circumstantial));
        let told: Vec<String> = window.reasons.iter().map(ToString::to_string).collect();
        assert!(told.contains(&"The answers had not come when the recording ended".to_owned()));
        assert!(
            told.iter().any(|told| told.contains("process 98, which was on a CPU for 100 %")),
            "{told:?}"
        );
    }

    #[test]
    fn a_poll_that_stands_out_is_a_late_answer_too() {
        let polls = |rests| rounds(rests, "schedule<do_sys_poll");
        assert_eq!((late(&polls(true)), late(&polls(false))), (1, 0));
    }

    /// What is found where a thread, after twelve rounds of work, waits for 100 ms until b, which runs, ends that.
    fn verdict(usually: &str, at_last: &str) -> Findings {
        last_wait(usually, &format!("121ms a>b S {at_last}"))
    }

    /// The same, whatever b does from 121 ms on, when a begins to wait.
    fn last_wait(usually: &str, events: &str) -> Findings {
        let mut script = vec!["0 .a".to_owned()];
        for round in 0..12 {
            let at = 10 * round;
            let wait = format!("{}ms a>b S {usually},{}ms b!a,{}ms b>a S", at + 1, at + 8, at + 8);
            script.push(wait);
        }
        script.push(format!("{events},221ms b!a,221ms b>a S,222ms a>-"));
        analyze(&script::record(Capture::default(), &script.join(",")), &script::options())
    }

    const PIPE: &str = "schedule<anon_pipe_write<vfs_write";

    #[test]
    fn who_answered_late_is_named_with_what_it_did() {
        for other_end in [PIPE, "schedule<handle_userfault", "schedule<request_wait_answer"] {
            let findings = verdict(SLEEPS, other_end);
            let window = findings.worst().unwrap();
            assert_eq!((window.cause, window.grade), (Some(Cause::Network), Grade::Strong));
            let culprit = window.culprit.as_ref().unwrap();
            assert_eq!(culprit.thread.tid, Some(i32::from(b'b')));
            assert_eq!(culprit.activity[0].what, "on a CPU");
        }
    }

    #[test]
    fn who_seems_to_run_where_many_events_were_lost_may_have_waited_itself() {
        // a, c, d and e ask b, who answers them after 100 ms at last.
        let culprits = |lost: u64| {
            let clients = ['a', 'c', 'd', 'e'].map(|letter| (letter, "client"));
            let capture = script::process(Capture::default(), &clients);
            let mut script = vec!["0 .b".to_owned()];
            for (round, until) in (0..13).map(|round| (round, if round == 12 { 100 } else { 6 })) {
                let at = 10 * round;
                let each = || clients.iter().map(|(letter, _)| letter);
                script.extend(each().map(|t| format!("{}ms {t}>- S {RECEIVES}", at + 1)));
                script.push(format!("{}ms .b", at + 2));
                script.extend(
                    each().map(|t| format!("{}ms b!{t},{}ms ->{t}", at + until, at + until)),
                );
                script.extend(each().map(|t| format!("{}ms {t}>- S {SLEEPS}", at + until + 1)));
                script.extend(each().map(|t| format!("{}ms ->{t}", at + until + 3)));
            }
            let mut capture = script::record(capture, &script.join(","));
            let (time, kind) = (Some(Timestamp(222_000_000)), LossKind::Lost);
            capture.losses.push(Loss { time, kind, count: lost, note: String::new() });
            let findings = analyze(&capture, &script::options());
            let windows = findings.windows.into_iter();
            windows.map(|window| window.culprit.map(|who| who.thread.tid)).collect::<Vec<_>>()
        };
        assert_eq!(culprits(0), [Some(Some(script::tid('b')))]);
        assert_eq!(culprits(9), [None]);
    }

    #[test]
    fn a_reader_that_makes_room_in_an_interrupt_of_its_own_is_the_other_end() {
        let wakeup = |stack: &str| {
            let mut capture =
                script::record(Capture::default(), &format!("0 .a,1ms b!a {stack},2ms .a"));
            capture.wakeups[0].context = Context::SoftIrq;
            is_by_other_end(&capture, &capture.wakeups[0])
        };
        assert!(wakeup("try_to_wake_up<sk_stream_write_space<handle_softirqs<tcp_recvmsg"));
        assert!(!wakeup("try_to_wake_up<sk_stream_write_space<handle_softirqs<irq_exit_rcu"));
    }

    #[test]
    fn who_lets_go_of_a_futex_gives_no_answer() {
        let wakes = "try_to_wake_up<wake_up_q<futex_wake<do_futex";
        let findings =
            last_wait(SLEEPS, &format!("121ms a>b S {PIPE},220ms b!a {wakes},220ms ->a"));
        assert!(findings.worst().unwrap().culprit.is_none());
    }

    #[test]
    fn answers_of_several_are_not_from_outside() {
        // a, b and c ask x, y and z.
        let threads = [('a', "client"), ('b', "client"), ('c', "client")];
        let mut capture = script::process(Capture::default(), &threads);
        for letter in 'x'..='z' {
            capture = script::process(capture, &[(letter, "server")]);
        }
        let pairs = || "abc".chars().zip("xyz".chars());
        let mut events = vec!["0 .a".to_owned()];
        let mut ask = |at: u64, until: u64| {
            events.extend(pairs().map(|(a, _)| format!("{at}ms {a}>- S {RECEIVES}")));
            events.extend(pairs().map(|(_, x)| format!("{until}ms ->{x}")));
            events.extend(pairs().map(|(a, x)| format!("{until}ms {x}!{a} tcp_sendmsg")));
            events.extend(pairs().map(|(a, x)| format!("{until}ms {x}>{a} S schedule<ep_poll")));
            events.extend(pairs().map(|(a, _)| format!("{}ms {a}>- S {SLEEPS}", until + 1)));
            events.extend(pairs().map(|(a, _)| format!("{}ms ->{a}", until + 4)));
        };
        for round in 0..12 {
            ask(10 * round + 1, 10 * round + 2);
        }
        ask(121, 421);
        let findings = analyze(&script::record(capture, &events.join(",")), &script::options());
        let window = findings.worst().unwrap();
        let told: Vec<&str> = window.reasons.iter().map(|row| &**row).collect();
        assert_eq!(
            told,
            ["The answers came from 3 threads of server, none of which gave most of them"]
        );
    }

    #[test]
    fn who_waits_for_a_lock_itself_is_not_to_blame() {
        let futex = "schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex";
        let findings = last_wait(
            SLEEPS,
            &format!("121ms a>b S {PIPE},122ms b>- S {futex},220ms w:b,220ms ->b"),
        );
        let window = findings.worst().unwrap();
        assert_eq!((window.cause, window.grade), (Some(Cause::Network), Grade::Circumstantial));
        assert!(window.culprit.is_none());
    }

    #[test]
    fn who_was_ready_to_answer_and_found_no_cpu_is_not_to_blame() {
        let no_cpu = format!("121ms a>b S {PIPE},125ms b>c R+ schedule,215ms c>b S {SLEEPS}");
        let findings = last_wait(SLEEPS, &no_cpu);
        let window = findings.worst().unwrap();
        assert_eq!((window.cause, window.grade), (Some(Cause::Network), Grade::Circumstantial));
        assert!(window.culprit.is_none());
        assert!(window.reasons[0].contains("found no CPU: it was ready to run for 90 %"));
        let (end, wanted) = window.starved_end.as_ref().unwrap();
        assert_eq!((end.tid, wanted.0), (Some(script::tid('b')), 90_000_000));
    }

    #[test]
    fn a_producer_that_often_waits_for_its_consumer_does_not_freeze() {
        assert!(verdict(PIPE, PIPE).worst().is_none());
    }
}
