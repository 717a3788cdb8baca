//! What each cause is called, what threads do while it lasts, and to which colour it belongs.

use coldcase_analyze::findings::{Cause, Findings, SegmentState, SiteTotal, Window};

use super::deed::is_pause;
use super::summary::without_operation;

/// What a picture tells apart by colour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// `mmap_lock`.
    MmapLock,
    /// Other locks: of a mapping, of the kernel, of the program.
    OtherLock,
    /// Disks, file systems, swap, network.
    Io,
    /// The kernel working on memory.
    Memory,
    /// Stopped by a signal, a debugger or a freezer.
    Stopped,
    /// Waiting for something unknown.
    Other,
    /// Waiting for a CPU, or for the quota to be filled up.
    Runnable,
    /// Running.
    OnCpu,
    /// Resting.
    Idle,
}

impl Kind {
    /// All, in the order of a legend.
    pub(crate) const ALL: [Self; 9] = [
        Self::MmapLock,
        Self::OtherLock,
        Self::Io,
        Self::Memory,
        Self::Stopped,
        Self::Other,
        Self::Runnable,
        Self::OnCpu,
        Self::Idle,
    ];
}

/// The colour that a state belongs to.
pub(crate) fn kind_of(state: SegmentState) -> Kind {
    match state {
        SegmentState::OnCpu => Kind::OnCpu,
        SegmentState::Runnable => Kind::Runnable,
        SegmentState::Idle => Kind::Idle,
        SegmentState::Blocked(cause) => kind_of_cause(cause),
    }
}

/// The colour that a wait site belongs to.
pub(crate) fn kind_of_site(site: &SiteTotal) -> Kind {
    match site.cause {
        _ if site.idle => Kind::Idle,
        Some(cause) => kind_of_cause(cause),
        None => Kind::Other,
    }
}

/// The colour that a cause belongs to.
pub(crate) fn kind_of_cause(cause: Cause) -> Kind {
    match cause {
        Cause::MmapLock => Kind::MmapLock,
        Cause::VmaLock | Cause::Rwsem | Cause::Mutex | Cause::Futex => Kind::OtherLock,
        Cause::PageFaultIo | Cause::DiskIo | Cause::FsJournal | Cause::Swap | Cause::Network => {
            Kind::Io
        }
        Cause::Reclaim | Cause::Compaction | Cause::MemoryLimit | Cause::MemorySyscall => {
            Kind::Memory
        }
        Cause::CpuStarvation | Cause::CpuThrottle => Kind::Runnable,
        Cause::Stopped => Kind::Stopped,
        Cause::Unknown => Kind::Other,
    }
}

/// A colour's name in a legend.
pub(crate) fn kind_label(findings: &Findings, kind: Kind) -> &'static str {
    let worst = findings.worst();
    match kind {
        Kind::OtherLock if worst.is_some_and(is_pause) => "waiting in the pause, or idle",
        Kind::OtherLock if worst.and_then(|worst| worst.cause) == Some(Cause::MmapLock) => {
            "waiting for another lock"
        }
        Kind::MmapLock => "waiting for mmap_lock",
        Kind::OtherLock => "waiting for a lock",
        Kind::Io => "waiting for I/O",
        Kind::Memory => "waiting for memory",
        Kind::Stopped => "stopped",
        Kind::Other => "unknown",
        Kind::Runnable => "waiting for a CPU",
        Kind::OnCpu => "on CPU",
        Kind::Idle => "idle",
    }
}

/// A cause in a table or on a tile.
pub(crate) fn cause_label(cause: Cause) -> &'static str {
    match cause {
        Cause::MmapLock => "mmap_lock",
        Cause::VmaLock => "per-mapping lock",
        Cause::Rwsem => "kernel rwsem",
        Cause::Mutex => "kernel mutex",
        Cause::Futex => "lock of the program",
        Cause::PageFaultIo => "page-fault I/O",
        Cause::DiskIo => "disk I/O",
        Cause::FsJournal => "file-system journal",
        Cause::Reclaim => "memory reclaim",
        Cause::Compaction => "memory compaction",
        Cause::Swap => "swap",
        Cause::CpuStarvation => "CPU starvation",
        Cause::CpuThrottle => "CPU throttling",
        Cause::Stopped => "stopped or frozen",
        Cause::MemoryLimit => "memory limit",
        Cause::MemorySyscall => "long memory call",
        Cause::Network => "network",
        Cause::Unknown => "unknown",
    }
}

