//! The timeline: threads against time, the freeze shaded, the culprit's operation above it.
//!
//! ```text
//!   Operation      |      [ mmap 3.36 GB            ]        |
//!   Memory calls   |   ▪ munmap 134 MB                       |
//!                  |        frozen for 1.18 s                |
//!   Culprit        |      :                         :        |
//!     ingest-0     |▪ ▪▪▪▪:#########################:▪ ▪ ▪   |
//!   Stood still    |      :                         :        |
//!     serve-4      |▪▪ ▪▪ :=========================:▪▪▪ ▪▪  |
//!                  +-----0-------+0.5 s-----+1.0 s-----------+
//! ```

use std::cmp::Reverse;

use coldcase_analyze::findings::{Findings, Lane, Role, Segment, Timeline};
use coldcase_ingest::capture::{Nanos, Span};

use super::axis::ticks;
use super::canvas::{Canvas, Size};
use super::font::{fit, width};
use super::lanes::{Block, blocks};
use super::scene::{Anchor, Area, Dust, Ink, Scene};
use super::{resident, timeline_events};
use crate::words::{self, Kind};
use crate::{names, units};

/// Most blocks that can be pointed at, the widest first: each costs a hundred bytes of the page.
const TITLED: usize = 2_500;

/// The picture, if the capture has times.
pub(crate) fn timeline(findings: &Findings, size: Size) -> Option<Scene> {
    let timeline = findings.timeline.as_ref()?;
    if timeline.span.is_empty() || timeline.lanes.is_empty() {
        return None;
    }
    let mut canvas = Canvas::new(findings, timeline, size, timeline.span);
    draw(&mut canvas, timeline);
    Some(canvas.scene)
}

/// Which kinds of waiting are to be seen in so many lanes of a part: the legend needs no others.
pub(crate) fn kinds(
    findings: &Findings,
    lanes: usize,
    part: impl Fn(&Timeline) -> Span,
) -> Vec<Kind> {
    let mut seen = [false; Kind::ALL.len()];
    if let Some(timeline) = &findings.timeline {
        let shown = part(timeline);
        let segments = timeline.lanes.iter().take(lanes).flat_map(|lane| &lane.segments);
        for segment in segments.filter(|segment| segment.span.intersect(shown).is_some()) {
            seen[words::kind_of(segment.state) as usize] = true;
        }
    }
    Kind::ALL.into_iter().filter(|kind| seen[*kind as usize]).collect()
}

fn draw(canvas: &mut Canvas<'_>, timeline: &Timeline) {
    timeline_events::draw(canvas);
    let top = canvas.y;
    let resident_top = top + canvas.size.text * 1.7;
    let lanes_top = resident_top + resident::height(canvas.findings, canvas.size);
    let lanes = &timeline.lanes[..timeline.lanes.len().min(canvas.size.lanes)];
    let bottom = lanes_top + lanes_height(lanes, canvas.size);
    shade(canvas, timeline, top, bottom);
    grid(canvas, lanes_top, bottom);
    canvas.y = resident_top;
    resident::draw(canvas);
    draw_lanes(canvas, lanes, &timeline.lanes);
    windows(canvas, timeline, top, bottom);
    notes(canvas, timeline, &timeline.lanes[lanes.len()..]);
}

/// The lanes, a heading above each group.
fn draw_lanes(canvas: &mut Canvas<'_>, lanes: &[Lane], all: &[Lane]) {
    let drawn: Vec<Vec<Block<'_>>> = lanes
        .iter()
        .map(|lane| blocks(&lane.segments, canvas.shown, canvas.nanos_of(1.0)))
        .collect();
    let least = pointable(&drawn);
    let mut role = None;
    for (lane, blocks) in lanes.iter().zip(&drawn) {
        if role != Some(lane.role) {
            role = Some(lane.role);
            heading(canvas, lane.role, all);
        }
        draw_lane(canvas, lane, blocks, least);
    }
}

