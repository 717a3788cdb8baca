//! What the page's script draws the timeline from: the lanes over all of the capture, and the waits to look into.
//!
//! It stands in the page as JSON, which no browser runs. Times are microseconds from the start of the capture.

use coldcase_analyze::details::{Details, ResidentLine, WaitView};
use coldcase_analyze::findings::{Findings, FrameView, Lane, Timeline};
use coldcase_ingest::capture::{Span, Timestamp};
use serde::Serialize;

use super::lanes::{Numbered, lanes, micros};
use crate::chart::resident;
use crate::chart::svg::kind_class;
use crate::chart::timeline_events::{self, Deed};
use crate::document::frame_row;
use crate::words::{self, Kind};
use crate::{names, units};

#[derive(Serialize)]
struct Data {
    /// Seconds on the capture's clock of time 0.
    start: f64,
    /// The moment that the axis counts from.
    zero: u64,
    /// Length of the capture.
    whole: u64,
    /// What is shown first.
    view: (u64, u64),
    /// The events that begin and end a wait.
    events: [Option<String>; 2],
    windows: Vec<(u64, u64, String)>,
    /// Each with its label, and whether it is a moment rather than a stretch.
    operation: Vec<(u64, u64, String, bool)>,
    memory: Vec<(u64, u64, String)>,
    resident: Option<Resident>,
    /// Classes of the kinds, and what a legend calls them.
    kinds: Vec<(&'static str, &'static str)>,
    groups: Vec<String>,
    /// Name, group, blocks.
    lanes: Vec<(String, usize, String)>,
    texts: Vec<String>,
    /// Function, and where it stands.
    frames: Vec<(String, String)>,
    /// User frames, kernel frames.
    stacks: Vec<(Vec<usize>, Vec<usize>)>,
    waits: Vec<Wait>,
}

/// Resident sizes over time.
#[derive(Serialize)]
struct Resident {
    title: &'static str,
    /// The size at the top of the scale, and what is written there.
    top: u64,
    label: String,
    lines: Vec<ResidentPart>,
}

#[derive(Serialize)]
struct ResidentPart {
    name: &'static str,
    /// The colour's name in the style sheet.
    color: &'static str,
    /// Each a moment and the size from then on.
    steps: Vec<(u64, u64)>,
}

/// Lane, begin, end, site, stack, waker, its lane, its stack, how it ended, whether it was for a CPU.
#[derive(Serialize)]
struct Wait(
    usize,
    u64,
    u64,
    usize,
    Option<usize>,
    Option<usize>,
    Option<usize>,
    Option<usize>,
    usize,
    bool,
);

/// The timeline's data as JSON that can stand in a page, if the capture has times.
pub(super) fn timeline(findings: &Findings) -> Option<String> {
    let timeline = findings.timeline.as_ref()?;
    if timeline.whole.is_empty() || timeline.lanes.is_empty() {
        return None;
    }
    let mut texts = Numbered::default();
    let mut frames = Numbered::default();
    let (groups, group_of) = groups(findings, timeline);
    let lanes = lanes(timeline, &mut texts);
    let details = &findings.details;
    let micros = |time: Timestamp| micros(timeline.whole, time);
    let pair = |span: Span| (micros(span.start), micros(span.end));
    let data = Data {
        start: timeline.whole.start.as_secs_f64(),
        zero: micros(crate::chart::canvas::origin(findings, timeline)),
        whole: micros(timeline.whole.end),
        view: pair(timeline.span),
        events: [&["sched_switch", "CONTEXT_SWITCH"][..], &["sched_waking", "sched_wakeup"]]
            .map(|names| event(findings, names)),
        windows: windows(findings, timeline, pair),
        operation: timeline_events::operations_of(findings, timeline.whole)
            .into_iter()
            .map(|Deed { span, label, moment, .. }| {
                (micros(span.start), micros(span.end), label, moment)
            })
            .collect(),
        memory: timeline_events::memory_of(findings, timeline.whole)
            .map(|(span, label)| (micros(span.start), micros(span.end), label))
            .collect(),
        resident: resident_sizes(findings, micros),
        kinds: Kind::ALL.map(|kind| (kind_class(kind), words::kind_label(findings, kind))).to_vec(),
        groups,
        lanes: timeline
            .lanes
            .iter()
            .zip(lanes)
            .zip(group_of)
            .map(|((lane, blocks), group)| (words::thread_short(&lane.thread), group, blocks))
            .collect(),
        stacks: stacks(details, &mut frames),
        waits: details
            .waits
            .iter()
            .map(|wait| view(findings, wait, pair(wait.span), &mut texts))
            .collect(),
        texts: texts.order,
        frames: frames.order,
    };
    let json = serde_json::to_string(&data).expect("plain structs always serialise");
    // Nothing in a text may end the element that it stands in.
    Some(json.replace('<', "\\u003c"))
}

