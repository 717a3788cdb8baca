//! Where results go: files, standard output; and how the tool speaks on standard error.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use coldcase_ingest::capture::inert;

use crate::exit_code::Usage;

/// Writes a file, or standard output if the path is `-`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.as_os_str() == "-" {
        return print(bytes);
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Where a report is written, in each of its forms.
pub struct Results<'a> {
    pub html: Option<&'a Path>,
    pub json: Vec<&'a Path>,
    pub markdown: Vec<&'a Path>,
}

impl<'a> Results<'a> {
    /// What is asked for by `--output`, whose form is that of its name's ending (HTML, if that tells nothing), by `--json` and by
    /// `--markdown`. No two may go to standard output, `summary` included, where nobody could tell them apart.
    pub fn of(
        [output, json, markdown]: [Option<&'a Path>; 3],
        summary: bool,
    ) -> Result<Self, Usage> {
        let asked = [output, json, markdown].into_iter().flatten();
        let to_stdout = asked.filter(|path| path.as_os_str() == "-").count();
        if to_stdout + usize::from(summary) > 1 {
            return Err(Usage("only one result can go to standard output".to_owned()));
        }
        let mut results = Self {
            html: None,
            json: json.into_iter().collect(),
            markdown: markdown.into_iter().collect(),
        };
        if let Some(path) = output {
            match path.extension().and_then(OsStr::to_str) {
                Some("json") => results.json.push(path),
                Some("md" | "markdown") => results.markdown.push(path),
                _ => results.html = Some(path),
            }
        }
        Ok(results)
    }

    /// Whether none is asked for.
    pub fn is_empty(&self) -> bool {
        self.html.is_none() && self.json.is_empty() && self.markdown.is_empty()
    }
}

/// Writes a file by `write` so that it is there as a whole or not at all: beside its place first, then moved there. What is
/// no plain file (a device, a pipe) is written to directly.
pub fn write_whole<E>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<()>
where
    anyhow::Error: From<E>,
{
    let cannot = || format!("cannot write {}", path.display());
    if path.exists() && !path.is_file() {
        let mut file = BufWriter::new(File::options().write(true).open(path).with_context(cannot)?);
        write(&mut file)?;
        return file.flush().with_context(cannot);
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let written = File::create(&beside).with_context(cannot).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush().with_context(cannot)
    });
    let moved = written.and_then(|()| fs::rename(&beside, path).with_context(cannot));
    if moved.is_err() {
        // It may not even have come to be.
        let _ = fs::remove_file(&beside);
    }
    moved
}

/// Writes to standard output.
pub fn print(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Whether standard output is read by a person who sees colours.
pub fn wants_color() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Something that went wrong.
pub fn error(text: &str) {
    say(&format!("error: {text}"));
}

/// Something that a person should know.
pub fn warning(text: &str) {
    say(&format!("warning: {text}"));
}

/// A line on standard error.
pub fn say(text: &str) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{}", inert(text));
}

/// Whether the reader of standard output went away, which is its good right.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
