//! A comparison as one HTML page that loads nothing, with the report's style and script.

use askama::Template;
use coldcase_analyze::findings::{Findings, FoldedStack};
use coldcase_ingest::capture::Nanos;

use super::Diff;
use super::view::{View, view};
use crate::chart::flame::{Against, BOXES, flame};
use crate::html::flames::{FlameSection, FlameView, whole};
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
        flame_graphs: flames(diff),
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
    flame_graphs: Option<FlameSection>,
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

/// After, compared with before; and before, compared with after, which has the frames that went: of the program that froze,
/// or of all where none did or the captures do not tell programs apart.
fn flames(diff: &Diff<'_>) -> Option<FlameSection> {
    let sides = [&diff.comparison.before, &diff.comparison.after];
    let frozen = sides.iter().find_map(|side| Some(side.freeze.as_ref()?.process.as_str()));
    let told = |findings: &Findings| all(findings).iter().any(|stack| stack.process.is_some());
    let frozen = frozen.filter(|_| told(diff.before) && told(diff.after));
    let of_frozen = |findings| -> Vec<FoldedStack> {
        let own = all(findings)
            .iter()
            .filter(|stack| frozen.is_none_or(|frozen| stack.process.as_deref() == Some(frozen)));
        own.cloned().collect()
    };
    let (before, after) = (of_frozen(diff.before), of_frozen(diff.after));
    let whose = frozen.map_or_else(
        || " of all programs; rest is left out".to_owned(),
        |frozen| format!(" of {}; rest is left out", names::name(frozen)),
    );
    let one = |label, now: (&[FoldedStack], Nanos), then: (&[FoldedStack], Nanos)| {
        let against = Against { length: then.1, now: now.1, stacks: then.0 };
        let flame = flame(now.0, BOXES / 2, Some(&against))?;
        Some(FlameView { label, whole: whole(&flame, &whose), flame })
    };
    let before = (before.as_slice(), length(diff.before));
    let after = (after.as_slice(), length(diff.after));
    let views =
        [one("After, against before", after, before), one("Before, against after", before, after)];
    let views: Vec<FlameView> = views.into_iter().flatten().collect();
    (!views.is_empty()).then_some(FlameSection {
        heading: "Off-CPU flame graph of the difference",
        note: "A box is as wide as the time that threads waited below it in one capture, and coloured by how that differs from the \
               other, per second. ▲ and orange: more there; ▼ and blue: less."
            .to_owned(),
        difference: true,
        other: "in the other capture",
        views,
    })
}

/// Off-CPU time of the whole capture.
fn all(findings: &Findings) -> &[FoldedStack] {
    let all = &findings.details.off_cpu_all;
    if all.is_empty() { &findings.off_cpu } else { all }
}

/// How long a capture is. Without times, each sum counts as if it were of one second.
fn length(findings: &Findings) -> Nanos {
    findings.capture.span.map_or(Nanos(1_000_000_000), |span| span.duration())
}
