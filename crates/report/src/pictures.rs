//! The pictures for slides: each is one PNG that needs no words beside it.

use coldcase_analyze::findings::Findings;

use crate::chart::canvas::Size;
use crate::chart::raster::png;
use crate::chart::scene::{Ink, Scene};
use crate::chart::slide::{Frame, body_width, slide};
use crate::chart::{blocked, flame_picture, heat, sites, timeline};
use crate::document::Document;
use crate::{ReportError, words};

/// Width of every picture, in pixels at the scale 1.
const WIDTH: f64 = 1600.0;

/// File names with the pictures' bytes; those for which the capture has no data are left out. At the `scale` 1 they
/// are 1600 pixels wide.
///
/// # Errors
///
/// If a picture cannot be painted or encoded.
pub fn pictures(
    findings: &Findings,
    scale: f64,
) -> Result<Vec<(&'static str, Vec<u8>)>, ReportError> {
    let scenes = [
        ("timeline.png", timeline_slide(findings)),
        ("blocked.png", blocked_slide(findings)),
        ("heatmap.png", heat_slide(findings)),
        ("wait_sites.png", sites_slide(findings)),
        ("flame.png", flame_slide(findings)),
    ];
    scenes
        .into_iter()
        .filter_map(|(name, scene)| Some((name, scene?)))
        .map(|(name, scene)| Ok((name, png(&scene, scale, name)?)))
        .collect()
}

fn timeline_slide(findings: &Findings) -> Option<Scene> {
    let size = Size { width: body_width(WIDTH), gutter: 230.0, text: 18.0, lanes: 22 };
    let body = timeline::timeline(findings, size)?;
    let legend = timeline::kinds(findings, size.lanes, |timeline| timeline.span)
        .into_iter()
        .map(|kind| (Ink::State(kind), words::kind_label(findings, kind)))
        .collect();
    let (title, text) = (words::timeline_title(findings), words::findings_summary(findings));
    Some(framed(findings, title, text, legend, body))
}

fn blocked_slide(findings: &Findings) -> Option<Scene> {
    let size = Size { width: body_width(WIDTH), gutter: 170.0, text: 18.0, lanes: 0 };
    let body = blocked::blocked(findings, size)?;
    let kind = blocked::kind(findings);
    let legend = vec![
        (Ink::State(kind), words::kind_label(findings, kind)),
        (Ink::Operation, words::OPERATION_ROW),
        (Ink::Memory, words::MEMORY_ROW),
    ];
    let (title, text) = (words::blocked_title(findings), words::findings_summary(findings));
    Some(framed(findings, title, text, legend, body))
}

fn heat_slide(findings: &Findings) -> Option<Scene> {
    let picture = heat::heat(findings, body_width(WIDTH), 18.0)?;
    let title = format!("{}: {}", words::headline(findings), words::heat_title(picture.column));
    let text = words::HEAT_NOTE.to_owned();
    Some(framed(findings, title, text, Vec::new(), picture.scene))
}

fn sites_slide(findings: &Findings) -> Option<Scene> {
    let document = Document::new(findings);
    if document.sites.is_empty() {
        return None;
    }
    let body = sites::sites(&document.sites, body_width(WIDTH));
    let mut kinds: Vec<words::Kind> = document.sites.iter().map(|line| line.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let legend = kinds
        .into_iter()
        .map(|kind| (Ink::State(kind), words::kind_label(findings, kind)))
        .collect();
    let (title, text) = (words::sites_title(findings), words::SITES_NOTE.to_owned());
    Some(framed(findings, title, text, legend, body))
}

fn flame_slide(findings: &Findings) -> Option<Scene> {
    let body = flame_picture::flame_picture(findings, body_width(WIDTH))?;
    let legend =
        vec![(Ink::UserFrame, words::USER_FRAMES), (Ink::KernelFrame, words::KERNEL_FRAMES)];
    let (title, text) = (words::flame_title(findings), words::flame_note(findings).to_owned());
    Some(framed(findings, title, text, legend, body))
}

fn framed(
    findings: &Findings,
    title: String,
    text: String,
    legend: Vec<(Ink, &'static str)>,
    body: Scene,
) -> Scene {
    let footer = words::provenance(findings);
    slide(&Frame { title, text, legend, footer }, body, WIDTH)
}
