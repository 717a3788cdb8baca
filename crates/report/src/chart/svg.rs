//! A scene as inline SVG. Colours are classes, which the page's style sheet fills in.

use std::fmt::Write;

use coldcase_ingest::capture::escape_html;

use super::scene::{Anchor, Area, Dust, Ink, Label, Scene, Shape};
use crate::words::Kind;

/// Inline SVG that scales with its place; `label` says to a screen reader what it shows.
pub(crate) fn svg(scene: &Scene, label: &str) -> String {
    let mut text = String::new();
    let (width, height) = (Px(scene.width), Px(scene.height));
    let _ = write!(
        text,
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
        escape_html(label)
    );
    for shape in &scene.shapes {
        write_shape(&mut text, shape);
        text.push('\n');
    }
    text.push_str("</svg>");
    text
}

fn write_shape(text: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Rect { area, ink, title } => write_rect(text, *area, *ink, title.as_deref()),
        Shape::Dust(dust) => write_dust(text, dust),
        Shape::Line { from, to, ink, dashed } => write!(
            text,
            "<path class=\"{}{}\" d=\"M{} {}L{} {}\"/>",
            class(*ink),
            if *dashed { " dash" } else { "" },
            Px(from.0),
            Px(from.1),
            Px(to.0),
            Px(to.1)
        ),
        Shape::Text(label) => write_label(text, label),
    };
}

fn write_rect(text: &mut String, area: Area, ink: Ink, title: Option<&str>) -> std::fmt::Result {
    let (x, y, width, height) = (Px(area.x), Px(area.y), Px(area.width), Px(area.height));
    write!(
        text,
        "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"",
        class(ink)
    )?;
    match title {
        Some(title) => write!(text, "><title>{}</title></rect>", escape_html(title)),
        None => write!(text, "/>"),
    }
}

/// One thick line with gaps. A busy timeline has tens of thousands of grains, so each is written as the
/// step from the end of the one before, in tenths of a pixel that do not add up their rounding.
fn write_dust(text: &mut String, dust: &Dust) -> std::fmt::Result {
    let middle = Px(dust.y + dust.height / 2.0);
    write!(text, "<path class=\"dust {}\" stroke-width=\"{}\"", class(dust.ink), Px(dust.height))?;
    write!(text, " d=\"M0 {middle}")?;
    let mut pen = 0.0;
    for &(x, width) in &dust.grains {
        let start = tenths(x);
        let length = tenths(width).max(0.1);
        write!(text, "m{} 0h{}", Px(start - pen), Px(length))?;
        pen = start + length;
    }
    write!(text, "\"/>")
}

fn write_label(text: &mut String, label: &Label) -> std::fmt::Result {
    let anchor = match label.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    write!(
        text,
        "<text class=\"{}\" x=\"{}\" y=\"{}\" font-size=\"{}\"{anchor}>{}</text>",
        class(label.ink),
        Px(label.x),
        Px(label.y),
        Px(label.size),
        escape_html(&label.text)
    )
}

/// The class of a state's colour, also for legends and bars in the page.
pub(crate) fn kind_class(kind: Kind) -> &'static str {
    match kind {
        Kind::MmapLock => "k-mmap",
        Kind::OtherLock => "k-lock",
        Kind::Io => "k-io",
        Kind::Memory => "k-mem",
        Kind::Stopped => "k-stop",
        Kind::Other => "k-other",
        Kind::Runnable => "k-wait",
        Kind::OnCpu => "k-cpu",
        Kind::Idle => "k-idle",
    }
}

fn class(ink: Ink) -> &'static str {
    const HEAT: [&str; 9] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"];
    match ink {
        Ink::Heat(shade) => HEAT[usize::from(shade).min(HEAT.len() - 1)],
        Ink::State(kind) => kind_class(kind),
        Ink::Operation => "i-op",
        Ink::Memory => "i-mem",
        Ink::Freeze => "i-freeze",
        Ink::FreezeEdge => "i-edge",
        Ink::Lane => "i-lane",
        Ink::Grid => "i-grid",
        Ink::Text => "i-text",
        Ink::FaintText => "i-faint",
        Ink::OnBar => "i-onbar",
        Ink::FreezeText => "i-freezetext",
        Ink::KernelFrame => "i-kernel",
        Ink::UserFrame => "i-user",
        Ink::RootFrame => "i-root",
    }
}

/// A coordinate with at most one decimal: a tenth of a pixel is nobody's business.
struct Px(f64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = tenths(self.0);
        if tenths.fract() == 0.0 { write!(f, "{tenths:.0}") } else { write!(f, "{tenths:.1}") }
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
