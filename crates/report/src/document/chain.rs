//! Who waited for whom, as steps on one axis of time.
//!
//! ```text
//!   serve-4  ..[=====================]..   woken by serve-2: released mmap_lock in munmap
//!   serve-2  ...[===================]...   woken by serve-5: ...
//!   serve-5  ..[===================]....   woken by ingest-0: released mmap_lock in mmap
//!   ingest-0 .[###################].....   mmap 3.36 GB
//! ```

use coldcase_analyze::findings::{Cause, ChainLink, Culprit, Findings, Operation, Window};
use coldcase_ingest::capture::Span;

use crate::words::Kind;
use crate::{names, units, words};

/// Longest chain that is shown; the two ends matter most, so the middle is left out.
const STEPS: usize = 16;

/// The way from the longest wait to the culprit.
pub(crate) struct Chain {
    pub steps: Vec<Step>,
    /// How many links are left out after the first half of `steps`.
    pub left_out: usize,
}

/// One thread on the way.
pub(crate) struct Step {
    pub who: String,
    /// Where it waited, or what it did.
    pub what: String,
    /// How long.
    pub time: String,
    /// Who let it go, and how; empty for the culprit.
    pub ended: String,
    pub culprit: bool,
    /// The colour of its wait.
    pub kind: Kind,
    /// Begin and length of its bar, in percent of the axis.
    pub bar: Option<(f64, f64)>,
}

pub(super) fn chain(findings: &Findings, window: &Window) -> Option<Chain> {
    if window.chain.is_empty() {
        return None;
    }
    let axis = axis(window)?;
    let left_out = window.chain.len().saturating_sub(STEPS);
    let head = if left_out > 0 { STEPS / 2 } else { window.chain.len() };
    let (first, rest) = window.chain.split_at(head);
    let shown = first.iter().chain(rest.iter().skip(left_out));
    let mut steps: Vec<Step> = shown.map(|link| step(findings, window, link, axis)).collect();
    let led_to = window.chain.last().and_then(|link| link.waker.as_ref());
    if let Some(culprit) = window.culprit.as_ref().filter(|culprit| led_to == Some(&culprit.thread))
    {
        steps.push(last_step(window, culprit, axis));
    }
    Some(Chain { steps, left_out })
}

/// From the first begin to the last end of anything in the chain.
fn axis(window: &Window) -> Option<Span> {
    let links = window.chain.iter().map(|link| link.span);
    let hold = window.culprit.as_ref().and_then(call_span);
    links.chain(hold).reduce(Span::hull).filter(|span| !span.is_empty())
}

fn call_span(culprit: &Culprit) -> Option<Span> {
    let start = culprit.start?;
    let time = culprit.duration.or(culprit.held)?;
    Some(Span::new(start, start.plus(time)))
}

fn step(findings: &Findings, window: &Window, link: &ChainLink, axis: Span) -> Step {
    let home = window.freeze.pid;
    let waker = link.waker.as_ref().map(|waker| words::thread(waker, home));
    let site = findings.wait_sites.iter().find(|site| site.site == link.site);
    Step {
        who: words::thread(&link.waiter, home),
        what: names::function(&link.site),
        time: units::duration(link.span.duration()),
        ended: words::wait_ended(
            waker.as_deref(),
            &words::how(findings, link.waker.as_ref(), &link.how),
        ),
        culprit: false,
        kind: site.map_or(Kind::Other, words::kind_of_site),
        bar: Some(bar(link.span, axis)),
    }
}

fn last_step(window: &Window, culprit: &Culprit, axis: Span) -> Step {
    let time = culprit.held.or(culprit.duration);
    let holds_own = culprit.operation == Some(Operation::UserLock);
    let answered_late = window.cause == Some(Cause::Network);
    let meanwhile = culprit.activity.iter().max_by_key(|share| share.time);
    let late = culprit.operation == Some(Operation::LateToPause);
    let meanwhile = meanwhile.filter(|_| time.is_none() && (holds_own || late || answered_late));
    Step {
        who: words::thread(&culprit.thread, window.freeze.pid),
        what: match (culprit.operation, meanwhile) {
            (Some(Operation::UserLock), Some(share)) => {
                format!("held the lock, {}", names::name(&share.what))
            }
            (Some(Operation::UserLock), None) => "held the lock".to_owned(),
            (Some(Operation::LateToPause), Some(share)) => {
                format!("came late to the pause, {}", names::name(&share.what))
            }
            (Some(call @ (Operation::Signal | Operation::LateToPause)), _) => {
                words::deed_short(call, &culprit.flags)
            }
            (Some(call), _) => {
                format!("in {}", words::operation_sized(call, culprit.bytes, &culprit.flags))
            }
            (None, Some(share)) => names::name(&share.what),
            (None, None) => "had what the others waited for".to_owned(),
        },
        time: time
            .or(meanwhile.map(|share| share.time))
            .map_or_else(|| "–".to_owned(), units::duration),
        ended: String::new(),
        culprit: true,
        kind: Kind::OnCpu,
        bar: call_span(culprit).map(|span| bar(span, axis)),
    }
}

fn bar(span: Span, axis: Span) -> (f64, f64) {
    let whole = axis.duration();
    let left = span.start.since(axis.start).share_of(whole) * 100.0;
    let width = axis.overlap(span).share_of(whole) * 100.0;
    (left, width.max(0.4).min(100.0 - left))
}
