//! Blocked threads as a heat map: a column for each second, from its start at the bottom to its end at the top, so
//! that a freeze is a column that the eye finds (Brendan Gregg's subsecond offset heat map, as in FlameScope).
//!
//! ```text
//!   1000 ms |  .  .  #  #  .  |
//!           |  .  .  #  #  .  |
//!           |  .  #  #  .  .  |
//!      0 ms |  .  #  #  .  .  |
//!             0  1  2  3  4 s
//! ```

use coldcase_analyze::details::Heat;
use coldcase_analyze::findings::Findings;
use coldcase_ingest::capture::{Nanos, Span, Timestamp};

use super::font::width;
use super::scene::{Anchor, Area, Ink, Label, Scene};
use crate::chart::timeline::freeze_label;
use crate::{units, words};

/// Shades of blocked threads; 0 is nobody.
pub(crate) const SHADES: u8 = 8;
/// Most room for a column, in sizes of the text.
const WIDEST: f64 = 7.0;

/// A laid out heat map.
pub(crate) struct HeatPicture {
    pub scene: Scene,
    /// Length of a column.
    pub column: Nanos,
    /// Where its cells lie, for whoever points at one.
    pub grid: Grid,
}

/// Where the cells lie in the picture.
#[derive(Clone, Copy)]
pub(crate) struct Grid {
    pub left: f64,
    /// The lower end of the first row.
    pub bottom: f64,
    pub column: f64,
    pub row: f64,
}

/// The picture, if the capture has times and somebody was blocked.
pub(crate) fn heat(findings: &Findings, room: f64, text: f64) -> Option<HeatPicture> {
    let heat = findings.details.heat.as_ref()?;
    let most = heat.blocked.iter().copied().max().filter(|most| *most > Nanos::ZERO)?;
    let columns = heat.blocked.len().div_ceil(heat.column);
    let left = text * 5.6;
    let column = ((room - left) / columns as f64).min(text * WIDEST);
    let row = text * 0.42;
    let bottom = text * 2.0 + row * heat.column as f64;
    let mut map =
        Map { scene: Scene::new(room), heat, most, text, grid: Grid { left, bottom, column, row } };
    for index in 0..columns {
        map.column(index);
    }
    for window in findings.windows.iter().filter_map(|window| window.freeze.span) {
        map.window(window);
    }
    map.worst(findings);
    map.axes(columns);
    map.legend();
    let column = Nanos(heat.bin.0 * heat.column as u64);
    Some(HeatPicture { scene: map.scene, column, grid: map.grid })
}

struct Map<'a> {
    scene: Scene,
    heat: &'a Heat,
    most: Nanos,
    text: f64,
    grid: Grid,
}

