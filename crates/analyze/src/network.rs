//! Answers that came late: threads that wait in a receive for somebody at the other end of a connection.
//!
//! A receive is a server's rest, or a client's want, and the kernel does not say which. A thread that has its rest
//! elsewhere (it sleeps, or waits in epoll) wants something of the other end when it receives, and how long that
//! usually takes is seen.

use coldcase_ingest::capture::{Capture, Context, Nanos, Sentence, ThreadId, Wakeup};

use crate::habits::{self, FACTOR, HABIT};
use crate::model::Model;
use crate::names;
use crate::rules::WaitKind;
use crate::sites::Sites;
use crate::sums::Sums;
use crate::tally::Tally;
use crate::thread_state::{Doing, ThreadStates, WaitId};
use crate::view;
use crate::windows::RawWindow;

/// The rule's name for a thread that waits in a receive.
const RECEIVE: &str = "socket receive";

/// The receives in which a thread waited far longer than it usually does.
pub(crate) fn late_answers(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    sums: &Sums,
) -> Vec<WaitId> {
    let mut late = Vec::new();
    let Some(receive) = sites.number(RECEIVE) else { return late };
    let receives = sums.of_threads(capture, |site| site.number() == receive);
    let rests =
        sums.of_threads(capture, |site| site.number() != receive && site.kind == WaitKind::Idle);
    for (thread, _) in capture.threads.iter() {
        let habit = |counts: &[u64]| counts[thread.index()] >= HABIT as u64;
        if !habit(&receives) || !habit(&rests) {
            continue;
        }
        let mut receives: Vec<(u64, WaitId)> = Vec::new();
        for slice in states.of(thread).iter() {
            let Doing::Blocked(id) = slice.doing else { continue };
            if sites.of(id).number() == receive {
                receives.push((slice.span.duration().0, id));
            }
        }
        let mut lengths: Vec<u64> = receives.iter().map(|(length, _)| *length).collect();
        lengths.sort_unstable();
        let long = habits::usual(&lengths).saturating_mul(FACTOR);
        late.extend(receives.iter().filter(|(length, _)| *length >= long).map(|(_, id)| id));
    }
    late
}

/// Who sent the answers that ended a freeze's waits, with the time for which it ran meanwhile; `None` if they came
/// from another machine.
fn sender(model: &Model<'_>, raw: &RawWindow) -> Option<(ThreadId, Nanos)> {
    let wakeups =
        raw.waits().filter_map(|id| Some((model.wakeup(id)?, model.states.wait(id).span)));
    let senders: Tally<ThreadId> = wakeups
        .filter(|(wakeup, _)| is_by_sender(model.capture, wakeup))
        .filter_map(|(wakeup, span)| Some((wakeup.waker?, span.duration())))
        .collect();
    let (thread, _) = senders.largest()?;
    Some((thread, model.states.time(thread, raw.span, |doing| doing == Doing::Running)))
}

/// On one machine the sender delivers its data itself, in a software interrupt on its way out of the send
/// (`loopback_xmit`, `drivers/net/loopback.c`; unix sockets without the interrupt).
fn is_by_sender(capture: &Capture, wakeup: &Wakeup) -> bool {
    const SENDS: &[&str] =
        &["tcp_sendmsg", "udp_sendmsg", "unix_stream_sendmsg", "sock_sendmsg", "sock_write_iter"];
    let sends = wakeup
        .stack
        .is_some_and(|stack| names::kernel(capture, stack).any(|name| SENDS.contains(&name)));
    sends || wakeup.context == Context::Task
}

/// Whether the one who answered late ran all the while.
pub(crate) fn sender_was_busy(model: &Model<'_>, raw: &RawWindow) -> bool {
    sender(model, raw).is_some_and(|(_, ran)| ran.share_of(raw.span.duration()) > 0.5)
}

/// What is known of the other end.
pub(crate) fn evidence(model: &Model<'_>, raw: &RawWindow) -> Sentence {
    let Some((thread, ran)) = sender(model, raw) else {
        return "the answers came from outside of what was recorded".into();
    };
    let name = view::thread_name(model.capture, thread);
    let process = name.pid.map_or(String::new(), |pid| format!(" of process {pid}"));
    Sentence::default().task(&name.comm).words(&format!(
        "{process} answered late: it was on a CPU for {:.0} % of the window",
        100.0 * ran.share_of(raw.span.duration())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Cause;
    use crate::script;

    const RECEIVES: &str = "schedule<sk_wait_data<tcp_recvmsg_locked<tcp_recvmsg";
    const SLEEPS: &str = "schedule<do_nanosleep<hrtimer_nanosleep";

    /// Twelve rounds of a thread: a rest, unless it has none, and an answer after 1 ms; then one after 100 ms.
    fn rounds(rests: bool) -> Capture {
        let mut script = vec!["0 .a".to_owned()];
        for round in 0..12 {
            let at = 10 * round;
            if rests {
                script.push(format!("{}ms a>- S {SLEEPS},{}ms ->a", at + 1, at + 5));
            }
            script.push(format!("{}ms a>- S {RECEIVES},{}ms b!a,{}ms ->a", at + 6, at + 7, at + 7));
        }
        script.push(format!("120ms a>- S {RECEIVES},220ms b!a tcp_sendmsg,220ms ->a,221ms a>-"));
        script::record(Capture::default(), &script.join(","))
    }

    fn late(capture: &Capture) -> usize {
        let model = script::model(capture);
        let late = |id| matches!(model.sites.of(id).kind, WaitKind::Harm(Cause::Network, _));
        model.states.waits().filter(|&(id, _)| late(id)).count()
    }

    #[test]
    fn an_answer_that_stands_out_is_late() {
        assert_eq!(late(&rounds(true)), 1);
    }

    #[test]
    fn who_rests_in_its_receives_waits_for_no_answer() {
        assert_eq!(late(&rounds(false)), 0);
    }
}
