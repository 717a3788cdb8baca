//! Wrong arguments: exit code 2, before anything is written.

use crate::support::{code, coldcase, fixture, folder, stderr};

/// These arguments are refused, and the message has this in it.
fn refused(arguments: &[&str], message: &str) {
    let folder = folder();
    let output = coldcase(folder.path()).args(arguments).output().unwrap();
    assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(message), "{arguments:?}: {}", stderr(&output));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

/// As `refused`, behind `report` and a good capture.
fn refused_of_report(arguments: &[&str], message: &str) {
    let capture = fixture("idle-server/capture.data.zst");
    refused(&[&["report", capture.to_str().unwrap()], arguments].concat(), message);
}

#[test]
fn no_command() {
    refused(&[], "Usage: coldcase <COMMAND>");
}

#[test]
fn no_capture() {
    refused(&["report"], "<CAPTURE>");
}

#[test]
fn an_option_that_does_not_exist() {
    refused_of_report(&["--nonsense"], "unexpected argument '--nonsense'");
}

#[test]
fn a_format_that_does_not_exist() {
    refused_of_report(&["--format", "etl"], "invalid value 'etl' for '--format <NAME>'");
}

#[test]
fn a_length_that_is_no_number() {
    refused_of_report(&["--min-freeze", "soon"], "invalid value 'soon' for '--min-freeze <MS>'");
}

#[test]
fn a_window_that_ends_before_it_begins() {
    refused_of_report(&["--window", "2..1"], "`--window 2..1` is not of the form A..B, in seconds");
}

#[test]
fn symbols_that_do_not_exist() {
    refused_of_report(&["--kallsyms", "nowhere"], "nowhere does not exist");
    refused_of_report(&["--symfs", "nowhere"], "nowhere does not exist");
}

#[test]
fn two_results_on_standard_output() {
    let message = "only one result can go to standard output";
    refused_of_report(&["--json", "-", "--markdown", "-"], message);
    refused_of_report(&["--summary", "--json", "-"], message);
    refused(&["diff", "a", "b", "-o", "-", "--json", "-"], message);
}

#[test]
fn tables_on_standard_output() {
    let message = "a folder of tables, which standard output is not";
    refused(&["export", "capture", "--to", "csv", "-o", "-"], message);
}

#[test]
fn rules_that_cannot_be_read() {
    refused_of_report(&["--rules", "nowhere"], "cannot read nowhere");
}

#[test]
fn a_folder_to_check_that_does_not_exist() {
    refused(&["check", "nowhere"], "nowhere does not exist");
    refused(&["check", "."], "none of these folders has an expected.json");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let folder = folder();
    let output = coldcase(folder.path())
        .arg("report")
        .arg(fixture("idle-server/capture.data.zst"))
        .args(["-o", "nowhere/report.html"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 3);
    let message = "error: cannot write nowhere/report.html: No such file or directory";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
}

#[test]
fn a_process_that_is_not_in_the_capture() {
    refused_of_report(&["--process", "nobody"], "nobody");
}

#[test]
fn a_window_outside_the_capture() {
    refused_of_report(&["--window", "1..2"], "1..2");
}
