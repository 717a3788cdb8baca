//! Recordings with fewer events of the fixtures' freezes: what they could not have shown is not said to be absent.

use std::fs;

use serde_json::Value;

use crate::support::{coldcase, findings, fixture, fixture_names, folder, names};

fn report(path: &str) -> Value {
    let folder = folder();
    let mut command = coldcase(folder.path());
    let output = command.arg("report").arg(fixture(path)).args(names()).args(["--json", "-"]);
    findings(&output.output().unwrap())
}

/// What the findings say is missing to judge a cause.
fn missing<'a>(found: &'a Value, cause: &str) -> Option<&'a str> {
    let rows = found["verdict"]["cannot_tell"].as_array().unwrap();
    rows.iter().find(|row| row["cause"] == cause)?["missing"].as_str()
}

#[test]
fn without_callchains_nothing_is_said_not_to_have_frozen() {
    let mut seen = 0;
    for name in fixture_names() {
        let path = format!("{name}/bare.data.zst");
        if fs::exists(fixture(&path)).unwrap() {
            let found = report(&path);
            assert_ne!(found["verdict"]["outcome"], "no_freeze", "{name}");
            let missing = missing(&found, "mmap_lock").unwrap();
            assert!(missing.contains("callchains (perf record -g)"), "{name}: {missing}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "the captures are not there");
}

#[test]
fn without_callchains_a_stop_and_starvation_are_told() {
    for (name, cause) in [("ptrace-stop", "stopped"), ("cpu-starvation", "cpu_starvation")] {
        let found = report(&format!("{name}/bare.data.zst"));
        assert_eq!(found["verdict"]["outcome"], "cause_found", "{name}");
        assert_eq!(found["verdict"]["cause"], cause);
    }
}

#[test]
fn the_events_of_one_process_cannot_tell_that_nothing_starved() {
    let found = report("cpu-starvation/pid.data.zst");
    assert_ne!(found["verdict"]["outcome"], "cause_found");
    assert!(missing(&found, "cpu_starvation").unwrap().contains("perf record -a"));
}
