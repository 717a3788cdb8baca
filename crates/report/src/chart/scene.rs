//! A picture as a list of shapes, before anybody has decided on pixels or SVG.
//!
//! Layout happens once, here in numbers; [`svg`](super::svg) and [`png`](super::raster) only paint. Colours
//! are meanings ([`Ink`]), so that the page can have a dark theme and a slide a light one.

use crate::words::Kind;

/// A finished layout.
pub(crate) struct Scene {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

/// Something to paint; later shapes lie above earlier ones.
pub(crate) enum Shape {
    Rect { area: Area, ink: Ink, title: Option<String> },
    Dust(Dust),
    Line { from: (f64, f64), to: (f64, f64), ink: Ink, dashed: bool },
    Text(Label),
}

/// Many rectangles of one colour in one row, too small to be pointed at.
pub(crate) struct Dust {
    pub y: f64,
    pub height: f64,
    /// Begin and width of each, from left to right.
    pub grains: Vec<(f64, f64)>,
    pub ink: Ink,
}

/// Where a rectangle lies.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A line of text.
pub(crate) struct Label {
    pub x: f64,
    /// The baseline.
    pub y: f64,
    pub size: f64,
    pub anchor: Anchor,
    pub ink: Ink,
    pub text: String,
}

/// Which point of a text lies at its `x`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// What a colour means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Ink {
    /// What a thread did.
    State(Kind),
    /// The culprit's operation.
    Operation,
    /// Another memory call.
    Memory,
    /// The shade of a freeze.
    Freeze,
    /// The border of a freeze.
    FreezeEdge,
    /// The bed on which a lane lies.
    Lane,
    Grid,
    /// A shade of the heat map, from 0.
    Heat(u8),
    Text,
    FaintText,
    /// Text on a coloured bar.
    OnBar,
    /// Text that names a freeze.
    FreezeText,
    KernelFrame,
    UserFrame,
    RootFrame,
}

impl Scene {
    pub(crate) fn new(width: f64) -> Self {
        Self { width, height: 0.0, shapes: Vec::new() }
    }

    pub(crate) fn rect(&mut self, area: Area, ink: Ink) {
        self.shapes.push(Shape::Rect { area, ink, title: None });
    }

    pub(crate) fn titled_rect(&mut self, area: Area, ink: Ink, title: String) {
        self.shapes.push(Shape::Rect { area, ink, title: Some(title) });
    }

    pub(crate) fn dust(&mut self, dust: Dust) {
        self.shapes.push(Shape::Dust(dust));
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink) {
        self.shapes.push(Shape::Line { from, to, ink, dashed: false });
    }

    pub(crate) fn dashed(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink) {
        self.shapes.push(Shape::Line { from, to, ink, dashed: true });
    }

    pub(crate) fn text(&mut self, label: Label) {
        self.shapes.push(Shape::Text(label));
    }
}
