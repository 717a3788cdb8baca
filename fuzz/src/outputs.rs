//! What is made of captures beyond their reports: exports, reports without names, comparisons.

use coldcase_analyze::compare::compare;
use coldcase_analyze::findings::Findings;
use coldcase_analyze::{Options, analyze, analyze_with_records};
use coldcase_export::Source;
use coldcase_redact::{Form, Redaction, Scope, restore};
use coldcase_report::Diff;

use crate::inert;
use crate::targets::{inputs, named, pieces};

/// Every export. Of CSV: the table's rows, and no cell that a spreadsheet would run; of folded stacks: lines of a stack and a number.
pub fn export(data: &[u8]) {
    let Some(capture) = named(data) else { return };
    let (findings, records) = analyze_with_records(&capture, &Options::default());
    let source = Source { findings: &findings, records: &records };
    for table in coldcase_export::tables(source) {
        let mut out = Vec::new();
        coldcase_export::write_csv(&table, &mut out).expect("memory takes it");
        let rows: Vec<_> = csv::Reader::from_reader(&out[..]).into_records().collect();
        assert_eq!(rows.len(), table.rows, "rows of {}", table.name);
        for row in rows {
            row.expect("CSV").iter().for_each(runs_nothing);
        }
        coldcase_export::write_parquet(&table, &mut Vec::new()).expect("memory takes it");
    }
    for wakers in [false, true] {
        let mut out = Vec::new();
        coldcase_export::write_folded(source, wakers, &mut out).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        inert::plain(&text);
        for line in text.lines() {
            let (stack, micros) = line.rsplit_once(' ').expect("a stack and a number");
            assert!(!stack.is_empty() && micros.parse::<u64>().is_ok(), "{line:?}");
        }
    }
    let (mut speedscope, mut firefox) = (Vec::new(), Vec::new());
    coldcase_export::write_speedscope(source, &mut speedscope).expect("memory takes it");
    coldcase_export::write_firefox(source, &mut firefox).expect("memory takes it");
    for json in [speedscope, firefox] {
        serde_json::from_slice::<serde::de::IgnoredAny>(&json).expect("JSON");
    }
    coldcase_export::write_perfetto(source, &mut Vec::new()).expect("memory takes it");
}

/// A cell that begins with one of these is a formula to a spreadsheet, unless it is a number.
fn runs_nothing(cell: &str) {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    assert!(!formula || cell.parse::<i64>().is_ok(), "{cell:?} is a formula");
}

/// Findings without names: every report of them is inert, and the key brings the JSON's names back.
pub fn redact(data: &[u8]) {
    let Some(capture) = named(data) else { return };
    for scope in [Scope::All, Scope::Names] {
        let (mut findings, mut records) = analyze_with_records(&capture, &Options::default());
        let before = coldcase_report::json(&findings);
        let mut redaction = Redaction::new(scope, coldcase_redact::Key::default());
        redaction.learn(&capture);
        redaction.findings(&mut findings);
        redaction.records(&mut records);
        crate::targets::reports(&findings);
        let after = coldcase_report::json(&findings);
        let restored = restore(redaction.key(), &after, Form::Json);
        // Sentences show a control character by its number, and the key brings back the character.
        if !before.contains(r"\\u{") {
            assert_eq!(lines(&restored), lines(&before), "the key's JSON");
        }
    }
}

/// The lines of a JSON in one order: what stands in order of names stands in that of tokens elsewhere.
fn lines(json: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = json.lines().map(|line| line.trim_end_matches(',')).collect();
    lines.sort_unstable();
    lines
}

/// Two captures compared, told apart by [`BORDER`](crate::targets::BORDER).
pub fn diff(data: &[u8]) {
    let mut parts = pieces(data);
    let mut next = || -> Option<Findings> {
        named(parts.next()?).map(|capture| analyze(&capture, &Options::default()))
    };
    let (Some(before), Some(after)) = (next(), next()) else { return };
    for (before, after) in [(&before, &after), (&after, &before), (&before, &before)] {
        let comparison = compare(before, after);
        let diff = Diff { before, after, comparison: &comparison };
        let page = coldcase_report::diff_html(&diff, &inputs(), &["coldcase".to_owned()], "0");
        inert::html(&page.expect("a template"));
        inert::json(&coldcase_report::diff_json(&diff));
        inert::markdown(&coldcase_report::diff_markdown(&diff));
        inert::plain(&coldcase_report::diff_terminal(&diff));
    }
}
