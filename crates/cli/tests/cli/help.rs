//! The help texts, word for word. After a wanted change: `COLDCASE_BLESS=1 cargo test -p coldcase-cli help`.

use std::fs;
use std::path::Path;

use crate::support::{code, coldcase, folder, stdout};

/// The help of a command is what stands in `help/NAME.txt`.
fn help(name: &str, arguments: &[&str]) {
    let folder = folder();
    let output = coldcase(folder.path()).args(arguments).output().unwrap();
    assert_eq!(code(&output), 0);
    let path = format!("{}/tests/cli/help/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let path = Path::new(&path);
    if std::env::var_os("COLDCASE_BLESS").is_some() {
        fs::write(path, stdout(&output)).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(stdout(&output), expected, "if this change is wanted, set COLDCASE_BLESS=1");
}

#[test]
fn of_the_program() {
    help("coldcase", &["--help"]);
}

#[test]
fn of_report() {
    help("report", &["report", "--help"]);
}

#[test]
fn of_export() {
    help("export", &["export", "--help"]);
}

#[test]
fn of_inspect() {
    help("inspect", &["inspect", "--help"]);
}

#[test]
fn of_check() {
    help("check", &["check", "--help"]);
}

#[test]
fn of_diff() {
    help("diff", &["diff", "--help"]);
}

#[test]
fn of_unredact() {
    help("unredact", &["unredact", "--help"]);
}

#[test]
fn of_recipe() {
    help("recipe", &["recipe", "--help"]);
}

#[test]
fn of_trap() {
    help("trap", &["trap", "--help"]);
}

#[test]
fn of_the_version() {
    help("version", &["--version"]);
}
