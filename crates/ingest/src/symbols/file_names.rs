//! Under which names a folder may hold a module's file.
//!
//! The path in the capture is only ever a path inside of a folder that a person named.

use crate::capture::{BuildId, Module, ModuleKind};

/// How files may be packed, by the end of their names: distributions pack kernel modules, people what they send.
const PACKED: [&str; 3] = [".zst", ".xz", ".gz"];

/// Where a folder that stands for the captured machine's root, or that binaries were simply copied to, may
/// have a module, most specific first.
pub(super) fn in_symfs(module: &Module) -> Vec<String> {
    let path = path_in_capture(module);
    let base = path.rsplit('/').next().unwrap_or(path);
    let mut names = vec![path.to_owned(), base.to_owned()];
    if module.kind == ModuleKind::KernelModule {
        names.extend(of_kernel_module(path, base));
    }
    names.extend(by_build_id(module.build_id.as_ref()));
    names.push(format!("usr/lib/debug/{path}.debug"));
    names.push(format!("{path}.debug"));
    names.push(format!("{base}.debug"));
    names.dedup();
    names
}

/// perf names a module by its file, packed or not, or `[ext4]` where it saw none.
fn of_kernel_module(path: &str, base: &str) -> Vec<String> {
    let bare = base.trim_start_matches('[').trim_end_matches(']');
    if bare != base {
        return vec![format!("{bare}.ko")];
    }
    let unpacked = |name: &str| {
        let end = PACKED.iter().find_map(|end| name.strip_suffix(end));
        end.unwrap_or(name).to_owned()
    };
    vec![unpacked(path), unpacked(base), format!("usr/lib/debug/{}", unpacked(path))]
}

/// A file by its name, or packed.
pub(super) fn also_packed(name: &str) -> impl Iterator<Item = String> {
    [""].iter().chain(&PACKED).map(move |end| format!("{name}{end}"))
}

/// Where it may lie by its build id.
pub(super) fn by_build_id(id: Option<&BuildId>) -> Vec<String> {
    let Some((hex, first, rest)) = split_build_id(id) else { return Vec::new() };
    vec![
        format!(".build-id/{first}/{rest}"),
        format!(".build-id/{first}/{rest}.debug"),
        format!("usr/lib/debug/.build-id/{first}/{rest}.debug"),
        hex.clone(),
        format!("{hex}.debug"),
        // As perf's cache, which `perf archive` packs, and as debuginfod's.
        format!(".build-id/{first}/{rest}/elf"),
        format!(".build-id/{first}/{rest}/vdso"),
        format!(".build-id/{first}/{rest}/debug"),
        format!("{hex}/executable"),
        format!("{hex}/debuginfo"),
    ]
}

/// In perf's cache, `.build-id/ab/cdef...` is a link to a folder; of old versions, to the file itself.
pub(super) fn in_build_id_cache(module: &Module) -> Vec<String> {
    let Some((_, first, rest)) = split_build_id(module.build_id.as_ref()) else {
        return Vec::new();
    };
    let names = ["/elf", "/debug", "/vdso", ""];
    names.map(|name| format!(".build-id/{first}/{rest}{name}")).to_vec()
}

/// A build id as text: whole, its first byte, the rest.
pub(super) fn split_build_id(id: Option<&BuildId>) -> Option<(String, String, String)> {
    let hex = id?.to_string();
    let (first, rest) = hex.split_at_checked(2)?;
    (!rest.is_empty()).then(|| (hex.clone(), first.to_owned(), rest.to_owned()))
}

/// The kernel marks a mapped file that was removed or replaced since.
pub(super) fn path_in_capture(module: &Module) -> &str {
    module.path.strip_suffix(" (deleted)").unwrap_or(&module.path)
}

/// The process whose code `/tmp/perf-PID.map` names.
pub(super) fn pid_of_made_code(module: &Module) -> Option<u32> {
    let base = module.path.rsplit('/').next()?;
    base.strip_prefix("perf-")?.strip_suffix(".map")?.parse().ok()
}

/// A path with its `.` and `..` followed, as far as there is something to go back over.
pub(super) fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
