//! Puts the answer together.

use coldcase_ingest::capture::{Capture, Meaning, Mode, Span, Switch, Symbol, TaskState};

use crate::brackets::Brackets;
use crate::container;
use crate::findings::{
    CaptureSummary, Cause, Findings, Grade, Outcome, SymbolCounts, Verdict, Window,
};
use crate::memory;
use crate::model::Model;
use crate::options::Options;
use crate::profile;
use crate::remedies;
use crate::suspects::{self, Suspects};
use crate::windows::{self, RawWindow};
use crate::{logged, own_calls, rhythm, timeline, totals, verdict};

/// Analyses a capture.
///
/// The same capture and options give the same findings. Nothing here fails: what is missing lowers the grade
/// and is named.
#[must_use]
pub fn analyze(capture: &Capture, options: &Options) -> Findings {
    if capture.span.is_none() && capture.recorded(Meaning::OffCpuProfile) {
        return of_profile(capture, options);
    }
    let model = Model::new(capture, &options.rules);
    let no_scheduler = !can_judge(capture);
    let found = if no_scheduler { Vec::new() } else { windows::find(&model, options) };
    let mut judged: Vec<(RawWindow, Window)> = found
        .into_iter()
        .filter_map(|raw| {
            let window = verdict::judge(&model, &raw)?;
            Some((raw, window))
        })
        .collect();
    rhythm::drop(&model, &mut judged);
    if !no_scheduler {
        judged.extend(own_calls::find(&model, options, &judged));
    }
    judged.sort_by_key(|(raw, _)| (raw.span.start, raw.process));
    let (raws, mut windows): (Vec<RawWindow>, Vec<Window>) = judged.into_iter().unzip();
    logged::doubt(capture, &mut windows);
    let worst = windows
        .iter()
        .enumerate()
        .max_by_key(|(index, window)| (window.freeze.blocked, std::cmp::Reverse(*index)))
        .map(|(index, _)| index);
    let raw = worst.map(|index| &raws[index]);
    let spans: Vec<Span> = raws.iter().map(|raw| raw.span).collect();
    let suspects = match worst {
        Some(index) => suspects::examine(&model, &raws[index], &windows[index]),
        None if no_scheduler => suspects::nothing_to_judge_by(capture),
        None => Suspects::default(),
    };
    let container = worst.and_then(|index| container::of(windows[index].culprit.as_ref()?));
    Findings {
        capture: summary(capture),
        verdict: Verdict {
            outcome: outcome(worst.map(|index| &windows[index]), no_scheduler),
            window: worst,
            remedies: worst
                .map(|index| remedies::of(&windows[index], container.as_ref()))
                .unwrap_or_default(),
            container,
            ruled_out: suspects.ruled_out,
            cannot_tell: suspects.cannot_tell,
        },
        timeline: worst.map(|index| timeline::around(&model, &raws[index], &windows[index], &raws)),
        wait_sites: totals::by_site(&model, raw),
        memory_events: memory::events(capture, &model.brackets, &spans),
        off_cpu: timeline::off_cpu(&model, raw),
        windows,
    }
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

fn of_profile(capture: &Capture, options: &Options) -> Findings {
    let profile = profile::judge(capture, options);
    let remedies = profile.window.as_ref().map(|window| remedies::of(window, None));
    let windows: Vec<Window> = profile.window.into_iter().collect();
    let cannot_tell = suspects::nothing_to_judge_by(capture).cannot_tell.into_iter();
    let known = windows.first().and_then(|window| window.cause);
    let outcome = outcome(windows.first(), false);
    Findings {
        capture: summary(capture),
        verdict: Verdict {
            outcome,
            window: (!windows.is_empty()).then_some(0),
            container: None,
            ruled_out: Vec::new(),
            cannot_tell: cannot_tell.filter(|other| Some(other.cause) != known).collect(),
            remedies: remedies.unwrap_or_default(),
        },
        windows,
        wait_sites: profile.sites,
        memory_events: memory::events(capture, &Brackets::new(capture), &[]),
        timeline: None,
        off_cpu: profile.off_cpu,
    }
}

fn outcome(worst: Option<&Window>, no_scheduler: bool) -> Outcome {
    match worst {
        None if no_scheduler => Outcome::FreezeUnexplained,
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
        command: origin.command.clone(),
        span: capture.span,
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
