//! Names that are nobody else's business stand in nothing that is written with `--redact`, and its key brings them back.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use coldcase_analyze::findings::Findings;
use coldcase_analyze::{Options, analyze};
use coldcase_ingest::ReadOptions;
use coldcase_ingest::capture::{Capture, Mode};
use coldcase_ingest::symbols::{SymbolSources, resolve};
use coldcase_redact::{Form, Key, Redaction, Scope, restore};
use coldcase_report::{HtmlContext, Input};
use serde_json::Value;

use crate::support::{
    code, coldcase, findings, fixture, fixture_names, folder, names, stderr, stdout,
};

/// Every capture among the fixtures, with names.
fn captures() -> impl Iterator<Item = (String, Capture)> {
    fixture_names().into_iter().map(|name| {
        let text = fs::read_to_string(fixture(&name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let path = fixture(&name).join(expected["capture"].as_str().unwrap());
        let own = Some(path.with_file_name("kallsyms.zst")).filter(|list| list.exists());
        let sources = SymbolSources {
            kallsyms: own.or_else(|| Some(fixture("kallsyms.zst"))),
            symfs: vec![fixture("symfs")],
            ..SymbolSources::default()
        };
        let options = ReadOptions { programs: Some(&sources), ..ReadOptions::default() };
        let mut capture = coldcase_ingest::read(&path, options, &mut |_, _| {}).unwrap();
        let report = resolve(&mut capture, &sources);
        capture.warnings.extend(report.warnings);
        (name, capture)
    })
}

fn analysed(capture: &Capture) -> Findings {
    analyze(capture, &Options::default())
}

/// All texts that can be made of findings, each with the format's name.
fn texts(findings: &Findings) -> [(&'static str, String); 5] {
    let context = HtmlContext {
        title: String::new(),
        inputs: vec![Input { name: String::new(), bytes: None, hashed: 0, sha256: None }],
        command: Vec::new(),
        version: String::new(),
    };
    [
        ("JSON", coldcase_report::json(findings)),
        ("Markdown", coldcase_report::markdown(findings)),
        ("paragraph", coldcase_report::paragraph(findings)),
        ("terminal", coldcase_report::terminal(findings, false)),
        ("HTML", coldcase_report::html(findings, &context).unwrap()),
    ]
}

/// A mark that no text has by itself.
const MARK: &str = "§q";

/// Marks every name of a capture, also those that would stay.
fn mark(capture: &mut Capture) {
    let mut number = 0;
    let mut next = |front: &str| {
        number += 1;
        format!("{front}{MARK}{number}")
    };
    capture.threads.rename(|_| next(""));
    let real = |path: &str| path.starts_with('/') && !path.starts_with("//");
    capture.modules.rename(|path| if real(path) { next("/") } else { path.to_owned() });
    capture.frames.rename(|mode, _, call| {
        if mode == Mode::User {
            call.function = next("");
            call.file = call.file.as_ref().map(|_| next("src/"));
        }
    });
    capture.origin.hostname = Some(next(""));
    capture.origin.command = vec![next("--"), next(""), next("/")];
    if let Some(incident) = &mut capture.incident {
        incident.saw = next("");
        incident.kernel_log = incident.alarm.map(|at| (at, next(""))).into_iter().collect();
        incident.sizes.iter_mut().for_each(|size| size.comm = next(""));
    }
    for warning in &mut capture.warnings {
        *warning = warning.renamed(|_, _| next(""));
    }
}

#[test]
fn no_name_gets_through_in_any_format() {
    let mut seen = 0;
    for (name, mut capture) in captures() {
        mark(&mut capture);
        let mut found = analysed(&capture);
        seen += texts(&found).iter().filter(|(_, text)| text.contains(MARK)).count();
        let mut redaction = Redaction::new(Scope::All, Key::default());
        redaction.learn(&capture);
        redaction.findings(&mut found);
        redaction.capture(&mut capture);
        for (format, text) in texts(&found) {
            let at = text.find(MARK);
            let around = at.map(|at| text[..at].chars().rev().take(80).collect::<String>());
            let around = around.map(|text| text.chars().rev().collect::<String>());
            assert_eq!(around, None, "{name}: a name stands in {format}");
        }
        assert!(!format!("{capture:?}").contains(MARK), "{name}: a name is left in the capture");
    }
    assert!(seen > 100, "names stood in {seen} texts only before they were replaced");
}

#[test]
fn the_answer_is_the_same_and_the_key_brings_the_names_back() {
    for (name, capture) in captures() {
        let original = analysed(&capture);
        for scope in [Scope::All, Scope::Names] {
            let mut found = original.clone();
            let mut redaction = Redaction::new(scope, Key::default());
            redaction.learn(&capture);
            redaction.findings(&mut found);
            assert_eq!(found.verdict.fingerprint, original.verdict.fingerprint, "{name}");
            let key = redaction.key();
            for ((format, before), (_, after)) in texts(&original).into_iter().zip(texts(&found)) {
                let form = Form::of(&after, coldcase_report::escape_markdown);
                let back = restore(key, &after, form);
                match format {
                    "JSON" => {
                        let value = |text| serde_json::from_str::<Value>(text).unwrap();
                        assert_eq!(value(&back), value(&before), "{name}");
                    }
                    // Lines break elsewhere, and columns are as wide as what stands in them.
                    "terminal" => assert_eq!(words(&back), words(&before), "{name}"),
                    // What is drawn is drawn in the order and size of the shown names.
                    "HTML" => {}
                    _ => assert_eq!(uncut(&back), uncut(&before), "{name}"),
                }
                known_names(&name, format, key, &after);
            }
        }
    }
}

/// All lines but those of which the middle is left out, which is elsewhere in a text of another length.
fn uncut(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.contains('…')).collect()
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// No name of the key stands in a text, unless it is a word of ours too.
fn known_names(fixture: &str, format: &str, key: &Key, text: &str) {
    let parts = |character: char| !(character.is_alphanumeric() || "_-./:".contains(character));
    let written: BTreeSet<&str> = text.split(parts).collect();
    for (token, name) in key.names() {
        // Others are words of any text (`sleep`), and some files are called like functions of the kernel; the marks above tell
        // whether they get through.
        let file = token.starts_with("file-") || token.starts_with("path-");
        let telling = name.len() >= 5 && !name.bytes().all(|byte| byte.is_ascii_lowercase());
        if telling && !file {
            assert!(!written.contains(name), "{fixture}: {name} of {token} stands in {format}");
        }
    }
}

/// A run on a fixture with names and a key, in a folder of its own.
fn run(folder: &Path, fixture_name: &str, more: &[&str]) -> std::process::Output {
    let mut command = coldcase(folder);
    command.arg("report").arg(fixture(&format!("{fixture_name}/capture.data.zst"))).args(names());
    command.args(["--redact-key", "key.json"]).args(more).output().unwrap()
}

#[test]
fn everything_that_is_written_is_redacted() {
    let folder = folder();
    let outputs = ["-o", "r.html", "--json", "r.json", "--markdown", "r.md", "--summary"];
    let output = run(folder.path(), "hashmap-resize", &[&["--redact"], &outputs[..]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let key = fs::read_to_string(folder.path().join("key.json")).unwrap();
    for name in ["coldcase-lab", "serve-", "hashmap-resize", "hashmap_resize", "lab/"] {
        if name != "lab/" {
            assert!(key.contains(name), "{name} is not in the key: {key}");
        }
        for file in ["r.html", "r.json", "r.md"] {
            let text = fs::read_to_string(folder.path().join(file)).unwrap();
            assert!(!text.contains(name), "{name} stands in {file}");
        }
        assert!(!stdout(&output).contains(name) && !stderr(&output).contains(name), "{name}");
    }
    let page = fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(page.contains(".data.zst --kallsyms"), "the command is shown");
    assert!(page.contains("--redact"), "and that it redacts");
}

#[test]
fn the_key_is_private_and_used_again() {
    let folder = folder();
    let key = folder.path().join("key.json");
    let first = run(folder.path(), "hashmap-resize", &["--redact", "--json", "-"]);
    let first = findings(&first);
    let before = fs::read_to_string(&key).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let other = findings(&run(folder.path(), "munmap-large", &["--redact", "--json", "-"]));
    let after = fs::read_to_string(&key).unwrap();
    let known = |text: &str| Key::from_json(text).unwrap();
    let kept = known(&before).names().all(|(token, name)| {
        known(&after).names().any(|(other, known)| (token.as_str(), name) == (&other, known))
    });
    assert!(kept, "{before}\n{after}");
    let process = |found: &Value| found["verdict"]["freeze"]["process"]["comm"].clone();
    assert_eq!(process(&first), process(&other), "one program, one token");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = run(folder.path(), "munmap-large", &["--redact", "--summary"]);
    assert!(stderr(&open).contains("others can read key.json"), "{}", stderr(&open));
}

#[test]
fn unredact_turns_a_text_back() {
    let folder = folder();
    let plain = coldcase(folder.path())
        .arg("report")
        .arg(fixture("hashmap-resize/capture.data.zst"))
        .args(names())
        .args(["--json", "-"])
        .output()
        .unwrap();
    run(folder.path(), "hashmap-resize", &["--redact", "--json", "redacted.json"]);
    let unredact = |arguments: &[&str], input: &[u8]| {
        let mut command = coldcase(folder.path());
        command.arg("unredact").args(arguments).write_stdin(input).output().unwrap()
    };
    assert_eq!(
        findings(&unredact(&["key.json", "redacted.json"], b"")),
        findings(&plain),
        "the names are back"
    );
    let output = unredact(&["key.json", "-", "-o", "out.txt"], b"proc-1 froze");
    assert_eq!((code(&output), stdout(&output)), (0, ""));
    let text = fs::read_to_string(folder.path().join("out.txt")).unwrap();
    assert!(text.ends_with(" froze") && !text.contains("proc-1"), "{text}");
    assert_eq!(code(&unredact(&["redacted.json", "redacted.json"], b"")), 2, "that is no key");
    assert_eq!(code(&unredact(&["key.json", "-"], b"\xff\xfe")), 2, "that is no text");
    assert_eq!(code(&unredact(&["key.json", "nowhere"], b"")), 3);
}

#[test]
fn a_key_needs_a_redaction_and_must_be_one() {
    let folder = folder();
    fs::write(folder.path().join("other.json"), "{}").unwrap();
    let capture: PathBuf = fixture("idle-server/capture.data.zst");
    let report = |arguments: &[&str]| {
        coldcase(folder.path()).arg("report").arg(&capture).args(arguments).output().unwrap()
    };
    assert_eq!(code(&report(&["--summary", "--redact-key", "key.json"])), 2);
    let wrong = report(&["--summary", "--redact", "--redact-key", "other.json"]);
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("no key"), "{}", stderr(&wrong));
    assert_eq!(fs::read_to_string(folder.path().join("other.json")).unwrap(), "{}", "untouched");
}

#[test]
fn functions_may_keep_their_names() {
    let folder = folder();
    let text = |scope: &str| {
        let output = run(folder.path(), "hashmap-resize", &[scope, "--markdown", "-"]);
        let json = run(folder.path(), "hashmap-resize", &[scope, "--json", "-"]);
        stdout(&output).to_owned() + stdout(&json)
    };
    assert!(text("--redact=names").contains("hashmap_resize::"));
    assert!(!text("--redact").contains("hashmap_resize::"));
    assert!(!text("--redact=names").contains("coldcase-lab"));
}

#[test]
fn inspect_is_redacted() {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command
        .arg("inspect")
        .arg(fixture("hashmap-resize/capture.data.zst"))
        .args(names())
        .arg("--redact")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("libc.so.6") && text.contains("file-"), "{text}");
    for name in ["coldcase-lab", "fixtures"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
}
