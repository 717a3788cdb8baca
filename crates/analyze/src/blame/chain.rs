//! The way from a victim to the culprit: who waited, and who let go.

use coldcase_ingest::capture::{Context, Span, StackId, ThreadId};

use crate::findings::ChainLink;
use crate::holds::release;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::sites::operation;
use crate::states::{Doing, WaitId};
use crate::view::thread_name;
use crate::windows::RawWindow;

/// Longer chains are told from their end: the culprit's end is what matters.
const MAX_LINKS: usize = 64;
/// So many of the longest waits are tried for a chain that leads to the culprit.
const TRIED: usize = 16;
/// A wait is about as long as the longest from such a part of it on.
const AS_LONG: f64 = 0.9;

/// The chain of the longest wait of a freeze, up to the culprit if there is one: of the longest that leads to it, if
/// that is among the first; else of one about as long of which it is known who ended it.
pub(crate) fn of_longest(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: Option<ThreadId>,
) -> Vec<ChainLink> {
    let mut waits: Vec<Whole> = raw.waits().map(|id| whole(model, id)).collect();
    waits.sort_by_key(|wait| {
        let open = model.states.wait(wait.last).wakeup.is_none();
        (open, std::cmp::Reverse(wait.span.duration()), wait.last)
    });
    waits.dedup_by_key(|wait| wait.last);
    waits.truncate(TRIED);
    let mut chains: Vec<_> = waits.iter().map(|&wait| follow(model, wait, culprit)).collect();
    let leads = |(_, end): &(_, Option<ThreadId>)| culprit.is_some() && *end == culprit;
    let is_known = |(wait, (chain, _)): (&Whole, &(Vec<ChainLink>, _))| {
        chain[0].waker.is_some()
            && wait.span.duration().share_of(waits[0].span.duration()) > AS_LONG
    };
    let led = chains.iter().position(leads);
    let chosen = led.or_else(|| waits.iter().zip(&chains).position(is_known)).unwrap_or(0);
    if chains.is_empty() { Vec::new() } else { chains.swap_remove(chosen).0 }
}

/// A wait from its start to its end, which those that are taken in slices have not in one.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    pub first: WaitId,
    pub last: WaitId,
    pub span: Span,
}

/// The whole of the wait that a wait is, or is a slice of.
pub(crate) fn whole(model: &Model<'_>, id: WaitId) -> Whole {
    let series = model.series.of_one(id);
    match series.map(|series| (series.waits.as_slice(), series.span)) {
        Some((&[first, .., last], span)) => Whole { first, last, span },
        _ => Whole { first: id, last: id, span: model.states.wait(id).span },
    }
}

/// The chain of a wait, and who ended its last one.
fn follow(
    model: &Model<'_>,
    first: Whole,
    culprit: Option<ThreadId>,
) -> (Vec<ChainLink>, Option<ThreadId>) {
    let mut chain = Vec::new();
    let mut next = Some(first);
    let mut end = None;
    while let Some(wait) = next.filter(|_| chain.len() < MAX_LINKS) {
        let (link, waker) = link(model, wait);
        chain.push(link);
        end = waker;
        // What the one who makes a pause does in it is not what kept it from beginning.
        let makes_pause = |waker| culprit.is_some() && runtimes::is_collector(model, waker);
        next = waker
            .filter(|&waker| Some(waker) != culprit && !makes_pause(waker))
            .and_then(|waker| own_wait(model, waker, Span::new(first.span.start, wait.span.end)))
            .map(|id| whole(model, id));
    }
    (chain, end)
}

fn link(model: &Model<'_>, wait: Whole) -> (ChainLink, Option<ThreadId>) {
    let end = end(model, wait.last);
    let link = ChainLink {
        waiter: thread_name(model.capture, model.states.wait(wait.last).thread),
        site: model.sites.name(model.sites.of(wait.last)).to_owned(),
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
        (_, None) if whole(model, id).last != id => "its time was up, and it waited on".to_owned(),
        (None, _) if model.states.wait(id).open_end => {
            "the recording ends before the wait does".to_owned()
        }
        (None, _) => "no wakeup is in the capture".to_owned(),
        (Some(_), None) => "an interrupt ended the wait".to_owned(),
        (Some(_), Some(_)) if stack.is_some_and(|stack| release::is_thaw(capture, stack)) => {
            "thawed the file system".to_owned()
        }
        (Some(_), Some(_)) => match (lets_go, operation) {
            (true, Some(operation)) => format!("released the lock in {}", operation.word()),
            (true, None) => "released the lock".to_owned(),
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

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script::{self, FUTEX};

    #[test]
    fn of_waits_about_as_long_one_is_told_of_which_it_is_known_who_ended_it() {
        let stop = "schedule<do_signal_stop<get_signal";
        let told = |end: u64| {
            let capture = script::process(Capture::default(), &[('a', "main"), ('b', "serve")]);
            let script = format!(
                "0 .c,1ms a>b S {stop},2ms b>c S {stop},{end}ms c!a signal_wake_up_state<do_send_sig_info,\
                 200ms w:b,201ms c>a S,202ms a>b S,203ms .b"
            );
            let capture = script::record(capture, &script);
            let findings = crate::analyze(&capture, &script::options());
            let window = findings.worst().unwrap();
            let link = &window.chain[0];
            (link.waiter.comm.clone(), link.waker.clone().and_then(|waker| waker.tid))
        };
        assert_eq!(told(199), ("main".to_owned(), Some(script::tid('c'))));
        assert_eq!(told(100), ("serve".to_owned(), None));
    }

    #[test]
    fn a_wait_in_slices_is_one_that_its_last_slice_ends() {
        let script = "1000000 a>- S FUTEX,6100000 ->a,6110000 a>- S FUTEX,11210000 ->a,\
                      11220000 a>- S FUTEX,13000000 b!a,13000000 ->a,14000000 .a";
        let capture = script::process(Capture::default(), &[('a', "python3")]);
        let capture = script::record(capture, &script.replace("FUTEX", FUTEX));
        let model = script::model(&capture);
        let waits: Vec<WaitId> = model.states.waits().map(|(id, _)| id).collect();
        let [first, middle, last] = waits[..] else { panic!("{waits:?}") };
        let whole = whole(&model, middle);
        assert_eq!((whole.first, whole.last), (first, last));
        assert_eq!((whole.span.start.0, whole.span.end.0), (1_000_000, 13_000_000));
        assert_eq!(end(&model, middle).how, "its time was up, and it waited on");
        assert_eq!(end(&model, last).how, "woke it");
    }
}
