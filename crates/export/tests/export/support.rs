//! Stored captures, analysed.

use std::path::{Path, PathBuf};

use coldcase_analyze::findings::Findings;
use coldcase_analyze::records::Records;
use coldcase_analyze::{Options, ProcessFilter, analyze_with_records};
use coldcase_export::{Source, Table, Values};
use coldcase_ingest::ReadOptions;
use coldcase_ingest::capture::Span;
use coldcase_ingest::symbols::{SymbolSources, resolve};

/// A capture, analysed.
pub struct Export {
    pub findings: Findings,
    pub records: Records,
}

impl Export {
    /// Of a stored capture, with names.
    pub fn of(capture: &str) -> Self {
        Self::part_of(capture, None, None)
    }

    /// Of a part of a stored capture.
    pub fn part_of(capture: &str, process: Option<&str>, window: Option<Span>) -> Self {
        let fixtures = root().join("fixtures");
        let path = fixtures.join(capture);
        let mut capture =
            coldcase_ingest::read(&path, ReadOptions::default(), &mut |_, _| ()).unwrap();
        let sources = SymbolSources {
            kallsyms: Some(fixtures.join("kallsyms.zst")),
            symfs: vec![fixtures.join("symfs")],
            ..SymbolSources::default()
        };
        resolve(&mut capture, &sources);
        let options = Options {
            process: process.map(|name| ProcessFilter::Name(name.to_owned())),
            window,
            ..Options::default()
        };
        let (findings, records) = analyze_with_records(&capture, &options);
        Self { findings, records }
    }

    pub fn source(&self) -> Source<'_> {
        Source { findings: &self.findings, records: &self.records }
    }

    pub fn tables(&self) -> Vec<Table<'_>> {
        coldcase_export::tables(self.source())
    }
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A table by its name.
pub fn table<'t, 'a>(tables: &'t [Table<'a>], name: &str) -> &'t Table<'a> {
    tables.iter().find(|table| table.name == name).unwrap_or_else(|| panic!("no table {name}"))
}

/// A column of numbers.
pub fn numbers<'t>(table: &'t Table<'_>, name: &str) -> &'t [Option<i64>] {
    match values(table, name) {
        Values::Integer(values) => values,
        other => panic!("{name} holds {}", other.type_name()),
    }
}

/// A column of text.
pub fn texts<'t>(table: &'t Table<'_>, name: &str) -> Vec<Option<&'t str>> {
    match values(table, name) {
        Values::Text(values) => values.iter().map(Option::as_deref).collect(),
        other => panic!("{name} holds {}", other.type_name()),
    }
}

fn values<'t, 'a>(table: &'t Table<'a>, name: &str) -> &'t Values<'a> {
    let column = table.columns.iter().find(|column| column.name == name);
    &column.unwrap_or_else(|| panic!("{} has no column {name}", table.name)).values
}
