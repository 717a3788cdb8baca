//! Where a report comes from: the files that were read, and the command that makes it again from them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use coldcase_analyze::Options;
use coldcase_report::Input;
use sha2::{Digest, Sha256};

use crate::args::{
    AnalysisArguments, DiffArguments, FormatName, ReadingArguments, ReportArguments, ScopeName,
};

/// The files that a report was made from, hashed by a thread of its own while they are read for the report.
pub struct Inputs(JoinHandle<Result<Vec<Input>>>);

impl Inputs {
    /// Begins with the captures. Binaries below `--symfs` are many and give names only, so they are left out.
    pub fn start(arguments: &ReportArguments) -> Self {
        let files: Vec<PathBuf> = files(arguments).cloned().collect();
        Self(thread::spawn(move || files.iter().map(|path| input(path)).collect()))
    }

    /// The files, in that order, named as in `shown`, which may be redacted.
    pub fn finish(self, shown: &ReportArguments) -> Result<Vec<Input>> {
        let inputs = self.0.join();
        let inputs = inputs.unwrap_or_else(|_| bail!("the files that were read cannot be hashed"));
        let named = |(input, path): (Input, &PathBuf)| {
            let name = path.display().to_string();
            Input { name, ..input }
        };
        Ok(inputs?.into_iter().zip(files(shown)).map(named).collect())
    }
}

fn files(arguments: &ReportArguments) -> impl Iterator<Item = &PathBuf> {
    let beside = [arguments.reading.kallsyms.as_ref(), arguments.analysis.rules.as_ref()];
    arguments.incident.captures.iter().chain(beside.into_iter().flatten())
}

/// Of larger files so many bytes are hashed: enough to tell any two captures apart, whose beginnings hold the times of
/// their events. The hash of a whole one takes as long as its analysis.
const HASHED: u64 = 4 << 20;

fn input(path: &Path) -> Result<Input> {
    let name = path.display().to_string();
    if name == "-" || path.is_dir() {
        return Ok(Input { name, bytes: None, sha256: None, hashed: 0 });
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let length = file.metadata().with_context(cannot)?.len();
    let mut file = file.take(HASHED);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut hashed = 0;
    loop {
        let count = file.read(&mut buffer).with_context(cannot)?;
        if count == 0 {
            break;
        }
        hashed += count as u64;
        hash.update(&buffer[..count]);
    }
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    // Files in /proc say that they are empty.
    let bytes = Some(length.max(hashed));
    Ok(Input { name, bytes, sha256: Some(sha256), hashed })
}

/// The files that a comparison was made from, named as in `shown`.
pub fn inputs_of_diff(arguments: &DiffArguments, shown: &DiffArguments) -> Result<Vec<Input>> {
    let files = |from: &DiffArguments| {
        let beside = [from.reading.kallsyms.clone(), from.analysis.rules.clone()];
        [from.before.clone(), from.after.clone()].into_iter().chain(beside.into_iter().flatten())
    };
    let names = files(shown).map(|path| path.display().to_string());
    files(arguments).zip(names).map(|(path, name)| Ok(Input { name, ..input(&path)? })).collect()
}

/// The command that compares them again.
pub fn command_of_diff(arguments: &DiffArguments) -> Vec<String> {
    let captures = [&arguments.before, &arguments.after].map(|path| path.display().to_string());
    let mut words = vec!["coldcase".to_owned(), "diff".to_owned()];
    words.extend(captures);
    options(&mut words, &arguments.reading, &arguments.analysis, None);
    words.extend(["-o".to_owned(), "diff.html".to_owned()]);
    words.extend(arguments.redaction.redact.map(redact_option));
    words
}

/// The command without what only says where results go, so that it is the same wherever they went.
pub fn command(arguments: &ReportArguments) -> Vec<String> {
    let mut words = vec!["coldcase".to_owned(), "report".to_owned()];
    words.extend(arguments.incident.captures.iter().map(|path| path.display().to_string()));
    let log_offset = arguments.incident.log_offset.clone();
    options(&mut words, &arguments.reading, &arguments.analysis, log_offset);
    words.extend(["-o".to_owned(), "report.html".to_owned()]);
    words.extend(arguments.redaction.redact.map(redact_option));
    words
}

/// How captures are read and analysed.
fn options(
    words: &mut Vec<String>,
    reading: &ReadingArguments,
    analysis: &AnalysisArguments,
    log_offset: Option<String>,
) {
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    };
    let path = |path: &std::path::PathBuf| path.display().to_string();
    option("--format", reading.format.and_then(format));
    option("--every", reading.every.map(|every| every.to_string()));
    option("--log-offset", log_offset);
    option("--kallsyms", reading.kallsyms.as_ref().map(path));
    for folder in &reading.symfs {
        option("--symfs", Some(path(folder)));
    }
    option("--process", analysis.process.clone());
    option("--window", analysis.window.clone());
    let usual = Options::MIN_FREEZE_MS;
    option(
        "--min-freeze",
        Some(analysis.min_freeze.to_string()).filter(|_| analysis.min_freeze != usual),
    );
    option("--rules", analysis.rules.as_ref().map(path));
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
