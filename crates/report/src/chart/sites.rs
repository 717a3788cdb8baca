//! Wait sites as bars, for a slide.

use crate::document::SiteLine;

use super::font::fit;
use super::scene::{Anchor, Area, Ink, Label, Scene};

const ROW: f64 = 56.0;
const TEXT: f64 = 20.0;
/// Bars that a slide has room for.
const ROWS: usize = 12;
/// Left for the name, and right of the longest bar for its figures.
const NAMES: f64 = 460.0;
const FIGURES: f64 = 380.0;

pub(crate) fn sites(lines: &[SiteLine], width: f64) -> Scene {
    let mut scene = Scene::new(width);
    let lines = &lines[..lines.len().min(ROWS)];
    for (index, line) in lines.iter().enumerate() {
        draw(&mut scene, line, index as f64 * ROW);
    }
    scene.height = lines.len() as f64 * ROW;
    scene
}

fn draw(scene: &mut Scene, line: &SiteLine, top: f64) {
    let baseline = top + ROW * 0.5 + TEXT * 0.36;
    let mut label = |x: f64, anchor: Anchor, ink: Ink, text: String| {
        scene.text(Label { x, y: baseline, size: TEXT, anchor, ink, text });
    };
    if let Some(name) = fit(&line.site, TEXT, NAMES - TEXT) {
        label(NAMES - TEXT * 0.8, Anchor::End, Ink::Text, name);
    }
    let longest = scene.width - NAMES - FIGURES;
    let area = Area {
        x: NAMES,
        y: top + ROW * 0.18,
        width: (longest * line.percent / 100.0).max(2.0),
        height: ROW * 0.64,
    };
    scene.rect(area, Ink::State(line.kind));
    let plural = if line.threads == "1" { "thread" } else { "threads" };
    let figures = format!("{} in {} {plural}", line.blocked, line.threads);
    scene.text(Label {
        x: area.x + area.width + TEXT * 0.6,
        y: baseline,
        size: TEXT,
        anchor: Anchor::Start,
        ink: Ink::FaintText,
        text: figures,
    });
}
