//! `--redact`: the redaction that was asked for, and the file of its key.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use coldcase_analyze::compare::Comparison;
use coldcase_analyze::findings::Findings;
use coldcase_analyze::records::Records;
use coldcase_ingest::capture::Capture;
use coldcase_redact::{Key, Redaction};

use crate::args::{AnalysisArguments, ReadingArguments, RedactionArguments};
use crate::exit_code::Usage;
use crate::output;

/// Nobody but its owner may read a key.
const PRIVATE: u32 = 0o600;

/// A redaction, or none.
pub struct Redact<'a> {
    redaction: Option<Redaction>,
    key: Option<&'a Path>,
}

impl<'a> Redact<'a> {
    /// What was asked for. The file of the key is made now, so that nothing is written that could not be turned back.
    pub fn open(arguments: &'a RedactionArguments) -> Result<Self> {
        let key = arguments.redact_key.as_deref();
        let names = key.map(open).transpose()?.unwrap_or_default();
        let redaction = arguments.redact.map(|scope| Redaction::new(scope.into(), names));
        Ok(Self { redaction, key })
    }

    /// Replaces the names in findings of a capture, which stays as it is.
    pub fn findings(&mut self, capture: &Capture, findings: &mut Findings) {
        if let Some(redaction) = &mut self.redaction {
            redaction.learn(capture);
            redaction.findings(findings);
        }
    }

    /// Replaces the names in the rows behind findings.
    pub fn records(&mut self, records: &mut Records) {
        if let Some(redaction) = &mut self.redaction {
            redaction.records(records);
        }
    }

    /// Replaces the names in findings of two captures, and in what their comparison says.
    pub fn comparison(
        &mut self,
        pairs: [(&Capture, &mut Findings); 2],
        comparison: &mut Comparison,
    ) {
        let Some(redaction) = &mut self.redaction else { return };
        pairs.iter().for_each(|(capture, _)| redaction.learn(capture));
        pairs.into_iter().for_each(|(_, findings)| redaction.findings(findings));
        redaction.comparison(comparison);
    }

    /// The redaction itself, for what else is written.
    pub fn asked(&mut self) -> Option<&mut Redaction> {
        self.redaction.as_mut()
    }

    /// A path as it is shown.
    pub fn path(&mut self, path: &Path) -> PathBuf {
        match &mut self.redaction {
            Some(redaction) => PathBuf::from(redaction.path(&path.to_string_lossy())),
            None => path.to_owned(),
        }
    }

    /// How a capture was read, as it is shown.
    pub fn reading(&mut self, arguments: &ReadingArguments) -> ReadingArguments {
        ReadingArguments {
            kallsyms: arguments.kallsyms.as_deref().map(|path| self.path(path)),
            symfs: arguments.symfs.iter().map(|path| self.path(path)).collect(),
            ..arguments.clone()
        }
    }

    /// How a capture was analysed, as it is shown.
    pub fn analysis(&mut self, arguments: &AnalysisArguments) -> AnalysisArguments {
        let number = |text: &String| text.parse::<i32>().is_ok();
        let mut shown = arguments.clone();
        shown.rules = arguments.rules.as_deref().map(|path| self.path(path));
        if let (Some(redaction), Some(name)) = (&mut self.redaction, &mut shown.process)
            && !number(name)
        {
            *name = redaction.task(name);
        }
        shown
    }

    /// Writes the key, once all names are known.
    pub fn keep_key(&self) -> Result<()> {
        let (Some(path), Some(redaction)) = (self.key, &self.redaction) else { return Ok(()) };
        let cannot = || format!("cannot write {}", path.display());
        // A half-written key would lose what it knew.
        let beside = path.with_added_extension("new");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(PRIVATE);
        let mut file = options.open(&beside).with_context(cannot)?;
        file.write_all(redaction.key().to_json().as_bytes()).with_context(cannot)?;
        fs::rename(&beside, path).with_context(cannot)
    }
}

/// Reads a key, or makes a new one.
fn open(path: &Path) -> Result<Key> {
    let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
    match made {
        Ok(mut file) => {
            let cannot = || format!("cannot write {}", path.display());
            file.write_all(Key::default().to_json().as_bytes()).with_context(cannot)?;
            Ok(Key::default())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => read_key(path),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Reads the file of a key.
pub fn read_key(path: &Path) -> Result<Key> {
    let wrong =
        |error: &dyn std::fmt::Display| Usage(format!("cannot use {}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let key = Key::from_json(&text).map_err(|error| wrong(&error))?;
    let mode = fs::metadata(path).map(|data| data.permissions().mode()).unwrap_or(PRIVATE);
    if mode & 0o077 != 0 {
        output::warning(&format!(
            "others can read {}, which tells all names: chmod 600",
            path.display()
        ));
    }
    Ok(key)
}
