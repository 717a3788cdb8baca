//! A folder of exported tables: what lies in it is known by `coldcase-export.json`, and no other folder is written to.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use coldcase_export::Table;
use serde_json::{Value, json};

use crate::exit_code::Usage;
use crate::output;

/// Says what a folder holds. Its `tables` is null until all are written.
const LIST: &str = "coldcase-export.json";
/// The list's schema.
const SCHEMA: &str = "coldcase.export/1";

/// Makes sure that nothing but an earlier export of the same format would be written over.
pub fn check(folder: &Path, format: &str) -> Result<()> {
    if folder.as_os_str() == "-" {
        return Err(Usage(format!(
            "`--to {format}` writes a folder of tables, which standard output is not"
        ))
        .into());
    }
    if !folder.exists() {
        return Ok(());
    }
    if !folder.is_dir() {
        return Err(refuse(folder, "is not a folder"));
    }
    let known = fs::read(folder.join(LIST)).ok();
    let known: Option<Value> = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    match known {
        Some(list) if list["schema"] == SCHEMA && list["format"] == format => Ok(()),
        Some(list) if list["schema"] == SCHEMA => {
            Err(refuse(folder, "holds an export in another format"))
        }
        _ if entries.next().is_none() => Ok(()),
        _ => Err(refuse(folder, "is neither empty nor an export of coldcase")),
    }
}

/// Makes the folder, as one whose tables are not all there yet.
pub fn begin(folder: &Path, format: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write_list(folder, format, &Value::Null)
}

fn refuse(folder: &Path, why: &str) -> anyhow::Error {
    Usage(format!("{} {why}: choose another folder", folder.display())).into()
}

/// Says that all tables are there.
pub fn complete(folder: &Path, format: &str, tables: &[Table<'_>]) -> Result<()> {
    let rows = tables.iter().map(|table| (table.name.to_owned(), json!(table.rows)));
    write_list(folder, format, &Value::Object(rows.collect()))
}

fn write_list(folder: &Path, format: &str, tables: &Value) -> Result<()> {
    let list = json!({"schema": SCHEMA, "format": format, "tables": tables});
    output::write_whole(&folder.join(LIST), |out| writeln!(out, "{list:#}"))
}
