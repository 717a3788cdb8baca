//! `coldcase-lab SCENARIO [ARGUMENTS]`: programs that stand still for a known reason, each with its
//! own log of what truly happened. What coldcase says of a capture is compared with that log, never
//! with another run of coldcase.
//!
//! Each scenario prepares itself, prints `ready`, waits for a line on standard input, freezes,
//! prints `done`, and waits for a second line. So a recorder (or a person) can hold the recording
//! to the seconds that matter.

mod allocator;
mod cgroup;
mod clock;
mod disk;
mod gate;
mod mapping;
mod process;
mod scenario;
mod serve;
mod truth;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    match scenario::find(&name) {
        Some(scenario) => {
            (scenario.run)(&rest);
            ExitCode::SUCCESS
        }
        None => {
            eprint!("{}", scenario::usage());
            ExitCode::from(2)
        }
    }
}
