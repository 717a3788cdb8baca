//! `coldcase unredact`: the names again, for who has the key.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result};
use coldcase_redact::{Form, restore};

use crate::args::UnredactArguments;
use crate::exit_code::{Exit, Usage};
use crate::{output, redact};

/// Reads a redacted text and writes it with its names.
pub fn run(arguments: &UnredactArguments) -> Result<Exit> {
    let key = redact::read_key(&arguments.key)?;
    let text = read(&arguments.file)?;
    let form = Form::of(&text, coldcase_report::escape_markdown);
    let restored = restore(&key, &text, form);
    output::write(arguments.output.as_deref().unwrap_or(Path::new("-")), restored.as_bytes())?;
    Ok(Exit::Success)
}

fn read(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes).with_context(cannot)?;
    } else {
        bytes = fs::read(path).with_context(cannot)?;
    }
    let no_text = |_| {
        Usage(format!("{} is no text: pictures and tables cannot be turned back", path.display()))
    };
    Ok(String::from_utf8(bytes).map_err(no_text)?)
}
