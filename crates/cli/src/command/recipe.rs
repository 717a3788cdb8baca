//! `coldcase recipe`: the command lines that record the best capture without the trap.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use coldcase_ingest::capture::Capture;
use coldcase_trap::Machine;

use crate::args::RecipeArguments;
use crate::exit_code::Exit;
use crate::{load, output};

/// A text above this is not what `inspect` printed.
const LARGEST_TEXT: u64 = 16 << 20;

/// For this machine, for the one that a capture was recorded on, or for one that `inspect` described.
pub fn run(arguments: &RecipeArguments) -> Result<Exit> {
    let script = match (&arguments.capture, &arguments.described) {
        (Some(path), _) => {
            let (capture, _) = load::overview(path, &arguments.reading)?;
            coldcase_trap::recipe("the captured machine", &captured(&capture))
        }
        (None, Some(path)) => coldcase_trap::recipe("the described machine", &described(path)?),
        (None, None) => coldcase_trap::recipe("this machine", &Machine::this()),
    };
    output::print(script.as_bytes())?;
    Ok(Exit::Success)
}

/// What a capture tells of its machine.
pub fn captured(capture: &Capture) -> Machine {
    let origin = &capture.origin;
    let recorded = capture.events.iter().map(|event| event.name.as_str());
    Machine::captured(origin.kernel.as_deref(), origin.arch.as_deref(), origin.cpus, recorded)
}

fn described(path: &Path) -> Result<Machine> {
    let shown = path.display();
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(LARGEST_TEXT).read_to_end(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(LARGEST_TEXT).read_to_end(&mut text))
    };
    read.with_context(|| format!("cannot read {shown}"))?;
    match machine(&String::from_utf8_lossy(&text)) {
        Some(machine) => Ok(machine),
        None => bail!("{shown} is not what `coldcase inspect` prints: it has no line `kernel`"),
    }
}

/// What `inspect` printed, taken apart again.
fn machine(text: &str) -> Option<Machine> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next().map(str::trim).filter(|value| *value != "unknown")
    };
    let kernel = text.lines().find_map(|line| line.strip_prefix("kernel "))?;
    let (release, arch) = kernel.trim().rsplit_once(" (")?;
    let known = |value: &'_ str| Some(value.to_owned()).filter(|value| value != "unknown");
    let (release, arch) = (known(release), known(arch.trim_end_matches(')')));
    let events = text.lines().skip_while(|line| *line != "events").skip(1);
    let events = events.take_while(|line| !line.is_empty());
    let events = events.filter_map(|line| line.split_whitespace().nth(1));
    let cpus = field("cpus").and_then(|cpus| cpus.parse().ok());
    Some(Machine::captured(release.as_deref(), arch.as_deref(), cpus, events))
}
