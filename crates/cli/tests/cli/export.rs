//! `export`: what is written where, what is not written over, and what other programs make of it.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{code, coldcase, findings, fixture, folder, names, stderr, stdout};

const CAPTURE: &str = "hashmap-resize/capture.data.zst";
const FORMATS: [&str; 6] = ["parquet", "csv", "folded", "speedscope", "firefox", "perfetto"];

fn export(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = coldcase(folder);
    command.arg("export").arg(fixture(CAPTURE)).args(names()).args(arguments).output().unwrap()
}

fn done(folder: &Path, arguments: &[&str]) {
    let output = export(folder, arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

fn refused(folder: &Path, arguments: &[&str], message: &str) {
    let output = export(folder, arguments);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
}

/// Every file below a folder with its bytes, by name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .flat_map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                let below = contents(&path).into_iter();
                below.map(|(file, bytes)| (format!("{name}/{file}"), bytes)).collect()
            } else {
                vec![(name, fs::read(path).unwrap())]
            }
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_same_capture_gives_the_same_bytes_in_every_format() {
    let runs = [folder(), folder()];
    for run in &runs {
        for format in FORMATS {
            done(run.path(), &["--to", format, "-o", format]);
        }
    }
    let [one, other] = runs.map(|run| contents(run.path()));
    assert!(one.iter().all(|(_, bytes)| !bytes.is_empty()));
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&one), names(&other));
    for ((name, one), (_, other)) in one.iter().zip(&other) {
        assert!(one == other, "{name} differs");
    }
}

#[test]
fn a_folder_of_tables_lists_them_and_is_written_again_only_in_its_format() {
    let folder = folder();
    done(folder.path(), &["--to", "csv", "-o", "tables"]);
    let list: Value = serde_json::from_slice(
        &fs::read(folder.path().join("tables/coldcase-export.json")).unwrap(),
    )
    .unwrap();
    assert_eq!((&list["schema"], &list["format"]), (&"coldcase.export/1".into(), &"csv".into()));
    for (name, rows) in list["tables"].as_object().unwrap() {
        let path = folder.path().join(format!("tables/{name}.csv"));
        let text = fs::read_to_string(path).unwrap();
        assert!(text.lines().count() as u64 > rows.as_u64().unwrap(), "{name}");
    }
    done(folder.path(), &["--to", "csv", "-o", "tables"]);
    refused(folder.path(), &["--to", "parquet", "-o", "tables"], "another format");
}

#[test]
fn nothing_but_an_export_is_written_over() {
    let folder = folder();
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/waits.csv"), "precious").unwrap();
    fs::write(folder.path().join("mine/coldcase-export.json"), "{\"schema\": \"other\"}").unwrap();
    refused(folder.path(), &["--to", "csv", "-o", "mine"], "neither empty nor an export");
    refused(folder.path(), &["--to", "csv", "-o", "mine/waits.csv"], "is not a folder");
    assert_eq!(fs::read(folder.path().join("mine/waits.csv")).unwrap(), b"precious");
    assert_eq!(contents(folder.path()).len(), 2);
}

#[test]
fn wakers_are_for_folded_stacks() {
    let folder = folder();
    refused(folder.path(), &["--to", "csv", "-o", "t", "--wakers"], "`--wakers` is for");
    assert_eq!(contents(folder.path()), []);
}

#[test]
fn a_capture_that_cannot_be_read_leaves_no_folder_behind() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command.args(["export", "-", "--to", "csv", "-o", "t"]).output().unwrap();
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(contents(folder.path()), []);
}

/// coldcase itself reads folded stacks: the sites come back with their times, the wakers with theirs.
#[test]
fn folded_stacks_are_read_back() {
    let folder = folder();
    let report = |captures: &[&str]| {
        let mut command = coldcase(folder.path());
        let output = command.arg("report").args(captures).args(["--json", "-"]).args(names());
        findings(&output.output().unwrap())
    };
    let output = export(folder.path(), &["--to", "folded", "-o", "-", "--wakers"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    fs::write(folder.path().join("with.folded"), &output.stdout).unwrap();
    done(folder.path(), &["--to", "folded", "-o", "without.folded"]);

    let whole = report(&[fixture(CAPTURE).to_str().unwrap()]);
    let freeze = &whole["windows"][0]["freeze"];
    for name in ["with.folded", "without.folded"] {
        let profile = report(&[name]);
        assert_eq!(profile["capture"]["format"], "folded");
        assert_eq!(profile["verdict"]["cause"], "mmap_lock");
        let waited = profile["verdict"]["freeze"]["blocked_ms"].as_f64().unwrap();
        let frozen = freeze["blocked_ms"].as_f64().unwrap();
        // The second freeze and short waits are in it too.
        assert!((frozen..frozen * 1.05).contains(&waited), "{name}: {waited}, frozen {frozen}");
    }
    let evidence = report(&["with.folded"])["verdict"]["evidence"].to_string();
    assert!(evidence.contains("by letting go of the lock in mmap"), "{evidence}");
}
