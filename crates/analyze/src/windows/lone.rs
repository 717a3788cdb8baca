//! Threads that serve alone and did something else for long: on a CPU, or asleep.
//!
//! A server with one event loop keeps all its clients waiting while it computes. Nothing in the capture says whether
//! anyone asked it for something meanwhile, so this is no freeze, but worth a word where no other is found.

use coldcase_ingest::capture::{Nanos, Sentence, Span, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::Doing;
use crate::view;

/// A stretch without a look at its clients, of a thread that looks at them all the time.
struct Absence {
    thread: ThreadId,
    span: Span,
    asleep: bool,
}

/// The longest absence of a thread from its event loop, if it stands out against all others of that thread.
pub(crate) fn hint(model: &Model<'_>) -> Option<CannotTell> {
    let threads = model.capture.threads.iter();
    let looks = model.sums.of_threads(model.capture, |site| {
        site.kind == WaitKind::Idle && is_loop(model.sites.name(site))
    });
    let candidates = threads.filter(|(id, thread)| {
        !model.capture.threads.process(thread.process).kernel
            && thread.born.is_none()
            && looks[id.index()] >= ROUNDS as u64
    });
    let longest = candidates
        .filter_map(|(id, _)| of_thread(model, id))
        .max_by_key(|absence| (absence.span.duration(), std::cmp::Reverse(absence.thread)))?;
    let name = view::thread_name(model.capture, longest.thread);
    let did = if longest.asleep { "slept" } else { "was on a CPU or wanted one" };
    Some(CannotTell {
        cause: Cause::Unknown,
        missing: Sentence::from("the requests of ").task(&name.comm).words(&format!(
            " (tid {}): from {:.3} s on it {did} for {:.0} ms without a look at its event loop, which it \
             else looks at within {:.0} ms, and whoever asked it for something had to wait",
            model.capture.threads.get(longest.thread).tid,
            longest.span.start.as_secs_f64(),
            longest.span.duration().as_millis_f64(),
            SHORT.as_millis_f64(),
        )),
    })
}

/// From this length on a client notices.
const LONG: Nanos = Nanos(200_000_000);
/// All other absences but one tenth have to be shorter than this.
const SHORT: Nanos = Nanos(LONG.0 / 10);
/// Fewer rounds make no event loop.
const ROUNDS: usize = 20;

fn is_loop(site: &str) -> bool {
    matches!(site, "epoll" | "poll, select")
}

fn of_thread(model: &Model<'_>, thread: ThreadId) -> Option<Absence> {
    let mut absences: Vec<Absence> = Vec::new();
    let mut open: Option<(Span, bool)> = None;
    for slice in model.states.of(thread).iter() {
        let (at_loop, asleep) = match slice.doing {
            Doing::Running | Doing::Runnable(_) => (false, false),
            Doing::Blocked(id) => {
                let site = model.sites.of(id);
                match (site.kind, model.sites.name(site)) {
                    (WaitKind::Idle, name) if is_loop(name) => (true, false),
                    (WaitKind::Idle, "sleep") => (false, true),
                    // Any other wait is a cause of its own, or not known: what lies around it is no absence.
                    _ => {
                        open = None;
                        continue;
                    }
                }
            }
        };
        match (&mut open, at_loop) {
            (Some((span, slept)), false) => {
                (*span, *slept) = (span.hull(slice.span), *slept || asleep);
            }
            (None, false) => open = Some((slice.span, asleep)),
            (_, true) => {
                let absence = open.take().map(|(span, asleep)| Absence { thread, span, asleep });
                absences.extend(absence);
            }
        }
    }
    let mut lengths: Vec<Nanos> = absences.iter().map(|absence| absence.span.duration()).collect();
    lengths.sort_unstable();
    let usual = lengths.get(lengths.len().saturating_sub(1) * 9 / 10)?;
    let longest = absences.into_iter().max_by_key(|absence| absence.span.duration())?;
    let stands_out = lengths.len() >= ROUNDS && *usual < SHORT && longest.span.duration() >= LONG;
    stands_out.then_some(longest)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

    /// Thirty looks at an event loop, and then something else: a script for what comes after 300 ms.
    fn after_thirty_looks(then: &str) -> Option<String> {
        let looks: Vec<String> = (0..30)
            .map(|round| 10 * round)
            .map(|at| format!("{}ms a>- S schedule<ep_poll<do_epoll_wait,{}ms ->a", at + 1, at + 9))
            .collect();
        let script = format!("0 .a,{},{then}", looks.join(","));
        let capture = script::process(Capture::default(), &[('a', "loop")]);
        let capture = script::record(capture, &script);
        hint(&script::model(&capture)).map(|hint| hint.missing.to_string())
    }

    const LOOK: &str = "600ms a>- S schedule<ep_poll<do_epoll_wait,610ms ->a";

    #[test]
    fn an_absence_that_stands_out_is_told() {
        let told = after_thirty_looks(LOOK).unwrap();
        assert!(told.contains("it was on a CPU or wanted one for 301 ms"), "{told}");
    }

    #[test]
    fn who_looks_all_the_time_is_not() {
        assert_eq!(
            after_thirty_looks("301ms a>- S schedule<ep_poll<do_epoll_wait,309ms ->a"),
            None
        );
    }

    #[test]
    fn who_waits_for_a_disk_meanwhile_is_not_absent() {
        let disk = "300ms a>- D schedule<io_schedule<folio_wait_bit_common,590ms ->a";
        assert_eq!(after_thirty_looks(&format!("{disk},{LOOK}")), None);
    }
}
