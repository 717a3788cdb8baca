//! From arguments to a capture with names, and to findings.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use coldcase_analyze::findings::Findings;
use coldcase_analyze::records::Records;
use coldcase_analyze::rules::Rules;
use coldcase_analyze::{Chapters, Options, ProcessFilter, analyze, analyze_with_records};
use coldcase_ingest::capture::{Capture, Nanos, Sentence, Span, Timestamp};
use coldcase_ingest::symbols::{Namer, SymbolReport, SymbolSources};
use coldcase_ingest::{ReadOptions, beside};

use crate::args::{AnalysisArguments, IncidentArguments, ReadingArguments};
use crate::exit_code::Usage;
use crate::progress::Progress;

/// Reads a capture and gives its addresses names.
pub fn capture(path: &Path, arguments: &ReadingArguments) -> Result<(Capture, SymbolReport)> {
    one(path, arguments, false)
}

/// The same, with hardly any rows of events.
pub fn overview(path: &Path, arguments: &ReadingArguments) -> Result<(Capture, SymbolReport)> {
    one(path, arguments, true)
}

fn one(
    path: &Path,
    arguments: &ReadingArguments,
    overview: bool,
) -> Result<(Capture, SymbolReport)> {
    let sources = sources(arguments)?;
    let mut namer = Namer::start(&sources);
    let mut options = options_of(arguments, &sources);
    options.overview = overview;
    let capture = read(path, options)?;
    Ok(named(capture, &mut namer))
}

/// Reads a capture and the logs of system calls beside it, in any order. A format that was insisted on is the first one's.
pub fn captures(
    incident: &IncidentArguments,
    arguments: &ReadingArguments,
) -> Result<(Capture, SymbolReport)> {
    let offset = incident.log_offset.as_deref().map(offset).transpose()?;
    let sources = sources(arguments)?;
    let mut namer = Namer::start(&sources);
    let mut options = options_of(arguments, &sources);
    let mut captures = Vec::new();
    for path in &incident.captures {
        captures.push((path, read(path, options)?));
        options.format = None;
    }
    let (mut logs, mut captures): (Vec<_>, Vec<_>) =
        captures.into_iter().partition(|(_, capture)| beside::is_log(capture));
    if captures.is_empty() {
        captures.push(logs.remove(0));
    }
    if let [(one, _), (other, _), ..] = captures.as_slice() {
        return Err(Usage(format!(
            "{} and {} are captures of their own: beside one capture, only logs of system calls can be read",
            one.display(),
            other.display()
        ))
        .into());
    }
    let (_, mut capture) = captures.remove(0);
    for (path, log) in logs {
        beside::add_log(&mut capture, &log, offset)
            .with_context(|| format!("cannot use {}", path.display()))?;
    }
    Ok(named(capture, &mut namer))
}

fn sources(arguments: &ReadingArguments) -> Result<SymbolSources> {
    if let Some(missing) =
        arguments.kallsyms.iter().chain(&arguments.symfs).find(|path| !path.exists())
    {
        return Err(Usage(format!("{} does not exist", missing.display())).into());
    }
    Ok(SymbolSources {
        kallsyms: arguments.kallsyms.clone(),
        symfs: arguments.symfs.clone(),
        build_id_cache: std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".debug")),
        debug_folders: debug_folders(),
        running_kernel: true,
    })
}

fn options_of<'a>(arguments: &ReadingArguments, sources: &'a SymbolSources) -> ReadOptions<'a> {
    ReadOptions {
        format: arguments.format.map(Into::into),
        programs: Some(sources),
        every: arguments.every.map(Nanos::from_millis),
        spins: false,
        overview: false,
    }
}

fn read(path: &Path, options: ReadOptions<'_>) -> Result<Capture> {
    let progress = Progress::new("reading");
    Ok(coldcase_ingest::read(path, options, &mut |done, total| progress.set(done, total))?)
}

fn named(mut capture: Capture, namer: &mut Namer<'_>) -> (Capture, SymbolReport) {
    let report = namer.name(&mut capture);
    capture.warnings.extend(report.warnings.iter().cloned());
    (capture, report)
}

/// Where this machine keeps debug files by build id: what its packages installed, and debuginfod's cache
/// (debuginfod-find(1)).
fn debug_folders() -> Vec<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = || {
        let base = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        Some(base?.join("debuginfod_client"))
    };
    let cache = folder("DEBUGINFOD_CACHE_PATH").or_else(cache);
    cache.into_iter().chain([PathBuf::from("/usr/lib/debug")]).collect()
}

/// Analyses a capture.
pub fn findings(capture: &Capture, arguments: &AnalysisArguments) -> Result<Findings> {
    Ok(analyze(capture, &fitting_options(capture, arguments)?))
}

/// Analyses a capture, and keeps all that was reconstructed.
pub fn findings_with_records(
    capture: &Capture,
    arguments: &AnalysisArguments,
) -> Result<(Findings, Records)> {
    Ok(analyze_with_records(capture, &fitting_options(capture, arguments)?))
}

