//! `diff` on pairs of real captures: what it says, its JSON, its exit codes.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::{code, coldcase, fixture, folder, names, stderr, stdout};

fn diff(folder: &Path, before: &str, after: &str, more: &[&str]) -> Output {
    let mut command = coldcase(folder);
    command.arg("diff").arg(fixture(before)).arg(fixture(after)).args(names());
    command.args(more).output().unwrap()
}

fn json(before: &str, after: &str) -> Value {
    let folder = folder();
    let output = diff(folder.path(), before, after, &["--json", "-"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

const FROZEN: &str = "hashmap-resize/capture.data.zst";
const MUNMAP: &str = "munmap-large/capture.data.zst";
/// The same with a fix.
const MENDED: &str = "munmap-in-steps/capture.data.zst";
/// The same program, which waits in short waits and does not freeze.
const CALM: &str = "chronic-contention/capture.data.zst";
/// Another program, which does not freeze.
const QUIET: &str = "busy-no-freeze/capture.data.zst";

/// A list of keys that an object has, no more and no fewer.
fn assert_keys(value: &Value, keys: &str) {
    let found: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(found, keys.split(' ').collect::<Vec<_>>(), "{value}");
}

#[test]
fn the_json_has_the_keys_that_are_promised() {
    let found = json(FROZEN, MUNMAP);
    assert_eq!(found["schema"], "coldcase.diff/1");
    assert_keys(
        &found,
        "schema change worse grade incident summary reservations before after wait_sites culprits memory_calls",
    );
    for side in ["before", "after"] {
        assert_keys(
            &found[side],
            "format kernel duration_s lost_events outcome can_tell freezes frozen_ms freeze",
        );
        assert_keys(
            &found[side]["freeze"],
            "process cause grade operation culprit duration_ms open blocked_ms threads_blocked fingerprint",
        );
    }
    assert_keys(&found["wait_sites"][0], "process site cause change before after");
    assert_keys(&found["wait_sites"][0]["before"], "blocked_ms share waits longest_ms");
    assert_keys(&found["culprits"][0], "comm cause operation before after");
    assert_keys(&found["culprits"][0]["before"], "freezes longest_ms");
    assert_keys(&found["memory_calls"][0], "comm operation before after");
    assert_keys(&found["memory_calls"][0]["before"], "calls largest_bytes longest_ms");
    let described = fs::read_to_string(crate::support::root().join("docs/diff.md")).unwrap();
    for key in found.as_object().unwrap().keys().chain(found["before"].as_object().unwrap().keys())
    {
        assert!(described.contains(key.as_str()), "docs/diff.md does not describe {key}");
    }
}

#[test]
fn a_capture_against_itself_is_the_same() {
    let found = json(FROZEN, FROZEN);
    assert_eq!(found["change"], "same");
    assert_eq!(found["incident"], "same");
    assert_eq!(found["worse"], false);
    assert_eq!(found["reservations"].as_array().unwrap().len(), 0, "{}", found["reservations"]);
    let sites = found["wait_sites"].as_array().unwrap();
    assert!(!sites.is_empty() && sites.iter().all(|site| site["change"] == "same"), "{sites:?}");
}

#[test]
fn another_call_is_another_incident() {
    let found = json(FROZEN, MUNMAP);
    assert_eq!(found["incident"], "other");
    assert_eq!(found["change"], "moved");
}

#[test]
fn a_freeze_comes_and_goes() {
    let folder = folder();
    let gone = json(FROZEN, CALM);
    assert_eq!((&gone["change"], &gone["worse"]), (&"gone".into(), &false.into()));
    // That program is not in it, so that nothing can be said.
    let missing = json(FROZEN, QUIET);
    assert_eq!(missing["change"], "cannot_tell");
    assert!(missing["reservations"].to_string().contains("no thread of coldcase-lab"));
    let came = diff(folder.path(), QUIET, FROZEN, &["--fail-if-worse"]);
    assert_eq!(code(&came), 1, "{}", stderr(&came));
    assert!(stdout(&came).contains("A freeze that was not there before"), "{}", stdout(&came));
    for arguments in [&[][..], &["--fail-if-worse"]] {
        assert_eq!(code(&diff(folder.path(), FROZEN, FROZEN, arguments)), 0);
    }
    assert_eq!(code(&diff(folder.path(), QUIET, FROZEN, &[])), 0, "only if that was asked for");
}

/// What was measured of a fixture, without coldcase.
fn truth(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("{name}/truth.json"))).unwrap()).unwrap()
}

