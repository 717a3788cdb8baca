//! Puts the answer together.

use std::cmp::Reverse;

use coldcase_ingest::capture::{
    Capture, Meaning, Mode, Nanos, Sentence, Span, Switch, Symbol, TaskState, ThreadId,
};

use crate::brackets::Brackets;
use crate::container;
use crate::details::{Before, Details};
use crate::findings::{
    CaptureSummary, Cause, Container, Findings, Freeze, Grade, MemoryEvent, Operation, Outcome,
    SymbolCounts, Verdict, Window,
};
use crate::memory::{self, Frozen};
use crate::model::Model;
use crate::options::Options;
use crate::profile;
use crate::records::{self, Records};
use crate::remedies::{self, Around};
use crate::resident::ResidentSizes;
use crate::rules::WaitKind;
use crate::suspects::{self, Suspects};
use crate::verdict::Judgement;
use crate::windows::{self, Harm, RawWindow};
use crate::{
    chronic, family, fingerprint, heat, kept, logged, lone, own_calls, own_line, proofs, reasons,
    rhythm, timeline, totals, unended, unseen, verdict, waits, yields,
};

/// Analyses a capture.
///
/// The same capture and options give the same findings. Nothing here fails: what is missing lowers the grade
/// and is named.
#[must_use]
pub fn analyze(capture: &Capture, options: &Options) -> Findings {
    if is_profile(capture) {
        return of_profile(capture, options);
    }
    of_events(&Model::new(capture, &options.rules), options).0
}

/// Analyses a capture as [`analyze`] does, and gives all that was reconstructed beside the answer.
#[must_use]
pub fn analyze_with_records(capture: &Capture, options: &Options) -> (Findings, Records) {
    if is_profile(capture) {
        return (of_profile(capture, options), records::of_profile(capture, options));
    }
    let model = Model::new(capture, &options.rules);
    let (findings, windows) = of_events(&model, options);
    let records = records::of_events(&model, options, &windows);
    (findings, records)
}

fn is_profile(capture: &Capture) -> bool {
    capture.switches.is_empty() && capture.recorded(Meaning::OffCpuProfile)
}

/// The findings, with the freezes that they tell of.
fn of_events(model: &Model<'_>, options: &Options) -> (Findings, Vec<RawWindow>) {
    let capture = model.capture;
    let no_scheduler = !can_judge(capture);
    let found = if no_scheduler { Vec::new() } else { windows::find(model, options) };
    let mut judged: Vec<(RawWindow, Window)> =
        found.into_iter().flat_map(|raw| judged(model, options, raw)).collect();
    rhythm::drop(model, &mut judged);
    if !no_scheduler {
        judged.extend(own_calls::find(model, options, &judged));
    }
    drop_consequences(model, &mut judged);
    judged.sort_by_key(|(raw, _)| (raw.span.start, raw.process));
    let (raws, mut windows): (Vec<RawWindow>, Vec<Window>) = judged.into_iter().unzip();
    logged::doubt(capture, &mut windows);
    let worst = (0..windows.len()).max_by_key(|&index| {
        (is_the_alarms(capture, &raws[index]), windows[index].freeze.blocked, Reverse(index))
    });
    let raw = worst.map(|index| &raws[index]);
    let judged = worst.is_none() && can_deny(capture, options);
    let (possible, family) = judged.then(|| family::hint(model)).flatten().unzip();
    let unseen = match worst {
        None if judged => family
            .or_else(|| unseen::hint(model, options))
            .or_else(|| kept::hint(model, options))
            .or_else(|| yields::hint(model, options))
            .or_else(|| unended::hint(model, options)),
        _ => None,
    };
    let can_deny = can_deny(capture, options) && unseen.is_none();
    let suspects = match worst {
        Some(index) => suspects::examine(model, &raws[index], &windows[index]),
        None if no_scheduler => suspects::nothing_to_judge_by(capture),
        None => Suspects {
            cannot_tell: unseen
                .iter()
                .cloned()
                .chain(lone::hint(model))
                .chain(suspects::not_judged(model))
                .collect(),
            ..Suspects::default()
        },
    };
    let wait_sites = totals::by_site(model, raw);
    let container = worst.and_then(|index| container::of(model, &windows[index], &wait_sites));
    for (index, (raw, window)) in raws.iter().zip(&mut windows).enumerate() {
        let container = container.as_ref().filter(|_| worst == Some(index));
        window.remedies = remedies::of(window, &around(model, raw, window, container));
    }
    let lanes = worst.map(|index| timeline::lanes(model, &raws[index], &windows[index]));
    let contention = chronic::find(model, options, &raws);
    let off_cpu_all = timeline::off_cpu_of_all(model);
    let off_cpu = match raw {
        Some(raw) => timeline::off_cpu_in(model, raw, raw.span),
        None => timeline::held_up(model, contention.as_ref()),
    };
    let findings = Findings {
        capture: summary(capture),
        verdict: Verdict {
            outcome: outcome(worst.map(|index| &windows[index]), can_deny),
            window: worst,
            fingerprint: worst
                .map(|index| fingerprint::of(&windows[index], container.as_ref(), &wait_sites)),
            container,
            possible,
            line: worst.and_then(|index| {
                own_line::find(capture, &windows[index].culprit.as_ref()?.user_stack)
            }),
            ruled_out: suspects.ruled_out,
            cannot_tell: suspects.cannot_tell,
        },
        timeline: raw
            .zip(lanes.as_deref())
            .map(|(raw, lanes)| timeline::around(model, raw, lanes, &raws)),
        details: Details {
            off_cpu_all,
            ..worst.zip(lanes).map_or_else(Details::default, |(index, lanes)| {
                let lanes: Vec<ThreadId> = lanes.into_iter().map(|(_, thread)| thread).collect();
                details(model, options, (&raws[index], &windows[index]), &lanes)
            })
        },
        wait_sites,
        processes: totals::by_process(model),
        contention,
        memory_events: memory_events(model, &raws, &windows),
        memory_totals: memory::totals(capture, &model.brackets),
        off_cpu,
        windows,
    };
    (findings, raws)
}