fn heading(canvas: &mut Canvas<'_>, role: Role, lanes: &[Lane]) {
    let sure = canvas.findings.worst().is_some_and(|window| words::is_sure(window.grade));
    let count = lanes.iter().filter(|lane| lane.role == role).count();
    let text = words::role_heading(role, sure, count);
    canvas.y += heading_height(canvas.size);
    canvas.label(0.0, canvas.y - canvas.size.text * 0.45, Anchor::Start, Ink::FaintText, text);
}

fn draw_lane(canvas: &mut Canvas<'_>, lane: &Lane, blocks: &[Block<'_>], least: Nanos) {
    let (y, height) = (canvas.y, canvas.size.text * 1.15);
    let name = words::thread_short(&lane.thread);
    let room = canvas.size.gutter - canvas.size.text * 1.6;
    if let Some(shown) = fit(&name, canvas.size.text, room) {
        let (x, y) = (canvas.size.text * 0.8, y + height * 0.8);
        canvas.label(x, y, Anchor::Start, Ink::Text, shown);
    }
    let bed = Area { x: canvas.size.gutter, y, width: canvas.plot(), height };
    canvas.scene.rect(bed, Ink::Lane);
    let mut dust: Vec<Dust> = Vec::new();
    for block in blocks {
        let area = block_area(canvas, block, y, height);
        match block.whole {
            Some(segment) if block.span.duration() >= least => {
                let title = block_title(canvas.findings, &name, segment, block);
                canvas.scene.titled_rect(area, Ink::State(block.kind), title);
            }
            _ => add_grain(&mut dust, area, Ink::State(block.kind)),
        }
    }
    for dust in dust {
        canvas.scene.dust(dust);
    }
    canvas.y += lane_height(canvas.size);
}

fn block_title(findings: &Findings, name: &str, segment: &Segment, block: &Block<'_>) -> String {
    let site = segment.site.as_deref().map(names::function);
    let what = site.as_deref().unwrap_or(words::kind_label(findings, block.kind));
    format!("{name}: {what}, {}", units::duration(block.span.duration()))
}

/// States differ in height, and each has all of its grains in one row.
fn add_grain(dust: &mut Vec<Dust>, area: Area, ink: Ink) {
    let grain = (area.x, area.width);
    match dust.iter_mut().find(|dust| dust.ink == ink) {
        Some(dust) => dust.grains.push(grain),
        None => dust.push(Dust { y: area.y, height: area.height, grains: vec![grain], ink }),
    }
}

/// States differ in height too, for whoever cannot tell their colours.
fn block_area(canvas: &Canvas<'_>, block: &Block<'_>, y: f64, height: f64) -> Area {
    let part = match block.kind {
        Kind::Idle => 0.16,
        Kind::Runnable => 0.55,
        Kind::OnCpu => 0.8,
        _ => 1.0,
    };
    let x = canvas.x(block.span.start);
    let width = (canvas.x(block.span.end) - x).max(0.5);
    Area { x, y: y + height * (1.0 - part) / 2.0, width, height: height * part }
}

