//! The way from a victim to the culprit: who waited, and who let go.

use coldcase_ingest::capture::{Context, Span, StackId, ThreadId};

use crate::findings::ChainLink;
use crate::model::Model;
use crate::operation;
use crate::release;
use crate::rules::WaitKind;
use crate::thread_state::{Doing, WaitId};
use crate::view::thread_name;
use crate::windows::RawWindow;

/// Longer chains are told from their end: the culprit's end is what matters.
const MAX_LINKS: usize = 64;
/// So many of the longest waits are tried for a chain that leads to the culprit.
const TRIED: usize = 16;

/// The chain of the longest wait of a freeze, up to the culprit if there is one: of the longest that leads to it, if
/// that is among the first.
pub(crate) fn of_longest(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: Option<ThreadId>,
) -> Vec<ChainLink> {
    let mut waits: Vec<WaitId> = raw.waits().collect();
    waits.sort_by_key(|&id| {
        let wait = model.states.wait(id);
        (wait.wakeup.is_none(), std::cmp::Reverse(wait.span.duration()), id)
    });
    let mut longest = None;
    for &id in waits.iter().take(TRIED) {
        let (chain, end) = follow(model, id, culprit);
        if culprit.is_none_or(|culprit| end == Some(culprit)) {
            return chain;
        }
        longest.get_or_insert(chain);
    }
    longest.unwrap_or_default()
}

/// The chain of a wait, and who ended its last one.
fn follow(
    model: &Model<'_>,
    first: WaitId,
    culprit: Option<ThreadId>,
) -> (Vec<ChainLink>, Option<ThreadId>) {
    let mut chain = Vec::new();
    let mut next = Some(first);
    let mut end = None;
    let not_before = model.states.wait(first).span.start;
    while let Some(id) = next.filter(|_| chain.len() < MAX_LINKS) {
        let (link, waker) = link(model, id);
        let woken_at = model.states.wait(id).span.end;
        chain.push(link);
        end = waker;
        next = waker
            .filter(|&waker| Some(waker) != culprit)
            .and_then(|waker| own_wait(model, waker, Span::new(not_before, woken_at)));
    }
    (chain, end)
}

fn link(model: &Model<'_>, id: WaitId) -> (ChainLink, Option<ThreadId>) {
    let wait = model.states.wait(id);
    let end = end(model, id);
    let link = ChainLink {
        waiter: thread_name(model.capture, wait.thread),
        site: model.sites.name(model.sites.of(id)).to_owned(),
        span: wait.span,
        waker: end.waker.map(|waker| thread_name(model.capture, waker)),
        how: end.how,
    };
    (link, end.waker)
}

/// How a wait ended.
pub(crate) struct End {
    /// Who ended it; `None` for an interrupt, too.
    pub waker: Option<ThreadId>,
    /// Where the waker stood.
    pub stack: Option<StackId>,
    /// In words.
    pub how: String,
}

/// How a wait ended: who woke the thread, and what it did then.
pub(crate) fn end(model: &Model<'_>, id: WaitId) -> End {
    let capture = model.capture;
    let wakeup = model.wakeup(id);
    let by_task = wakeup.filter(|wakeup| wakeup.context == Context::Task);
    let waker = by_task.and_then(|wakeup| wakeup.waker);
    let stack = by_task.and_then(|wakeup| wakeup.stack);
    let operation = stack.and_then(|stack| operation::of_stack(capture, stack));
    let lets_go = stack.and_then(|stack| release::of_stack(capture, stack)).is_some();
    let how = match (wakeup, waker) {
        (None, _) if model.states.wait(id).open_end => {
            "the recording ends before the wait does".to_owned()
        }
        (None, _) => "no wakeup is in the capture".to_owned(),
        (Some(_), None) => "an interrupt ended the wait".to_owned(),
        (Some(_), Some(_)) => match (lets_go, operation) {
            (true, Some(operation)) => format!("let go of the lock in {}", operation.word()),
            (true, None) => "let go of the lock".to_owned(),
            (false, Some(operation)) => format!("woke it in {}", operation.word()),
            (false, None) => "woke it".to_owned(),
        },
    };
    End { waker, stack, how }
}

/// The last wait for a lock that a waker itself had in a span.
fn own_wait(model: &Model<'_>, thread: ThreadId, span: Span) -> Option<WaitId> {
    let slices: Vec<_> = model.states.within(thread, span).collect();
    slices.into_iter().rev().find_map(|slice| match slice.doing {
        Doing::Blocked(id) => {
            let site = model.sites.of(id);
            let for_lock = matches!(site.kind, WaitKind::Harm(cause, _) if cause.is_lock());
            (for_lock && model.states.wait(id).span.end < span.end).then_some(id)
        }
        _ => None,
    })
}
