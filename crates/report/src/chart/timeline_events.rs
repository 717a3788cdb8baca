//! Above the lanes: the culprit's operation, and the large memory calls.

use coldcase_analyze::findings::{Culprit, Findings, MemoryEvent, Operation, Window};
use coldcase_ingest::capture::{Nanos, Span, Timestamp};

use super::canvas::Canvas;
use super::font::{fit, width};
use super::scene::{Anchor, Area, Ink};
use crate::document::is_everyday;
use crate::{units, words};

/// Most rows of memory calls; all of them stand in the table.
const ROWS: usize = 3;
/// Smaller calls are everyday life.
const LARGE: u64 = 1_000_000;

pub(super) fn draw(canvas: &mut Canvas<'_>) {
    operation(canvas);
    memory(canvas);
}

/// What the culprit did, and when.
pub(crate) struct Deed {
    pub span: Span,
    /// With the thread, and without.
    pub label: String,
    short: String,
    /// Whether it took no time to speak of.
    pub moment: bool,
}

/// The culprit's operation inside `shown`; of a stop, the moments in which it was sent and taken back.
pub(crate) fn operations_of(findings: &Findings, shown: Span) -> Vec<Deed> {
    let Some((window, culprit)) =
        findings.worst().and_then(|window| Some((window, window.culprit.as_ref()?)))
    else {
        return Vec::new();
    };
    let deed = |span: Span, short: String, moment| {
        let label = format!("{}: {short}", words::thread_short(&culprit.thread));
        Some(Deed { span: span.intersect(shown)?, label, short, moment })
    };
    if culprit.operation == Some(Operation::Signal) {
        let moment = |at: Timestamp| Span::new(at, at.plus(Nanos(1_000)));
        let sent = culprit.start.and_then(|at| deed(moment(at), call(culprit), true));
        let went_on = window.chain.last().filter(|link| link.how.contains(words::CONTINUE));
        let went_on = went_on
            .and_then(|link| deed(moment(link.span.end), words::sent(words::CONTINUE), true));
        return sent.into_iter().chain(went_on).collect();
    }
    let span = call_span(window, culprit, shown);
    span.and_then(|span| deed(span, call(culprit), false)).into_iter().collect()
}

/// The large memory calls inside `shown` but for the culprit's, those of the frozen process first and then by size,
/// each with what it was.
pub(crate) fn memory_of(
    findings: &Findings,
    shown: Span,
) -> impl Iterator<Item = (Span, String)> + '_ {
    let events = findings.memory_events.iter().filter(|event| is_shown(findings, event));
    let home = findings.worst().and_then(|window| window.freeze.pid);
    let mut events: Vec<&MemoryEvent> = events.collect();
    events.sort_by_key(|event| event.thread.pid != home);
    events.into_iter().filter_map(move |event| {
        let start = event.start?;
        let span = Span::new(start, start.plus(event.duration?)).intersect(shown)?;
        Some((span, title(event)))
    })
}

fn operation(canvas: &mut Canvas<'_>) {
    let deeds = operations_of(canvas.findings, canvas.shown);
    if deeds.is_empty() {
        return;
    }
    let text = canvas.size.text;
    let height = text * 1.9;
    row_name(canvas, words::OPERATION_ROW, height);
    let baseline = canvas.y + height * 0.66;
    for Deed { span, label, short, .. } in deeds {
        let (left, right) = (canvas.x(span.start), canvas.x(span.end));
        let area = Area { x: left, y: canvas.y, width: (right - left).max(2.0), height };
        canvas.scene.titled_rect(area, Ink::Operation, label.clone());
        // Whose call it is stands in the lanes too, so the name is what can be spared.
        let inside =
            [&label, &short].into_iter().find(|label| width(label, text) + text <= area.width);
        match inside {
            Some(label) => {
                let middle = area.x + area.width / 2.0;
                canvas.label(middle, baseline, Anchor::Middle, Ink::OnBar, label.clone());
            }
            None => beside(canvas, area, baseline, &label),
        }
    }
    canvas.y += height + text * 0.6;
}

fn call(culprit: &Culprit) -> String {
    let call = culprit.operation.map_or_else(String::new, |call| {
        words::operation_sized(call, culprit.bytes, &culprit.flags)
    });
    let time =
        culprit.duration.map_or_else(String::new, |time| format!(" · {}", units::duration(time)));
    format!("{call}{time}")
}

