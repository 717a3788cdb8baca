//! Puts the answer together.

mod chapters;
mod freezes;
mod profile;
mod summary;

use coldcase_ingest::capture::{Capture, Meaning, Span, Switch, TaskState, ThreadId, Timestamp};

pub use self::chapters::Chapters;
use self::chapters::Sums;
use self::freezes::{Freezes, Rank};
use crate::at_once;
use crate::details::timeline::StackTimes;
use crate::details::{Before, Details, Heat};
use crate::details::{heat, proofs, timeline, waits};
use crate::findings::{
    CannotTell, Cause, Container, Findings, FoldedStack, Grade, MemoryEvent, Operation, Outcome,
    Possible, SiteTotal, Timeline, Verdict, Window,
};
use crate::fingerprint;
use crate::model::{Model, Part};
use crate::options::Options;
use crate::records::{self, Records};
use crate::rules::WaitKind;
use crate::runtimes::Stop;
use crate::runtimes::golang;
use crate::sites::memory::{self, Frozen};
use crate::sites::totals;
use crate::verdict::container;
use crate::verdict::remedies::{self, Around};
use crate::verdict::suspects::{self, Suspects};
use crate::verdict::{own_line, reasons};
use crate::windows::RawWindow;
use crate::windows::harms;
use crate::windows::{behind_one, chronic, family, kept, lone, timed, unended, unseen, yields};

/// Analyses a capture.
///
/// The same capture and options give the same findings. Nothing here fails: what is missing lowers the grade
/// and is named.
#[must_use]
pub fn analyze(capture: &Capture, options: &Options) -> Findings {
    Chapters::new(options).finish(capture)
}

/// Analyses a capture as [`analyze`] does, and gives all that was reconstructed beside the answer.
#[must_use]
pub fn analyze_with_records(capture: &Capture, options: &Options) -> (Findings, Records) {
    if is_profile(capture) {
        return (profile::findings(capture, options), records::of_profile(capture, options));
    }
    let model = Model::new(capture, &options.rules, Part::default());
    let (findings, windows) = Chapters::new(options).finish_with(&model);
    let records = records::of_events(&model, options, &windows);
    (findings, records)
}

fn is_profile(capture: &Capture) -> bool {
    capture.switches.is_empty() && capture.recorded(Meaning::OffCpuProfile)
}

/// What is told of one part of a recording.
struct Told {
    verdict: Verdict,
    /// In order of time.
    windows: Vec<Window>,
    worst: Option<Worst>,
    /// Of all parts, where this is the last one.
    off_cpu_all: Vec<FoldedStack>,
    /// From when on the next part has to have its events, where there is one.
    next: Timestamp,
}

/// The worst freeze of a part, and what lies behind its verdict.
struct Worst {
    rank: Rank,
    wait_sites: Vec<SiteTotal>,
    timeline: Timeline,
    off_cpu: Vec<FoldedStack>,
    details: Details,
}

/// What is told of a part of a recording, with its freezes; what is summed up over all parts is added to `sums`.
fn of_events(model: &Model<'_>, options: &Options, sums: &mut Sums) -> (Told, Vec<RawWindow>) {
    let capture = model.capture;
    let freezes =
        || if can_judge(capture) { freezes::find(model, options) } else { Freezes::default() };
    let (mut freezes, ()) = at_once::both(freezes, || sums.add_waits(model));
    let mut next = model.span.end;
    if model.part.goes_on {
        next = chapters::overlap(model, &freezes.raws);
        freezes.keep_those_before(next);
    }
    let Freezes { raws, mut windows, doubtful } = freezes;
    let worst = freezes::worst(capture, &raws, &windows);
    let wait_sites =
        worst.map(|(index, _)| totals::in_window(model, &raws[index])).unwrap_or_default();
    let told = worst.map(|(index, _)| (index, &raws[index], &windows[index]));
    let verdict = verdict(model, options, told, doubtful, &wait_sites);
    for (index, (raw, window)) in raws.iter().zip(&mut windows).enumerate() {
        let container = verdict.container.as_ref().filter(|_| verdict.window == Some(index));
        window.remedies = remedies::of(window, &around(model, raw, window, container));
    }
    sums.add_rest(
        model,
        chronic::find(model, options, &raws),
        memory_events(model, &raws, &windows),
    );
    let times = if model.part.goes_on { StackTimes::default() } else { sums.take_off_cpu() };
    let drawn = || {
        worst.map(|(index, rank)| {
            let (raw, window) = (&raws[index], &windows[index]);
            let (timeline, details) = drawn(model, options, &raws, (raw, window));
            let off_cpu = timeline::off_cpu_in(model, raw, raw.span);
            Worst { rank, wait_sites, timeline, off_cpu, details }
        })
    };
    let (worst, off_cpu_all) = at_once::both(drawn, || timeline::by_stack(capture, times));
    (Told { verdict, windows, worst, off_cpu_all, next }, raws)
}