/// Reads and analyses a capture, one with more rows of events than these in chapters. With logs beside it, or for 0 rows, it
/// is kept as a whole.
pub fn analysed(
    incident: &IncidentArguments,
    reading: &ReadingArguments,
    analysis: &AnalysisArguments,
    rows: usize,
) -> Result<(Capture, Findings)> {
    let ([path], None, 1..) = (&incident.captures[..], &incident.log_offset, rows) else {
        let (capture, _) = captures(incident, reading)?;
        let findings = findings(&capture, analysis)?;
        return Ok((capture, findings));
    };
    let options = options(analysis)?;
    let sources = sources(reading)?;
    let mut namer = Namer::start(&sources);
    let mut chapters = Chapters::new(&options);
    let mut warnings: Vec<Sentence> = Vec::new();
    let mut take = |capture: &mut Capture| {
        warnings.extend(namer.name(capture).warnings);
        chapters.take(capture)
    };
    let in_chapters = coldcase_ingest::Chapters::new(rows, &mut take);
    let progress = Progress::new("reading");
    let capture = coldcase_ingest::read_in_chapters(
        path,
        options_of(reading, &sources),
        in_chapters,
        &mut |done, total| progress.set(done, total),
    )?;
    drop(progress);
    let (mut capture, _) = named(capture, &mut namer);
    drop(namer);
    for warning in warnings {
        if !capture.warnings.contains(&warning) {
            capture.warnings.push(warning);
        }
    }
    let findings = chapters.finish(&capture);
    fits(&options, analysis, &capture, findings.capture.span)?;
    Ok((capture, findings))
}

/// How to analyse, if the capture holds what is asked for.
fn fitting_options(capture: &Capture, arguments: &AnalysisArguments) -> Result<Options> {
    let options = options(arguments)?;
    fits(&options, arguments, capture, capture.span)?;
    Ok(options)
}

/// Refuses what a capture of this span does not hold.
fn fits(
    options: &Options,
    arguments: &AnalysisArguments,
    capture: &Capture,
    span: Option<Span>,
) -> Result<()> {
    if let (Some(window), Some(span)) = (options.window, span)
        && window.intersect(span).is_none()
    {
        let (from, to) = (span.start, span.end);
        let asked = arguments.window.as_deref().unwrap_or_default();
        let text =
            format!("`--window {asked}` lies outside the capture, which covers {from}..{to}");
        return Err(Usage(text).into());
    }
    if let Some(process) = &options.process
        && !is_there(capture, process)
    {
        let name = arguments.process.as_deref().unwrap_or_default();
        return Err(Usage(format!("the capture holds no process {name}")).into());
    }
    Ok(())
}

fn is_there(capture: &Capture, process: &ProcessFilter) -> bool {
    capture.threads.iter().any(|(id, thread)| match process {
        ProcessFilter::Pid(pid) => capture.threads.process_of(id).pid == Some(*pid),
        ProcessFilter::Name(name) => thread.names.iter().any(|(_, known)| known == name),
    })
}

fn options(arguments: &AnalysisArguments) -> Result<Options> {
    let mut rules = Rules::built_in();
    if let Some(path) = &arguments.rules {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Usage(format!("cannot read {}: {error}", path.display())))?;
        rules = rules.extended(&text).with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(Options {
        process: arguments.process.as_deref().map(process_filter),
        window: arguments.window.as_deref().map(window).transpose()?,
        min_freeze: Nanos::from_millis(arguments.min_freeze),
        rules,
    })
}

fn process_filter(text: &str) -> ProcessFilter {
    text.parse().map_or_else(|_| ProcessFilter::Name(text.to_owned()), ProcessFilter::Pid)
}

/// `A..B` in seconds.
fn window(text: &str) -> Result<Span, Usage> {
    let wrong = || Usage(format!("`--window {text}` is not of the form A..B, in seconds"));
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let (start, end) = (seconds(start).ok_or_else(wrong)?, seconds(end).ok_or_else(wrong)?);
    if start < end { Ok(Span::new(Timestamp(start), Timestamp(end))) } else { Err(wrong()) }
}

/// Seconds with a sign.
fn offset(text: &str) -> Result<i64, Usage> {
    let wrong = || Usage(format!("`--log-offset {text}` is not a number of seconds"));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = seconds(digits).and_then(|nanos| i64::try_from(nanos).ok()).ok_or_else(wrong)?;
    Ok(if negative { -nanos } else { nanos })
}

/// Decimal seconds as nanoseconds, without the rounding of a float.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = fraction.len();
    if digits > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u64 = if digits == 0 { 0 } else { fraction.parse().ok()? };
    let nanos = nanos * 10_u64.pow(9 - u32::try_from(digits).ok()?);
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> (u64, u64) {
        let window = window(text).unwrap();
        (window.start.0, window.end.0)
    }

    #[test]
    fn offsets_may_be_negative() {
        assert_eq!(offset("-1795297338.5").unwrap(), -1_795_297_338_500_000_000);
        assert_eq!(offset("+2").unwrap(), 2_000_000_000);
        for wrong in ["", "-", "--2", "2s"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_exact_to_the_nanosecond() {
        assert_eq!(nanos("2057.968233..2066.7558384"), (2_057_968_233_000, 2_066_755_838_400));
        assert_eq!(nanos("1..2"), (1_000_000_000, 2_000_000_000));
        for wrong in ["", "1", "2..1", "a..b", "1..", "-1..2", "1.0000000001..2"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
