//! What stands around a picture so that it can stand alone: title, legend, and where it comes from.

use super::font::{fit, width};
use super::scene::{Anchor, Area, Dust, Ink, Label, Scene, Shape};

const MARGIN: f64 = 48.0;
const TITLE: f64 = 32.0;
const TEXT: f64 = 19.0;

/// Room for a picture's body.
pub(crate) fn body_width(slide_width: f64) -> f64 {
    slide_width - 2.0 * MARGIN
}

/// What stands around the picture.
pub(crate) struct Frame {
    pub title: String,
    pub text: String,
    pub legend: Vec<(Ink, &'static str)>,
    pub footer: String,
}

/// The picture with its title above and its provenance below.
pub(crate) fn slide(frame: &Frame, body: Scene, slide_width: f64) -> Scene {
    let mut scene = Scene::new(slide_width);
    let mut y = MARGIN + TITLE * 0.8;
    let room = body_width(slide_width);
    if let Some(title) = fit(&frame.title, TITLE, room) {
        label(&mut scene, (MARGIN, y), TITLE, Ink::Text, title);
    }
    y += TEXT;
    for line in wrapped(&frame.text, room) {
        y += TEXT * 1.5;
        label(&mut scene, (MARGIN, y), TEXT, Ink::FaintText, line);
    }
    y += TEXT * 2.4;
    y = legend(&mut scene, &frame.legend, y);
    y += TEXT * 1.4;
    let height = body.height;
    scene.shapes.extend(body.shapes.into_iter().map(|shape| moved(shape, MARGIN, y)));
    y += height + TEXT * 2.2;
    if let Some(footer) = fit(&frame.footer, TEXT * 0.8, room) {
        label(&mut scene, (MARGIN, y), TEXT * 0.8, Ink::FaintText, footer);
    }
    scene.height = y + MARGIN * 0.7;
    scene
}

/// The colours and their names, in as many lines as they need; says where it ends.
fn legend(scene: &mut Scene, entries: &[(Ink, &'static str)], top: f64) -> f64 {
    let mut at = (MARGIN, top);
    for (ink, name) in entries {
        let length = TEXT * 1.4 + width(name, TEXT) + TEXT * 1.6;
        if at.0 + length > scene.width && at.0 > MARGIN {
            at = (MARGIN, at.1 + TEXT * 1.7);
        }
        let side = TEXT * 0.9;
        let square = Area { x: at.0, y: at.1 - side * 0.85, width: side, height: side };
        scene.rect(square, *ink);
        label(scene, (at.0 + TEXT * 1.4, at.1), TEXT, Ink::Text, (*name).to_owned());
        at.0 += length;
    }
    at.1
}

/// Three lines at most: the report has the rest.
fn wrapped(text: &str, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, TEXT) + width(word, TEXT) + TEXT * 0.4 <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(fit(word, TEXT, room)),
        }
    }
    lines.truncate(3);
    lines
}

fn label(scene: &mut Scene, (x, y): (f64, f64), size: f64, ink: Ink, text: String) {
    scene.text(Label { x, y, size, anchor: Anchor::Start, ink, text });
}

fn moved(shape: Shape, right: f64, down: f64) -> Shape {
    let shift = |area: Area| Area { x: area.x + right, y: area.y + down, ..area };
    let point = |(x, y): (f64, f64)| (x + right, y + down);
    match shape {
        Shape::Rect { area, ink, title } => Shape::Rect { area: shift(area), ink, title },
        Shape::Dust(dust) => Shape::Dust(Dust {
            y: dust.y + down,
            grains: dust.grains.into_iter().map(|(x, width)| (x + right, width)).collect(),
            ..dust
        }),
        Shape::Line { from, to, ink, dashed } => {
            Shape::Line { from: point(from), to: point(to), ink, dashed }
        }
        Shape::Text(text) => Shape::Text(Label { x: text.x + right, y: text.y + down, ..text }),
    }
}
