//! coldcase, and every other program that is installed and reads the same file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program with its arguments.
pub struct Program {
    /// What the table calls it.
    pub name: String,
    /// Given to a shell, which the pipes of some need; it replaces itself with the last program.
    pub command: String,
    /// So slow that it runs once.
    pub once: bool,
}

/// What all others are measured by: the fastest program that reads a whole capture in order of time and keeps the
/// state of its locks.
pub const YARDSTICK: &str = "`perf lock contention`";

/// Everything that can be measured here.
pub fn installed(coldcase: &Path, capture: &Path, kallsyms: &Path, folder: &Path) -> Vec<Program> {
    let quoted = |path: &Path| format!("'{}'", path.display());
    let html = folder.join("report.html");
    let (coldcase, capture) = (quoted(coldcase), quoted(capture));
    let kallsyms = quoted(kallsyms);
    let program =
        |name: &str, command: String| Program { name: name.to_owned(), command, once: false };
    let mut programs = vec![
        program(
            "`coldcase report`, to HTML",
            format!("exec {coldcase} report {capture} --kallsyms {kallsyms} -o {}", quoted(&html)),
        ),
        program(YARDSTICK, format!("exec perf lock contention -i {capture}")),
        program(
            "`coldcase inspect`",
            format!("exec {coldcase} inspect {capture} --kallsyms {kallsyms}"),
        ),
        program("`perf sched timehist -s`", format!("exec perf sched timehist -s -i {capture}")),
        program(
            "`perf report --stats`, unordered",
            format!("exec perf report --stats -i {capture}"),
        ),
    ];
    let slow = |name: &str, command: String| Program { once: true, ..program(name, command) };
    let script = format!("perf script -i {capture}");
    let folders = ["inferno-collapse-perf", "stackcollapse-perf.pl"];
    programs.push(match folders.into_iter().find(|name| is_installed(name)) {
        Some(name) => {
            slow(&format!("`perf script` and `{name}`"), format!("{script} | exec {name}"))
        }
        None => slow("`perf script`, without folding", format!("exec {script}")),
    });
    if is_installed("samply") {
        let profile = quoted(&folder.join("profile.json"));
        let command = format!("exec samply import --save-only -o {profile} {capture}");
        programs.push(slow("`samply import`", command));
    }
    programs
}

fn is_installed(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder: PathBuf| folder.join(name).is_file())
}

impl Program {
    pub fn to_command(&self) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.command]);
        shell
    }
}
