//! What the tests share: the program, the fixtures, and folders to write to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A file or folder among the fixtures.
pub fn fixture(path: &str) -> PathBuf {
    root().join("fixtures").join(path)
}

/// The captures' names by which they are known: every folder with an `expected.json`.
pub fn fixture_names() -> Vec<String> {
    let entries = fs::read_dir(root().join("fixtures")).unwrap();
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = folders
        .filter(|folder| folder.join("expected.json").is_file())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// A folder of its own for one test.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The program in a folder, without a terminal, a home or colours.
pub fn coldcase(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldcase"));
    command.current_dir(folder).env("HOME", folder).env("COLUMNS", "100").env_remove("NO_COLOR");
    command.write_stdin("");
    command
}

/// Arguments that give a fixture's addresses their names.
pub fn names() -> [String; 4] {
    let path = |name| fixture(name).to_str().unwrap().to_owned();
    ["--kallsyms".to_owned(), path("kallsyms.zst"), "--symfs".to_owned(), path("symfs")]
}

/// The bytes of a perf.data that lies zstd-compressed among the fixtures.
pub fn unpacked(name: &str) -> Vec<u8> {
    let packed = fs::read(fixture(name).join("capture.data.zst")).unwrap();
    zstd::decode_all(&packed[..]).unwrap()
}

/// What a run wrote to standard output.
pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// What a run wrote to standard error.
pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The exit code; a run that a signal ended has none.
pub fn code(output: &Output) -> i32 {
    let error = || panic!("the program was killed: {}", stderr(output));
    output.status.code().unwrap_or_else(error)
}

/// The findings that a run printed, which must be all that it printed.
pub fn findings(output: &Output) -> Value {
    assert_eq!(code(output), 0, "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}
