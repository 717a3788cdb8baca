//! A picture of a part of the capture that grows downwards: how large things are in it, and where a moment lies.

use coldcase_analyze::findings::{Findings, Timeline};
use coldcase_ingest::capture::{Nanos, Span, Timestamp};

use super::scene::{Anchor, Ink, Label, Scene};

/// How large things are.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// The whole picture.
    pub width: f64,
    /// Left of the lanes, for names.
    pub gutter: f64,
    /// Size of a text; everything else follows from it.
    pub text: f64,
    /// Most lanes that are drawn; the rest is counted in words.
    pub lanes: usize,
}

/// The state of a layout that grows downwards.
pub(crate) struct Canvas<'a> {
    pub scene: Scene,
    pub size: Size,
    pub shown: Span,
    pub y: f64,
    pub findings: &'a Findings,
    pub origin: Timestamp,
}

impl<'a> Canvas<'a> {
    /// An empty picture of a part of the capture.
    pub(super) fn new(
        findings: &'a Findings,
        timeline: &Timeline,
        size: Size,
        shown: Span,
    ) -> Self {
        let origin = origin(findings, timeline);
        Self { scene: Scene::new(size.width), size, shown, y: 0.0, findings, origin }
    }

    /// Width of the part that shows time.
    pub(crate) fn plot(&self) -> f64 {
        self.size.width - self.size.gutter
    }

    /// Where a moment lies.
    pub(crate) fn x(&self, time: Timestamp) -> f64 {
        let share = time.since(self.shown.start).share_of(self.shown.duration());
        self.size.gutter + share * self.plot()
    }

    /// How long this many pixels are.
    pub(super) fn nanos_of(&self, pixels: f64) -> Nanos {
        let share = pixels / self.plot();
        let nanos = self.shown.duration().0 as f64 * share;
        // Never negative, and far below 2^64: the picture is wider than these pixels.
        #[expect(clippy::cast_sign_loss)]
        Nanos(nanos as u64)
    }

    pub(crate) fn label(&mut self, x: f64, y: f64, anchor: Anchor, ink: Ink, text: String) {
        self.scene.text(Label { x, y, size: self.size.text, anchor, ink, text });
    }
}

/// The moment that the axis counts from: the start of the worst freeze.
pub(crate) fn origin(findings: &Findings, timeline: &Timeline) -> Timestamp {
    let worst = findings.worst().and_then(|window| window.freeze.span);
    worst.or(timeline.windows.first().copied()).unwrap_or(timeline.span).start
}
