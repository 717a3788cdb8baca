//! `coldcase recipe`: the command lines that record the best capture without the trap.

use anyhow::Result;
use coldcase_ingest::capture::Capture;
use coldcase_trap::Machine;

use crate::args::RecipeArguments;
use crate::exit_code::Exit;
use crate::{load, output};

/// For this machine, or for the one that a capture was recorded on.
pub fn run(arguments: &RecipeArguments) -> Result<Exit> {
    let script = match &arguments.capture {
        None => coldcase_trap::recipe("this machine", &Machine::this()),
        Some(path) => {
            let (capture, _) = load::capture(path, &arguments.reading)?;
            coldcase_trap::recipe("the captured machine", &captured(&capture))
        }
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
