//! What to change, and what it costs.

use coldcase_ingest::capture::{Sentence, Syscall};

use crate::blame::frozen_files;
use crate::findings::{
    Cause, Container, ContainerKind, Culprit, Operation, Remedy, ThreadName, Window,
};
use crate::numbers::thousands;
use crate::runtimes::{Stop, interpreter};
use crate::sites::INITIALISATION;
use crate::verdict::awaited;

/// Whether those who froze, or who had what they waited for, wrote to a frozen file system.
fn waited_for_thaw(window: &Window) -> bool {
    let most = window.blame.first().map_or("", |row| row.doing.as_str());
    window.culprit.is_none() && most.strip_prefix("blocked: ").is_some_and(frozen_files::is_named)
}

/// Wait sites of `rules.txt` that have remedies of their own.
const FREEZER: &str = "frozen by the cgroup freezer";
const BY_SIGNAL: &str = "stopped by a signal";
const DEBUGGER: &str = "stopped by a debugger";
const CORE: &str = "frozen by the dump of its core";

/// What remedies depend on beside the freeze itself.
#[derive(Default)]
pub(crate) struct Around<'a> {
    /// What grew.
    pub container: Option<&'a Container>,
    /// The kernel's release.
    pub kernel: Option<&'a str>,
    /// Page faults waited for `mmap_lock`.
    pub page_faults: bool,
    /// Those who freed memory waited for the device that they wrote it to.
    pub to_swap: bool,
    /// Who at last held up the culprit.
    pub held_up_by: Option<ThreadName>,
    /// For whom the culprit waited with its lock, and who was at work meanwhile.
    pub awaited: Option<ThreadName>,
    /// How the program itself kept its threads standing.
    pub stop: Option<Stop>,
}

/// Remedies for a freeze, the most fitting first.
pub(crate) fn of(window: &Window, around: &Around<'_>) -> Vec<Remedy> {
    let swap = around.to_swap.then(|| {
        remedy(
            "Make the swap device faster (zram, a disk of its own), or keep the group from swapping \
             (memory.swap.max=0): those who needed memory waited for its writes",
            "memory for zram, or an earlier OOM kill",
        )
    });
    let grown = around.container.map(of_container);
    // A heap that grew in a pause need not be why the pause was long.
    let is_last =
        around.container.is_some_and(|container| container.kind == ContainerKind::JavaHeap);
    let (first, last) = if is_last { (None, grown) } else { (grown, None) };
    let operation = window.culprit.as_ref().and_then(|culprit| culprit.operation);
    let of_call = match (window.cause, operation) {
        (Some(Cause::MmapLock | Cause::MemorySyscall), Some(operation)) => {
            of_memory_call(window, operation, around)
        }
        // It forked nothing: the child has the same memory until it executes its program.
        (Some(Cause::Futex), _) if waited_for_vfork(window) => None,
        // Others wait for a lock of the program while its holder is in a call for memory.
        (Some(Cause::Futex), Some(operation @ Operation::Syscall(_))) => {
            of_memory_call(window, operation, around)
        }
        _ => None,
    };
    let of_cause = window.cause.and_then(|cause| of_cause(window, cause, operation, around));
    let newer = of_kernel(window, around);
    let both =
        if window.cause == Some(Cause::Futex) { [of_cause, of_call] } else { [of_call, of_cause] };
    swap.into_iter()
        .chain(first)
        .chain(both.into_iter().flatten())
        .chain(last)
        .chain(newer)
        .collect()
}

fn remedy(action: impl Into<Sentence>, cost: &str) -> Remedy {
    Remedy { action: action.into(), cost: cost.to_owned() }
}

/// `backup (pid 7871)`, in a sentence.
fn who(thread: &ThreadName) -> Sentence {
    let kind = if thread.tid == thread.pid { "pid" } else { "tid" };
    let (kind, number) = match (thread.tid, thread.pid) {
        (None, pid) => ("pid", pid),
        (tid, _) => (kind, tid),
    };
    let number = number.map_or(String::new(), |number| format!(" ({kind} {number})"));
    Sentence::default().task(&thread.comm).words(&number)
}