/// What is said of the worst freeze, which is given with its place among all, or of there being none.
fn verdict(
    model: &Model<'_>,
    options: &Options,
    worst: Option<(usize, &RawWindow, &Window)>,
    doubtful: Option<CannotTell>,
    wait_sites: &[SiteTotal],
) -> Verdict {
    let capture = model.capture;
    let deniable = can_deny(capture, options);
    let (possible, unseen) = if worst.is_none() && deniable {
        may_have_frozen(model, options, doubtful)
    } else {
        (None, None)
    };
    let in_doubt = unseen.is_some();
    let suspects = match worst {
        Some((_, raw, window)) => suspects::examine(model, raw, window),
        None if !can_judge(capture) || capture.shows_locks_alone() => {
            suspects::nothing_to_judge_by(capture)
        }
        None => Suspects {
            cannot_tell: unseen
                .into_iter()
                .chain(lone::hint(model))
                .chain(suspects::not_judged(model))
                .collect(),
            ..Suspects::default()
        },
    };
    let window = worst.map(|(.., window)| window);
    let container = window.and_then(|window| container::of(model, window, wait_sites));
    Verdict {
        outcome: outcome(window, deniable && !in_doubt),
        window: worst.map(|(index, ..)| index),
        fingerprint: window.map(|window| fingerprint::of(window, container.as_ref(), wait_sites)),
        container,
        possible,
        line: window
            .and_then(|window| own_line::find(capture, &window.culprit.as_ref()?.user_stack)),
        ruled_out: suspects.ruled_out,
        cannot_tell: suspects.cannot_tell,
    }
}

/// The worst freeze's threads against time, and what lies behind its verdict.
fn drawn(
    model: &Model<'_>,
    options: &Options,
    raws: &[RawWindow],
    (raw, window): (&RawWindow, &Window),
) -> (Timeline, Details) {
    let lanes = timeline::lanes(model, raw, window);
    let threads: Vec<ThreadId> = lanes.iter().map(|&(_, thread)| thread).collect();
    (timeline::around(model, raw, &lanes, raws), details(model, options, (raw, window), &threads))
}

/// Where nothing is seen to have frozen: what may have, and why that cannot be told.
fn may_have_frozen(
    model: &Model<'_>,
    options: &Options,
    doubtful: Option<CannotTell>,
) -> (Option<Possible>, Option<CannotTell>) {
    let first = || {
        let (possible, family) = family::hint(model).unzip();
        let unseen = family
            .or_else(|| unseen::hint(model, options))
            .or_else(|| kept::hint(model, options))
            .or_else(|| yields::hint(model, options));
        (possible, unseen)
    };
    let then = || {
        unended::hint(model, options)
            .filter(|_| !model.part.goes_on)
            .or_else(|| timed::hint(model, options))
            .or_else(|| golang::hint(model, options))
            .or_else(|| behind_one::hint(model, options))
    };
    let ((possible, unseen), later) = at_once::both(first, then);
    (possible, unseen.or(later).or(doubtful))
}

fn memory_events(model: &Model<'_>, raws: &[RawWindow], windows: &[Window]) -> Vec<MemoryEvent> {
    let freezes = raws.iter().zip(windows);
    let freezes: Vec<Frozen> =
        freezes.map(|(raw, window)| Frozen::new(model.capture, raw, window)).collect();
    memory::events(model.capture, &model.brackets, model.part, &model.resident, &freezes)
}

/// What the remedies for a freeze depend on.
fn around<'a>(
    model: &Model<'a>,
    raw: &RawWindow,
    window: &Window,
    container: Option<&'a Container>,
) -> Around<'a> {
    Around {
        container,
        kernel: model.capture.origin.kernel.as_deref(),
        page_faults: raw.waits().any(|id| {
            let site = model.sites.of(id);
            let of_lock = matches!(site.kind, WaitKind::Harm(Cause::MmapLock, _));
            of_lock && site.operation == Some(Operation::PageFault)
        }),
        to_swap: reasons::waited_for_swap(model, raw, window.cause).is_some(),
        held_up_by: reasons::held_up_by(model, raw, window.culprit.as_ref()),
        awaited: reasons::awaited(model, raw, window.culprit.as_ref()),
        stop: Stop::of(model, raw),
    }
}

