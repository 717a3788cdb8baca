//! `coldcase check`: stored captures against what is expected of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use coldcase_analyze::Options;
use coldcase_ingest::capture::inert;
use serde_json::Value;

use crate::args::{AnalysisArguments, CheckArguments, ReadingArguments};
use crate::exit_code::{Exit, Usage};
use crate::expect::differences;
use crate::{load, output};

/// Blame is rounded when it is written in milliseconds, once for each row.
const ROUNDING_MS: f64 = 1e-5;

/// Checks every folder that has an `expected.json`.
pub fn run(arguments: &CheckArguments) -> Result<Exit> {
    let (mut checked, mut differing) = (0_usize, 0_usize);
    for folder in &arguments.folders {
        if !folder.exists() {
            return Err(Usage(format!("{} does not exist", folder.display())).into());
        }
        let expected = folder.join("expected.json");
        if !expected.is_file() {
            continue;
        }
        let Checked { differences, fingerprint } = check(folder, &expected)?;
        checked += 1;
        differing += usize::from(!differences.is_empty());
        let word = if differences.is_empty() { "ok" } else { "differs" };
        let print = fingerprint.map_or_else(String::new, |print| format!("  {print}"));
        output::print(format!("{word}  {}{print}\n", folder.display()).as_bytes())?;
        for difference in differences {
            output::print(format!("    {}\n", inert(&difference)).as_bytes())?;
        }
    }
    if checked == 0 {
        return Err(Usage("none of these folders has an expected.json".to_owned()).into());
    }
    output::print(
        format!("{} as expected, {differing} different\n", checked - differing).as_bytes(),
    )?;
    Ok(if differing == 0 { Exit::Success } else { Exit::Difference })
}

/// What was found in one folder.
struct Checked {
    differences: Vec<String>,
    fingerprint: Option<String>,
}

/// Compares one folder's capture with what is expected of it.
fn check(folder: &Path, expected: &Path) -> Result<Checked> {
    let text = fs::read_to_string(expected)
        .with_context(|| format!("cannot read {}", expected.display()))?;
    let fixture: Value = serde_json::from_str(&text)
        .with_context(|| format!("cannot read {}", expected.display()))?;
    let path = |value: &Value| value.as_str().map(|path| folder.join(path));
    let Some(capture) = path(&fixture["capture"]) else {
        bail!("{}: no key `capture` names the capture", expected.display());
    };
    let reading = ReadingArguments {
        format: None,
        every: None,
        kallsyms: path(&fixture["kallsyms"]),
        symfs: paths(&fixture["symfs"], folder),
    };
    let analysis =
        AnalysisArguments { min_freeze: Options::MIN_FREEZE_MS, ..AnalysisArguments::default() };
    let (capture, _) = load::capture(&capture, &reading)?;
    let findings = load::findings(&capture, &analysis)?;
    let found: Value = serde_json::from_str(&coldcase_report::json(&findings))?;
    let mut differences = differences(&fixture["findings"], &found);
    differences.extend(unbalanced(&found));
    Ok(Checked { differences, fingerprint: findings.verdict.fingerprint })
}

fn paths(value: &Value, folder: &Path) -> Vec<PathBuf> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_str).map(|path| folder.join(path)).collect()
}

/// In every window, blame must add up to what was waited, whatever is expected of it.
fn unbalanced(found: &Value) -> Vec<String> {
    let windows = found["windows"].as_array().map_or(&[][..], Vec::as_slice);
    let sums = windows.iter().enumerate().filter_map(|(index, window)| {
        let blocked = window["freeze"]["blocked_ms"].as_f64()?;
        let rows = window["blame"].as_array()?;
        let blamed: f64 = rows.iter().filter_map(|row| row["blocked_ms"].as_f64()).sum();
        let off = (blamed - blocked).abs() > ROUNDING_MS * (rows.len() as f64 + 1.0);
        off.then(|| {
            format!("windows[{index}]: {blamed} ms are blamed, but {blocked} ms were waited")
        })
    });
    sums.collect()
}
