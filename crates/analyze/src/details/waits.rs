//! The longest waits of the timeline's lanes, with who ended them and from which stack.

use std::cmp::Reverse;
use std::sync::Arc;

use coldcase_ingest::capture::{Mode, StackId, ThreadId};
use rustc_hash::FxHashMap;

use crate::blame::chain;
use crate::details::{StackView, WaitView};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::WaitId;
use crate::view::{frames, thread_name};

/// So many can be looked into: nobody clicks through more, and each costs a report some fifty bytes.
const KEPT: usize = 2_000;

/// The waits of these threads, a lane each, with the stacks that they refer to.
pub(crate) fn longest(model: &Model<'_>, lanes: &[ThreadId]) -> (Vec<WaitView>, Vec<StackView>) {
    let lane_of: FxHashMap<ThreadId, usize> =
        lanes.iter().enumerate().map(|(lane, &thread)| (thread, lane)).collect();
    let harms = |id: WaitId| matches!(model.sites.of(id).kind, WaitKind::Harm(..));
    let mut ids: Vec<WaitId> = model
        .states
        .waits()
        .filter(|(_, wait)| lane_of.contains_key(&wait.thread))
        .map(|(id, _)| id)
        .collect();
    let order = |&id: &WaitId| (!harms(id), Reverse(model.states.wait(id).span.duration()), id);
    if ids.len() > KEPT {
        ids.select_nth_unstable_by_key(KEPT, order);
        ids.truncate(KEPT);
    }
    ids.sort_unstable_by_key(order);
    let mut stacks = Stacks::default();
    let waits = ids.into_iter().map(|id| {
        let wait = model.states.wait(id);
        let end = chain::end(model, id);
        WaitView {
            lane: lane_of[&wait.thread],
            span: wait.span,
            site: Arc::from(model.sites.name(model.sites.of(id))),
            harm: harms(id),
            stack: wait.stack.map(|stack| stacks.number(stack)),
            waker: end.waker.map(|waker| thread_name(model.capture, waker)),
            waker_lane: end.waker.and_then(|waker| lane_of.get(&waker).copied()),
            waker_stack: end.stack.map(|stack| stacks.number(stack)),
            how: end.how,
        }
    });
    let waits = waits.collect();
    let views = stacks.order.iter().map(|&stack| StackView {
        user: frames(model.capture, stack, Mode::User),
        kernel: frames(model.capture, stack, Mode::Kernel),
    });
    (waits, views.collect())
}

/// Stacks by the order in which they are first asked for.
#[derive(Default)]
struct Stacks {
    order: Vec<StackId>,
    numbers: FxHashMap<StackId, usize>,
}

impl Stacks {
    fn number(&mut self, stack: StackId) -> usize {
        let next = self.order.len();
        let number = *self.numbers.entry(stack).or_insert(next);
        if number == next {
            self.order.push(stack);
        }
        number
    }
}