impl Map<'_> {
    /// A column's cells; equal ones that follow each other are one shape.
    fn column(&mut self, index: usize) {
        let from = index * self.heat.column;
        let to = self.heat.blocked.len().min(from + self.heat.column);
        let most = self.most;
        let mut at = 0;
        let bins = &self.heat.blocked[from..to];
        for run in bins.chunk_by(|left, right| shade(*left, most) == shade(*right, most)) {
            let shade = shade(run[0], most);
            let area = self.cells(index, at, run.len());
            if shade == 0 {
                self.scene.rect(area, Ink::Heat(0));
            } else {
                let begin = Nanos((from + at) as u64 * self.heat.bin.0);
                let most = run.iter().copied().max().unwrap_or_default();
                let title = words::heat_cell(begin, self.threads(most));
                self.scene.titled_rect(area, Ink::Heat(shade), title);
            }
            at += run.len();
        }
    }

    fn cells(&self, column: usize, from: usize, count: usize) -> Area {
        let Grid { left, bottom, column: width, row } = self.grid;
        Area {
            x: left + column as f64 * width,
            y: bottom - (from + count) as f64 * row,
            width: (width - self.gap()).max(0.5),
            height: count as f64 * row,
        }
    }

    /// Between columns, for the mark of a freeze.
    fn gap(&self) -> f64 {
        (self.grid.column * 0.2).min(self.text * 0.5)
    }

    fn threads(&self, blocked: Nanos) -> f64 {
        blocked.share_of(self.heat.bin)
    }

    /// A freeze as a line beside the cells that it covers.
    fn window(&mut self, window: Span) {
        let bin = |time: Timestamp| {
            usize::try_from(time.since(self.heat.start).0 / self.heat.bin.0).unwrap_or(usize::MAX)
        };
        let last = self.heat.blocked.len().saturating_sub(1);
        let (mut at, end) = (bin(window.start).min(last), bin(window.end).min(last) + 1);
        while at < end {
            let column = at / self.heat.column;
            let until = end.min((column + 1) * self.heat.column);
            let cells = self.cells(column, at % self.heat.column, until - at);
            let line = (self.gap() * 0.5).max(1.0);
            let mark = Area { x: cells.x - line * 1.5, width: line, ..cells };
            self.scene.rect(mark, Ink::FreezeText);
            at = until;
        }
    }

    /// The worst freeze's name, above its first column.
    fn worst(&mut self, findings: &Findings) {
        let span = findings.worst().and_then(|window| window.freeze.span);
        let Some(span) = span else { return };
        let column = span.start.since(self.heat.start).0 / self.heat.bin.0.max(1);
        let x = self.grid.left + (column / self.heat.column as u64) as f64 * self.grid.column;
        let label = freeze_label(findings, span);
        let x = x.min(self.scene.width - width(&label, self.text));
        self.label((x, self.text * 1.2), Anchor::Start, Ink::FreezeText, label);
    }

    fn axes(&mut self, columns: usize) {
        let Grid { left, bottom, column, row } = self.grid;
        let length = Nanos(self.heat.bin.0 * self.heat.column as u64);
        for part in 0..=2_u64 {
            let y = bottom - row * self.heat.column as f64 * part as f64 / 2.0;
            let label = match part {
                0 => "0".to_owned(),
                _ => format!("+{}", units::round(Nanos(length.0 * part / 2))),
            };
            let place = (left - self.text * 0.7, y + self.text * 0.35);
            self.label(place, Anchor::End, Ink::FaintText, label);
        }
        let wide = width("10000 s", self.text) / column;
        let every =
            [1, 2, 5, 10, 20, 50].into_iter().find(|step| *step as f64 >= wide).unwrap_or(100);
        for index in (0..columns).step_by(every) {
            let x = left + (index as f64 + 0.5) * column - self.gap() / 2.0;
            let time = Nanos(length.0 * index as u64);
            let label = units::round(time);
            // The last column may be at the edge of the picture.
            let x = x.min(self.scene.width - width(&label, self.text) * 0.6);
            self.label((x, bottom + self.text * 1.4), Anchor::Middle, Ink::FaintText, label);
        }
        self.scene.height = bottom + self.text * 2.0;
    }

    /// Which shade is how many threads, and what the columns count from.
    fn legend(&mut self) {
        let text = self.text;
        let y = self.scene.height + text * 1.6;
        let most = format!("{:.0}", self.threads(self.most).ceil());
        let mut x = self.grid.left;
        let none = "0".to_owned();
        self.label((x - text * 0.7, y), Anchor::End, Ink::FaintText, none);
        for shade in 0..=SHADES {
            let area = Area { x, y: y - text * 0.85, width: text * 1.3, height: text };
            self.scene.rect(area, Ink::Heat(shade));
            x += text * 1.3;
        }
        let label = format!("{most} {}", words::HEAT_UNIT);
        self.label((x + text * 0.5, y), Anchor::Start, Ink::FaintText, label);
        let caption = words::heat_caption(self.heat.start);
        let right = self.scene.width;
        self.label((right, y + text * 1.6), Anchor::End, Ink::FaintText, caption);
        self.scene.height = y + text * 2.2;
    }

    fn label(&mut self, (x, y): (f64, f64), anchor: Anchor, ink: Ink, text: String) {
        self.scene.text(Label { x, y, size: self.text, anchor, ink, text });
    }
}

/// Nobody to everybody, as a number of shades.
fn shade(blocked: Nanos, most: Nanos) -> u8 {
    let part = blocked.share_of(most) * f64::from(SHADES);
    // Between 0 and SHADES.
    #[expect(clippy::cast_sign_loss)]
    let shade = part.ceil().min(f64::from(SHADES)) as u8;
    // A stray short wait is no colour.
    if part < 0.1 { 0 } else { shade }
}