/// A label on that side of its bar where there is room.
fn beside(canvas: &mut Canvas<'_>, area: Area, baseline: f64, label: &str) {
    let text = canvas.size.text;
    let gap = text * 0.5;
    let right = area.x + area.width + gap;
    let after = canvas.size.width - right;
    let before = area.x - gap - canvas.size.gutter;
    let (x, anchor, room) = if after >= width(label, text) || after >= before {
        (right, Anchor::Start, after)
    } else {
        (area.x - gap, Anchor::End, before)
    };
    if let Some(shown) = fit(label, text, room) {
        canvas.label(x, baseline, anchor, Ink::Text, shown);
    }
}

/// The call's time; one whose end is not recorded lasts as long as the freeze.
fn call_span(window: &Window, culprit: &Culprit, shown: Span) -> Option<Span> {
    let start = culprit.start?;
    let frozen_until = window.freeze.span.map_or(shown.end, |freeze| freeze.end);
    let end = culprit.duration.map_or(frozen_until, |time| start.plus(time));
    Span::new(start, end).intersect(shown)
}

/// Calls in rows, each with its label right of it, where they do not touch.
fn memory(canvas: &mut Canvas<'_>) {
    let events: Vec<&MemoryEvent> = canvas
        .findings
        .memory_events
        .iter()
        .filter(|event| is_shown(canvas.findings, event))
        .collect();
    if events.is_empty() {
        return;
    }
    let text = canvas.size.text;
    let height = text * 1.1;
    let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
    let top = canvas.y;
    row_name(canvas, words::MEMORY_ROW, height);
    for event in events {
        let Some((area, taking, label)) = placed(canvas, event, height) else { continue };
        let Some(row) = free_row(&mut taken, taking) else { continue };
        let y = top + row as f64 * (height + text * 0.4);
        canvas.scene.titled_rect(Area { y, ..area }, Ink::Memory, title(event));
        canvas.label(label.x, y + height * 0.8, label.anchor, Ink::FaintText, label.text);
    }
    canvas.y = top + taken.len() as f64 * (height + text * 0.4) + text * 0.3;
}

fn is_shown(findings: &Findings, event: &MemoryEvent) -> bool {
    let culprit = findings.worst().and_then(|window| window.culprit.as_ref());
    // A thread may change its name, so numbers decide.
    let is_operation = culprit.is_some_and(|culprit| {
        culprit.thread.tid == event.thread.tid && culprit.start == event.start
    });
    event.bytes.is_some_and(|bytes| bytes >= LARGE) && !is_operation && !is_everyday(event)
}

/// A label beside its bar.
struct Beside {
    x: f64,
    anchor: Anchor,
    text: String,
}

/// The bar, what bar and label take up from left to right, and the label: right of the bar, or left of it
/// at the right edge.
fn placed(
    canvas: &Canvas<'_>,
    event: &MemoryEvent,
    height: f64,
) -> Option<(Area, (f64, f64), Beside)> {
    let start: Timestamp = event.start?;
    let span = Span::new(start, start.plus(event.duration?)).intersect(canvas.shown)?;
    let (left, right) = (canvas.x(span.start), canvas.x(span.end).max(canvas.x(span.start) + 2.0));
    let gap = canvas.size.text * 0.4;
    let text = words::operation_sized(event.operation, event.bytes, &[]);
    let room = width(&text, canvas.size.text) + 2.0 * gap;
    let area = Area { x: left, y: 0.0, width: right - left, height };
    if right + room <= canvas.size.width + gap {
        let label = Beside { x: right + gap, anchor: Anchor::Start, text };
        Some((area, (left, right + room), label))
    } else {
        let label = Beside { x: left - gap, anchor: Anchor::End, text };
        Some((area, (left - room, right), label))
    }
}

fn free_row(taken: &mut Vec<Vec<(f64, f64)>>, (start, end): (f64, f64)) -> Option<usize> {
    let free =
        taken.iter().position(|row| row.iter().all(|&(left, right)| end <= left || right <= start));
    let row = free.unwrap_or(taken.len());
    if row >= ROWS {
        return None;
    }
    if row == taken.len() {
        taken.push(Vec::new());
    }
    taken[row].push((start, end));
    Some(row)
}

fn title(event: &MemoryEvent) -> String {
    let call = words::operation_sized(event.operation, event.bytes, &event.flags);
    let time =
        event.duration.map_or_else(String::new, |time| format!(", {}", units::duration(time)));
    format!("{}: {call}{time}", words::thread_short(&event.thread))
}

fn row_name(canvas: &mut Canvas<'_>, name: &str, height: f64) {
    let baseline = canvas.y + height * 0.72;
    canvas.label(0.0, baseline, Anchor::Start, Ink::FaintText, name.to_owned());
}
