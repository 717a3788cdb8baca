//! Tasks of the project that cargo has no word for: `cargo xtask TASK`.

mod accuracy;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask accuracy [--check]

accuracy   writes docs/accuracy.md: every stored capture's verdict against its measured truth
--check    writes nothing, and fails if the file is not what it would write";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(done) => {
            say(&done);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked for, and says what was done.
fn run(arguments: &[&str]) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match arguments {
        ["accuracy"] => accuracy::write(&root),
        ["accuracy", "--check"] => accuracy::check(&root),
        _ => bail!("{USAGE}"),
    }
}

fn say(text: &str) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
