//! Which events are recorded, in groups that belong together.

use std::path::Path;

/// Events that are recorded together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they are, for a person.
    pub name: &'static str,
    /// As perf takes them.
    pub events: Vec<Event>,
    /// Without these nothing can be told: they go last.
    pub vital: bool,
    /// What cannot be told without them.
    pub without: &'static str,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// As perf takes it: `sched:sched_switch`, `cpu-clock/freq=99/`.
    pub spec: &'static str,
    /// Which of them are recorded (`--filter`); empty for all.
    pub filter: &'static str,
}

impl Event {
    const fn all(spec: &'static str) -> Self {
        Self { spec, filter: "" }
    }

    /// As perf lists it, without how it is recorded: `cpu-clock`.
    pub fn name(&self) -> &'static str {
        self.spec.split('/').next().unwrap_or(self.spec)
    }

    /// Whether this is one that the kernel's tracepoints offer, and not the CPU's clock.
    pub fn is_tracepoint(&self) -> bool {
        self.spec.contains(':')
    }

    /// Whether a kernel has it; `tracing` is its folder of tracepoints.
    pub fn is_offered(&self, tracing: &Path) -> bool {
        match self.name().split_once(':') {
            Some((system, name)) => tracing.join(system).join(name).is_dir(),
            None => true,
        }
    }
}

/// Whether a group's events slow every system call down, because the kernel then takes the way through
/// `syscall_trace_enter` for all of them (`TIF_SYSCALL_TRACEPOINT`, `include/linux/entry-common.h`, Linux 6.1).
pub fn slows_all_calls(group: &Group) -> bool {
    group.events.iter().any(|event| event.spec.starts_with("syscalls:"))
}

/// All groups, the most telling first.
pub fn all() -> Vec<Group> {
    let group = |name, without, events: &[&'static str]| Group {
        name,
        events: events.iter().copied().map(Event::all).collect(),
        vital: false,
        without,
    };
    let switches = ["sched:sched_switch", "sched:sched_waking"];
    // Nine in ten begins are spinlocks of microseconds.
    let begin = Event { spec: "lock:contention_begin", filter: "flags != 1" };
    let end = Event::all("lock:contention_end");
    vec![
        Group { vital: true, ..group("switches and wakeups", "anything", &switches) },
        group("memory and fork calls", "sizes and flags of memory calls", CALLS),
        group(
            "holds of mmap_lock",
            "for certain who held mmap_lock: strong at best, not proven",
            &["mmap_lock:mmap_lock_acquire_returned", "mmap_lock:mmap_lock_released"],
        ),
        Group {
            events: vec![begin, end],
            ..group("contended locks", "locks of one kind apart, by their addresses", &[])
        },
        group("on-CPU samples", "what a holder computed meanwhile", &[SAMPLES]),
        group(
            "processes that come and go",
            "which process a new thread belongs to",
            &["sched:sched_process_fork", "sched:sched_process_exec", "sched:sched_process_exit"],
        ),
        group(
            "signals",
            "who sent a stop signal",
            &["signal:signal_generate", "signal:signal_deliver"],
        ),
        group(
            "reclaim",
            "how long memory was reclaimed",
            &[
                "vmscan:mm_vmscan_direct_reclaim_begin",
                "vmscan:mm_vmscan_direct_reclaim_end",
                "vmscan:mm_vmscan_memcg_reclaim_begin",
                "vmscan:mm_vmscan_memcg_reclaim_end",
            ],
        ),
        group(
            "journal commits",
            "how long a commit of the journal took",
            &["jbd2:jbd2_start_commit", "jbd2:jbd2_end_commit"],
        ),
        group(
            "disk requests",
            "how long requests were at the disk",
            &["block:block_rq_issue", "block:block_rq_complete"],
        ),
    ]
}

/// One of each CPU, idle or not, [`SAMPLES_HZ`] times a second.
pub const SAMPLES: &str = "cpu-clock/freq=99/";
/// See there.
pub const SAMPLES_HZ: f64 = 99.0;
/// As perf lists it.
pub const SAMPLES_NAME: &str = "cpu-clock";

/// All groups and one more, for recordings that are emptied all the time: an event for each page fault, without stacks. A ring
/// would hold nothing else while a process grows, which is when freezes happen.
pub fn for_recordings() -> Vec<Group> {
    let resident = Group {
        name: "steps of resident size",
        events: vec![Event::all("kmem:rss_stat/call-graph=no/")],
        vital: false,
        without: "how much memory a process took or gave back, and when",
    };
    all().into_iter().chain([resident]).collect()
}

/// Without `write`: perf writes too, and would record its own writes for ever.
const CALLS: &[&str] = &[
    "syscalls:sys_enter_mmap",
    "syscalls:sys_exit_mmap",
    "syscalls:sys_enter_munmap",
    "syscalls:sys_exit_munmap",
    "syscalls:sys_enter_mremap",
    "syscalls:sys_exit_mremap",
    "syscalls:sys_enter_brk",
    "syscalls:sys_exit_brk",
    "syscalls:sys_enter_mprotect",
    "syscalls:sys_exit_mprotect",
    "syscalls:sys_enter_madvise",
    "syscalls:sys_exit_madvise",
    "syscalls:sys_enter_mlock",
    "syscalls:sys_exit_mlock",
    "syscalls:sys_enter_mlockall",
    "syscalls:sys_exit_mlockall",
    "syscalls:sys_enter_clone",
    "syscalls:sys_exit_clone",
    "syscalls:sys_enter_clone3",
    "syscalls:sys_exit_clone3",
    "syscalls:sys_enter_fork",
    "syscalls:sys_exit_fork",
    "syscalls:sys_enter_vfork",
    "syscalls:sys_exit_vfork",
    "syscalls:sys_enter_fsync",
    "syscalls:sys_exit_fsync",
    "syscalls:sys_enter_fdatasync",
    "syscalls:sys_exit_fdatasync",
];

/// What this kernel has of them: `tracing` is its folder of tracepoints (`/sys/kernel/tracing/events`). Groups of which
/// nothing is left are gone.
pub fn offered(tracing: &Path) -> Vec<Group> {
    let groups = all().into_iter().map(|mut group| {
        group.events.retain(|event| event.is_offered(tracing));
        group
    });
    groups.filter(|group| !group.events.is_empty()).collect()
}

/// The groups as arguments of `perf record` or `perf stat`. A filter holds for the event before it.
pub fn arguments<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Vec<&'static str> {
    let mut arguments = Vec::new();
    for event in groups.into_iter().flat_map(|group| &group.events) {
        arguments.extend(["-e", event.spec]);
        if !event.filter.is_empty() {
            arguments.extend(["--filter", event.filter]);
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["sched/sched_switch", "lock/contention_begin"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let groups = offered(folder.path());
        let expected = [
            "-e",
            "sched:sched_switch",
            "-e",
            "lock:contention_begin",
            "--filter",
            "flags != 1",
            "-e",
            "cpu-clock/freq=99/",
        ];
        assert_eq!(arguments(&groups), expected);
    }
}
