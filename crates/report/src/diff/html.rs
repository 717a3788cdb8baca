//! A comparison as one HTML page that loads nothing, with the report's style and script.

use askama::Template;
use coldcase_analyze::findings::{Findings, FoldedStack};
use coldcase_ingest::capture::Nanos;

use super::Diff;
use super::view::{View, view};
use crate::chart::flame::{Against, BOXES, Flame, flame};
use crate::html::{Input, SCRIPT, SCRIPT_HASH, STYLE, filters};
use crate::{ReportError, names};

/// The comparison as one self-contained HTML page. `inputs` are the files that were read, `command` what makes the page again.
///
/// # Errors
///
/// If the template cannot be filled in, which would be a mistake in it.
pub fn diff_html(
    diff: &Diff<'_>,
    inputs: &[Input],
    command: &[String],
    version: &str,
) -> Result<String, ReportError> {
    let shown = |input: &Input| Source {
        name: names::text(&input.name),
        sha256: input.sha256.clone().unwrap_or_else(|| "not known".to_owned()),
    };
    let page = Page {
        view: view(diff.comparison),
        flames: flames(diff),
        inputs: inputs.iter().map(shown).collect(),
        command: names::text(&command.join(" ")),
        version: names::name(version),
        style: STYLE,
        script: SCRIPT,
        script_hash: SCRIPT_HASH,
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "diff.html")]
struct Page {
    view: View,
    flames: Vec<Flame>,
    inputs: Vec<Source>,
    command: String,
    version: String,
    style: &'static str,
    script: &'static str,
    script_hash: &'static str,
}

struct Source {
    name: String,
    sha256: String,
}

/// After, compared with before; and before, compared with after, which has the frames that went.
fn flames(diff: &Diff<'_>) -> Vec<Flame> {
    let (before, after) = (stacks(diff.before), stacks(diff.after));
    let one = |now: (&[FoldedStack], Nanos), then: (&[FoldedStack], Nanos)| {
        let against = Against { length: then.1, now: now.1, stacks: then.0 };
        flame(now.0, BOXES / 2, Some(&against))
    };
    [one(after, before), one(before, after)].into_iter().flatten().collect()
}

/// Off-CPU time of the whole capture, and how long that is. Without times, each sum counts as if it were of one second.
fn stacks(findings: &Findings) -> (&[FoldedStack], Nanos) {
    let all = &findings.details.off_cpu_all;
    let stacks = if all.is_empty() { &findings.off_cpu } else { all };
    let length = findings.capture.span.map_or(Nanos(1_000_000_000), |span| span.duration());
    (stacks, length)
}
