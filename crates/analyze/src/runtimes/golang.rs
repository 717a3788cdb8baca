//! Go programs whose functions have no names.
//!
//! The threads of Go's scheduler rest at futexes and let each other on, as those of other programs do at a lock, and only their
//! functions tell one from the other. A program of Go's is known without them: all its waits for futexes and all that end them
//! come out of one function (`runtime.futex`, `runtime/sys_linux_amd64.s`), where the C library has one for each, and its monitor
//! (`runtime.sysmon`) sleeps by nanosleep(2), where the C library calls clock_nanosleep(2).

use coldcase_ingest::capture::{
    Capture, FrameId, Location, Mode, ProcessId, Sentence, Span, StackId, Symbol, ThreadId,
};
use rustc_hash::FxHashMap;

use crate::findings::{CannotTell, Cause};
use crate::holds::release;
use crate::model::Model;
use crate::names;
use crate::options::Options;
use crate::sites::of_stacks::OfStacks;
use crate::sites::sums::Sums;
use crate::windows::SEVERAL;
use crate::windows::habits::HABIT;
use crate::windows::timed;

/// Nearly all of a program's futex calls come out of the one function.
const NEARLY_ALL: f64 = 0.95;

/// Where a process called for futexes, and how often.
#[derive(Default)]
struct Calls {
    of_waits: FxHashMap<Option<FrameId>, u64>,
    of_wakes: FxHashMap<Option<FrameId>, u64>,
    nanosleeps: u64,
}

/// Every process that is a program of Go's without names, in order.
pub(crate) fn unnamed(capture: &Capture, sums: &Sums) -> Vec<ProcessId> {
    let mut calls: FxHashMap<ProcessId, Calls> = FxHashMap::default();
    let process = |thread: ThreadId| capture.threads.get(thread).process;
    let mut sleeps = OfStacks::new(capture);
    for group in sums.iter() {
        let Some(stack) = group.stack else { continue };
        let calls = calls.entry(process(group.thread)).or_default();
        if group.site.is_harm_by(Cause::Futex) {
            *calls.of_waits.entry(unnamed_call(capture, stack)).or_default() += group.waits;
        } else if sleeps.get(stack, || is_nanosleep(capture, stack)) {
            calls.nanosleeps += group.waits;
        }
    }
    calls.retain(|_, calls| calls.nanosleeps >= HABIT as u64 && only(&calls.of_waits).is_some());
    if calls.is_empty() {
        return Vec::new();
    }
    let mut wakes = OfStacks::new(capture);
    for wakeup in &capture.wakeups {
        let (Some(waker), Some(stack)) = (wakeup.waker, wakeup.stack) else { continue };
        let Some(calls) = calls.get_mut(&process(waker)) else { continue };
        if wakes.get(stack, || release::wakes_futex(capture, stack)) {
            *calls.of_wakes.entry(unnamed_call(capture, stack)).or_default() += 1;
        }
    }
    let is_one = |calls: &Calls| {
        let waits = only(&calls.of_waits);
        waits.is_some() && only(&calls.of_wakes) == waits
    };
    let mut found: Vec<ProcessId> =
        calls.iter().filter(|(_, calls)| is_one(calls)).map(|(&process, _)| process).collect();
    found.sort_unstable();
    found
}

/// The one place from which nearly all calls come, if it has no name.
fn only(places: &FxHashMap<Option<FrameId>, u64>) -> Option<FrameId> {
    let all: u64 = places.values().sum();
    let (place, &most) = places.iter().max_by_key(|&(_, &count)| count)?;
    (all >= HABIT as u64 && most as f64 >= NEARLY_ALL * all as f64).then_some(*place)?
}

/// From where in the program itself a call was made, if that has no name.
fn unnamed_call(capture: &Capture, stack: StackId) -> Option<FrameId> {
    let mut frames = capture.stacks.frames(stack).iter().copied();
    let innermost = frames.find(|&id| capture.frames.get(id).mode == Mode::User)?;
    let frame = capture.frames.get(innermost);
    let own = match frame.location {
        Location::File { module, .. } => !capture.modules.get(module).path.contains(".so"),
        Location::Named(_) => true,
        Location::Address(_) => false,
    };
    (own && matches!(frame.symbol, Symbol::Unknown(_))).then_some(innermost)
}

fn is_nanosleep(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack).any(|name| name.ends_with("sys_nanosleep"))
}