/// A freeze's cause in a table or on a tile: what stopped its threads, where that is known.
pub(crate) fn cause_of(window: &Window) -> &'static str {
    match stopper(window) {
        Some(stopper) => stopper.trim_start_matches("a ").trim_start_matches("the "),
        None => window.cause.map_or("unknown", cause_label),
    }
}

/// What stopped the threads of a freeze, as the rules' name for their wait says.
pub(super) fn stopper(window: &Window) -> Option<&'static str> {
    let of_site = |site: &str| match site {
        "stopped by a signal" => Some("a stop signal"),
        "stopped by a debugger" => Some("a debugger"),
        "frozen by the cgroup freezer" => Some("the cgroup freezer"),
        "frozen by the dump of its core" => Some("the dump of its core"),
        _ => None,
    };
    let stopped = window.cause == Some(Cause::Stopped);
    window.chain.iter().filter(|_| stopped).find_map(|link| of_site(without_operation(&link.site)))
}

/// Whether the waiting of a freeze ends at a file system that was frozen, which the kernel makes of a lock and nobody holds.
pub(super) fn frozen_files(window: &Window) -> bool {
    let most = window.blame.first().map_or("", |row| row.doing.as_str());
    let is_rwsem = window.cause == Some(Cause::Rwsem) && window.culprit.is_none();
    is_rwsem && most.starts_with("blocked: frozen file system")
}

/// What those did at whom the waiting of a freeze ends.
pub(super) fn at_last_did(window: &Window) -> &'static str {
    if frozen_files(window) {
        return "waited for a frozen file system to be thawed";
    }
    threads_did(window.cause.unwrap_or(Cause::Unknown))
}

/// After "6 threads ..." or "1 thread ...": what the frozen threads did.
pub(super) fn threads_did(cause: Cause) -> &'static str {
    match cause {
        Cause::MmapLock => "waited for mmap_lock",
        Cause::VmaLock => "waited for the lock of a memory mapping",
        Cause::Rwsem => "waited for a read-write semaphore of the kernel",
        Cause::Mutex => "waited for a mutex of the kernel",
        Cause::Futex => "waited for a lock of the program's own",
        Cause::PageFaultIo => "waited for mapped file pages to be read",
        Cause::DiskIo => "waited for a disk",
        Cause::FsJournal => "waited for the commit of a file system's journal",
        Cause::Reclaim => "waited while the kernel freed memory",
        Cause::Compaction => "waited while the kernel moved memory together",
        Cause::Swap => "waited for memory to come back from swap",
        Cause::CpuStarvation => "got no CPU, though ready to run",
        Cause::CpuThrottle => "wanted to run and got no CPU",
        Cause::Stopped => "stood under a stop signal, a debugger or a freezer",
        Cause::MemoryLimit => "waited at the memory limit of the cgroup",
        Cause::MemorySyscall => "stood in a long memory call",
        Cause::Network => "waited for the network or a process at its other end",
        Cause::Unknown => "made no progress",
    }
}

/// To whom waiting is charged that is charged to no thread.
pub(crate) fn nobody_charged(window: &Window, unknown: bool) -> &'static str {
    match window.cause {
        _ if unknown => "unknown",
        Some(Cause::CpuThrottle) => "cgroup quota",
        _ => "nobody",
    }
}

/// What is to blame when no thread is.
pub(super) fn nobody_but(cause: Cause) -> &'static str {
    match cause {
        Cause::PageFaultIo | Cause::DiskIo => "the disk",
        Cause::FsJournal => "the file system's journal",
        Cause::Reclaim => "a shortage of memory, which the kernel had to reclaim",
        Cause::Compaction => "fragmented memory, which the kernel had to move together",
        Cause::Swap => "memory that had been swapped out",
        Cause::CpuStarvation => "a shortage of CPUs",
        Cause::CpuThrottle => "the CPU quota of the cgroup",
        Cause::Stopped => "a stop from outside",
        Cause::MemoryLimit => "the memory limit of the cgroup",
        Cause::MemorySyscall => "a long memory call",
        Cause::Network => "the network or a process at its other end",
        Cause::MmapLock
        | Cause::VmaLock
        | Cause::Rwsem
        | Cause::Mutex
        | Cause::Futex
        | Cause::Unknown => "something that this capture does not show",
    }
}
