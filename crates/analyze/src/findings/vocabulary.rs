//! The words of the JSON contract, each with its meaning.

use coldcase_ingest::capture::Syscall;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Every word of the vocabulary.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that stands in JSON and in rule files.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// The value of a word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// Whether there was a freeze and whether its cause is known.
    Outcome {
        /// A freeze with a cause.
        CauseFound = "cause_found",
        /// A freeze whose cause this capture does not show, or a capture that cannot show a freeze.
        FreezeUnexplained = "freeze_unexplained",
        /// Nothing froze.
        NoFreeze = "no_freeze",
    }
}

words! {
    /// What can cause a freeze.
    Cause {
        /// The lock of an address space.
        MmapLock = "mmap_lock",
        /// The lock of one mapping (Linux 6.4 and later).
        VmaLock = "vma_lock",
        /// Another read-write semaphore of the kernel.
        Rwsem = "rwsem",
        /// A mutex of the kernel.
        Mutex = "mutex",
        /// A lock of the program's own.
        Futex = "futex",
        /// Reading a mapped page from its file.
        PageFaultIo = "page_fault_io",
        /// Reading or writing a disk.
        DiskIo = "disk_io",
        /// The commit of a file system's journal.
        FsJournal = "fs_journal",
        /// Freeing memory on behalf of the thread that wants some.
        Reclaim = "reclaim",
        /// Moving memory together for a large page.
        Compaction = "compaction",
        /// Reading memory back from swap.
        Swap = "swap",
        /// No CPU was free, or none of those that the threads may run on.
        CpuStarvation = "cpu_starvation",
        /// The cgroup's CPU quota was used up.
        CpuThrottle = "cpu_throttle",
        /// A stop signal, a debugger, a cgroup's freezer, or the dump of a core.
        Stopped = "stopped",
        /// A memory cgroup's limit.
        MemoryLimit = "memory_limit",
        /// A thread's own long memory call, with nobody waiting for its lock.
        MemorySyscall = "memory_syscall",
        /// The network, or a process at its other end.
        Network = "network",
        /// Something that the capture does not show.
        Unknown = "unknown",
    }
}

impl Cause {
    /// Whether somebody holds it and others wait.
    #[must_use]
    pub fn is_lock(self) -> bool {
        matches!(self, Self::MmapLock | Self::VmaLock | Self::Rwsem | Self::Mutex | Self::Futex)
    }
}

words! {
    /// How sure a verdict is, the surest first.
    Grade {
        /// The holder's own lock events show it.
        Proven = "proven",
        /// The waker chain and the operation's arguments show it.
        Strong = "strong",
        /// Only an overlap in time, or sums without times, speak for it.
        Circumstantial = "circumstantial",
        /// Nothing speaks for anybody.
        Undetermined = "undetermined",
    }
}

words! {
    /// How a lock is held or wanted.
    LockMode {
        /// Shared.
        Read = "read",
        /// Exclusive.
        Write = "write",
    }
}

words! {
    /// Which container grew.
    ContainerKind {
        /// A hash table of Rust's standard library.
        Hashbrown = "hashbrown",
        /// A hash table of Abseil's.
        FlatHashMap = "flat_hash_map",
        /// A hash table of libstdc++.
        UnorderedMap = "unordered_map",
        /// A dict of CPython's.
        PythonDict = "python_dict",
        /// The heap of a Java VM.
        JavaHeap = "java_heap",
        /// A vector of Rust's or C++'s.
        Vec = "vec",
    }
}

/// What a thread was doing, as the contract names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// A system call.
    Syscall(Syscall),
    /// A page fault.
    PageFault,
    /// Reading `/proc/PID/smaps` and the like.
    ProcRead,
    /// The kernel's thread that makes huge pages.
    Khugepaged,
    /// The kernel's moving of pages to the node that uses them.
    NumaBalancing,
    /// Inside a lock of the program's own.
    UserLock,
    /// A pause that the program's runtime makes: a safepoint, a collection of garbage.
    RuntimePause,
    /// On the way to a pause of its runtime, for which all others had stopped.
    LateToPause,
    /// Sending or handling a signal.
    Signal,
}

impl Operation {
    /// The word that stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Syscall(
                Syscall::Fdatasync | Syscall::Sync | Syscall::Syncfs | Syscall::Msync,
            ) => "fsync",
            Self::Syscall(Syscall::Pwrite64) => "write",
            Self::Syscall(Syscall::Pread64) => "read",
            Self::Syscall(Syscall::ExitGroup) => "exit",
            Self::Syscall(Syscall::Clone3) => "clone",
            Self::Syscall(Syscall::Kill | Syscall::Tgkill) | Self::Signal => "signal",
            Self::Syscall(syscall) => syscall.name(),
            Self::PageFault => "page_fault",
            Self::ProcRead => "proc_read",
            Self::Khugepaged => "khugepaged",
            Self::NumaBalancing => "numa_balancing",
            Self::UserLock => "user_lock",
            Self::RuntimePause => "runtime_pause",
            Self::LateToPause => "late_to_pause",
        }
    }
}