/// Threads of such a program that rested together for longer than they usually do, while one of them ran: they may have wanted
/// what it had.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let threads = &model.capture.threads;
    let is_futex = |id| model.sites.of(id).is_harm_by(Cause::Futex);
    let is_go = |process| model.unnamed_go().contains(&process);
    let (process, count, span) = timed::most_unusual(model, options, is_go, is_futex)?;
    let runs = |thread: ThreadId, span: Span| {
        model.states.ran(thread, span).share_of(span.duration()) > 0.5
    };
    let runner = threads.process(process).threads.iter().any(|&thread| runs(thread, span));
    (count >= SEVERAL && runner).then(|| CannotTell {
        cause: Cause::Futex,
        missing: Sentence::from("names for the functions of ").task(threads.process_comm(process)).words(&format!(
            " (--symfs), which tell the idle threads of Go's scheduler from those at a lock or in a stop of the world: {count} of \
             them waited for {:.0} ms while another ran, longer than they usually do",
            span.duration().as_millis_f64(),
        )),
    })
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::WhyNoSymbol;

    use super::*;
    use crate::script;

    const CALL: &str = "user:call";
    const OTHER: &str = "user:other";

    /// What is told of a, b and c, which let each other on for a while and then wait for m, which runs and lets them on from
    /// `wakes`, beside a monitor that sleeps by `sleeps`: how many freezes, and whether it cannot tell.
    fn told(wakes: &str, sleeps: &str, named: bool) -> (usize, bool) {
        let waits = format!("schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex<{CALL}");
        let wakes = format!("try_to_wake_up<wake_up_q<futex_wake<do_futex<{wakes}");
        let names: Vec<(char, &str)> = "mabcds".chars().map(|letter| (letter, "go")).collect();
        let capture = script::process(Capture::default(), &names);
        let mut events = vec![(0, ".m".to_owned())];
        for at in (0..200).step_by(10) {
            for (thread, waker) in [('a', 'b'), ('b', 'c'), ('c', 'd'), ('d', 'a')] {
                events.push((at + 1, format!("{thread}>- S {waits}")));
                events.push((at + 6, format!("{waker}!{thread} {wakes}")));
                events.push((at + 6, format!("->{thread}")));
            }
            events.push((at + 1, format!("s>- S schedule<do_nanosleep<{sleeps}<{OTHER}")));
            events.push((at + 3, "->s".to_owned()));
        }
        events.extend(('a'..='d').map(|thread| (201, format!("{thread}>- S {waits}"))));
        events.extend(('a'..='d').map(|thread| (601, format!("m!{thread} {wakes}"))));
        events.extend(('a'..='d').map(|thread| (601, format!("->{thread}"))));
        events.push((602, ".m".to_owned()));
        events.sort_by_key(|&(time, _)| time);
        let script: Vec<String> =
            events.into_iter().map(|(time, what)| format!("{time}ms {what}")).collect();
        let mut capture = script::record(capture, &script.join(","));
        let unnamed = [CALL, OTHER].map(|name| name.trim_start_matches("user:"));
        let of_program: Vec<FrameId> = capture
            .frames
            .iter()
            .filter(|(_, frame)| frame.function().is_some_and(|name| unnamed.contains(&name)))
            .map(|(id, _)| id)
            .collect();
        for id in of_program.into_iter().filter(|_| !named) {
            capture.frames.set_symbol(id, Symbol::Unknown(WhyNoSymbol::NoSymbol));
        }
        let findings = crate::analyze(&capture, &script::options());
        let mut missing = findings.verdict.cannot_tell.iter().map(|row| row.missing.to_string());
        (findings.windows.len(), missing.any(|row| row.contains("idle threads of Go's scheduler")))
    }

    #[test]
    fn what_waits_and_wakes_from_one_place_beside_a_monitor_is_gos() {
        assert_eq!(told(CALL, "__x64_sys_nanosleep", false), (0, true));
    }

    #[test]
    fn other_programs_wait_for_locks() {
        assert_eq!(told(OTHER, "__x64_sys_nanosleep", false), (1, false));
        assert_eq!(told(CALL, "__x64_sys_clock_nanosleep", false), (1, false));
        // Where functions have names, the rules tell.
        assert_eq!(told(CALL, "__x64_sys_nanosleep", true), (1, false));
    }
}