/// 12 GiB given back by one munmap, and after the fix in steps of 10 MiB.
#[test]
fn a_real_fix_is_told_from_the_captures_before_and_after_it() {
    const STEP: u64 = 10 << 20;
    let (before, after) = (truth("munmap-large"), truth("munmap-in-steps"));
    let frozen = &before["freezes"][0];
    assert_eq!(after["freezes"].as_array().unwrap().len(), 0);
    let found = json(MUNMAP, MENDED);
    assert_eq!((&found["change"], &found["worse"]), (&"gone".into(), &false.into()), "{found}");
    assert_eq!(found["reservations"].as_array().unwrap().len(), 0, "{}", found["reservations"]);
    let freeze = &found["before"]["freeze"];
    assert_eq!(freeze["culprit"]["tid"], frozen["tid"]);
    assert_eq!(freeze["operation"], frozen["operation"]);
    let off = freeze["duration_ms"].as_f64().unwrap() - frozen["ms"].as_f64().unwrap();
    assert!(off.abs() < 7.0, "{freeze} is not of {frozen}");
    assert_eq!(
        (&found["after"]["freeze"], &found["after"]["can_tell"]),
        (&Value::Null, &true.into())
    );
    let rows = found["memory_calls"].as_array().unwrap();
    let calls =
        rows.iter().find(|row| row["comm"] == "coldcase-lab" && row["operation"] == "munmap");
    let calls = calls.expect("the munmap of the program is compared");
    assert_eq!(calls["before"]["largest_bytes"], frozen["bytes"]);
    assert_eq!(calls["after"]["largest_bytes"], STEP);
    let steps = frozen["bytes"].as_u64().unwrap().div_ceil(STEP);
    assert!(calls["after"]["calls"].as_u64().unwrap() >= steps, "{calls}");
    let folder = folder();
    let code_of = |before, after| code(&diff(folder.path(), before, after, &["--fail-if-worse"]));
    assert_eq!((code_of(MUNMAP, MENDED), code_of(MENDED, MUNMAP)), (0, 1));
}

#[test]
fn what_one_side_has_none_of_has_no_length_and_no_size() {
    let found = json(MUNMAP, MENDED);
    let none_of = |rows: &str, number: &str, figures: &[&str]| {
        let sides = found[rows]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| ["before", "after"].map(|side| &row[side]));
        let none: Vec<&Value> = sides.filter(|side| side[number] == 0).collect();
        let unknown = |side: &Value| figures.iter().all(|figure| side[*figure].is_null());
        assert!(none.iter().all(|side| unknown(side)), "{none:?}");
        none.len()
    };
    assert!(none_of("culprits", "freezes", &["longest_ms"]) > 0);
    assert!(none_of("memory_calls", "calls", &["largest_bytes", "longest_ms"]) > 0);
}

#[test]
fn a_capture_without_switches_is_never_better() {
    let folder = folder();
    let blind = folder.path().join("blind.txt");
    fs::write(
        &blind,
        "db 7/7 [000] 1.000000: cpu-clock: \n\tffffffff81000000 main+0x0 (/bin/db)\n\n",
    )
    .unwrap();
    let mut command = coldcase(folder.path());
    command.arg("diff").arg(fixture(FROZEN)).arg(&blind).args(["--json", "-", "--fail-if-worse"]);
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&found["change"], &found["grade"]),
        (&"cannot_tell".into(), &"undetermined".into())
    );
}

#[test]
fn one_freeze_in_two_forms_is_the_same() {
    let data = "formats/together/capture.data.zst";
    const FORMS: [&str; 5] = [
        "script.txt.zst",
        "ftrace.txt.zst",
        "trace-cmd.txt.zst",
        "offcputime.txt.zst",
        "offcputime.folded",
    ];
    for form in FORMS {
        let form = format!("formats/together/{form}");
        let found = json(data, &form);
        assert_eq!(found["change"], "same", "{form}: {found}");
        assert_ne!(found["incident"], "other", "{form}");
    }
}

#[test]
fn a_page_is_whole_and_redacted_like_a_report() {
    let folder = folder();
    let more = ["-o", "d.html", "--markdown", "d.md", "--redact"];
    let output = diff(folder.path(), FROZEN, MUNMAP, &more);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for file in ["d.html", "d.md"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(text.contains("proc-"), "{file}");
        for name in ["coldcase-lab", "hashmap-resize", "serve-"] {
            assert!(!text.contains(name), "{name} stands in {file}");
        }
    }
    let page = fs::read_to_string(folder.path().join("d.html")).unwrap();
    assert!(page.contains("default-src 'none'") && !page.contains("http://"), "it loads nothing");
}

#[test]
fn standard_input_is_one_capture_only() {
    let folder = folder();
    let output = coldcase(folder.path()).args(["diff", "-", "-"]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}
