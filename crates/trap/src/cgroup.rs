//! A process's control group: what it has used, and by what it was held back. Both versions.

use std::fs;

const ROOT: &str = "/sys/fs/cgroup";

/// Files that say most: what they are called in the history, controller and file of version 1, file of version 2, and the
/// line in it (empty for a file of one number).
const FIGURES: [(&str, &str, &str, &str, &str); 5] = [
    ("cgroup_memory", "memory", "memory.usage_in_bytes", "memory.current", ""),
    ("cgroup_limit_hits", "memory", "memory.failcnt", "memory.events", "max"),
    ("cgroup_throttled_periods", "cpu", "cpu.stat", "cpu.stat", "nr_throttled"),
    ("cgroup_periods", "cpu", "cpu.stat", "cpu.stat", "nr_periods"),
    ("cgroup_oom_kills", "memory", "memory.oom_control", "memory.events", "oom_kill"),
];

/// Figures of the group that a process is in, by name; what the kernel does not have is left out.
pub fn figures(pid: u32) -> Vec<(&'static str, u64)> {
    let membership = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let figures = FIGURES.iter().filter_map(|&(name, controller, first, second, key)| {
        let value = match folder(&membership, controller)? {
            (folder, true) => value(&format!("{folder}/{second}"), key),
            (folder, false) => value(&format!("{folder}/{first}"), key),
        };
        Some((name, value?))
    });
    figures.collect()
}

/// Where a controller's files are, and whether they are of version 2 (cgroups(7)).
fn folder(membership: &str, controller: &str) -> Option<(String, bool)> {
    let mut unified = None;
    for line in membership.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.split(',').any(|name| name == controller) {
            return Some((format!("{ROOT}/{controller}{path}"), false));
        }
        if controllers.is_empty() {
            unified = Some(path);
        }
    }
    Some((format!("{ROOT}{}", unified?), true))
}

/// The number in a file; of a file of lines, the one behind `key`.
fn value(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    if key.is_empty() || !text.contains(' ') {
        return text.trim().parse().ok();
    }
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found() {
        let first = "4:memory:/a\n3:cpu,cpuacct:/b\n0::/c\n";
        assert_eq!(folder(first, "cpu"), Some((format!("{ROOT}/cpu/b"), false)));
        let second = "0::/system.slice/db.service\n";
        assert_eq!(
            folder(second, "memory"),
            Some((format!("{ROOT}/system.slice/db.service"), true))
        );
        assert_eq!(folder("", "cpu"), None);
    }
}
