//! The flame graph as a scene, for a slide.

use coldcase_analyze::findings::Findings;

use super::flame::{BOXES, Flame, FlameBox, Side, flame};
use super::font::fit;
use super::scene::{Anchor, Area, Ink, Label, Scene};

/// Height of a frame, and size of its name.
const ROW: f64 = 28.0;
const TEXT: f64 = 16.0;
/// Rows that a slide has room for.
const ROWS: usize = 60;

pub(crate) fn flame_picture(findings: &Findings, width: f64) -> Option<Scene> {
    // Where nobody was held up, all of the waiting is what there is to see.
    let stacks = [&findings.off_cpu, &findings.details.off_cpu_all];
    let flame: Flame = stacks.into_iter().find_map(|stacks| flame(stacks, BOXES, None))?;
    let seen = |frame: &&FlameBox| frame.width * width >= 1.0 && frame.depth < ROWS;
    let mut scene = Scene::new(width);
    let mut rows = 0;
    for frame in flame.boxes.iter().filter(seen) {
        draw(&mut scene, frame);
        rows = rows.max(frame.depth + 1);
    }
    scene.height = rows as f64 * ROW;
    Some(scene)
}

fn draw(scene: &mut Scene, frame: &FlameBox) {
    let x = frame.left * scene.width;
    let width = frame.width * scene.width;
    // A pixel of paper between neighbours shows where one ends.
    let area =
        Area { x, y: frame.depth as f64 * ROW, width: (width - 1.0).max(0.5), height: ROW - 1.0 };
    scene.rect(area, ink(frame.side));
    if let Some(text) = fit(&frame.name, TEXT, width - TEXT * 0.7) {
        scene.text(Label {
            x: x + TEXT * 0.3,
            y: area.y + ROW * 0.7,
            size: TEXT,
            anchor: Anchor::Start,
            ink: Ink::Text,
            text,
        });
    }
}

pub(crate) fn ink(side: Side) -> Ink {
    match side {
        Side::Root => Ink::RootFrame,
        Side::User => Ink::UserFrame,
        Side::Kernel => Ink::KernelFrame,
    }
}
