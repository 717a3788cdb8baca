//! Where results go, and that the same capture always gives the same bytes.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{code, coldcase, findings, fixture, folder, names, stderr, stdout};

const CAPTURE: &str = "hashmap-resize/capture.data.zst";

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn asked_for_nothing_it_prints_the_verdict_and_writes_report_html() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command.arg("report").arg(fixture(CAPTURE)).args(names()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for part in ["held it in mmap", "3,355,447,296 bytes", "hashbrown", "58,720,257"] {
        assert!(stdout(&output).contains(part), "{part:?} is not in {}", stdout(&output));
    }
    assert!(!stdout(&output).contains('\u{1b}'), "no colours without a terminal");
    assert!(stderr(&output).contains("wrote report.html"), "{}", stderr(&output));
    assert_eq!(files(folder.path()), ["report.html"]);
}

#[test]
fn the_ending_of_a_files_name_says_what_is_written_into_it() {
    let folder = folder();
    let read = |name: &str| {
        let mut command = coldcase(folder.path());
        let command = command.arg("report").arg(fixture(CAPTURE)).args(names());
        let output = command.args(["-o", name]).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
        fs::read_to_string(folder.path().join(name)).unwrap()
    };
    assert!(read("r.md").starts_with("# "));
    assert!(read("r.json").starts_with('{'));
    for name in ["r.html", "r"] {
        assert!(read(name).starts_with("<!DOCTYPE html>"), "{name}");
    }
}

#[test]
fn what_is_analysed_in_chapters_gives_the_same_verdict() {
    let folder = folder();
    let found = |chapter: &str| {
        let mut command = coldcase(folder.path());
        let capture = fixture("formats/rounds/capture.data.zst");
        let command = command.arg("report").arg(capture).args(names());
        findings(&command.args(["--chapter", chapter, "--json", "-"]).output().unwrap())
    };
    let (whole, chapters) = (found("0"), found("200"));
    for key in ["capture", "verdict", "windows", "wait_sites"] {
        assert_eq!(chapters[key], whole[key], "{key}");
    }
    let mut command = coldcase(folder.path());
    let capture = fixture("formats/rounds/capture.data.zst");
    let command = command.arg("report").arg(capture).args(["--chapter", "200", "-o", "r.md"]);
    let outside = command.args(["--window", "1..2"]).output().unwrap();
    assert_eq!(code(&outside), 2, "{}", stderr(&outside));
    assert!(stderr(&outside).contains("outside the capture"), "{}", stderr(&outside));
}

#[test]
fn json_to_standard_output_is_all_that_stands_there() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command.arg("report").arg(fixture(CAPTURE)).args(["--json", "-"]).output();
    let findings = findings(&output.unwrap());
    assert_eq!(findings["schema"], "coldcase.findings/1");
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

/// The file at the program's path is of another build in one of these captures, neither of which has a build id.
#[test]
fn a_file_in_which_no_calls_stand_before_return_addresses_names_nothing() {
    let read = |capture: &str| {
        let folder = folder();
        let mut command = coldcase(folder.path());
        let command = command.arg("report").arg(fixture(capture)).args(names());
        findings(&command.args(["--json", "-"]).output().unwrap())
    };
    let refused = |findings: &serde_json::Value| {
        findings["capture"]["warnings"]
            .to_string()
            .contains("return addresses do not follow a call")
    };
    let of_program = |findings: &serde_json::Value| {
        let frames = findings["verdict"]["culprit"]["user_stack"].as_array().unwrap();
        let frames = frames.iter().filter(|frame| {
            frame["module"].as_str().is_some_and(|module| module.ends_with("/coldcase-lab"))
        });
        frames.map(|frame| frame["function"].is_string()).collect::<Vec<bool>>()
    };
    let (other, own) = (read("resident-step/capture.data.zst"), read(CAPTURE));
    assert!(refused(&other) && !refused(&own));
    let named = of_program(&other);
    assert!(!named.is_empty() && named.iter().all(|named| !named), "{named:?}");
    assert!(of_program(&own).iter().any(|named| *named));
}

#[test]
fn only_what_was_asked_for_is_written() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command
        .arg("report")
        .arg(fixture("folded-offcputime/capture.folded"))
        .args(["--markdown", "-", "--json", "findings.json", "--png", "pictures"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("# "), "{}", stdout(&output));
    assert_eq!(files(folder.path()), ["findings.json", "pictures"]);
}