fn memory_events(model: &Model<'_>, raws: &[RawWindow], windows: &[Window]) -> Vec<MemoryEvent> {
    let freezes = raws.iter().zip(windows);
    let freezes: Vec<Frozen> =
        freezes.map(|(raw, window)| Frozen::new(model.capture, raw, window)).collect();
    memory::events(model.capture, &model.brackets, &model.resident, &freezes)
}

/// Whether a freeze is one for which the alarm came: one of a process that was watched, before it was seen to be well again.
/// On a busy machine another may have waited for longer.
fn is_the_alarms(capture: &Capture, raw: &RawWindow) -> bool {
    /// So much later an alarm may come than its freeze ended: a check asks once in a while, and waits for its answer.
    const LATE: Nanos = Nanos(1_000_000_000);
    let Some(incident) = &capture.incident else { return false };
    let threads = &capture.threads;
    let pid = |&thread: &ThreadId| threads.process(threads.get(thread).process).pid;
    let watched = raw.crew.iter().filter_map(pid).any(|pid| incident.watched.contains(&pid));
    let over = incident.well_again.is_some_and(|well| raw.span.start >= well);
    let before = incident.alarm.is_some_and(|alarm| raw.span.end.plus(LATE) < alarm);
    watched && !over && !before
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
    }
}

/// What becomes of what looks like a freeze.
fn judged(model: &Model<'_>, options: &Options, raw: RawWindow) -> Vec<(RawWindow, Window)> {
    let freezes = match verdict::judge(model, &raw) {
        Judgement::Freeze(freeze) => vec![*freeze],
        Judgement::Rest => {
            let rest = windows::without_those_at_futexes(model, &raw, options).into_iter();
            rest.filter_map(|raw| verdict::judge(model, &raw).freeze()).collect()
        }
    };
    // Its holder may have stood still for long before anybody wanted the lock.
    let long = freezes.into_iter().filter(|(raw, _)| raw.span.duration() >= options.min_freeze);
    long.collect()
}

