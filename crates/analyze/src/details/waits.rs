//! The longest waits of the timeline's lanes, those for a CPU among them, with who ended them and from which stack.

use std::cmp::Reverse;
use std::sync::Arc;

use coldcase_ingest::capture::{Capture, Mode, Nanos, Span, StackId, ThreadId};
use rustc_hash::FxHashMap;

use crate::blame::chain;
use crate::details::{StackView, WaitView};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::view::{frames, thread_name};

/// So many can be looked into: nobody clicks through more, and each costs a report some fifty bytes.
const KEPT: usize = 2_000;

/// From this length on a wait for a CPU is listed beside the others: shorter ones are everywhere.
const LONG_FOR_A_CPU: Nanos = Nanos(10_000_000);

/// A wait that may be shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Blocked(WaitId),
    /// Place in the list of waits for a CPU.
    Ready(usize),
}

/// A wait for a CPU, and the stack in which the thread was taken off one.
struct Ready {
    thread: ThreadId,
    span: Span,
    stack: Option<StackId>,
}

/// The waits of these threads, a lane each, with the stacks that they refer to.
pub(crate) fn longest(model: &Model<'_>, lanes: &[ThreadId]) -> (Vec<WaitView>, Vec<StackView>) {
    let lane_of: FxHashMap<ThreadId, usize> =
        lanes.iter().enumerate().map(|(lane, &thread)| (thread, lane)).collect();
    let ready = ready(model, lanes);
    let harms = |id: WaitId| matches!(model.sites.of(id).kind, WaitKind::Harm(..));
    let order = |&one: &Shown| {
        let (rests, span) = match one {
            Shown::Blocked(id) => (!harms(id), model.states.wait(id).span),
            Shown::Ready(place) => (false, ready[place].span),
        };
        (rests, Reverse(span.duration()), one)
    };
    let blocked = model.states.waits();
    let blocked = blocked.filter(|(_, wait)| lane_of.contains_key(&wait.thread));
    let all = blocked.map(|(id, _)| Shown::Blocked(id));
    let mut shown: Vec<Shown> = Vec::with_capacity(4 * KEPT);
    // A busy machine has millions, of which only those that are kept take room.
    for one in all.chain((0..ready.len()).map(Shown::Ready)) {
        if shown.len() == 4 * KEPT {
            shown.select_nth_unstable_by_key(KEPT, order);
            shown.truncate(KEPT);
        }
        shown.push(one);
    }
    shown.sort_unstable_by_key(order);
    shown.truncate(KEPT);
    let mut stacks = Stacks::default();
    let waits = shown.into_iter().map(|one| match one {
        Shown::Blocked(id) => {
            let wait = model.states.wait(id);
            let end = chain::end(model, id);
            WaitView {
                lane: lane_of[&wait.thread],
                span: wait.span,
                site: Arc::from(model.sites.name(model.sites.of(id))),
                harm: harms(id),
                ready: false,
                stack: wait.stack.map(|stack| stacks.number(stack)),
                waker: end.waker.map(|waker| thread_name(model.capture, waker)),
                waker_lane: end.waker.and_then(|waker| lane_of.get(&waker).copied()),
                waker_stack: end.stack.map(|stack| stacks.number(stack)),
                how: end.how,
            }
        }
        Shown::Ready(place) => {
            let wait = &ready[place];
            let (before, how) = end_of_readiness(model.capture, wait);
            WaitView {
                lane: lane_of[&wait.thread],
                span: wait.span,
                site: Arc::from("run queue"),
                harm: true,
                ready: true,
                stack: wait.stack.map(|stack| stacks.number(stack)),
                waker: before.map(|before| thread_name(model.capture, before)),
                // Whoever left the CPU woke nobody.
                waker_lane: None,
                waker_stack: None,
                how,
            }
        }
    });
    let waits = waits.collect();
    let views = stacks.order.iter().map(|&stack| StackView {
        user: frames(model.capture, stack, Mode::User),
        kernel: frames(model.capture, stack, Mode::Kernel),
    });
    (waits, views.collect())
}

/// The long waits of these threads for a CPU.
fn ready(model: &Model<'_>, lanes: &[ThreadId]) -> Vec<Ready> {
    let of_lane = |&thread: &ThreadId| {
        let long = model.states.of(thread).long(LONG_FOR_A_CPU);
        long.filter_map(move |slice| match slice.doing {
            Doing::Runnable(stack) => Some(Ready { thread, span: slice.span, stack }),
            Doing::Running | Doing::Blocked(_) => None,
        })
    };
    lanes.iter().flat_map(of_lane).collect()
}

/// How a thread that was ready came to a CPU, and who left it, by the switch to it.
fn end_of_readiness(capture: &Capture, wait: &Ready) -> (Option<ThreadId>, String) {
    let end = wait.span.end;
    let first = capture.switches.partition_point(|switch| switch.time < end);
    let mut at_end = capture.switches[first..].iter().take_while(|switch| switch.time == end);
    let Some(switch) = at_end.find(|switch| switch.into == Some(wait.thread)) else {
        let is_cut_off = end >= capture.whole().end;
        let how = if is_cut_off {
            "the recording ends before the wait does"
        } else {
            "no switch to it is in the capture"
        };
        return (None, how.to_owned());
    };
    let cpu =
        switch.cpu.map_or_else(|| "its CPU".to_owned(), |cpu| format!("CPU {}", cpu.number()));
    match switch.out {
        Some(out) if capture.threads.get(out).is_idle_task() => {
            (None, format!("came to {cpu}, which was idle"))
        }
        Some(out) => (Some(out), format!("left {cpu} to it")),
        None => (None, format!("came to {cpu}")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    #[test]
    fn who_is_ready_for_long_gets_the_cpu_of_somebody_and_is_not_woken_by_them() {
        let events = "0 .a,1ms a>b R+,2ms b>a S,3ms a>b R+,60ms b>a S,61ms a>- S,90ms w:a,130ms ->a,131ms .a";
        let mut capture = script::record(Capture::default(), events);
        let a = script::thread(&mut capture, "a");
        let (waits, _) = longest(&script::model(&capture), &[a]);
        let told: Vec<_> = waits
            .iter()
            .map(|wait| {
                let by = wait.waker.as_ref().and_then(|by| by.tid);
                (&*wait.site, wait.span.duration().0 / 1_000_000, by, &*wait.how)
            })
            .collect();
        assert_eq!(
            told[..2],
            [
                ("run queue", 57, Some(script::tid('b')), "left CPU 0 to it"),
                ("run queue", 40, None, "came to CPU 0, which was idle")
            ]
        );
        assert!(waits.iter().all(|wait| wait.waker_lane.is_none()) && told.len() == 3, "{told:?}");
    }
}
