//! The longest waits of the timeline's lanes, those for a CPU among them, with who ended them and from which stack.

use std::cmp::Reverse;
use std::sync::Arc;

use coldcase_ingest::capture::{Capture, Mode, Nanos, Span, StackId, ThreadId};
use rustc_hash::FxHashMap;

use crate::blame::chain::{self, End};
use crate::details::{StackView, WaitView};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::view::{frames, thread_name};

/// So many can be looked into: nobody clicks through more, and each costs a report some fifty bytes.
const KEPT: usize = 2_000;

/// From this length on a wait for a CPU is listed beside the others: shorter ones are everywhere.
const LONG_FOR_A_CPU: Nanos = Nanos(10_000_000);

/// What a thread waited in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Site(WaitId),
    /// Ready to run, from the stack in which it was taken off its CPU.
    RunQueue(Option<StackId>),
}

/// The waits of these threads, a lane each, with the stacks that they refer to.
pub(crate) fn longest(model: &Model<'_>, lanes: &[ThreadId]) -> (Vec<WaitView>, Vec<StackView>) {
    let lane_of: FxHashMap<ThreadId, usize> =
        lanes.iter().enumerate().map(|(lane, &thread)| (thread, lane)).collect();
    let harms = |at: At| match at {
        At::Site(id) => matches!(model.sites.of(id).kind, WaitKind::Harm(..)),
        At::RunQueue(_) => true,
    };
    let blocked = model.states.waits();
    let blocked = blocked.filter(|(_, wait)| lane_of.contains_key(&wait.thread));
    let mut waits: Vec<(ThreadId, Span, At)> =
        blocked.map(|(id, wait)| (wait.thread, wait.span, At::Site(id))).collect();
    for &thread in lanes {
        let long = model.states.of(thread).long(LONG_FOR_A_CPU);
        waits.extend(long.filter_map(|slice| match slice.doing {
            Doing::Runnable(stack) => Some((thread, slice.span, At::RunQueue(stack))),
            Doing::Running | Doing::Blocked(_) => None,
        }));
    }
    let order = |&(thread, span, at): &(ThreadId, Span, At)| {
        (!harms(at), Reverse(span.duration()), at, thread, span.start)
    };
    if waits.len() > KEPT {
        waits.select_nth_unstable_by_key(KEPT, order);
        waits.truncate(KEPT);
    }
    waits.sort_unstable_by_key(order);
    let mut stacks = Stacks::default();
    let waits = waits.into_iter().map(|(thread, span, at)| {
        let end = match at {
            At::Site(id) => chain::end(model, id),
            At::RunQueue(_) => end_of_readiness(model.capture, thread, span),
        };
        let (site, stack, by) = match at {
            At::Site(id) => {
                (model.sites.name(model.sites.of(id)), model.states.wait(id).stack, end.waker)
            }
            // Whoever left the CPU woke nobody.
            At::RunQueue(stack) => ("run queue", stack, None),
        };
        WaitView {
            lane: lane_of[&thread],
            span,
            site: Arc::from(site),
            harm: harms(at),
            ready: matches!(at, At::RunQueue(_)),
            stack: stack.map(|stack| stacks.number(stack)),
            waker: end.waker.map(|waker| thread_name(model.capture, waker)),
            waker_lane: by.and_then(|waker| lane_of.get(&waker).copied()),
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

/// How a thread that was ready came to a CPU: who left it, by the switch to it.
fn end_of_readiness(capture: &Capture, thread: ThreadId, span: Span) -> End {
    let first = capture.switches.partition_point(|switch| switch.time < span.end);
    let at_end = capture.switches[first..].iter().take_while(|switch| switch.time == span.end);
    let switch = at_end.clone().find(|switch| switch.into == Some(thread));
    let cpu = switch
        .and_then(|switch| switch.cpu)
        .map_or("its CPU".to_owned(), |cpu| format!("CPU {}", cpu.number()));
    let out = switch.and_then(|switch| switch.out);
    let is_idle_task = |id: ThreadId| capture.threads.get(id).is_idle_task();
    let (waker, how) = match (switch, out) {
        (Some(_), Some(out)) if is_idle_task(out) => {
            (None, format!("came to {cpu}, which was idle"))
        }
        (Some(_), Some(out)) => (Some(out), format!("left {cpu} to it")),
        (Some(_), None) => (None, format!("came to {cpu}")),
        (None, _) if span.end >= capture.whole().end => {
            (None, "the recording ends before the wait does".to_owned())
        }
        (None, _) => (None, "no switch to it is in the capture".to_owned()),
    };
    End { waker, stack: None, how }
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