/// The shortest block that gets a title, so that no more than [`TITLED`] do.
fn pointable(lanes: &[Vec<Block<'_>>]) -> Nanos {
    let mut lengths: Vec<Nanos> =
        lanes.iter().flatten().map(|block| block.span.duration()).collect();
    lengths.sort_unstable_by(|left, right| right.cmp(left));
    lengths.get(TITLED).map_or(Nanos::ZERO, |shortest| *shortest + Nanos(1))
}

pub(super) fn shade(canvas: &mut Canvas<'_>, timeline: &Timeline, top: f64, bottom: f64) {
    for window in &timeline.windows {
        if let Some(span) = window.intersect(canvas.shown) {
            let x = canvas.x(span.start);
            let width = (canvas.x(span.end) - x).max(1.0);
            canvas.scene.rect(Area { x, y: top, width, height: bottom - top }, Ink::Freeze);
        }
    }
}

/// Borders and labels of the freezes, above the lanes.
pub(super) fn windows(canvas: &mut Canvas<'_>, timeline: &Timeline, top: f64, bottom: f64) {
    let text = canvas.size.text;
    let mut free_from = canvas.size.gutter - text;
    let shown = timeline.windows.iter().filter_map(|window| {
        let span = window.intersect(canvas.shown)?;
        Some((*window, canvas.x(span.start), canvas.x(span.end)))
    });
    let shown: Vec<(Span, f64, f64)> = shown.collect();
    for &(window, left, right) in &shown {
        for x in [left, right] {
            canvas.scene.dashed((x, top), (x, bottom), Ink::FreezeEdge);
        }
        let label = freeze_label(canvas.findings, window);
        let room = width(&label, text) * 1.08 + text * 1.2;
        // On the shade if it fits there, else beside it; freezes side by side have no room for every label.
        let places = [f64::midpoint(left, right), right + room / 2.0, left - room / 2.0];
        let ends = canvas.size.width + text * 0.5;
        let fits = |middle: &f64| {
            let (from, to) = (middle - room / 2.0, middle + room / 2.0);
            let on_shade = from >= left && to <= right;
            // A label that begins where the shade ends may be off by a rounding.
            let beside =
                |&(_, left, right): &(Span, f64, f64)| to <= left + 0.1 || from >= right - 0.1;
            (on_shade || shown.iter().all(beside)) && from >= free_from && to <= ends
        };
        if let Some(middle) = places.into_iter().find(fits) {
            canvas.label(middle, top + text * 1.2, Anchor::Middle, Ink::FreezeText, label);
            free_from = middle + room / 2.0;
        }
    }
}

/// How long a freeze was, at least if it reaches beyond the recording.
pub(crate) fn freeze_label(findings: &Findings, shown: Span) -> String {
    // Freezes of two processes may overlap: this is the one that covers most of what is shown, and little else.
    let fit = |span: Span| Some((span.intersect(shown)?.duration(), Reverse(span.duration())));
    let freezes = findings.windows.iter().map(|window| &window.freeze);
    let known = freezes.max_by_key(|freeze| freeze.span.and_then(fit));
    let length = known.and_then(|freeze| freeze.span).unwrap_or(shown).duration();
    let open = known.map_or("", words::at_least);
    words::freeze_label(open, &units::duration(length))
}

pub(super) fn grid(canvas: &mut Canvas<'_>, top: f64, bottom: f64) {
    let text = canvas.size.text;
    for tick in ticks(canvas.shown, canvas.origin, 7) {
        let x = canvas.size.gutter + tick.at * canvas.plot();
        canvas.scene.line((x, top), (x, bottom + text * 0.4), Ink::Grid);
        let half = width(&tick.label, text) / 2.0;
        let middle = x.min(canvas.size.width - half);
        canvas.label(middle, bottom + text * 1.5, Anchor::Middle, Ink::FaintText, tick.label);
    }
}

/// Below the axis: which lanes are not drawn, and what the times count from.
pub(super) fn notes(canvas: &mut Canvas<'_>, timeline: &Timeline, hidden: &[Lane]) {
    canvas.y += canvas.size.text * 3.2;
    if !hidden.is_empty() {
        let victims =
            hidden.iter().filter(|lane| !matches!(lane.role, Role::Bystander | Role::Idle)).count();
        let text = words::lanes_left_out(victims, hidden.len() - victims);
        canvas.label(0.0, canvas.y, Anchor::Start, Ink::FaintText, text);
    }
    let text = words::axis_caption(canvas.origin, !timeline.windows.is_empty());
    canvas.label(canvas.size.width, canvas.y, Anchor::End, Ink::FaintText, text);
    canvas.scene.height = canvas.y + canvas.size.text * 0.6;
}

fn lanes_height(lanes: &[Lane], size: Size) -> f64 {
    let mut groups = 0;
    let mut role = None;
    for lane in lanes {
        if role != Some(lane.role) {
            role = Some(lane.role);
            groups += 1;
        }
    }
    lane_height(size) * lanes.len() as f64 + heading_height(size) * f64::from(groups)
}

fn lane_height(size: Size) -> f64 {
    size.text * 1.5
}

fn heading_height(size: Size) -> f64 {
    size.text * 1.7
}
