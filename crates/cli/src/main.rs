//! coldcase: solves a freeze after the fact.
//!
//! This crate wires ingest, analyze, report and export, and is the only one that prints.

mod args;
mod command;
mod exit_code;
mod expect;
mod export_folder;
mod load;
mod output;
mod progress;
mod provenance;
mod redact;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use exit_code::Exit;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Command::Report(arguments) => command::report::run(arguments),
        Command::Export(arguments) => command::export::run(arguments),
        Command::Inspect(arguments) => command::inspect::run(arguments),
        Command::Check(arguments) => command::check::run(arguments),
        Command::Diff(arguments) => command::diff::run(arguments),
        Command::Unredact(arguments) => command::unredact::run(arguments),
        Command::Recipe(arguments) => command::recipe::run(arguments),
        Command::Trap(arguments) => command::trap::run(arguments),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) if output::is_closed_pipe(&error) => Exit::Success.into(),
        Err(error) => {
            output::error(&format!("{error:#}"));
            Exit::of(&error).into()
        }
    }
}
