//! The process's resident size as step lines, above the lanes: did memory step up when it stood still?
//!
//! ```text
//!   Resident size
//!     ▪ anonymous  5 GB|             ______________
//!     ▪ files          |          __/              \____
//!                    0 |_________/
//! ```

use coldcase_analyze::details::ResidentLine;
use coldcase_analyze::findings::Findings;
use coldcase_ingest::capture::{ResidentPart, Span, Timestamp};

use super::canvas::{Canvas, Size};
use super::scene::{Anchor, Area, Ink};
use crate::words::Kind;
use crate::{units, words};

/// Height of the plot and of its name above, in sizes of the text.
const TALL: f64 = 6.0;
const NAME: f64 = 1.8;
/// Thickness of a line, in sizes of the text.
const THICK: f64 = 0.12;

/// The lines that are worth a place, and the round size that they all stay below; `None` where no size is known.
pub(crate) fn lines(findings: &Findings) -> Option<(Vec<&ResidentLine>, u64)> {
    let most = |line: &ResidentLine| line.steps.iter().map(|step| step.1).max().unwrap_or(0);
    let lines = findings.details.resident.iter().filter(|line| most(line) > 0);
    let lines: Vec<&ResidentLine> = lines.collect();
    let most = lines.iter().map(|line| most(line)).max()?;
    Some((lines, nice(most)))
}

/// How much of the picture the lines take.
pub(super) fn height(findings: &Findings, size: Size) -> f64 {
    lines(findings).map_or(0.0, |_| size.text * (NAME + TALL + 0.9))
}

/// Draws the lines from the canvas's pen on.
pub(super) fn draw(canvas: &mut Canvas<'_>) {
    let Some((lines, ceiling)) = lines(canvas.findings) else { return };
    let text = canvas.size.text;
    let end = canvas.y + height(canvas.findings, canvas.size);
    let (top, bottom) = (canvas.y + text * NAME, canvas.y + text * (NAME + TALL));
    let name = words::RESIDENT_ROW.to_owned();
    canvas.label(0.0, canvas.y + text, Anchor::Start, Ink::FaintText, name);
    for (part, bytes) in [(0.0, 0), (0.5, ceiling / 2), (1.0, ceiling)] {
        let y = bottom - (bottom - top) * part;
        canvas.scene.line((canvas.size.gutter, y), (canvas.size.width, y), Ink::Grid);
        let x = canvas.size.gutter - text * 0.6;
        let label = if bytes == 0 { "0".to_owned() } else { units::round_size(bytes) };
        canvas.label(x, y + text * 0.35, Anchor::End, Ink::FaintText, label);
    }
    for (index, line) in lines.into_iter().enumerate() {
        let y = top + text * (0.6 + 1.4 * index as f64);
        let swatch =
            Area { x: text * 0.8, y: y - text * 0.35, width: text * 0.6, height: text * 0.6 };
        canvas.scene.rect(swatch, ink(line.part));
        let name = words::resident_part(line.part).to_owned();
        canvas.label(text * 1.8, y + text * 0.2, Anchor::Start, Ink::FaintText, name);
        steps(canvas, line, (top, bottom), ceiling);
    }
    canvas.y = end;
}

/// One line: a level for each stretch of time, and an upright between levels.
fn steps(canvas: &mut Canvas<'_>, line: &ResidentLine, (top, bottom): (f64, f64), ceiling: u64) {
    let thick = canvas.size.text * THICK;
    let height =
        |bytes: u64| bottom - (bottom - top) * (bytes as f64 / ceiling as f64) - thick / 2.0;
    let mut before: Option<u64> = None;
    for (at, &(start, bytes)) in line.steps.iter().enumerate() {
        let end = line.steps.get(at + 1).map_or(Timestamp(u64::MAX), |next| next.0);
        let seen = Span::new(start, end).intersect(canvas.shown);
        if let Some(seen) = seen {
            let (x, right, y) = (canvas.x(seen.start), canvas.x(seen.end), height(bytes));
            let level = Area { x, y, width: (right - x).max(thick), height: thick };
            let title =
                format!("{}: {}", words::resident_part(line.part), units::exact_size(bytes));
            canvas.scene.titled_rect(level, ink(line.part), title);
            if let Some(before) = before.filter(|_| seen.start == start) {
                let (high, low) = (y.min(height(before)), y.max(height(before)));
                let area = Area { x, y: high, width: thick, height: low - high + thick };
                canvas.scene.rect(area, ink(line.part));
            }
        }
        before = Some(bytes);
    }
}

/// As [`ink`], by the name in the style sheet.
pub(crate) fn color_name(part: ResidentPart) -> &'static str {
    match part {
        ResidentPart::Anonymous => "event",
        ResidentPart::File => "faint",
        ResidentPart::Shared => "mem",
        ResidentPart::Swap => "lock",
    }
}

fn ink(part: ResidentPart) -> Ink {
    match part {
        ResidentPart::Anonymous => Ink::Memory,
        ResidentPart::File => Ink::FaintText,
        ResidentPart::Shared => Ink::State(Kind::Memory),
        ResidentPart::Swap => Ink::State(Kind::OtherLock),
    }
}

/// The next of 1, 2, 5, 10, 20, ... bytes.
fn nice(bytes: u64) -> u64 {
    let steps = (0..19).flat_map(|power| [1, 2, 5].map(|step| step * 10_u64.pow(power)));
    steps.into_iter().find(|step| *step >= bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_a_round_size() {
        assert_eq!((nice(1), nice(3_221_225_472)), (1, 5_000_000_000));
        assert_eq!(nice(u64::MAX), u64::MAX);
    }
}
