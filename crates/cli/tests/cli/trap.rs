//! `coldcase trap` where it cannot begin: each message names what is missing, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{code, coldcase, folder, stderr};

/// Runs the trap with a perf that says to be of this version.
fn with_perf(folder: &Path, version: &str) -> std::process::Output {
    let perf = folder.join("perf");
    fs::write(&perf, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
    fs::set_permissions(&perf, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = coldcase(folder);
    command.args(["trap", "--into", "bundles", "--perf"]).arg(perf).args(["--", "true"]);
    command.output().unwrap()
}

#[test]
fn without_perf_it_says_how_to_get_one() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command.args(["trap", "--perf", "/nowhere/perf", "--", "true"]).output().unwrap();
    assert_eq!(code(&output), 3);
    let said = stderr(&output);
    assert!(said.contains("/nowhere/perf cannot be run") && said.contains("linux-perf"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_old_perf_is_told_which_would_do() {
    let folder = folder();
    let output = with_perf(folder.path(), "perf version 4.19.282");
    assert_eq!(code(&output), 3);
    let said = stderr(&output);
    assert!(said.contains("perf version 4.19.282 is too old: the trap needs perf 5.10"), "{said}");
    assert!(!folder.path().join("bundles").exists());
    let output = with_perf(folder.path(), "Segmentation fault");
    assert!(stderr(&output).contains("does not say its version"), "{}", stderr(&output));
}

#[test]
fn the_status_of_no_trap_is_an_error_and_wrong_addresses_are_arguments() {
    let folder = folder();
    let output = coldcase(folder.path()).args(["trap", "--status"]).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("status.json"), "{}", stderr(&output));
    let mut command = coldcase(folder.path());
    let output = command.args(["trap", "--http", "https://db/health"]).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("https is not spoken"), "{}", stderr(&output));
}
