//! Where a report comes from: the files that were read, and the command that makes it again from them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use coldcase_report::Input;
use sha2::{Digest, Sha256};

use crate::args::{AnalysisArguments, FormatName, ReportArguments, ScopeName};

/// The files that a report was made from, the captures first. Binaries below `--symfs` are many and give names only, so
/// they are left out.
///
/// They are named as in `shown`, which may be redacted.
pub fn inputs(arguments: &ReportArguments, shown: &ReportArguments) -> Result<Vec<Input>> {
    let names = files(shown).map(|path| path.display().to_string());
    files(arguments).zip(names).map(|(path, name)| input(path, name)).collect()
}

fn files(arguments: &ReportArguments) -> impl Iterator<Item = &PathBuf> {
    let beside = [arguments.reading.kallsyms.as_ref(), arguments.analysis.rules.as_ref()];
    arguments.captures.iter().chain(beside.into_iter().flatten())
}

fn input(path: &Path, name: String) -> Result<Input> {
    if path.as_os_str() == "-" || path.is_dir() {
        return Ok(Input { name, bytes: None, sha256: None });
    }
    let cannot = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(cannot)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).with_context(cannot)?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        hash.update(&buffer[..count]);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Input { name, bytes: Some(bytes), sha256: Some(sha256) })
}

/// The command without what only says where results go, so that it is the same wherever they went.
pub fn command(arguments: &ReportArguments) -> Vec<String> {
    let (reading, analysis) = (&arguments.reading, &arguments.analysis);
    let mut words = vec!["coldcase".to_owned(), "report".to_owned()];
    words.extend(arguments.captures.iter().map(|path| path.display().to_string()));
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    };
    let path = |path: &std::path::PathBuf| path.display().to_string();
    option("--format", reading.format.and_then(format));
    option("--every", reading.every.map(|every| every.to_string()));
    option("--log-offset", arguments.log_offset.clone());
    option("--kallsyms", reading.kallsyms.as_ref().map(path));
    for folder in &reading.symfs {
        option("--symfs", Some(path(folder)));
    }
    option("--process", analysis.process.clone());
    option("--window", analysis.window.clone());
    let usual = AnalysisArguments::MIN_FREEZE;
    option(
        "--min-freeze",
        Some(analysis.min_freeze.to_string()).filter(|_| analysis.min_freeze != usual),
    );
    option("--rules", analysis.rules.as_ref().map(path));
    let redact = arguments.redaction.redact.map(redact_option);
    option("-o", Some("report.html".to_owned()));
    words.extend(redact);
    words
}

fn redact_option(scope: ScopeName) -> String {
    match scope {
        ScopeName::All => "--redact",
        ScopeName::Names => "--redact=names",
    }
    .to_owned()
}

fn format(format: FormatName) -> Option<String> {
    Some(format.to_possible_value()?.get_name().to_owned())
}