fn of_container(container: &Container) -> Remedy {
    let more = || thousands(container.entries.unwrap_or_default());
    let action = match container.kind {
        ContainerKind::Hashbrown => format!(
            "Reserve the table's capacity at start (HashMap::with_capacity for more than {} entries), so that it \
             never grows in service",
            more()
        ),
        ContainerKind::FlatHashMap => format!(
            "Reserve the table's capacity at start (reserve() for more than {} elements), so that it never grows in service",
            more()
        ),
        ContainerKind::UnorderedMap => format!(
            "Reserve the table's buckets at start (reserve() for more than {} elements), so that it never rehashes in \
             service, or divide it into several tables",
            more()
        ),
        ContainerKind::JavaHeap => "Give the heap its full size from the start (-Xms as large as -Xmx): it grew in this pause, and with \
                        -XX:+AlwaysPreTouch all that is new is touched within the pause"
            .to_owned(),
        ContainerKind::PythonDict => "Divide the dict into several by a part of the key, so that each step is small: a dict cannot \
                          be given room beforehand"
            .to_owned(),
        ContainerKind::Vec => "Reserve the vector's capacity at start, or keep its contents in blocks of a fixed size, so that \
              it never grows as a whole in service"
            .to_owned(),
    };
    let cost = match container.kind {
        ContainerKind::JavaHeap => "the whole heap's memory from the start".to_owned(),
        ContainerKind::PythonDict => "a second look-up for each access".to_owned(),
        _ => format!("about {:.1} GB of memory from the start", container.bytes as f64 / 1e9),
    };
    Remedy { action: action.into(), cost }
}

fn of_memory_call(window: &Window, operation: Operation, around: &Around<'_>) -> Option<Remedy> {
    use Syscall as S;
    let culprit = window.culprit.as_ref();
    let flag =
        |name: &str| culprit.is_some_and(|culprit| culprit.flags.iter().any(|flag| flag == name));
    let call = match operation {
        Operation::Syscall(call) => call,
        Operation::ProcRead => {
            return Some(remedy(
                "Read /proc/PID/smaps less often, or smaps_rollup instead, which lets writers have the lock in between \
                 (Linux 5.10 and later)",
                "coarser memory metrics",
            ));
        }
        Operation::Khugepaged => {
            return Some(remedy(
                "Make huge pages on request only (transparent_hugepage=madvise), or more slowly \
                 (khugepaged/scan_sleep_millisecs)",
                "fewer huge pages",
            ));
        }
        _ => return None,
    };
    if culprit.is_some_and(is_small) {
        let look = match &around.held_up_by {
            Some(thread) => Sentence::from("The call is small and was held up: look at what ")
                .sentence(&who(thread))
                .words(" did until then, and do that in shorter steps or at another time"),
            None => "The call is small: look at what its thread waited for while it held the lock, and end that"
                .into(),
        };
        return Some(remedy(look, "depends on what it was"));
    }
    Some(match call {
        S::Mmap if flag("MAP_POPULATE") => remedy(
            "Map without MAP_POPULATE and touch the pages from the thread that needs them, or populate in steps of \
             about 10 MB (madvise MADV_POPULATE_WRITE)",
            "page faults are spread over the first use",
        ),
        S::Mlock | S::Mlock2 | S::Mlockall => remedy(
            "Lock memory in steps of about 10 MB, or with MLOCK_ONFAULT or MCL_ONFAULT, which leave filling to the first use: \
             the whole range is filled under the lock otherwise",
            "pages fault in on first use",
        ),
        S::Mmap if culprit.is_some_and(|culprit| culprit.bytes.is_none()) => remedy(
            "The call filled its pages under the lock: look for MAP_POPULATE, and for mlockall(MCL_FUTURE). Do without \
             them, or map in steps of about 10 MB",
            "page faults are spread over the first use",
        ),
        S::Mmap | S::Brk | S::Mremap => remedy(
            "If the program uses mlockall(MCL_FUTURE), drop it: it fills every new mapping at once, under the lock; \
             lock what must not be swapped in steps, or use MCL_ONFAULT and MLOCK_ONFAULT",
            "pages fault in on first use",
        ),
        S::Madvise
            if [
                "MADV_POPULATE_READ",
                "MADV_POPULATE_WRITE",
                "MADV_COLLAPSE",
                "MADV_GUARD_INSTALL",
            ]
            .into_iter()
            .any(flag) =>
        {
            remedy(
                "Call madvise for about 10 MB at a time, so that others get the lock in between",
                "a change of the program",
            )
        }
        S::Madvise if flag("MADV_DONTNEED") => remedy(
            "Give memory back in steps of about 10 MB and off the request path. An allocator that returns memory by \
             itself can be told to keep it (M_TRIM_THRESHOLD, jemalloc's dirty_decay_ms)",
            "memory is returned more slowly",
        ),
        S::Munmap | S::Madvise => remedy(
            "Give memory back in steps of about 10 MB and off the request path; madvise(MADV_DONTNEED) holds the \
             lock as a reader only. An allocator that returns memory by itself can be told to keep it \
             (M_TRIM_THRESHOLD, jemalloc's dirty_decay_ms)",
            "memory is returned more slowly",
        ),
        S::Mprotect | S::PkeyMprotect => remedy(
            "Change the protection of smaller ranges, or once at start",
            "a change of the program",
        ),
        S::Fork | S::Clone | S::Clone3 => remedy(
            "Start programs with posix_spawn or vfork, or fork from a small helper process: fork copies the page \
             tables of all memory under the lock. Where the copy is wanted (a snapshot), huge pages make it shorter",
            "a helper process, or no code between fork and exec",
        ),
        S::Exit | S::ExitGroup | S::Execve | S::Execveat => remedy(
            "Give large memory back before the process ends, or let nobody wait for its end",
            "a change of the program",
        ),
        _ => remedy(
            "Make the call smaller, or keep it off the request path",
            "a change of the program",
        ),
    })
}