/// What lies behind a verdict.
fn details(
    model: &Model<'_>,
    options: &Options,
    (raw, window): (&RawWindow, &Window),
    lanes: &[ThreadId],
) -> Details {
    let (waits, stacks) = waits::longest(model, lanes);
    let harms = windows::harms(model, &raw.crew, options).into_iter();
    // In the freeze only those count who stood still, as everywhere.
    let counts =
        |harm: &Harm| raw.threads.contains(&harm.thread) || harm.span.intersect(raw.span).is_none();
    let mut harms: Vec<Span> = harms.filter(counts).map(|harm| harm.span).collect();
    if raw.harms.is_empty() {
        // A thread in a long call of its own waits for nothing, and stands still all the same.
        harms.push(raw.span);
    }
    let before = Span::new(model.span.start, raw.span.start);
    Details {
        waits,
        stacks,
        heat: heat::heat(model.span, harms.into_iter()),
        off_cpu_before: (!before.is_empty()).then(|| Before {
            length: before.duration(),
            off_cpu: timeline::off_cpu_in(model, raw, before),
        }),
        proofs: proofs::of(model, raw, window),
        resident: model.resident.lines(raw.process),
        ..Details::default()
    }
}

/// Drops freezes of those who only waited for an answer of a process that itself was frozen then, and tells of them
/// where that one is told.
fn drop_consequences(model: &Model<'_>, judged: &mut Vec<(RawWindow, Window)>) {
    let (mut causes, rest): (Vec<_>, Vec<_>) =
        std::mem::take(judged).into_iter().partition(|(raw, _)| raw.cause != Cause::Network);
    for (raw, window) in rest {
        let tid = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        let is_of = |crew: &[ThreadId]| {
            crew.iter().any(|&thread| Some(model.capture.threads.get(thread).tid) == tid)
        };
        let mut explains = causes.iter_mut().filter(|(cause, _)| {
            raw.span.overlap(cause.span).share_of(raw.span.duration()) > 0.5
                && (tid.is_none() || is_of(&cause.crew))
        });
        match explains.next() {
            None => judged.push((raw, window)),
            Some((_, cause)) => {
                let whose = if tid.is_some() { "its answers" } else { "answers" };
                cause.evidence.push(waited(&window.freeze, whose));
            }
        }
    }
    causes.append(judged);
    *judged = causes;
}

