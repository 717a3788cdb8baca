//! `coldcase diff`: what a change did to the freeze.

use std::path::Path;

use anyhow::Result;
use coldcase_analyze::compare::compare;
use coldcase_report::Diff;

use crate::args::DiffArguments;
use crate::exit_code::{Exit, Usage};
use crate::output::Results;
use crate::redact::Redact;
use crate::{load, output, provenance};

/// Reads two captures, compares them, writes what was asked for.
pub fn run(arguments: &DiffArguments) -> Result<Exit> {
    if arguments.before.as_os_str() == "-" && arguments.after.as_os_str() == "-" {
        return Err(Usage("only one of the captures can be standard input".to_owned()).into());
    }
    let asked =
        [&arguments.output, &arguments.json, &arguments.markdown].map(|path| path.as_deref());
    let results = Results::of(asked, false)?;
    let mut redact = Redact::open(&arguments.redaction)?;
    let (before, _) = load::capture(&arguments.before, &arguments.reading)?;
    let (after, _) = load::capture(&arguments.after, &arguments.reading)?;
    let mut first = load::findings(&before, &arguments.analysis)?;
    let mut second = load::findings(&after, &arguments.analysis)?;
    let mut comparison = compare(&first, &second);
    redact.comparison([(&before, &mut first), (&after, &mut second)], &mut comparison);
    let shown = shown(arguments, &mut redact);
    redact.keep_key()?;
    for (findings, which) in [(&first, "before"), (&second, "after")] {
        for warning in &findings.capture.warnings {
            output::warning(&format!("{which}: {warning}"));
        }
    }
    let diff = Diff { before: &first, after: &second, comparison: &comparison };
    if let Some(path) = results.html {
        let inputs = provenance::inputs_of_diff(arguments, &shown)?;
        let command = provenance::command_of_diff(&shown);
        let page = coldcase_report::diff_html(&diff, &inputs, &command, env!("CARGO_PKG_VERSION"));
        output::write(path, page?.as_bytes())?;
    }
    for path in &results.json {
        output::write(path, coldcase_report::diff_json(&diff).as_bytes())?;
    }
    for path in &results.markdown {
        output::write(path, coldcase_report::diff_markdown(&diff).as_bytes())?;
    }
    if results.is_empty() {
        output::write(Path::new("-"), coldcase_report::diff_terminal(&diff).as_bytes())?;
    }
    let failed = arguments.fail_if_worse && comparison.worse;
    Ok(if failed { Exit::Difference } else { Exit::Success })
}

/// The arguments as the page may show them.
fn shown(arguments: &DiffArguments, redact: &mut Redact<'_>) -> DiffArguments {
    DiffArguments {
        before: redact.path(&arguments.before),
        after: redact.path(&arguments.after),
        reading: redact.reading(&arguments.reading),
        analysis: redact.analysis(&arguments.analysis),
        ..arguments.clone()
    }
}
