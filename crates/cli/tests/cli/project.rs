//! Rules of the house that no compiler keeps: which crate may know which, and which crates may never come in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// The crates in the order of the data's way: each may depend on those before it.
const ORDER: [&str; 4] = ["coldcase-ingest", "coldcase-analyze", "coldcase-report", "coldcase-cli"];

/// Crates that open connections. coldcase sends nothing.
const NETWORK: [&str; 12] = [
    "async-std",
    "curl",
    "h2",
    "hyper",
    "native-tls",
    "openssl",
    "openssl-sys",
    "quinn",
    "reqwest",
    "rustls",
    "tokio",
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
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let packages = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().unwrap();
        (name(package), dependencies.iter().map(name).collect())
    });
    packages.collect()
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
fn files_that_the_documents_name_exist() {
    let documents = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "fixtures/README.md",
        "lab/README.md",
        "notebooks/README.md",
    ];
    for document in documents {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("{document} is missing"));
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
    const FOLDERS: [&str; 6] = ["crates/", "fixtures/", "lab/", "docs/", "notebooks/", ".ci/"];
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