/// What lies behind a verdict.
fn details(
    model: &Model<'_>,
    options: &Options,
    (raw, window): (&RawWindow, &Window),
    lanes: &[ThreadId],
) -> Details {
    let before = Span::new(model.span.start, raw.span.start);
    let longest = || waits::longest(model, lanes);
    let beside = || {
        let off_cpu = (!before.is_empty()).then(|| timeline::off_cpu_in(model, raw, before));
        (heat_of(model, options, raw), off_cpu)
    };
    let ((waits, stacks), (heat, off_cpu)) = at_once::both(longest, beside);
    Details {
        waits,
        stacks,
        heat,
        off_cpu_before: off_cpu.map(|off_cpu| Before { length: before.duration(), off_cpu }),
        proofs: proofs::of(model, raw, window),
        resident: model.resident.lines(raw.process),
        ..Details::default()
    }
}

/// When threads of the process stood still.
fn heat_of(model: &Model<'_>, options: &Options, raw: &RawWindow) -> Option<Heat> {
    let mut heat = heat::empty(model.span)?;
    let mut add = |span: Span| {
        if let Some(span) = span.intersect(model.span) {
            heat::add(&mut heat, span);
        }
    };
    harms::all(model, &raw.crew, options, |harm| {
        // In the freeze only those count who stood still, as everywhere.
        if raw.threads.contains(&harm.thread) || harm.span.intersect(raw.span).is_none() {
            add(harm.span);
        }
    });
    // A thread in a long call of its own waits for nothing, and stands still all the same.
    if raw.harms.is_empty() {
        add(raw.span);
    }
    Some(heat)
}

/// Whether the capture shows who stood still and in what: all switches, with the state or the stack of those who
/// leave.
fn can_judge(capture: &Capture) -> bool {
    let tells = |switch: &Switch| {
        let vague = switch.state == TaskState::Unknown || switch.state.is_runnable();
        switch.stack.is_some() || !vague
    };
    !capture.sampled(Meaning::Switches)
        && capture.switches.iter().any(|switch| switch.out.is_some() && tells(switch))
}

/// Whether the capture can show that nothing froze. Without the stacks of those who leave it shows who was stopped
/// or found no CPU, but of all others only that they slept, as a server does that has nothing to do. Contention alone shows only who
/// waited for the kernel's locks.
fn can_deny(capture: &Capture, options: &Options) -> bool {
    can_judge(capture)
        && !capture.shows_locks_alone()
        && capture.span.is_some_and(|span| span.duration() >= options.min_freeze)
        && capture.switches.iter().any(|switch| switch.stack.is_some())
}

fn outcome(worst: Option<&Window>, can_deny: bool) -> Outcome {
    match worst {
        None if !can_deny => Outcome::FreezeUnexplained,
        None => Outcome::NoFreeze,
        Some(window) => match window.cause {
            Some(cause) if cause != Cause::Unknown && window.grade != Grade::Undetermined => {
                Outcome::CauseFound
            }
            _ => Outcome::FreezeUnexplained,
        },
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Nanos;

    use super::*;
    use crate::script;

    #[test]
    fn where_nothing_froze_what_held_threads_up_is_told_from_the_rest() {
        let (disk, futex) = ("schedule<io_schedule<submit_bio_wait", "schedule<futex_wait_queue");
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let events =
            format!("0 .a,1ms a>b D {disk},3ms b>a S {futex},8ms a>- S {sleeps},9ms ->b,100ms b>-");
        let capture = script::process(Capture::default(), &[('a', "copy"), ('b', "pool")]);
        let findings = analyze(&script::record(capture, &events), &script::options());
        let times = |stacks: &[FoldedStack]| stacks.iter().map(|row| row.time).sum();
        assert_eq!(findings.windows.len(), 0);
        let held_up: Nanos = times(&findings.off_cpu);
        let all: Nanos = times(&findings.details.off_cpu_all);
        assert_eq!((held_up, all), (Nanos::from_millis(2), Nanos::from_millis(8)));
    }
}
