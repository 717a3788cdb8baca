//! What those waited for whose answers came late.
//!
//! A server hands a request from thread to thread, and whoever sends the answer rests until it is told to. What it waited for shows in
//! who told it, and who told that one, each right after it was let on itself:
//!
//! ```text
//! client:   asks |~~~~~~~~~~~~~~~~~~~~ waits ~~~~~~~~~~~~~~~~~~~~|
//! sends:     rests ------------------------------------------| sends
//! selects:   rests ----------------------------------------| tells it
//! logs:      |------ at its disk ------|runs|-- at its disk --| tells it
//! ```
//!
//! Threads that hand on requests may tell each other for more reasons than one, so this explains a freeze and accuses nobody.

use coldcase_ingest::capture::{Context, Nanos, Sentence, ThreadId, Timestamp};

use crate::blame::answers::{is_late, who_answered};
use crate::blame::network::{self, OtherEnd};
use crate::findings::Cause;
use crate::losses;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::tally::Tally;
use crate::view;
use crate::windows::RawWindow;

/// Who hands on a request does little more than that.
const AT_ONCE: Nanos = Nanos(5_000_000);
/// So many waits are gone through from an answer back to its question.
const MOST: usize = 1024;

/// What is known of the other end of those who waited for an answer, and of what that one waited for, unless it explains itself.
pub(crate) fn reasons(
    model: &Model<'_>,
    raw: &RawWindow,
    other: Option<&OtherEnd>,
) -> Vec<Sentence> {
    let mut reasons = network::reasons(model, raw, other);
    if !other.is_some_and(|other| other.is_to_blame || other.is_starved) {
        reasons.extend(disk(model, raw));
    }
    reasons
}

/// At what the threads behind the answers of a freeze stood for most of the time, if that was a disk.
fn disk(model: &Model<'_>, raw: &RawWindow) -> Option<Sentence> {
    if losses::any(model.capture, raw.span) {
        return None;
    }
    let late = || raw.waits().filter(|&id| is_late(model, id));
    let total: Nanos = late().map(|id| model.states.wait(id).span.duration()).sum();
    let at_disk: Vec<(WaitId, Nanos)> = late().flat_map(|id| back_from(model, id)).collect();
    let thread_of = |id: WaitId| model.states.wait(id).thread;
    let by_thread: Tally<ThreadId> =
        at_disk.iter().map(|&(id, time)| (thread_of(id), time)).collect();
    let (thread, time) = by_thread.largest()?;
    if time.share_of(total) <= 0.5 {
        return None;
    }
    let own = at_disk.iter().filter(|&&(id, _)| thread_of(id) == thread);
    let by_site: Tally<&str> =
        own.map(|&(id, time)| (model.sites.name(model.sites.of(id)), time)).collect();
    let (site, _) = by_site.largest()?;
    let name = view::thread_name(model.capture, thread);
    let of = name.pid.map_or(String::new(), |pid| format!(" of process {pid}"));
    Some(Sentence::from("The answers waited for ").task(&name.comm).words(&format!(
        "{of}, which stood at {site} for {:.0} % of the time",
        100.0 * time.share_of(total)
    )))
}

/// The waits at a disk on the way back from a late answer to its question, and how long each was on it.
fn back_from(model: &Model<'_>, late: WaitId) -> Vec<(WaitId, Nanos)> {
    let mut found = Vec::new();
    let asked = model.states.wait(late).span;
    let Some(mut thread) = who_answered(model, late) else { return found };
    let mut at = asked.end;
    for _ in 0..MOST {
        let Some(id) = last_wait(model, thread, at) else { break };
        let wait = model.states.wait(id);
        let Some(inside) = wait.span.intersect(asked) else { break };
        match model.sites.of(id).kind {
            WaitKind::Harm(Cause::DiskIo | Cause::FsJournal | Cause::PageFaultIo, _) => {
                found.push((id, inside.duration()));
                at = wait.span.start;
            }
            WaitKind::Idle | WaitKind::Harm(Cause::Futex, _) => {
                let told = model.wakeup(id).filter(|row| row.context == Context::Task);
                let Some((by, time)) = told.and_then(|row| Some((row.waker?, row.time))) else {
                    break;
                };
                if by == thread || model.capture.threads.get(by).is_idle_task() {
                    break;
                }
                (thread, at) = (by, time);
            }
            WaitKind::Harm(..) | WaitKind::Other => break,
        }
    }
    found
}

