//! Rules of the house that no compiler keeps: which crate may know which, and which crates may never come in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// The crates in the order of the data's way: each may depend on those before it.
const ORDER: [&str; 8] = [
    "coldcase-ingest",
    "coldcase-analyze",
    "coldcase-redact",
    "coldcase-report",
    "coldcase-export",
    "coldcase-trap",
    "coldcase-cli",
    "xtask",
];

/// Crates that open connections. coldcase sends nothing.
const NETWORK: [&str; 28] = [
    "async-std",
    "attohttpc",
    "boring",
    "curl",
    "curl-sys",
    "git2",
    "h2",
    "h3",
    "hickory-resolver",
    "http",
    "hyper",
    "isahc",
    "libssh2-sys",
    "minreq",
    "native-tls",
    "openssl",
    "openssl-sys",
    "quinn",
    "reqwest",
    "rustls",
    "schannel",
    "security-framework",
    "smol",
    "socket2",
    "surf",
    "tokio",
    "tungstenite",
    "ureq",
];

#[test]
fn crates_depend_in_the_direction_of_the_data() {
    for (name, dependencies) in dependencies() {
        let place = |name: &str| ORDER.iter().position(|known| *known == name);
        let own = place(&name).unwrap_or_else(|| panic!("{name} has no place in the order"));
        for dependency in dependencies {
            if let Some(before) = place(&dependency) {
                assert!(before < own, "{name} may not depend on {dependency}");
            }
        }
    }
}

/// What each crate of the workspace depends on, tests included.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let packages = packages(&["--no-deps"]).into_iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap();
        (name(&package), dependencies.iter().map(name).collect())
    });
    packages.collect()
}

/// What cargo knows of the packages, without asking any registry.
fn packages(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap().to_owned()
}

#[test]
fn every_crate_is_under_an_allowed_licence() {
    let config = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = config.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let allowed: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    let host = ["--filter-platform", host()];
    for package in packages(&host) {
        let licence = package["license"].as_str().unwrap_or("none").replace(['(', ')'], "");
        let mut choices = licence.split(" OR ").flat_map(|choice| choice.split('/'));
        let fits = choices.any(|all| all.split(" AND ").all(|one| allowed.contains(&one.trim())));
        assert!(fits, "{} is under {licence}, which deny.toml does not allow", name(&package));
    }
}

/// The platform that this test was built for: others' crates need not be on this machine.
fn host() -> &'static str {
    match (cfg!(target_arch = "x86_64"), cfg!(target_env = "musl")) {
        (true, false) => "x86_64-unknown-linux-gnu",
        (true, true) => "x86_64-unknown-linux-musl",
        (false, false) => "aarch64-unknown-linux-gnu",
        (false, true) => "aarch64-unknown-linux-musl",
    }
}

#[test]
fn no_crate_that_opens_connections_is_built_in() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = "));
    for name in names.map(|name| name.trim_matches('"')) {
        assert!(!NETWORK.contains(&name), "Cargo.lock has {name}");
    }
}

#[test]
fn the_list_of_banned_crates_is_the_one_in_deny_toml() {
    let config = fs::read_to_string(root().join("deny.toml")).unwrap();
    let named = config.split("{ name = \"").skip(1).filter_map(|rest| rest.split('"').next());
    assert_eq!(named.collect::<Vec<_>>(), NETWORK);
}

/// What the analysis, the data model and the reports may not use: they are functions from values to values.
const OUTSIDE: [&str; 9] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "println!",
    "stdin()",
];

#[test]
fn analysis_reports_and_exports_touch_no_files_no_clock_and_no_terminal() {
    let folders = ["analyze/src", "ingest/src/capture", "report/src", "export/src"];
    for folder in folders.map(|folder| format!("crates/{folder}")) {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            // What has a second thread gives the same as without.
            let may = |outside| {
                let of_two = ["analyze/src/at_once.rs", "analyze/src/states/scribe.rs"];
                outside == "std::thread" && of_two.iter().any(|file| path.ends_with(file))
            };
            for outside in OUTSIDE.into_iter().filter(|outside| !may(*outside)) {
                assert!(!text.contains(outside), "{} uses {outside}", path.display());
            }
        }
    }
}

/// What only the trap does, since it looks at a live system.
const LIVE: [&str; 4] = ["process::Command", "std::net", "signal_hook", "rustix"];

#[test]
fn only_the_trap_starts_processes_and_connects() {
    for folder in ["crates/ingest/src", "crates/analyze/src", "crates/report/src", "crates/cli/src"]
    {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            for live in LIVE {
                assert!(!text.contains(live), "{} uses {live}", path.display());
            }
        }
    }
}

#[test]
fn what_reads_captures_does_not_depend_on_the_trap() {
    for (name, dependencies) in dependencies() {
        let may = ["coldcase-cli", "coldcase-trap"].contains(&name.as_str());
        assert!(may || !dependencies.contains(&"coldcase-trap".to_owned()), "{name}");
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let folders = ["crates", "xtask"].map(|folder| sources(&root().join(folder)));
    for path in folders.concat() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not begin with //!", path.display());
    }
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

#[test]
fn files_that_the_documents_name_exist() {
    let folders = ["", "docs", "fixtures", "lab", "notebooks"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let documents = files.map(|file| file.unwrap().path());
    for path in documents.filter(|path| path.extension().is_some_and(|end| end == "md")) {
        let document = path.strip_prefix(root()).unwrap().display();
        let text = fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap();
        for name in linked(&text).chain(quoted(&text)) {
            let found = [folder, &root()].iter().any(|folder| folder.join(name).exists());
            assert!(found, "{document} names {name}, which does not exist");
        }
    }
}

/// Targets of links within the project.
fn linked(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let own = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    own.map(|target| target.split('#').next().unwrap_or(target))
}

/// What stands in backquotes and is a path of the project: below one of its folders, without a wildcard.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    const FOLDERS: [&str; 8] =
        ["crates/", "fixtures/", "lab/", "docs/", "notebooks/", "xtask/", ".ci/", "fuzz/"];
    let codes = text.split('`').skip(1).step_by(2);
    codes.filter(|code| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let made_up = code.contains("NAME") || code.contains("name");
        FOLDERS.iter().any(|folder| code.starts_with(folder))
            && code.chars().all(plain)
            && !made_up
            && Path::new(code).extension().is_some()
    })
}
