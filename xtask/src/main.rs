//! Tasks of the project that cargo has no word for: `cargo xtask TASK`.

mod accuracy;
mod bench;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask accuracy [--check]
       cargo xtask bench [--only pop,big,busy,huge,giant] [--turns N] [--captures FOLDER] [--fast]

accuracy   writes docs/accuracy.md: every stored capture's verdict against its measured truth
--check    writes nothing, and fails if the file is not what it would write
bench      measures coldcase and what else reads the same captures, records these if they are not there (which takes
           root, perf, 6 GB of memory and 4 GB of disk), and prints the table of docs/performance.md
--fast     leaves out programs that take minutes, and the comparison of results";

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
        ["bench", options @ ..] => bench::run(&root, options),
        ["freeze"] => {
            bench::freeze();
            Ok("thawed".to_owned())
        }
        ["busy"] => {
            bench::busy()?;
            Ok("at rest".to_owned())
        }
        _ => bail!("{USAGE}"),
    }
}

fn print(text: &str) -> Result<()> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn say(text: &str) {
    // Nobody can be told that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