/// The wait out of which a thread had come at once when it did something.
fn last_wait(model: &Model<'_>, thread: ThreadId, at: Timestamp) -> Option<WaitId> {
    let mut since = Nanos::ZERO;
    for slice in model.states.of(thread).before(at) {
        match slice.doing {
            Doing::Running | Doing::Runnable(_) => {
                since += slice.span.end.min(at).since(slice.span.start);
            }
            Doing::Blocked(id) => return (since <= AT_ONCE).then_some(id),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::analyze;
    use crate::findings::Cause;
    use crate::script::{self, SLEEPS};

    /// What explains that a, b and c get their answers of s 400 ms late: s rests until p tells it, and p until l does, which ran for
    /// `ran` ms after its wait.
    fn told(waits: &str, ran: u64) -> Vec<String> {
        let receives = "schedule<sk_wait_data<tcp_recvmsg_locked<tcp_recvmsg";
        let poll = "schedule<ep_poll<do_epoll_wait";
        let tells = "try_to_wake_up<ep_poll_callback<eventfd_write";
        let capture =
            script::process(Capture::default(), &[('a', "ask"), ('b', "ask"), ('c', "ask")]);
        // Others of the server go on: it does not freeze.
        let server = ["sends", "selects", "logs", "works", "works", "works", "works"];
        let server: Vec<(char, &str)> = "splwxyz".chars().zip(server).collect();
        let capture = script::process(capture, &server);
        let mut events = vec![format!("0ms .a,1ms p>- S {poll},1ms s>- S {poll},1ms l>- S {poll}")];
        let clients = |event: &str| ["a", "b", "c"].map(|t| event.replace('?', t)).join(",");
        let mut ask = |at: u64, until: u64, log: &str| {
            events.push(clients(&format!("{at}ms ?>- S {receives}")));
            events.push(format!("{at}ms a!l {tells},{at}ms ->l,{log}"));
            let then = until.saturating_sub(ran).max(at);
            events.push(format!("{then}ms ->l,{until}ms l!p {tells},{until}ms l>p S {poll}"));
            events.push(format!("{until}ms p!s {tells},{until}ms p>s S {poll}"));
            events.push(clients(&format!("{until}ms s!? tcp_sendmsg")));
            events.push(format!("{until}ms s>- S {poll}"));
            events.push(clients(&format!("{}ms ->?,{}ms ?>- S {SLEEPS}", until + 1, until + 1)));
            events.push(clients(&format!("{}ms ->?", until + 3)));
        };
        for round in 0..12 {
            ask(10 * round + 10, 10 * round + 11, &format!("{}ms l>- S {poll}", 10 * round + 10));
        }
        ask(131, 531, &format!("131ms l>- D {waits}"));
        for at in (5..535).step_by(10) {
            let works = [("-", "w"), ("w", "x"), ("x", "y"), ("y", "z"), ("z", "-")];
            let next = (at..).zip(works).map(|(at, (t, u))| format!("{at}ms {t}>{u} S {SLEEPS}"));
            events.extend(next);
        }
        events.push("540ms .a".to_owned());
        let at = |event: &str| -> u64 {
            event.split("ms").next().and_then(|time| time.parse().ok()).unwrap()
        };
        let mut events: Vec<String> = events.join(",").split(',').map(str::to_owned).collect();
        events.sort_by_key(|event| at(event));
        let findings = analyze(&script::record(capture, &events.join(",")), &script::options());
        let window = findings.worst().unwrap();
        assert_eq!((window.cause, window.culprit.is_none()), (Some(Cause::Network), true));
        window.reasons.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_disk_behind_those_who_answer_is_told() {
        let disk = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
        let is_told = |reasons: &[String]| {
            reasons.iter().any(|told| told.starts_with("The answers waited for logs of process"))
        };
        let reasons = told(disk, 1);
        assert!(is_told(&reasons), "{reasons:?}");
        // Whoever was at no disk, or did something else after it, may have told of something else.
        assert!(!is_told(&told("schedule<of_a_driver", 1)));
        assert!(!is_told(&told(disk, 20)));
    }
}
