//! What to change, and what it costs.

use coldcase_ingest::capture::Syscall;

use crate::findings::{Cause, Container, Operation, Remedy, Window};

/// Remedies for a freeze, the most fitting first.
pub(crate) fn of(window: &Window, container: Option<&Container>) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    let mut add =
        |action: String, cost: &str| remedies.push(Remedy { action, cost: cost.to_owned() });
    if let Some(container) = container
        && let (Some(entries), Some(bytes)) =
            (container.entries, window.culprit.as_ref().and_then(|culprit| culprit.bytes))
    {
        add(
            format!(
                "Reserve the table's capacity at start (`HashMap::with_capacity` for more than {} entries), so \
                 that it never grows in service",
                thousands(entries)
            ),
            &format!("about {:.1} GB of memory from the start", bytes as f64 / 1e9),
        );
    }
    let culprit = window.culprit.as_ref();
    let flag =
        |name: &str| culprit.is_some_and(|culprit| culprit.flags.iter().any(|flag| flag == name));
    match (window.cause, culprit.and_then(|culprit| culprit.operation)) {
        (Some(Cause::MmapLock), Some(Operation::Syscall(Syscall::Mmap))) => {
            if flag("MAP_POPULATE") {
                add(
                    "Map without MAP_POPULATE and touch the pages from the thread that needs them, or \
                     populate in steps of some 10 MB (madvise MADV_POPULATE_WRITE)"
                        .to_owned(),
                    "page faults are spread over the first use",
                );
            } else {
                add(
                    "If the program uses mlockall(MCL_FUTURE), drop it: it fills every new mapping at once, under \
                     the lock; lock what must not be swapped with mlock, or use MCL_ONFAULT"
                        .to_owned(),
                    "pages fault in on first use",
                );
            }
        }
        (Some(Cause::MmapLock), Some(Operation::Syscall(Syscall::Munmap))) => add(
            "Give memory back in steps of some 10 MB, or from a process of its own; madvise(MADV_DONTNEED) \
             first holds the lock as a reader only"
                .to_owned(),
            "memory is returned more slowly",
        ),
        (
            Some(Cause::MmapLock | Cause::MemorySyscall),
            Some(Operation::Syscall(Syscall::Fork | Syscall::Clone | Syscall::Clone3)),
        ) => add(
            "Start programs with posix_spawn or vfork, or fork from a small helper process: fork copies the \
             page tables of all memory under the lock"
                .to_owned(),
            "a helper process, or no code between fork and exec",
        ),
        (Some(Cause::MmapLock), Some(Operation::ProcRead)) => add(
            "Read /proc/PID/smaps less often, or smaps_rollup in its place, or on a kernel that reads it under \
             per-VMA locks"
                .to_owned(),
            "coarser memory metrics",
        ),
        (Some(Cause::MmapLock), _) => add(
            "Make the call smaller, or keep it off the path of requests".to_owned(),
            "a change of the program",
        ),
        (Some(Cause::Futex), Some(Operation::RuntimePause)) => add(
            "Look up the pause in the runtime's own log (-Xlog:gc,safepoint), and give the collector less to do at \
             once: a heap that fits, a concurrent collector, no System.gc()"
                .to_owned(),
            "memory, or CPU time while the program runs",
        ),
        (Some(Cause::Futex), _) => add(
            "Shorten what is done under the lock: no I/O, no sleeping, no large allocation while it is held"
                .to_owned(),
            "a change of the program",
        ),
        (Some(Cause::DiskIo | Cause::FsJournal), _) => add(
            "Take fsync off the path of requests, spread write-back (vm.dirty_background_bytes), or look for the \
             limit or the neighbour that slows the disk"
                .to_owned(),
            "later durability, or a faster disk",
        ),
        (Some(Cause::CpuThrottle), _) => {
            add("Raise or remove the cgroup's CPU quota (cpu.max)".to_owned(), "CPU time for others");
        }
        (Some(Cause::CpuStarvation), _) => add(
            "Give the service more CPUs or weight (cpu.weight), or move the neighbour that took them".to_owned(),
            "CPU time for others",
        ),
        (Some(Cause::Stopped), _) => add(
            "Find who sends the stop signal: record signal:signal_generate next time".to_owned(),
            "none",
        ),
        _ => {}
    }
    remedies
}

/// A number with commas between its thousands.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}
