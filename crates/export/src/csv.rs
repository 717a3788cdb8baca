//! A table as CSV (RFC 4180): a row of names, commas, quotes where needed, lines that end in a line feed.
//!
//! Spreadsheets run a cell that begins like a formula, and names come from somebody else's machine: such a cell gets an
//! apostrophe in front, as OWASP advises against CSV injection.

use std::borrow::Cow;
use std::io::Write;

use ::csv::WriterBuilder;

use crate::error::ExportError;
use crate::table::{Table, Values};

/// Writes a table. An empty cell is unknown.
///
/// # Errors
///
/// If `out` does not take the bytes.
pub fn write_csv(table: &Table<'_>, out: impl Write) -> Result<(), ExportError> {
    let mut writer = WriterBuilder::new().from_writer(out);
    writer.write_record(table.columns.iter().map(|column| column.name))?;
    for row in 0..table.rows {
        let cells = table.columns.iter().map(|column| cell(&column.values, row));
        writer.write_record(cells.map(|cell| cell.into_owned().into_bytes()))?;
    }
    writer.flush()?;
    Ok(())
}

fn cell<'v>(values: &'v Values<'_>, row: usize) -> Cow<'v, str> {
    match values {
        Values::Integer(values) => values[row].map_or("".into(), |value| value.to_string().into()),
        Values::Flag(values) => match values[row] {
            Some(true) => "true".into(),
            Some(false) => "false".into(),
            None => "".into(),
        },
        Values::Text(values) => values[row].as_deref().map_or("".into(), inert),
    }
}

/// Text that no spreadsheet takes for a formula, also behind a character that one of another country takes for the end of a
/// cell.
fn inert(text: &str) -> Cow<'_, str> {
    /// The last four are full-width forms, which some take for the same.
    const BEGINS: &[char] = &['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    const ENDS: &[char] = &[';', '\t', '\r', '\n'];
    let mut shown = String::new();
    let mut begins = true;
    for character in text.chars() {
        if begins && BEGINS.contains(&character) {
            shown.push('\'');
        }
        shown.push(character);
        begins = ENDS.contains(&character);
    }
    if shown.len() == text.len() { text.into() } else { shown.into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;
    use crate::table::Builder;

    #[test]
    fn hostile_names_stay_one_inert_cell() {
        let names = [
            "=HYPERLINK(1)",
            "+1",
            "-1",
            "@SUM(A1)",
            "\tx",
            "a,\"b\"\nc",
            "a;=b;c",
            "\n@x",
            "＝1",
            "plain",
            "",
        ];
        let table = Builder::of("t", &names).text("name", |name| Some(*name));
        let table = table.integer("value", |_| Some(-5)).finish();
        let mut bytes = Vec::new();
        write_csv(&table, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let expected = "name,value\n'=HYPERLINK(1),-5\n'+1,-5\n'-1,-5\n'@SUM(A1),-5\n'\tx,-5\n\
                        \"a,\"\"b\"\"\nc\",-5\na;'=b;c,-5\n\"'\n'@x\",-5\n'＝1,-5\nplain,-5\n,-5\n";
        assert_eq!(text, expected);
    }
}
