//! What this process may do, and what is missing, by name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::TrapError;

/// Capability numbers (`include/uapi/linux/capability.h`).
mod capability {
    pub const DAC_READ_SEARCH: u32 = 2;
    pub const IPC_LOCK: u32 = 14;
    pub const SYS_ADMIN: u32 = 21;
    pub const SYSLOG: u32 = 34;
    pub const PERFMON: u32 = 38;
}

/// Where the tracepoints are, if they can be used; else what has to be done.
pub fn tracing_folder() -> Result<PathBuf, TrapError> {
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let paranoid = paranoid.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(2);
    judge(effective_capabilities(), paranoid, &tracing_candidates())
}

/// Where they may be.
pub fn tracing_candidates() -> Vec<PathBuf> {
    ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"].map(PathBuf::from).to_vec()
}

fn judge(capabilities: u64, paranoid: i32, folders: &[PathBuf]) -> Result<PathBuf, TrapError> {
    let has = |number: u32| capabilities >> number & 1 == 1;
    let mut missing = Vec::new();
    if !(has(capability::PERFMON) || has(capability::SYS_ADMIN) || paranoid < 0) {
        missing.push(format!(
            "to record all processes: root, or CAP_PERFMON (setcap cap_perfmon,cap_dac_read_search,cap_syslog+ep on perf and coldcase), or kernel.perf_event_paranoid=-1 (it is {paranoid})"
        ));
    }
    let folder = folders.iter().find(|folder| readable(folder));
    if folder.is_none() && folders.iter().any(|folder| folder.exists() || parent_exists(folder)) {
        let root = has(capability::DAC_READ_SEARCH);
        missing.push(if root {
            "tracepoints: tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing; in a container, mount the host's)".to_owned()
        } else {
            "to read the tracepoints in /sys/kernel/tracing: root, or CAP_DAC_READ_SEARCH, or a mount that your group may read (mount -o remount,gid=GROUP,mode=750 /sys/kernel/tracing)".to_owned()
        });
    } else if folder.is_none() {
        missing.push("tracepoints: there is no /sys/kernel/tracing (a kernel without CONFIG_TRACEPOINTS, or a container without the host's /sys)".to_owned());
    }
    match folder {
        Some(folder) if missing.is_empty() => Ok(folder.clone()),
        _ => Err(TrapError::Missing(format!("missing {}", missing.join("; and ")))),
    }
}

/// Whether the tracepoints there can be used.
pub fn readable(events: &Path) -> bool {
    fs::read(events.join("sched/sched_switch/format")).is_ok()
}

fn parent_exists(folder: &Path) -> bool {
    folder.parent().is_some_and(Path::exists)
}

/// Why the kernel's functions will have no names, if so.
pub fn symbols_missing() -> Option<String> {
    let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let named = text.lines().take(100).any(|line| !line.starts_with("0000000000000000"));
    let syslog = effective_capabilities() >> capability::SYSLOG & 1 == 1;
    let way = if syslog { "kernel.kptr_restrict=1 or 0" } else { "root or CAP_SYSLOG" };
    (!named).then(|| {
        format!(
            "kernel functions will have no names: /proc/kallsyms shows no addresses; it takes {way}"
        )
    })
}

/// Why the flight recorder will not get its rings, of so many bytes for each CPU, if so. CAP_PERFMON does not lift this limit
/// (`perf_mmap`, `kernel/events/core.c`, Linux 6.18).
pub fn rings_missing(each: u64) -> Option<String> {
    let read = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok();
        text.and_then(|text| text.trim().parse().ok())
    };
    let (paranoid, allowed) = (read("perf_event_paranoid"), read("perf_event_mlock_kb"));
    judge_rings(effective_capabilities(), paranoid.unwrap_or(2), allowed.unwrap_or(0), each)
}

fn judge_rings(capabilities: u64, paranoid: i64, allowed: i64, each: u64) -> Option<String> {
    let locks = capabilities >> capability::IPC_LOCK & 1 == 1;
    // A page beside the ring says where in it perf is.
    let needed = i64::try_from(each / 1024).unwrap_or(i64::MAX) + 4;
    (!locks && paranoid >= 0 && allowed < needed).then(|| {
        format!(
            "the flight recorder may not get its rings: they take CAP_IPC_LOCK, or kernel.perf_event_mlock_kb={needed} (it is {allowed}), or a smaller --ring"
        )
    })
}

/// `CapEff` of `/proc/self/status`.
fn effective_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracefs() -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let event = folder.path().join("events/sched/sched_switch");
        fs::create_dir_all(&event).unwrap();
        fs::write(event.join("format"), "name: sched_switch\n").unwrap();
        let events = vec![folder.path().join("events")];
        (folder, events)
    }

    #[test]
    fn rings_take_a_right_of_their_own() {
        let message = judge_rings(1 << capability::PERFMON, 2, 516, 32 << 20).unwrap();
        assert!(
            message.contains("CAP_IPC_LOCK") && message.contains("mlock_kb=32772"),
            "{message}"
        );
        assert_eq!(judge_rings(1 << capability::IPC_LOCK, 2, 516, 32 << 20), None);
        assert_eq!(judge_rings(0, -1, 516, 32 << 20), None);
        assert_eq!(judge_rings(0, 2, 516, 512 << 10), None);
    }

    #[test]
    fn each_missing_right_is_named() {
        let (_kept, events) = tracefs();
        let perfmon = 1 << capability::PERFMON;
        assert_eq!(judge(perfmon, 3, &events).unwrap(), events[0]);
        assert!(judge(0, -1, &events).is_ok());
        let message = judge(0, 2, &events).unwrap_err().to_string();
        assert!(message.contains("CAP_PERFMON") && message.contains("(it is 2)"), "{message}");
        assert!(!message.contains("tracefs"), "{message}");
        let nowhere = [PathBuf::from("/nowhere/at/all/events")];
        let message = judge(0, 3, &nowhere).unwrap_err().to_string();
        assert!(message.contains("CAP_PERFMON") && message.contains("there is no"), "{message}");
        let empty = tempfile::tempdir().unwrap();
        let unmounted = [empty.path().join("events")];
        let message = judge(perfmon, 2, &unmounted).unwrap_err().to_string();
        assert!(message.contains("CAP_DAC_READ_SEARCH"), "{message}");
    }
}