#[test]
fn a_summary_is_one_paragraph_and_writes_nothing() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command
        .arg("report")
        .arg(fixture(CAPTURE))
        .args(names())
        .arg("--summary")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stdout(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    for part in ["8.79 s", "3.36 GB", "hashbrown", "To change: ", "[mmap_lock-mmap-"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(files(folder.path()), Vec::<String>::new());
}

#[test]
fn the_report_says_which_files_it_was_made_from() {
    let folder = folder();
    fs::write(folder.path().join("a b.folded"), "db;main;lock_[k] 1000000\n").unwrap();
    let mut command = coldcase(folder.path());
    let output = command.args(["report", "a b.folded", "-o", "page.html"]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    // By `sha256sum` of coreutils.
    let sum = "0e4114e82137856a38e960e29015b7f3aa62b869685ec431f0d9c7b567e40ec4";
    assert!(page.contains(sum), "the hash of the file");
    assert!(page.contains("coldcase report &#39;a b.folded&#39; -o report.html"));
}

#[test]
fn standard_input_gives_the_same_findings_as_the_file() {
    let folder = folder();
    let arguments = ["--json".to_owned(), "-".to_owned()];
    let from_file = coldcase(folder.path())
        .arg("report")
        .arg(fixture(CAPTURE))
        .args(&arguments)
        .args(names())
        .output()
        .unwrap();
    let from_stdin = coldcase(folder.path())
        .args(["report", "-"])
        .args(&arguments)
        .args(names())
        .write_stdin(fs::read(fixture(CAPTURE)).unwrap())
        .output()
        .unwrap();
    assert_eq!(findings(&from_file), findings(&from_stdin));
}

/// A capture as perf leaves it is read by several threads; on one processor they take turns in another order.
#[test]
fn the_same_capture_gives_the_same_bytes_on_any_number_of_processors() {
    let runs = [folder(), folder(), folder()];
    let capture = zstd::decode_all(&fs::read(fixture(CAPTURE)).unwrap()[..]).unwrap();
    for (number, run) in runs.iter().enumerate() {
        fs::write(run.path().join("capture.data"), &capture).unwrap();
        let mut command = coldcase(run.path());
        if number == 2 {
            let program = command.get_program().to_owned();
            command = assert_cmd::Command::new("taskset");
            command.current_dir(run.path()).env("HOME", run.path());
            command.args(["--cpu-list", &a_processor()]).arg(program);
        }
        let output = command
            .args(["report", "capture.data"])
            .args(names())
            .args(["-o", "r.html", "--json", "r.json", "--markdown", "r.md", "--png", "pictures"])
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    let pictures = files(&runs[0].path().join("pictures"));
    assert!(!pictures.is_empty());
    let pictures = pictures.iter().map(|name| format!("pictures/{name}"));
    let names = ["r.html", "r.json", "r.md"].map(str::to_owned).into_iter().chain(pictures);
    for name in names {
        let [first, second, alone] =
            [&runs[0], &runs[1], &runs[2]].map(|run| fs::read(run.path().join(&name)).unwrap());
        assert!(first == second, "{name} differs between two runs");
        assert!(first == alone, "{name} differs on one processor");
    }
}

/// The first processor on which this test may run.
fn a_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    allowed.split([',', '-']).next().unwrap().to_owned()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = folder();
    for arguments in [
        vec!["report", "--json", "-"],
        vec!["report", "--markdown", "-"],
        vec!["report"],
        vec!["inspect"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coldcase"))
            .current_dir(folder.path())
            .args(&arguments)
            .arg(fixture(CAPTURE))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("error"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_page_names_the_capture_and_asks_the_network_for_nothing() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command.arg("report").arg(fixture(CAPTURE)).args(["-o", "r.html"]).output();
    assert_eq!(code(&output.unwrap()), 0);
    let page = fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(page.contains("capture.data.zst"));
    for part in ["src=\"http", "href=\"http", "url(http", "@import", "fetch(", "XMLHttpRequest"] {
        assert!(!page.contains(part), "the page has {part:?}");
    }
}

#[test]
fn whoever_was_ready_is_told_in_the_run_queue_with_who_left_the_cpu_to_it() {
    let folder = folder();
    let capture = fixture("cpu-starvation/capture.data.zst");
    let mut command = coldcase(folder.path());
    command.arg("report").arg(capture).args(names()).args(["-o", "r.html"]);
    command.output().unwrap();
    let page = fs::read_to_string(folder.path().join("r.html")).unwrap();
    let longest = page.split("\"Longest waits\"").nth(1).unwrap().split("</table>").next().unwrap();
    let rows = longest.matches("<tr><th scope=\"row\">serve-").count();
    assert!(rows >= 6, "one for each that was starved, at least: {rows}");
    assert_eq!(longest.matches(">run queue<").count(), rows);
    assert!(longest.contains("pid 24307) left CPU 0 to it") && !longest.contains("woken by"));
}
