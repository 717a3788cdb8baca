//! Blocked threads over all of the capture, with the memory calls above: did memory step up when the service stood
//! still?

use coldcase_analyze::findings::Findings;
use coldcase_ingest::capture::{Nanos, Span};

use super::canvas::{Canvas, Size};
use super::scene::{Anchor, Area, Ink};
use super::timeline;
use super::{resident, timeline_events};
use crate::words::{self, Kind};

/// Height of the curve, in sizes of the text.
const TALL: f64 = 18.0;

/// The picture, if the capture has times and somebody was blocked.
pub(crate) fn blocked(findings: &Findings, size: Size) -> Option<super::scene::Scene> {
    let heat = findings.details.heat.as_ref()?;
    let timeline = findings.timeline.as_ref()?;
    let most = heat.blocked.iter().copied().max().filter(|most| *most > Nanos::ZERO)?;
    let mut canvas = Canvas::new(findings, timeline, size, timeline.whole);
    timeline_events::draw(&mut canvas);
    let top = canvas.y;
    let first = top + resident::height(findings, size) + size.text * 2.6;
    let bottom = first + size.text * TALL;
    timeline::shade(&mut canvas, timeline, top, bottom);
    timeline::grid(&mut canvas, first, bottom);
    canvas.y = top + size.text * 1.4;
    resident::draw(&mut canvas);
    let ceiling = Nanos(nice(most.share_of(heat.bin)) * heat.bin.0);
    threads(&mut canvas, first, bottom, ceiling.share_of(heat.bin));
    let ink = Ink::State(kind(findings));
    for (index, &time) in heat.blocked.iter().enumerate() {
        let start = heat.start.plus(Nanos(heat.bin.0 * index as u64));
        let bin = Span::new(start, start.plus(heat.bin));
        let height = (bottom - first) * time.share_of(ceiling);
        if let Some(seen) = bin.intersect(canvas.shown).filter(|_| time > Nanos::ZERO) {
            let x = canvas.x(seen.start);
            let width = (canvas.x(seen.end) - x).max(1.0);
            canvas.scene.rect(Area { x, y: bottom - height, width, height }, ink);
        }
    }
    timeline::windows(&mut canvas, timeline, top, bottom);
    canvas.y = bottom;
    timeline::notes(&mut canvas, timeline, &[]);
    Some(canvas.scene)
}

/// The colour of the worst freeze's cause.
pub(crate) fn kind(findings: &Findings) -> Kind {
    let cause = findings.worst().and_then(|window| window.cause);
    cause.map_or(Kind::Other, words::kind_of_cause)
}

/// The next of 1, 2, 5, 10, 20, ... threads.
fn nice(threads: f64) -> u64 {
    let steps = (0..9).flat_map(|power| [1, 2, 5].map(|step| step * 10_u64.pow(power)));
    steps.into_iter().find(|step| *step as f64 + 0.05 >= threads).unwrap_or(1_000_000_000)
}

/// The scale of threads, left of the curve.
fn threads(canvas: &mut Canvas<'_>, top: f64, bottom: f64, most: f64) {
    let text = canvas.size.text;
    canvas.label(
        0.0,
        top - text * 0.8,
        Anchor::Start,
        Ink::FaintText,
        words::THREADS_AXIS.to_owned(),
    );
    for part in [0.0, 0.5, 1.0] {
        let y = bottom - (bottom - top) * part;
        canvas.scene.line((canvas.size.gutter, y), (canvas.size.width, y), Ink::Grid);
        let label = format!("{}", most * part);
        let x = canvas.size.gutter - text * 0.6;
        canvas.label(x, y + text * 0.35, Anchor::End, Ink::FaintText, label);
    }
}