/// Whether a call's size cannot be what made it long: the kernel works off a megabyte within a millisecond.
fn is_small(culprit: &Culprit) -> bool {
    culprit.bytes.is_some_and(|bytes| bytes < 1_000_000)
}

/// Whether the culprit waited for most of its time until its child had executed a program.
fn waited_for_vfork(window: &Window) -> bool {
    let activity = window.culprit.iter().flat_map(|culprit| &culprit.activity);
    let most = activity.max_by_key(|share| share.time);
    let site = most.and_then(|most| most.what.strip_prefix("blocked: "));
    site == Some(awaited::VFORK)
}

fn of_cause(
    window: &Window,
    cause: Cause,
    operation: Option<Operation>,
    around: &Around<'_>,
) -> Option<Remedy> {
    let site = window.chain.first().map_or("", |link| link.site.as_str());
    let mostly = |did: &[&str]| {
        let activity = window.culprit.iter().flat_map(|culprit| &culprit.activity);
        activity
            .max_by_key(|share| share.time)
            .is_some_and(|most| did.iter().any(|did| most.what.starts_with(did)))
    };
    Some(match (cause, operation) {
        (_, _) if !window.deadlock.is_empty() => remedy(
            "Take these locks in the same order everywhere, or both at once (std::scoped_lock, which tries again), so that no two threads \
             wait for each other",
            "a look at every place that takes one of them while it has the other",
        ),
        (Cause::Futex, Some(Operation::RuntimePause)) => remedy(
            "Look up the pause in the runtime's own log (-Xlog:gc,safepoint), and give the collector less to do at \
             once: a heap that fits, a concurrent collector, no System.gc()",
            "memory, or CPU time while the program runs",
        ),
        (Cause::Futex, Some(Operation::LateToPause)) => remedy(
            "Let the long loop stop on the way: in Java by -XX:+UseCountedLoopSafepoints (JDK 10 and later do so as a rule), a \
             loop over a long, or smaller copies; in Go by leaving asynchronous preemption on (no asyncpreemptoff=1), or a call in \
             the loop",
            "a few per cent of the loop's speed",
        ),
        (_, _) if around.stop == Some(Stop::Pause) => remedy(
            "Look up who paused the virtual machine (QEMU's or libvirt's log), and let it stand more shortly: snapshots of its disks \
             without its memory, or in the background, to a faster disk; a smaller downtime-limit for migrations",
            "snapshots without memory start the guest anew",
        ),
        (Cause::Futex, _) if around.stop == Some(Stop::Signals) => remedy(
            "Give the collector less to do at once: fewer live objects, a generational or incremental collection, none that the \
             program asks for itself (GC.Collect(), GC_gcollect())",
            "memory, or CPU time while the program runs",
        ),
        (Cause::Futex, _) if site == interpreter::LOCK => remedy(
            "Do the long computation in another process (multiprocessing), or in code that releases the interpreter lock",
            "memory, and copies between processes",
        ),
        (Cause::Futex, _) if waited_for_vfork(window) => remedy(
            "Start programs when the program's lock is not held: whoever does so goes on only when the child has executed its \
             program, which may have to be read from a disk first",
            "a change of the program",
        ),
        (Cause::Futex, Some(Operation::Syscall(call))) => remedy(
            format!("Call {} when the program's lock is not held", call.name()),
            "a change of the program",
        ),
        (Cause::Futex, _) if let Some(other) = &around.awaited => remedy(
            Sentence::from("Wait for no other process with the lock held, here for ").sentence(&who(other)).words(
                ": have its answer before, or give the wait a time limit. Of a database, its client should end a transaction \
                 before it does something else",
            ),
            "a change of the program",
        ),
        (Cause::Futex, _) if mostly(&["blocked: poll, select", "blocked: socket receive"]) => {
            remedy(
                "Let no client keep a lock while it does nothing: end its transaction before it does something else, and have the \
             server end idle ones (MariaDB's idle_transaction_timeout, PostgreSQL's idle_in_transaction_session_timeout)",
                "a change of the client; one that is too slow loses its transaction",
            )
        }
        (Cause::Futex, _) if site.starts_with(INITIALISATION) => remedy(
            "Have it initialised before its first use: at the start, or by a thread of its own",
            "a later start, or a change of the program",
        ),
        (Cause::Futex, _) if mostly(&["on a CPU"]) => remedy(
            "Compute outside of the lock: copy under it what is needed, or hold it in shorter pieces",
            "a change of the program",
        ),
        (Cause::Futex, _) => remedy(
            "Shorten what is done under the lock: no I/O, no sleeping, no large allocation while it is held",
            "a change of the program",
        ),
        (Cause::Rwsem, _) if waited_for_thaw(window) => remedy(
            "Find what freezes the file system (fsfreeze, a snapshot of the volume, a backup through the guest agent of a virtual \
             machine) and shorten the time until it is thawed, or keep what must not wait, as logs, on another file system",
            "a look at the backup's schedule",
        ),
        (Cause::Rwsem | Cause::Mutex, _) => remedy(
            "Keep the long call off the file, directory or device that the others use, or make it shorter",
            "a change of the program",
        ),
        (Cause::DiskIo, Some(Operation::Syscall(call)))
            if !matches!(call, Syscall::Fsync | Syscall::Fdatasync) =>
        {
            remedy(
                "Spread write-back (vm.dirty_background_bytes), take long reads and writes off the request path, or \
                 look for the limit or the neighbour that slows the disk",
                "a change of the program, or a faster disk",
            )
        }
        (Cause::DiskIo | Cause::FsJournal, _) => remedy(
            "Take fsync off the request path, spread write-back (vm.dirty_background_bytes), or look for the \
             limit or the neighbour that slows the disk",
            "later durability, or a faster disk",
        ),
        (Cause::PageFaultIo, _) => remedy(
            "Read the file ahead of use (madvise MADV_WILLNEED, MADV_POPULATE_READ) or lock its hot part, so that \
             requests do not wait for the disk",
            "memory that is held",
        ),
        (Cause::MemoryLimit, _) => remedy(
            "Raise the cgroup's limit (memory.high, memory.max) or shrink what the service keeps; memory.events \
             counts how often the limit was met",
            "memory for others",
        ),
        (Cause::Swap, _) => remedy(
            "Keep the service's memory from being swapped (memory.swap.max=0, mlock), or give it more",
            "memory for others",
        ),
        (Cause::Reclaim, _) => remedy(
            "Let the kernel reclaim earlier in the background (vm.watermark_scale_factor, vm.min_free_kbytes)",
            "some memory is kept free",
        ),
        (Cause::Compaction, _) => remedy(
            "Do not compact on a page fault: transparent_hugepage/defrag=defer+madvise or never",
            "fewer huge pages",
        ),
        (Cause::Network, _) => {
            let late = window.culprit.as_ref().map(|culprit| who(&culprit.thread));
            let late = late.unwrap_or_else(|| "the one who answered late".into());
            remedy(
                Sentence::from("Look at what ")
                    .sentence(&late)
                    .words(" did at this time; give the wait a time limit shorter than the freeze"),
                "some requests fail instead of waiting",
            )
        }
        (Cause::CpuThrottle, _) => {
            remedy("Raise or remove the cgroup's CPU quota (cpu.max)", "CPU time for others")
        }
        (Cause::CpuStarvation, _) if let Some(culprit) = &window.culprit => remedy(
            Sentence::from("Let ").sentence(&who(&culprit.thread)).words(
                " run at an ordinary priority, or give way now and then, or bind it to a CPU of its own and the others to the rest",
            ),
            "it is served later",
        ),
        (Cause::CpuStarvation, _) => remedy(
            "Give the service more CPUs or weight (cpu.weight), or move the neighbour that took them",
            "CPU time for others",
        ),
        (Cause::Stopped, _) if site == FREEZER => remedy(
            "Find what writes cgroup.freeze or freezer.state: a container pause, a snapshot, a resource manager",
            "a look at the container's host",
        ),
        (Cause::Stopped, _) if site.starts_with(CORE) => remedy(
            "Find why the process was ended by a signal. Keep its core small (madvise MADV_DONTDUMP for caches, \
             /proc/PID/coredump_filter) or do without one (RLIMIT_CORE), so that it comes back sooner",
            "less to look into afterwards",
        ),
        (Cause::Stopped, _) if site == DEBUGGER => remedy(
            "Find who attaches to the process: a debugger, strace, gcore, a crash handler",
            "no stacks from a live process",
        ),
        (Cause::Stopped, Some(Operation::Syscall(
            Syscall::Read | Syscall::Write | Syscall::Ioctl,
        ))) if site.starts_with(BY_SIGNAL) => remedy(
            "Take the process off its terminal: start it with its input and output elsewhere (nohup, setsid, a service manager), \
             or let background jobs write (stty -tostop)",
            "its output is read elsewhere",
        ),
        (Cause::Stopped, Some(_)) => remedy(
            "Ask why the sender of the signal stops the process: a snapshot, job control, an operator",
            "a change of the sender",
        ),
        (Cause::Stopped, None) => remedy(
            "Find who stops the process: record signal:signal_generate next time",
            "a recording",
        ),
        _ => return None,
    })
}

/// Since 6.4 page faults take the lock of one mapping only (`lock_vma_under_rcu`, `mm/memory.c`).
fn of_kernel(window: &Window, around: &Around<'_>) -> Option<Remedy> {
    let before = version(around.kernel?)? < (6, 4);
    (window.cause == Some(Cause::MmapLock) && before && around.page_faults).then(|| {
        remedy(
            "A kernel from 6.4 on lets page faults go on under per-VMA locks; threads that map or unmap memory \
             themselves wait as before",
            "a newer kernel",
        )
    })
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_version_is_its_first_two_numbers() {
        for (release, numbers) in
            [("6.18.44-fc-v669", Some((6, 18))), ("4.14.0", Some((4, 14))), ("rolling", None)]
        {
            assert_eq!(version(release), numbers, "{release}");
        }
    }
}
