//! `coldcase export`: the findings and the rows behind them, for other tools.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use coldcase_export::{
    ExportError, Source, Table, write_csv, write_firefox, write_folded, write_parquet,
    write_perfetto, write_speedscope,
};

use crate::args::{ExportArguments, ExportFormat};
use crate::exit_code::{Exit, Usage};
use crate::redact::Redact;
use crate::{export_folder, load, output};

/// Reads a capture, analyses it, writes all of it.
pub fn run(arguments: &ExportArguments) -> Result<Exit> {
    if arguments.wakers && arguments.to != ExportFormat::Folded {
        return Err(Usage("`--wakers` is for `--to folded`".to_owned()).into());
    }
    let tables = table_writer(arguments.to);
    if let Some((format, _)) = tables {
        export_folder::check(&arguments.output, format)?;
    }
    let mut redact = Redact::open(&arguments.redaction)?;
    let (capture, _) = load::captures(&arguments.incident, &arguments.reading)?;
    let (mut findings, mut records) = load::findings_with_records(&capture, &arguments.analysis)?;
    redact.findings(&capture, &mut findings);
    redact.records(&mut records);
    redact.keep_key()?;
    for warning in &findings.capture.warnings {
        output::warning(warning);
    }
    let source = Source { findings: &findings, records: &records };
    match tables {
        Some(writer) => write_tables(&arguments.output, writer, source)?,
        None if arguments.output.as_os_str() == "-" => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            write_file(arguments, source, &mut out)?;
            out.flush()?;
        }
        None => {
            output::write_whole(&arguments.output, |out| write_file(arguments, source, out))?;
        }
    }
    Ok(Exit::Success)
}

/// Writes one table.
type TableWriter = fn(&Table<'_>, &mut dyn Write) -> Result<(), ExportError>;

/// The files' extension and their writer, of a format that is a folder of tables.
fn table_writer(format: ExportFormat) -> Option<(&'static str, TableWriter)> {
    match format {
        ExportFormat::Parquet => Some(("parquet", |table, out| write_parquet(table, out))),
        ExportFormat::Csv => Some(("csv", |table, out| write_csv(table, out))),
        ExportFormat::Folded
        | ExportFormat::Speedscope
        | ExportFormat::Firefox
        | ExportFormat::Perfetto => None,
    }
}

fn write_tables(
    folder: &Path,
    (format, write): (&str, TableWriter),
    source: Source<'_>,
) -> Result<()> {
    let tables = coldcase_export::tables(source);
    export_folder::begin(folder, format)?;
    for table in &tables {
        let path = folder.join(format!("{}.{format}", table.name));
        output::write_whole(&path, |out| write(table, out))?;
    }
    export_folder::complete(folder, format, &tables)
}

fn write_file(
    arguments: &ExportArguments,
    source: Source<'_>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    match arguments.to {
        ExportFormat::Folded => write_folded(source, arguments.wakers, out),
        ExportFormat::Speedscope => write_speedscope(source, out),
        ExportFormat::Firefox => write_firefox(source, out),
        ExportFormat::Perfetto => write_perfetto(source, out),
        // Tables are no single file.
        ExportFormat::Parquet | ExportFormat::Csv => Ok(()),
    }
}
