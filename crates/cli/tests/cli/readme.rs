//! The README's first command, and the output that it shows. After a wanted change:
//! `COLDCASE_BLESS=1 cargo test -p coldcase-cli readme`.

use std::fs;

use crate::support::{code, coldcase, folder, root, stderr, stdout};

/// The README shows the output up to here.
const SHOWN_UP_TO: &str = "\nRuled out\n";

#[test]
fn shows_what_its_command_prints() {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let run = "    cargo run --release -- ";
    let command = text.lines().find_map(|line| line.strip_prefix(run)).unwrap();
    let folder = folder();
    std::os::unix::fs::symlink(root().join("fixtures"), folder.path().join("fixtures")).unwrap();
    let output = coldcase(folder.path()).args(command.split(' ')).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(folder.path().join("report.html").is_file());

    let printed = stdout(&output);
    let shown = &printed[..printed.find(SHOWN_UP_TO).unwrap_or(printed.len())];
    let (before, rest) = text.split_once("```text\n").unwrap();
    let (stands, after) = rest.split_once("...\n```").unwrap();
    if std::env::var_os("COLDCASE_BLESS").is_some() {
        fs::write(&path, format!("{before}```text\n{shown}...\n```{after}")).unwrap();
    } else {
        assert_eq!(stands, shown, "if this change is wanted, set COLDCASE_BLESS=1");
    }
}
