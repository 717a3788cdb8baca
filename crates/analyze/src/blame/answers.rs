//! Who gave the answers that came late.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Capture, Context, ThreadId, Wakeup};

use crate::blame::{network, pipes};
use crate::findings::Cause;
use crate::holds::release;
use crate::model::Model;
use crate::names;
use crate::states::{Doing, WaitId};
use crate::windows::RawWindow;

/// Whether this thread gave the answer for which a wait was.
pub(crate) fn answered(model: &Model<'_>, wait: WaitId, thread: ThreadId) -> bool {
    who_answered(model, wait) == Some(thread)
}

/// Whether most answers that came late in a freeze came from these threads.
pub(crate) fn are_answers_of(model: &Model<'_>, raw: &RawWindow, threads: &[ThreadId]) -> bool {
    let late = || raw.waits().filter(|&id| is_late(model, id));
    let by_them = late()
        .filter(|&id| who_answered(model, id).is_some_and(|sender| threads.contains(&sender)));
    by_them.count() * 2 > late().count()
}

/// From whom the answers that came late in a freeze may have come, each with how often: who gave them, or, where nobody is known to
/// have given any, who had given those that the same threads had got at other times.
pub(crate) fn possible_senders(model: &Model<'_>, raw: &RawWindow) -> BTreeMap<ThreadId, u64> {
    let mut senders: BTreeMap<ThreadId, u64> = BTreeMap::new();
    let late = raw.waits().filter_map(|id| who_answered(model, id));
    late.for_each(|sender| *senders.entry(sender).or_default() += 1);
    if senders.is_empty() { usual_senders(model, raw) } else { senders }
}

/// Who gave the answers for which those who waited in a freeze had waited at other times, each with how often it did.
pub(super) fn usual_senders(model: &Model<'_>, raw: &RawWindow) -> BTreeMap<ThreadId, u64> {
    let mut senders: BTreeMap<ThreadId, u64> = BTreeMap::new();
    for slice in raw.threads.iter().flat_map(|&thread| model.states.of(thread).iter()) {
        let Doing::Blocked(id) = slice.doing else { continue };
        if network::is_for_data(&model.sites, model.sites.of(id))
            && let Some(wakeup) = model.wakeup(id)
            && is_by_other_end(model.capture, wakeup)
            && let Some(sender) = wakeup.waker
        {
            *senders.entry(sender).or_default() += 1;
        }
    }
    senders
}

/// Whether a wait was for an answer that came late.
pub(super) fn is_late(model: &Model<'_>, wait: WaitId) -> bool {
    model.sites.of(wait).is_harm_by(Cause::Network)
}

/// Who ended a wait for an answer; `None` if it came from outside of what was recorded.
pub(super) fn who_answered(model: &Model<'_>, wait: WaitId) -> Option<ThreadId> {
    let wait = pipes::first_in_turn(model, wait)?;
    let wakeup = model.wakeup(wait).filter(|_| is_late(model, wait))?;
    // Who is let on at a futex had got its answer before, and was not seen to come back from there.
    let lets_on = wakeup.stack.is_some_and(|stack| release::wakes_futex(model.capture, stack));
    wakeup.waker.filter(|_| !lets_on && is_by_other_end(model.capture, wakeup))
}

/// On one machine the sender delivers its data itself, in a software interrupt on its way out of the send
/// (`loopback_xmit`, `drivers/net/loopback.c`; unix sockets without the interrupt). So does a reader tell the one
/// who waits to send that there is room again (`tcp_cleanup_rbuf`, `net/ipv4/tcp.c`).
pub(crate) fn is_by_other_end(capture: &Capture, wakeup: &Wakeup) -> bool {
    const CALLS: &[&str] = &[
        "tcp_sendmsg",
        "udp_sendmsg",
        "unix_stream_sendmsg",
        "sock_sendmsg",
        "sock_write_iter",
        "tcp_recvmsg",
    ];
    let calls = wakeup
        .stack
        .is_some_and(|stack| names::kernel(capture, stack).any(|name| CALLS.contains(&name)));
    calls || wakeup.context == Context::Task
}
