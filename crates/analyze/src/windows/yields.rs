//! Threads that wait without sleeping: they give their CPU away in sched_yield(2) again and again until something is so.
//!
//! Such waiting is no wait to the kernel, and nobody wakes its end. Where threads that else hardly do it do it together for
//! long, something held them up, and the capture does not show what.

use coldcase_ingest::capture::{Nanos, Sentence, Span, StackId, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::names;
use crate::options::Options;
use crate::sites::of_stacks::OfStacks;
use crate::states::Doing;
use crate::windows::unseen::most_at_once;
use crate::windows::{SEVERAL, wanted};

/// Who yields and is not back at it within this did something else.
const NEAR: Nanos = Nanos(50_000_000);
/// Fewer are no waiting.
const TIMES: usize = 20;
/// Who spins in other places, too, does so as a rule.
const MOST: f64 = 0.8;

/// The most threads of a process that spun at once, where they do not as a rule.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let mut known = OfStacks::new(model.capture);
    let mut is_yield = |stack: StackId| {
        let mut kernel = names::kernel(model.capture, stack);
        known.get(stack, || kernel.any(|name| name.contains("sched_yield")))
    };
    let threads = &model.capture.threads;
    let processes = threads
        .processes()
        .filter(|(id, process)| !process.kernel && wanted(model, *id, options.process.as_ref()));
    let (process, count, span) = processes
        .filter_map(|(id, process)| {
            let of_threads = process.threads.iter();
            let stretches = of_threads
                .filter_map(|&thread| only_stretch(model, options, thread, &mut is_yield));
            let (count, span) = most_at_once(stretches, options.min_freeze);
            (count >= SEVERAL).then_some((id, count, span))
        })
        .max_by_key(|&(id, count, span)| (count, span.duration(), std::cmp::Reverse(id)))?;
    Some(CannotTell {
        cause: Cause::Unknown,
        missing: Sentence::from("a probe at the program's own lock")
            .words(&format!(": for {:.0} ms from {:.3} s on, {count} threads of ", span.duration().as_millis_f64(), span.start.as_secs_f64()))
            .task(threads.process_comm(process))
            .words(
                " gave their CPUs away in sched_yield again and again, which they else hardly do; waiting for a lock that \
                 spins looks like this, and no event tells who has it",
            ),
    })
}

/// The one long stretch in which a thread spun, if nearly all of its yields lie in it.
fn only_stretch(
    model: &Model<'_>,
    options: &Options,
    thread: ThreadId,
    is_yield: &mut impl FnMut(StackId) -> bool,
) -> Option<Span> {
    let slices = model.states.of(thread).iter();
    let yields: Vec<Span> = slices
        .filter(|slice| matches!(slice.doing, Doing::Runnable(Some(stack)) if is_yield(stack)))
        .map(|slice| slice.span)
        .collect();
    let stretches = yields.chunk_by(|one, next| next.start.since(one.end) < NEAR);
    let longest = stretches.max_by_key(|stretch| stretch.len())?;
    let span = longest.first()?.hull(*longest.last()?);
    let is_only = longest.len() as f64 >= MOST * yields.len() as f64;
    let life = model.span.duration().0;
    let is_unusual = span.duration().0 * 2 < life;
    (longest.len() >= TIMES && is_only && is_unusual && span.duration() >= options.min_freeze)
        .then_some(span)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

    /// Three threads that have the CPU in turns for 3 ms each, and yield in some of their rounds.
    fn told(yields: impl Fn(u64) -> bool) -> Option<String> {
        let names = ["a", "b", "c"];
        let rounds = (0..300_u64).map(|round| {
            let (out, into) = (names[round as usize % 3], names[(round as usize + 1) % 3]);
            let from = if yields(round) {
                "__x64_sys_sched_yield<do_syscall_64"
            } else {
                "asm_sysvec_apic_timer_interrupt"
            };
            format!("{}ms {out}>{into} R+ schedule<{from}", 3 * round)
        });
        let script: Vec<String> = rounds.collect();
        let threads = [('a', "serve"), ('b', "serve"), ('c', "serve")];
        let capture = script::process(Capture::default(), &threads);
        let capture = script::record(capture, &script.join(","));
        hint(&script::model(&capture), &script::options()).map(|hint| hint.missing.to_string())
    }

    #[test]
    fn threads_that_yield_together_for_once_wait_for_something() {
        let told = told(|round| (100..200).contains(&round)).unwrap();
        assert!(told.contains(": for 2") && told.contains("3 threads of serve gave"), "{told}");
    }

    #[test]
    fn who_yields_all_the_time_or_seldom_waits_for_nothing() {
        assert_eq!(told(|_| true), None);
        assert_eq!(told(|round| round % 40 < 3), None);
        assert_eq!(told(|_| false), None);
    }
}
