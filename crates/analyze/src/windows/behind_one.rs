//! One thread at a disk, while the others of its process find nothing to do.
//!
//! Goroutines, fibers and other tasks that are no threads wait for each other where the kernel sees nothing: behind one that writes a
//! log with a lock, the threads that would run the others rest, as they do where nobody asks for anything. What tells is that a
//! process which is always at work does next to nothing for as long as that one thread stands.

use coldcase_ingest::capture::{Nanos, ProcessId, Sentence, Span, ThreadId};

use crate::findings::{CannotTell, Cause};
use crate::losses;
use crate::model::Model;
use crate::options::Options;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::windows::wanted;

/// From this length on somebody notices.
const LONG: Nanos = Nanos(200_000_000);
/// By so much less the others run meanwhile.
const LESS: f64 = 8.0;
/// They come to a CPU so often else, and so often in each such stretch: more rarely, that they do not may be chance.
const OFTEN: usize = 100;
const IN_EACH: f64 = 20.0;

/// A thread that stood at a disk alone.
struct Alone {
    process: ProcessId,
    thread: ThreadId,
    span: Span,
    cause: Cause,
}

/// The longest time that a process did nothing because, as it seems, one of its threads stood at a disk.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let threads = &model.capture.threads;
    let processes = threads.processes().filter(|(id, process)| {
        !process.kernel && process.threads.len() > 1 && wanted(model, *id, options.process.as_ref())
    });
    let candidates = processes.flat_map(|(process, of)| {
        let of_thread = move |&thread: &ThreadId| {
            let slices = model.states.of(thread).long(LONG);
            slices.filter_map(move |slice| match slice.doing {
                Doing::Blocked(id) => {
                    let cause = at_disk(model, id)?;
                    Some(Alone { process, thread, span: slice.span, cause })
                }
                Doing::Running | Doing::Runnable(_) => None,
            })
        };
        of.threads.iter().flat_map(of_thread)
    });
    let alone = candidates
        .filter(|alone| is_alone(model, alone))
        .max_by_key(|alone| (alone.span.duration(), std::cmp::Reverse(alone.thread)))?;
    Some(CannotTell {
        cause: alone.cause,
        missing: Sentence::from("a log or a profile by ")
            .task(threads.process_comm(alone.process))
            .words(&format!(
                " itself, which knows what its tasks that are no threads (goroutines, fibers) waited for: from {:.3} s on its thread {} \
                 stood at a disk for {:.0} ms, and the others, always at work else, found nothing to do meanwhile",
                alone.span.start.as_secs_f64(),
                threads.get(alone.thread).tid,
                alone.span.duration().as_millis_f64(),
            )),
    })
}

fn at_disk(model: &Model<'_>, id: WaitId) -> Option<Cause> {
    let wait = model.states.wait(id);
    match model.sites.of(id).kind {
        _ if wait.open_start || wait.open_end => None,
        WaitKind::Harm(cause @ (Cause::DiskIo | Cause::FsJournal | Cause::PageFaultIo), _) => {
            Some(cause)
        }
        _ => None,
    }
}

/// Whether the other threads of a process that is always at work rested while one stood at a disk.
fn is_alone(model: &Model<'_>, alone: &Alone) -> bool {
    let all = &model.capture.threads.process(alone.process).threads;
    let others = || all.iter().copied().filter(|&thread| thread != alone.thread);
    let stands = |thread: ThreadId| {
        model.states.within(thread, alone.span).any(|slice| match slice.doing {
            Doing::Blocked(id) => at_disk(model, id).is_some(),
            Doing::Running | Doing::Runnable(_) => false,
        })
    };
    let ran = |span: Span| others().map(|thread| model.states.ran(thread, span)).sum::<Nanos>();
    let runs = |thread: ThreadId| {
        let slices = model.states.of(thread).iter();
        let outside = slices.filter(|slice| {
            slice.doing == Doing::Running && slice.span.intersect(alone.span).is_none()
        });
        outside.count()
    };
    let (inside, whole) = (ran(alone.span), ran(model.span));
    let rest = model.span.duration().0.saturating_sub(alone.span.duration().0);
    let part = Nanos(rest).share_of(alone.span.duration());
    let usual = whole.0.saturating_sub(inside.0) as f64 / part;
    if losses::any(model.capture, alone.span)
        || usual < LESS * inside.0 as f64
        || others().any(stands)
    {
        return false;
    }
    let runs: usize = others().map(runs).sum();
    runs >= OFTEN && runs as f64 / part >= IN_EACH
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::analyze;
    use crate::script;

    const DISK: &str = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
    const REST: &str = "schedule<ep_poll<do_epoll_wait";

    /// What is found of a process whose threads a, b and d run for a millisecond of five, but for the 300 ms in which c stands at a disk and
    /// they do `this`.
    fn told(this: &str) -> Option<String> {
        let threads = [('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .c".to_owned()];
        let round = |at: u64| {
            let next = [("a", "b"), ("b", "d"), ("d", "-")].into_iter().zip(at + 1..);
            let leaves = next.map(|((who, next), at)| format!("{at}ms {who}>{next} S {REST}"));
            format!("{at}ms ->a,{}", leaves.collect::<Vec<_>>().join(","))
        };
        events.extend((1..500).step_by(5).map(round));
        events.push(format!("501ms ->c,501ms c>- D {DISK}"));
        match this {
            "rest" => {}
            "work" => events.extend((502..800).step_by(5).map(round)),
            "wait" => {
                events.push(format!("502ms ->a,503ms a>- D {DISK},799ms ->a,799ms a>- S {REST}"))
            }
            _ => unreachable!(),
        }
        events.push(format!("801ms ->c,801ms c>- S {REST}"));
        events.extend((802..1200).step_by(5).map(round));
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let missing = findings.verdict.cannot_tell.iter();
        let mut told = missing.map(|row| row.missing.to_string());
        told.find(|row| row.contains("goroutines"))
    }

    #[test]
    fn a_process_that_rests_while_one_thread_stands_at_a_disk_may_wait_for_it() {
        let found = told("rest").unwrap();
        assert!(found.contains("its thread 99 stood at a disk for 300 ms"), "{found}");
        assert_eq!(told("work"), None);
        assert_eq!(told("wait"), None);
    }
}
