//! The report as one HTML file that loads nothing: style, script and pictures stand in it.
//!
//! The page reads well without its script, which zooms, searches and sorts. A content security policy allows that one
//! script by its hash, so that nothing else could run even if a name got through.

mod data;
mod evidence;
pub(crate) mod filters;
pub(crate) mod flames;
mod lanes;

use askama::Template;
use coldcase_analyze::findings::Findings;

use crate::chart::canvas::Size;
use crate::chart::svg::{kind_class, svg};
use crate::chart::{heat, timeline};
use crate::document::Document;
use crate::{ReportError, names, units, words};
pub(crate) use evidence::anchor;
use evidence::{Evidence, evidence};
use flames::FlameSection;

pub(crate) const STYLE: &str = include_str!("../templates/style.css");
/// One function for all of its parts, so that they share what the first define and the page sees none of it.
pub(crate) const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("../templates/script/core.js"),
    include_str!("../templates/script/lanes.js"),
    include_str!("../templates/script/draw.js"),
    include_str!("../templates/script/detail.js"),
    include_str!("../templates/script/timeline.js"),
    include_str!("../templates/script/heat.js"),
    include_str!("../templates/script/tables.js"),
    include_str!("../templates/script/flame.js"),
    include_str!("../templates/script/main.js"),
    "})();\n",
);
/// Of the script; a test says the right one after a change.
pub(crate) const SCRIPT_HASH: &str = "sha256-WQnV60LVuVAAUbtInSKqg0XN5Jc6ELkE0Dcj3UnDp4Q=";

/// As wide as the page's column, so that a text of 12 is 12 pixels high there.
const TIMELINE: Size = Size { width: 1_048.0, gutter: 150.0, text: 12.0, lanes: 40 };

/// What the page says beside the findings.
#[derive(Clone, Debug)]
pub struct HtmlContext {
    /// Beside the headline, in the window's title: the incident's or the capture's name.
    pub title: String,
    /// The files that were read; the first is the capture.
    pub inputs: Vec<Input>,
    /// The command that makes this report from them, argument by argument.
    pub command: Vec<String>,
    /// Version of the tool.
    pub version: String,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct Input {
    /// By the name that the reader knows.
    pub name: String,
    /// Its size in bytes; `None` for standard input.
    pub bytes: Option<u64>,
    /// SHA-256 of the file as it is stored, in hexadecimal; `None` for standard input.
    pub sha256: Option<String>,
    /// How many bytes from the file's beginning it is the SHA-256 of.
    pub hashed: u64,
}

/// The report as one self-contained HTML page.
///
/// # Errors
///
/// If the template cannot be filled in, which would be a mistake in it.
pub fn html(findings: &Findings, context: &HtmlContext) -> Result<String, ReportError> {
    let mut doc = Document::new(findings);
    doc.headline = units::unbroken(&doc.headline);
    doc.summary = units::unbroken(&doc.summary);
    let page = Page {
        doc,
        title: names::text(&context.title),
        version: names::name(&context.version),
        evidence: evidence(findings, context),
        timeline: timeline_svg(findings),
        timeline_data: data::timeline(findings),
        heat: heat(findings),
        heat_note: words::HEAT_NOTE,
        legend: legend(findings),
        flame_graphs: flames::flames(findings),
        style: STYLE,
        script: SCRIPT,
        script_hash: SCRIPT_HASH,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    doc: Document,
    title: String,
    version: String,
    evidence: Evidence,
    timeline: Option<String>,
    timeline_data: Option<String>,
    heat: Option<HeatMap>,
    heat_note: &'static str,
    legend: Vec<LegendEntry>,
    flame_graphs: Option<FlameSection>,
    style: &'static str,
    script: &'static str,
    script_hash: &'static str,
}

/// A colour of the timeline.
struct LegendEntry {
    class: &'static str,
    label: &'static str,
    /// Whether the picture has it; the script shows what else comes into sight.
    in_picture: bool,
}

fn legend(findings: &Findings) -> Vec<LegendEntry> {
    let in_picture = timeline::kinds(findings, TIMELINE.lanes, |timeline| timeline.span);
    timeline::kinds(findings, usize::MAX, |timeline| timeline.whole)
        .into_iter()
        .map(|kind| LegendEntry {
            class: kind_class(kind),
            label: words::kind_label(findings, kind),
            in_picture: in_picture.contains(&kind),
        })
        .collect()
}

/// The heat map, and where a click on it leads.
struct HeatMap {
    title: String,
    svg: String,
    /// Left, bottom, width of a column, height of a row in the picture; rows of a column; microseconds of a row.
    grid: String,
}

/// Of one freeze it shows what the timeline does.
fn heat(findings: &Findings) -> Option<HeatMap> {
    if findings.windows.len() < 2 {
        return None;
    }
    let picture = heat::heat(findings, TIMELINE.width, TIMELINE.text)?;
    let known = findings.details.heat.as_ref()?;
    let grid = picture.grid;
    Some(HeatMap {
        svg: svg(&picture.scene, &words::heat_title(picture.column)),
        title: words::heat_title(picture.column),
        grid: format!(
            "{} {} {} {} {} {}",
            grid.left,
            grid.bottom,
            grid.column,
            grid.row,
            known.column,
            known.bin.0 as f64 / 1e3
        ),
    })
}

fn timeline_svg(findings: &Findings) -> Option<String> {
    let scene = timeline::timeline(findings, TIMELINE)?;
    Some(svg(&scene, &words::timeline_title(findings)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_allows_the_script_as_it_is() {
        assert_eq!(SCRIPT_HASH, format!("sha256-{}", base64(&Sha256::digest(SCRIPT))));
        assert!(!SCRIPT.contains("</script"), "the script must not end its own element");
    }

    fn base64(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let mut bits = 0_u32;
            for at in 0..3 {
                bits = bits << 8 | u32::from(group.get(at).copied().unwrap_or(0));
            }
            for at in 0..=group.len() {
                text.push(char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]));
            }
            text.push_str(&"=".repeat(3 - group.len()));
        }
        text
    }
}
