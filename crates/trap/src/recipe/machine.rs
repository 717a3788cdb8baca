//! What a machine offers to whoever records on it, found out without root and without starting anything.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use crate::events::{self, Event};
use crate::{rights, trap};

/// The kernel release in which events came that older ones do not have: `include/trace/events/` of each (`kmem.h`, `lock.h`,
/// `mmap_lock.h`, `sched.h`), and `clone3` with its system call.
const SINCE: [(&str, (u32, u32)); 6] = [
    ("lock:", (5, 19)),
    ("kmem:rss_stat", (5, 6)),
    ("mmap_lock:", (5, 11)),
    ("syscalls:sys_enter_clone3", (5, 3)),
    ("syscalls:sys_exit_clone3", (5, 3)),
    ("sched:sched_waking", (4, 3)),
];
/// System calls that only x86 and older architectures have (`include/uapi/asm-generic/unistd.h`).
const OLD_CALLS: [&str; 2] = ["_fork", "_vfork"];

/// What a machine offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Kernel release (`uname -r`).
    pub release: Option<String>,
    /// As `uname -m` names it.
    pub arch: Option<String>,
    /// CPUs online.
    pub cpus: Option<u32>,
    /// Which events it has.
    pub events: BTreeSet<String>,
    /// What stands in the way of recording, in words.
    pub missing: Option<String>,
    /// Tools that are there, by the names under which they are run; `None` if that is not known.
    pub tools: Option<Vec<&'static str>>,
}

/// Names of the tools that are looked for.
const TOOLS: [&str; 5] =
    ["perf", "bpftrace", "offcputime", "libbpf-offcputime", "offcputime-bpfcc"];

impl Machine {
    /// The machine that this runs on.
    pub fn this() -> Self {
        let system = rustix::system::uname();
        let text = |text: &std::ffi::CStr| Some(text.to_string_lossy().into_owned());
        let mut machine = Self {
            release: text(system.release()),
            arch: text(system.machine()),
            cpus: Some(trap::cpus()),
            missing: rights::tracing_folder().err().map(|error| error.to_string()),
            tools: Some(TOOLS.into_iter().filter(|tool| on_path(tool)).collect()),
            ..Self::default()
        };
        let folders = rights::tracing_candidates();
        let symbols = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
        let listed = folders.iter().find(|folder| rights::readable(folder));
        let has: Box<dyn Fn(&Event) -> bool> = if let Some(folder) = listed {
            Box::new(|event| event.is_offered(folder))
        } else if symbols.contains(" __traceiter_sched_switch\n") {
            let names = names(&symbols);
            Box::new(move |event| is_built_in(event, &names))
        } else {
            let (release, arch) = (machine.release.clone(), machine.arch.clone());
            Box::new(move |event| is_of(release.as_deref(), arch.as_deref(), event))
        };
        machine.events = offered(has);
        machine
    }

    /// A machine of which only a capture is known; `recorded` are the capture's events.
    pub fn captured<'a>(
        release: Option<&str>,
        arch: Option<&str>,
        cpus: Option<u32>,
        recorded: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let recorded: BTreeSet<&str> = recorded.into_iter().collect();
        let has = |event: &Event| recorded.contains(event.name()) || is_of(release, arch, event);
        Self {
            release: release.map(str::to_owned),
            arch: arch.map(str::to_owned),
            cpus,
            events: offered(has),
            missing: None,
            tools: None,
        }
    }
}

fn offered(has: impl Fn(&Event) -> bool) -> BTreeSet<String> {
    let groups = events::for_recordings();
    let all = groups.iter().flat_map(|group| &group.events);
    all.filter(|event| has(event)).map(|event| event.name().to_owned()).collect()
}

/// Whether a kernel of this release and architecture has an event; all of them where the release is not known.
fn is_of(release: Option<&str>, arch: Option<&str>, event: &Event) -> bool {
    let since = SINCE.iter().find(|(front, _)| event.spec.starts_with(front));
    let new_enough = since.zip(release).is_none_or(|((_, since), release)| {
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(0));
        version >= *since
    });
    let x86 = arch.is_none_or(|arch| arch.starts_with("x86") || arch.ends_with("86"));
    new_enough && (x86 || !OLD_CALLS.iter().any(|call| event.spec.ends_with(call)))
}

/// Functions in `/proc/kallsyms`, which shows names to everybody.
fn names(symbols: &str) -> BTreeSet<&str> {
    symbols.lines().filter_map(|line| line.split(' ').nth(2)).collect()
}

/// A tracepoint is a function `__traceiter_NAME` since Linux 5.10, that of a system call the call itself.
fn is_built_in(event: &Event, names: &BTreeSet<&str>) -> bool {
    match event.name().split_once(':') {
        None => true,
        Some(("syscalls", name)) => {
            let call = name.trim_start_matches("sys_enter_").trim_start_matches("sys_exit_");
            let own = |front: &str| names.contains(format!("{front}_sys_{call}").as_str());
            names.contains("perf_syscall_enter")
                && ["__x64", "__arm64", "__se"].into_iter().any(own)
        }
        Some((_, name)) => names.contains(format!("__traceiter_{name}").as_str()),
    }
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths::<OsStr>(&path)
        .map(|folder| folder.join(tool))
        .any(|path: PathBuf| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(machine: &Machine, event: &str) -> bool {
        machine.events.contains(event)
    }

    #[test]
    fn older_kernels_and_other_architectures_have_fewer_events() {
        let machine = |release, arch| Machine::captured(Some(release), Some(arch), Some(4), []);
        let old = machine("4.19.0-26-amd64", "x86_64");
        assert!(has(&old, "sched:sched_waking") && has(&old, "syscalls:sys_enter_fork"));
        assert!(
            !has(&old, "mmap_lock:mmap_lock_released") && !has(&old, "syscalls:sys_enter_clone3")
        );
        let middle = machine("5.15.0", "aarch64");
        assert!(
            has(&middle, "mmap_lock:mmap_lock_released") && !has(&middle, "lock:contention_end")
        );
        assert!(
            has(&middle, "syscalls:sys_exit_clone") && !has(&middle, "syscalls:sys_exit_vfork")
        );
        assert!(has(&machine("6.18.44-fc-v669", "x86_64"), "lock:contention_begin"));
    }

    #[test]
    fn what_was_recorded_is_there_whatever_the_release_says() {
        let event = "mmap_lock:mmap_lock_released";
        let machine = Machine::captured(Some("5.4.17-2136.el8"), None, None, [event]);
        assert!(has(&machine, event) && !has(&machine, "lock:contention_begin"));
    }

    #[test]
    fn the_kernels_symbols_tell_its_events_to_everybody() {
        let symbols =
            "0 T __traceiter_sched_switch\n0 T perf_syscall_enter\n0 T __arm64_sys_mmap\n";
        let names = names(symbols);
        let event = |spec| Event { spec, filter: "" };
        assert!(is_built_in(&event("sched:sched_switch"), &names));
        assert!(is_built_in(&event("syscalls:sys_exit_mmap"), &names));
        assert!(is_built_in(&event("cpu-clock/freq=99/"), &names));
        for lacking in ["sched:sched_waking", "syscalls:sys_enter_fork"] {
            assert!(!is_built_in(&event(lacking), &names), "{lacking}");
        }
    }

    #[test]
    fn this_machine_can_be_looked_at_by_anybody() {
        let machine = Machine::this();
        assert!(machine.cpus > Some(0) && machine.release.is_some());
        assert!(has(&machine, "sched:sched_switch"), "{machine:?}");
    }
}
