//! `coldcase trap` where it cannot begin: each message names what is missing, and nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{code, coldcase, fixture, folder, stderr, stdout, unpacked};

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

/// A bundle of a stored capture, as the trap writes one, with an alarm at this moment of the capture's clock.
fn bundle(alarm_ns: u64) -> Vec<u8> {
    let manifest = json!({
        "format": "coldcase.bundle/1",
        "alarm": {"saw": "no answer for 500ms", "monotonic_ns": alarm_ns},
        "recording": {"flight": true, "notes": ["the ring reached back 2.0 s"]},
    });
    let symbols = fs::read(fixture("kallsyms.zst")).unwrap();
    let entries = [
        ("coldcase-bundle.json", manifest.to_string().into_bytes()),
        ("capture.data", unpacked("populate")),
        ("kallsyms", zstd::decode_all(&symbols[..]).unwrap()),
        ("history.tsv", history(alarm_ns).into_bytes()),
        ("kernel.log", format!("4,1,{},-;low on memory\n", alarm_ns / 1000).into_bytes()),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
}

/// Two looks, long before the alarm and long after it: tasks waited for memory all the time, and none for a disk.
fn history(alarm_ns: u64) -> String {
    let look = |seconds: f64, waited: u64, reclaims: u64| {
        let time = alarm_ns as f64 / 1e9 + seconds;
        let (memory, io, cpu) =
            ("pressure\tmemory some", "pressure\tio some", "pressure\tcpu some");
        format!(
            "{time:.6}\t{memory}\t{waited}\n{time:.6}\t{io}\t7\n{time:.6}\t{cpu}\t7\n\
             {time:.6}\tvmstat\tallocstall_normal\t{reclaims}\n"
        )
    };
    look(-50.0, 1_000_000, 7) + &look(50.0, 91_000_000, 19)
}

/// What `report` says of a file, as JSON.
fn report(folder: &Path, path: &Path) -> Value {
    let mut command = coldcase(folder);
    let output = command.args(["report", "--json", "-"]).arg(path).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).unwrap()
}

#[test]
fn a_bundle_is_read_as_it_is_with_its_own_kernel_symbols() {
    let folder = folder();
    let capture = fixture("populate/capture.data.zst");
    let mut command = coldcase(folder.path());
    command.args(["report", "--json", "-", "--kallsyms"]).arg(fixture("kallsyms.zst"));
    let alone = command.arg(&capture).output().unwrap();
    let alone: Value = serde_json::from_str(stdout(&alone)).unwrap();
    let start = alone["verdict"]["freeze"]["start_s"].as_f64().unwrap();
    #[expect(clippy::cast_sign_loss, reason = "a moment after boot")]
    let alarm = (start * 1e9) as u64 + 500_000_000;
    let path = folder.path().join("coldcase-000001-x.tar.zst");
    fs::write(&path, bundle(alarm)).unwrap();
    let found = report(folder.path(), &path);
    assert_eq!(found["verdict"]["summary"], alone["verdict"]["summary"]);
    assert_eq!(found["verdict"]["culprit"], alone["verdict"]["culprit"]);
    assert_eq!(found["capture"]["symbols"], alone["capture"]["symbols"]);
    assert_eq!(found["capture"]["alarm"]["saw"], "no answer for 500ms");
    assert_eq!(alone["capture"]["alarm"], Value::Null);
    let warnings = found["capture"]["warnings"].to_string();
    assert!(warnings.contains("the ring reached back 2.0 s"), "{warnings}");
    let output = coldcase(folder.path()).arg("report").arg(&path).output().unwrap();
    let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("500 ms after the freeze began (2073.830896 s): no answer for 500ms."),
        "{text}"
    );
    let around = "In the 100 s around it, tasks waited 90.0 s for memory (pressure); a task had to reclaim memory itself 12 times. \
        Meanwhile the kernel logged: low on memory.";
    assert!(text.contains(around), "{text}");
    let output = coldcase(folder.path()).arg("inspect").arg(&path).output().unwrap();
    let text = stdout(&output);
    assert!(text.contains(" s: no answer for 500ms\nbeside it   8 figures"), "{text}");
}

#[test]
fn a_bundle_that_was_cut_is_read_up_to_the_cut() {
    let folder = folder();
    let whole = bundle(1);
    let path = folder.path().join("cut");
    fs::write(&path, &whole[..whole.len() / 4]).unwrap();
    let found = report(folder.path(), &path);
    assert!(found["capture"]["events"]["sched:sched_switch"].as_u64() > Some(0));
    let warnings = found["capture"]["warnings"].to_string();
    assert!(warnings.contains("the bundle is damaged"), "{warnings}");
}
