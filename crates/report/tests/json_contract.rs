//! The JSON keeps what the contract promises: every key, in every report, and null for what is unknown.

mod sample;

use coldcase_analyze::findings::Findings;
use serde_json::Value;

const WINDOW: &[&str] = &["cause", "grade", "summary", "freeze", "lock", "culprit", "remedies"];
const VERDICT: &[&str] = &["outcome", "fingerprint", "container", "ruled_out", "cannot_tell"];
const CULPRIT: &[&str] = &[
    "pid",
    "tid",
    "comm",
    "operation",
    "bytes",
    "flags",
    "start_s",
    "duration_ms",
    "held_ms",
    "kernel_stack",
    "user_stack",
];
const FREEZE: &[&str] = &[
    "process",
    "start_s",
    "end_s",
    "start_utc",
    "duration_ms",
    "threads_blocked",
    "blocked_ms",
    "processes",
    "kept_cpus",
];

fn parsed(findings: &Findings) -> Value {
    serde_json::from_str(&coldcase_report::json(findings)).expect("the report is JSON")
}

fn assert_keys(value: &Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("not an object: {value}"));
    for key in keys {
        assert!(object.contains_key(*key), "no {key} in {value}");
    }
}

fn assert_window(window: &Value) {
    assert_keys(window, WINDOW);
    if !window["freeze"].is_null() {
        assert_keys(&window["freeze"], FREEZE);
        assert_keys(&window["freeze"]["process"], &["pid", "comm"]);
    }
    if !window["lock"].is_null() {
        assert_keys(&window["lock"], &["kind", "mode", "address"]);
    }
    if !window["culprit"].is_null() {
        assert_keys(&window["culprit"], CULPRIT);
    }
}

#[test]
fn every_promised_key_is_there_whatever_was_found() {
    for findings in sample::all() {
        let report = parsed(&findings);
        assert_eq!(report["schema"], "coldcase.findings/1");
        assert_keys(&report, &["capture", "verdict", "windows", "wait_sites", "memory_events"]);
        let capture =
            ["format", "kernel", "arch", "hostname", "cpus", "duration_s", "events", "lost_events"];
        assert_keys(&report["capture"], &capture);
        assert_keys(&report["capture"], &["warnings", "symbols"]);
        let symbols = ["kernel_resolved", "kernel_total", "user_resolved", "user_total"];
        assert_keys(&report["capture"]["symbols"], &symbols);
        assert_keys(&report["verdict"], VERDICT);
        assert_window(&report["verdict"]);
        for window in report["windows"].as_array().unwrap() {
            assert_window(window);
        }
        let site = ["site", "cause", "blocked_ms", "waits", "threads", "longest_ms"];
        for row in report["wait_sites"].as_array().unwrap() {
            assert_keys(row, &site);
        }
        let event = [
            "start_s",
            "duration_ms",
            "pid",
            "tid",
            "comm",
            "operation",
            "bytes",
            "flags",
            "overlap_ms",
            "rss_step_bytes",
        ];
        for row in report["memory_events"].as_array().unwrap() {
            assert_keys(row, &event);
        }
    }
}

#[test]
fn the_incident_in_figures() {
    let report = parsed(&sample::incident::findings());
    let verdict = &report["verdict"];
    assert_eq!(verdict["outcome"], "cause_found");
    assert_eq!(verdict["cause"], "mmap_lock");
    assert_eq!(verdict["grade"], "strong");
    assert_eq!(verdict["freeze"]["process"]["pid"], 4711);
    assert_eq!(verdict["freeze"]["start_s"], 8643.108);
    assert_eq!(verdict["freeze"]["start_utc"], "2026-11-20T14:02:35.358000Z");
    assert_eq!(verdict["freeze"]["duration_ms"], 1182.0);
    assert_eq!(verdict["freeze"]["blocked_ms"], 7021.4);
    assert_eq!(verdict["lock"]["address"], "0xffff9c41c2a83e68");
    assert_eq!(verdict["culprit"]["tid"], 4719);
    assert_eq!(verdict["culprit"]["operation"], "mmap");
    assert_eq!(verdict["culprit"]["bytes"], 3_355_447_296_u64);
    assert_eq!(verdict["culprit"]["held_ms"], 1181.0);
    assert_eq!(verdict["container"]["trigger_insert"], 58_720_257);
    assert_eq!(verdict["culprit"]["user_stack"][0]["function"], Value::Null);
    assert_eq!(verdict["culprit"]["user_stack"][0]["why"], "file_not_found");
    assert_eq!(verdict["culprit"]["user_stack"][0]["offset"], "0x89eb0");
    assert_eq!(verdict["culprit"]["user_stack"][2]["line"], 218);
    assert_eq!(report["windows"][1]["culprit"], verdict["culprit"]);
    assert_eq!(report["capture"]["alarm"]["saw"], "no answer for 500ms");
    assert_eq!(report["capture"]["alarm"]["at_s"], 8643.608);
    assert_eq!(report["capture"]["events"]["sched:sched_switch"], 48_219);
    let caused: f64 = verdict["blame"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["blocked_ms"].as_f64().unwrap())
        .sum();
    assert!((caused - 7021.4).abs() < 1e-6, "{caused}");
}

#[test]
fn unknown_is_null_and_never_zero_or_empty() {
    let report = parsed(&sample::folded::findings());
    let verdict = &report["verdict"];
    assert_eq!(verdict["grade"], "circumstantial");
    for key in ["start_s", "end_s", "start_utc", "duration_ms"] {
        assert_eq!(verdict["freeze"][key], Value::Null);
    }
    for key in ["pid", "tid", "bytes", "start_s", "duration_ms", "held_ms"] {
        assert_eq!(verdict["culprit"][key], Value::Null);
    }
    assert_eq!(verdict["lock"]["address"], Value::Null);
    assert_eq!(verdict["container"], Value::Null);
    assert_eq!(report["capture"]["duration_s"], Value::Null);
    assert_eq!(report["capture"]["kernel"], Value::Null);
    assert_eq!(report["wait_sites"][0]["waits"], Value::Null);
    let mut nameless = sample::incident::findings();
    nameless.windows[1].freeze.comm = String::new();
    assert_eq!(parsed(&nameless)["verdict"]["freeze"]["process"]["comm"], Value::Null);
}

#[test]
fn without_a_freeze_the_verdict_is_empty_but_whole() {
    let report = parsed(&sample::quiet::findings());
    let verdict = &report["verdict"];
    assert_eq!(verdict["outcome"], "no_freeze");
    for key in ["cause", "freeze", "lock", "culprit", "container"] {
        assert_eq!(verdict[key], Value::Null);
    }
    assert_eq!(verdict["grade"], "undetermined");
    assert_eq!(report["windows"], Value::Array(Vec::new()));
}

#[test]
fn programs_get_names_as_they_are() {
    let report = parsed(&sample::hostile::findings());
    assert_eq!(report["verdict"]["culprit"]["comm"], sample::hostile::ESCAPE);
    assert_eq!(report["memory_events"][1]["comm"], sample::hostile::BIDI);
}
