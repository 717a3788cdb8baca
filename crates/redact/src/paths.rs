//! Paths, part by part, so that what lies in one folder still does: `/home/user-1/path-2/file-3.so.1`.

use crate::key::{Key, Space};
use crate::public;

/// The kernel marks a mapped file that was removed or replaced since.
const DELETED: &str = " (deleted)";
/// Files in memory alone (`memfd_create(2)`).
const IN_MEMORY: &str = "/memfd:";
/// Where Rust's standard library was built.
const RUST: &str = "/rustc/";

/// A path without private parts.
pub(crate) fn path(key: &mut Key, raw: &str) -> String {
    if raw == "-" || raw.starts_with(RUST) || is_marked(raw) {
        return raw.to_owned();
    }
    if let Some(rest) = raw.strip_suffix(DELETED) {
        return format!("{}{DELETED}", path(key, rest));
    }
    if let Some(name) = raw.strip_prefix(IN_MEMORY) {
        return format!("{IN_MEMORY}{}", file(key, name));
    }
    let mut parts: Vec<&str> = raw.split('/').collect();
    let last = parts.pop().unwrap_or_default();
    let mut shown: Vec<String> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        // Build ids, and what perf and debuginfod file under them.
        if *part == ".build-id" {
            shown.extend(parts[at..].iter().map(|&part| part.to_owned()));
            shown.push(last.to_owned());
            return shown.join("/");
        }
        let home = at > 0 && parts[at - 1] == "home";
        shown.push(folder(key, part, home));
    }
    let home = parts.last() == Some(&"home");
    shown.push(if home || matches!(last, "." | "..") || public::is_public_folder(last) {
        folder(key, last, home)
    } else {
        file(key, last)
    });
    shown.join("/")
}

/// What is no file: `[vdso]`, `//anon`, `anon_inode:[perf_event]`.
fn is_marked(raw: &str) -> bool {
    raw.starts_with('[') && raw.ends_with(']')
        || raw == "//anon"
        || raw.starts_with("anon_inode:[")
        || raw.starts_with("/SYSV0000")
}

fn folder(key: &mut Key, name: &str, home: bool) -> String {
    if home && !name.is_empty() {
        key.token(Space::User, name).to_string()
    } else if public::is_public_folder(name) {
        name.to_owned()
    } else {
        key.token(Space::Folder, name).to_string()
    }
}

/// A file's name: what it is called becomes a token, what kind it is of stays.
pub(crate) fn file(key: &mut Key, name: &str) -> String {
    if public::is_public_file(name) {
        return name.to_owned();
    }
    let mut stem = name;
    while let Some((rest, suffix)) = stem.rsplit_once('.') {
        if rest.is_empty() || !public::is_public_suffix(suffix) {
            break;
        }
        stem = rest;
    }
    format!("{}{}", key.token(Space::File, stem), &name[stem.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_one_folder_still_does() {
        let mut key = Key::default();
        for (raw, shown) in [
            ("/home/ada/acme/libledger.so.6", "/home/user-1/path-1/file-1.so.6"),
            ("/home/ada/acme/ledger", "/home/user-1/path-1/file-2"),
            ("/opt/acme/ledger (deleted)", "/opt/path-1/file-2 (deleted)"),
            ("acme/freeze.data.zst", "path-1/file-3.data.zst"),
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("[kernel.kallsyms]", "[kernel.kallsyms]"),
            ("/memfd:ledger", "/memfd:file-2"),
            ("cache/.build-id/ab/cdef/elf", "path-2/.build-id/ab/cdef/elf"),
            (
                "/rustc/59807616e1fa/library/core/src/ops/function.rs",
                "/rustc/59807616e1fa/library/core/src/ops/function.rs",
            ),
            ("/home/ada", "/home/user-1"),
            ("/tmp/perf-77.map", "/tmp/perf-77.map"),
            ("-", "-"),
            ("", ""),
        ] {
            assert_eq!(path(&mut key, raw), shown, "{raw}");
        }
    }
}
