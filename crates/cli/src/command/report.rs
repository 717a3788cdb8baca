//! `coldcase report`: the main job.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use coldcase_analyze::findings::Findings;
use coldcase_report::HtmlContext;

use crate::args::{IncidentArguments, ReportArguments};
use crate::exit_code::Exit;
use crate::output::Results;
use crate::provenance::Inputs;
use crate::redact::Redact;
use crate::{load, output, provenance};

/// Reads a capture, finds the cause, writes what was asked for.
pub fn run(arguments: &ReportArguments) -> Result<Exit> {
    let asked =
        [&arguments.output, &arguments.json, &arguments.markdown].map(|path| path.as_deref());
    let results = Results::of(asked, arguments.summary)?;
    let nothing_asked = results.is_empty() && arguments.png.is_none() && !arguments.summary;
    let page = if nothing_asked { Some(Path::new("report.html")) } else { results.html };
    let page = page.map(|path| (path, Inputs::start(arguments)));
    let mut redact = Redact::open(&arguments.redaction)?;
    let (capture, mut findings) = load::analysed(
        &arguments.incident,
        &arguments.reading,
        &arguments.analysis,
        arguments.chapter,
    )?;
    redact.findings(&capture, &mut findings);
    let shown = shown(arguments, &mut redact);
    redact.keep_key()?;
    for warning in &findings.capture.warnings {
        output::warning(warning);
    }
    if nothing_asked {
        let color = output::wants_color();
        output::print(coldcase_report::terminal(&findings, color).as_bytes())?;
    } else if !arguments.summary {
        output::say(&coldcase_report::headline(&findings));
    }
    if let Some((path, inputs)) = page {
        write_html(path, inputs, &findings, &shown)?;
        say_wrote(path);
    }
    for path in results.json {
        output::write(path, coldcase_report::json(&findings).as_bytes())?;
        say_wrote(path);
    }
    for path in results.markdown {
        output::write(path, coldcase_report::markdown(&findings).as_bytes())?;
        say_wrote(path);
    }
    if arguments.summary {
        output::print(format!("{}\n", coldcase_report::paragraph(&findings)).as_bytes())?;
    }
    if let Some(folder) = &arguments.png {
        write_pictures(folder, &findings, arguments.scale)?;
        say_wrote(folder);
    }
    // The process ends: the system takes its memory back at once, which is sooner than table by table.
    std::mem::forget((capture, findings));
    Ok(Exit::Success)
}

/// What went to standard output is seen there.
fn say_wrote(path: &Path) {
    if path.as_os_str() != "-" {
        output::say(&format!("wrote {}", path.display()));
    }
}

/// The arguments as the report may show them.
fn shown(arguments: &ReportArguments, redact: &mut Redact<'_>) -> ReportArguments {
    let captures = arguments.incident.captures.iter().map(|path| redact.path(path)).collect();
    ReportArguments {
        incident: IncidentArguments { captures, ..arguments.incident.clone() },
        reading: redact.reading(&arguments.reading),
        analysis: redact.analysis(&arguments.analysis),
        ..arguments.clone()
    }
}

fn write_html(
    path: &Path,
    inputs: Inputs,
    findings: &Findings,
    shown: &ReportArguments,
) -> Result<()> {
    let context = HtmlContext {
        title: shown
            .incident
            .captures
            .first()
            .map_or_else(String::new, |path| path.display().to_string()),
        inputs: inputs.finish(shown)?,
        command: provenance::command(shown),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    output::write(path, coldcase_report::html(findings, &context)?.as_bytes())
}

fn write_pictures(folder: &Path, findings: &Findings, scale: f64) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (name, bytes) in coldcase_report::pictures(findings, scale)? {
        output::write(&folder.join(name), &bytes)?;
    }
    Ok(())
}
