//! `coldcase recipe`: for a described machine it is one text, word for word; for this one it starts nothing. After a wanted
//! change: `COLDCASE_BLESS=1 cargo test -p coldcase-cli recipe`.

use std::fs;
use std::path::Path;

use crate::support::{code, coldcase, fixture, folder, stderr, stdout};

#[test]
fn a_captured_machine_has_its_own_recipe() {
    let folder = folder();
    let capture = fixture("fork-large/capture.data.zst");
    let output = coldcase(folder.path()).arg("recipe").arg(capture).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/data/recipe.sh");
    if std::env::var_os("COLDCASE_BLESS").is_some() {
        fs::write(&path, stdout(&output)).unwrap();
    }
    assert_eq!(stdout(&output), fs::read_to_string(&path).unwrap_or_default());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn what_inspect_says_to_record_next_time_is_the_recipes_first_command() {
    let folder = folder();
    let run = |command: &str| {
        let mut run = coldcase(folder.path());
        run.arg(command).arg(fixture("fork-large/capture.data.zst")).output().unwrap()
    };
    let (recipe, inspect) = (run("recipe"), run("inspect"));
    let command = stdout(&recipe).split("\ncp ").next().unwrap();
    let command = &command[command.find("perf record").unwrap()..];
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(stdout(&inspect)).contains(&words(command)), "{}", stdout(&inspect));
}

#[test]
fn what_inspect_printed_is_enough_for_the_same_recipe() {
    let folder = folder();
    let run = |arguments: &[&str]| {
        let mut run = coldcase(folder.path());
        stdout(&run.args(arguments).output().unwrap()).to_owned()
    };
    for name in ["fork-large", "resident-step"] {
        let capture = fixture(&format!("{name}/capture.data.zst"));
        let capture = capture.to_str().unwrap();
        fs::write(folder.path().join("text"), run(&["inspect", capture])).unwrap();
        let described = run(&["recipe", "--described", "text"]);
        let captured = run(&["recipe", capture]);
        assert_eq!(described.replace("the described machine", "the captured machine"), captured);
    }
    let mut command = coldcase(folder.path());
    fs::write(folder.path().join("other"), "x\n").unwrap();
    let output = command.args(["recipe", "--described", "other"]).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("is not what `coldcase inspect` prints"));
}

#[test]
fn for_this_machine_no_tool_is_started() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    for tool in ["perf", "bpftrace", "offcputime"] {
        let path = folder.path().join(tool);
        fs::write(&path, "#!/bin/sh\ntouch \"$0.was-started\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = coldcase(folder.path());
    let output = command.arg("recipe").env("PATH", folder.path()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("on this machine") && said.contains("\nperf record -a -g "), "{said}");
    assert!(!said.contains("is not there"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    let output = coldcase(folder.path()).arg("recipe").env("PATH", "/nowhere").output().unwrap();
    assert!(stdout(&output).contains("perf is not there: install it"), "{}", stdout(&output));
}

#[test]
fn a_capture_that_cannot_be_read_is_an_error() {
    let folder = folder();
    fs::write(folder.path().join("x"), "\0\0").unwrap();
    let output = coldcase(folder.path()).args(["recipe", "x"]).output().unwrap();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
}