fn waited(freeze: &Freeze, whose: &str) -> Sentence {
    let threads = match freeze.threads_blocked {
        1 => "1 thread of ".to_owned(),
        several => format!("{several} threads of "),
    };
    let pid = freeze.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let time = freeze.blocked.as_millis_f64() / 1e3;
    Sentence::from(threads)
        .task(&freeze.comm)
        .words(&format!("{pid} waited for {whose} meanwhile, {time:.2} s in total"))
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
/// or found no CPU, but of all others only that they slept, as a server does that has nothing to do.
fn can_deny(capture: &Capture, options: &Options) -> bool {
    can_judge(capture)
        && capture.span.is_some_and(|span| span.duration() >= options.min_freeze)
        && capture.switches.iter().any(|switch| switch.stack.is_some())
}

fn of_profile(capture: &Capture, options: &Options) -> Findings {
    let mut profile = profile::judge(capture, options);
    if let Some(window) = &mut profile.window {
        let page_faults = profile.sites.iter().any(|site| {
            site.cause == Some(Cause::MmapLock) && site.site.ends_with("in page_fault")
        });
        let kernel = capture.origin.kernel.as_deref();
        window.remedies =
            remedies::of(window, &Around { kernel, page_faults, ..Around::default() });
    }
    let windows: Vec<Window> = profile.window.into_iter().collect();
    let cannot_tell = suspects::nothing_to_judge_by(capture).cannot_tell.into_iter();
    let known = windows.first().and_then(|window| window.cause);
    let outcome = outcome(windows.first(), profile.can_deny);
    let brackets = Brackets::new(capture);
    Findings {
        capture: summary(capture),
        verdict: Verdict {
            outcome,
            window: (!windows.is_empty()).then_some(0),
            fingerprint: windows
                .first()
                .map(|window| fingerprint::of(window, None, &profile.sites)),
            container: None,
            possible: None,
            line: None,
            ruled_out: Vec::new(),
            cannot_tell: cannot_tell.filter(|other| Some(other.cause) != known).collect(),
        },
        windows,
        wait_sites: profile.sites,
        processes: profile.processes,
        contention: None,
        memory_events: memory::events(capture, &brackets, &ResidentSizes::new(capture), &[]),
        memory_totals: memory::totals(capture, &brackets),
        timeline: None,
        off_cpu: profile.off_cpu,
        details: Details::default(),
    }
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

fn summary(capture: &Capture) -> CaptureSummary {
    let origin = &capture.origin;
    let mut events: Vec<(String, u64)> =
        capture.events.iter().map(|event| (event.name.clone(), event.count)).collect();
    events.sort();
    CaptureSummary {
        format: origin.format.to_string(),
        kernel: origin.kernel.clone(),
        arch: origin.arch.clone(),
        hostname: origin.hostname.clone(),
        cpus: origin.cpus,
        command: origin.command.clone(),
        span: capture.span,
        wall_clock: origin.wall_clock,
        incident: capture.incident.clone(),
        events,
        lost_events: capture.lost_events(),
        warnings: capture.warnings.clone(),
        symbols: symbols(capture),
    }
}

fn symbols(capture: &Capture) -> SymbolCounts {
    let mut counts = SymbolCounts::default();
    for (_, frame) in capture.frames.iter() {
        let known = u64::from(matches!(frame.symbol, Symbol::Known(_)));
        match frame.mode {
            Mode::Kernel => {
                counts.kernel_total += 1;
                counts.kernel_resolved += known;
            }
            Mode::User => {
                counts.user_total += 1;
                counts.user_resolved += known;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Incident, Timestamp};

    use super::*;
    use crate::findings::FoldedStack;
    use crate::script;

    #[test]
    fn who_waited_for_a_frozen_process_is_told_where_that_is_told() {
        let stops = "schedule<do_signal_stop<get_signal";
        let receives = "schedule<sk_wait_data<tcp_recvmsg";
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let mut events = vec!["0 .a".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{}ms a>- S {sleeps},{}ms ->a", at + 1, at + 4));
            events.push(format!("{}ms a>b S {receives}", at + 5));
            events.push(format!("{}ms b!a tcp_sendmsg,{}ms b>a S {sleeps}", at + 6, at + 6));
        }
        events.push(format!("125ms a>b S {receives},126ms b>- S {stops},326ms ->b"));
        events.push(format!("327ms b!a tcp_sendmsg,327ms b>a S {sleeps},328ms a>-"));
        let capture = script::process(Capture::default(), &[('a', "client")]);
        let capture = script::process(capture, &[('b', "server")]);
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        assert_eq!(
            (window.cause, window.freeze.pid),
            (Some(Cause::Stopped), Some(i32::from(b'b')))
        );
        let told: Vec<&str> = window.evidence.iter().map(|row| &**row).collect();
        assert!(
            told.contains(
                &"1 thread of client (pid 97) waited for its answers meanwhile, 0.20 s in total"
            ),
            "{told:?}"
        );
    }

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

    #[test]
    fn the_freeze_that_the_alarm_was_for_comes_before_a_longer_one_of_another() {
        let (stops, sleeps) = ("schedule<do_signal_stop<get_signal", "schedule<do_nanosleep");
        let mut events = vec!["0 .a".to_owned(), "0 .b".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{}ms a>b S {sleeps},{}ms b>a S {sleeps}", at + 1, at + 5));
        }
        events
            .push(format!("125ms a>- S {stops},126ms ->b,127ms b>- S {stops},325ms ->a,725ms ->b"));
        let capture = script::process(Capture::default(), &[('a', "service")]);
        let capture = script::process(capture, &[('b', "other")]);
        let mut capture = script::record(capture, &events.join(","));
        let told = |capture: &Capture| {
            let findings = analyze(capture, &script::options());
            assert_eq!(findings.windows.len(), 2, "{:?}", findings.windows);
            findings.worst().unwrap().freeze.comm.clone()
        };
        assert_eq!(told(&capture), "other");
        let incident = |alarm: u64| Incident {
            alarm: Some(Timestamp(alarm)),
            watched: vec![i32::from(b'a')],
            ..Incident::default()
        };
        capture.incident = Some(incident(300_000_000));
        assert_eq!(told(&capture), "service");
        // What was over long before is not what it saw.
        capture.incident = Some(incident(9_000_000_000));
        assert_eq!(told(&capture), "other");
    }
}