/// The recorded event whose name ends in the first of these.
fn event(findings: &Findings, endings: &[&str]) -> Option<String> {
    let mut events = endings.iter().flat_map(|ending| {
        findings.capture.events.iter().filter(move |(name, _)| name.ends_with(ending))
    });
    events.next().map(|(name, _)| names::function(name))
}

fn windows(
    findings: &Findings,
    timeline: &Timeline,
    pair: impl Fn(Span) -> (u64, u64),
) -> Vec<(u64, u64, String)> {
    let shown = timeline.windows.iter().filter_map(|window| window.intersect(timeline.whole));
    shown
        .map(|window| {
            let (start, end) = pair(window);
            (start, end, crate::chart::timeline::freeze_label(findings, window))
        })
        .collect()
}

fn resident_sizes(findings: &Findings, micros: impl Fn(Timestamp) -> u64) -> Option<Resident> {
    let (lines, top) = resident::lines(findings)?;
    let part = |line: &ResidentLine| ResidentPart {
        name: words::resident_part(line.part),
        color: resident::color_name(line.part),
        steps: line.steps.iter().map(|&(time, bytes)| (micros(time), bytes)).collect(),
    };
    Some(Resident {
        title: words::RESIDENT_ROW,
        top,
        label: units::round_size(top),
        lines: lines.into_iter().map(part).collect(),
    })
}

/// The headings of the lanes, one for each process (named if it is not the frozen one) and part in the freeze, and to
/// which each lane belongs.
fn groups(findings: &Findings, timeline: &Timeline) -> (Vec<String>, Vec<usize>) {
    let home = findings.worst().and_then(|window| window.freeze.pid);
    let foreign = |lane: &Lane| (lane.thread.pid != home).then_some(lane.thread.pid);
    let key = |lane: &Lane| (lane.role as u8, foreign(lane));
    let mut headings = Vec::new();
    let mut group_of = Vec::new();
    for run in timeline.lanes.chunk_by(|left, right| key(left) == key(right)) {
        let role = words::role_heading(findings, run[0].role, run.len());
        group_of.extend(run.iter().map(|_| headings.len()));
        headings.push(match foreign(&run[0]) {
            Some(Some(pid)) => format!("{role} · pid {pid}"),
            Some(None) => format!("{role} · another process"),
            None => role,
        });
    }
    (headings, group_of)
}

fn view(
    findings: &Findings,
    wait: &WaitView,
    (start, end): (u64, u64),
    texts: &mut Numbered<String>,
) -> Wait {
    let waker = wait.waker.as_ref().map(|waker| texts.number(words::thread_short(waker)));
    let how = words::this_ended(findings, wait, words::thread_short);
    let site = texts.number(names::function(&wait.site));
    let how = texts.number(how);
    let (lane, ready) = (wait.lane, wait.ready);
    Wait(lane, start, end, site, wait.stack, waker, wait.waker_lane, wait.waker_stack, how, ready)
}

fn stacks(
    details: &Details,
    frames: &mut Numbered<(String, String)>,
) -> Vec<(Vec<usize>, Vec<usize>)> {
    let mut side = |stack: &[FrameView]| {
        let rows = stack.iter().map(|frame| {
            let row = frame_row(frame);
            frames.number((row.function, row.place))
        });
        rows.collect::<Vec<usize>>()
    };
    details.stacks.iter().map(|stack| (side(&stack.user), side(&stack.kernel))).collect()
}
