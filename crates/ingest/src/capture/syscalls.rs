//! System calls entered and left.

use super::{StackId, ThreadId, Timestamp};

/// A system call was entered or left (`syscalls:sys_enter_*`, `syscalls:sys_exit_*`).
#[derive(Clone, Copy, Debug)]
pub struct SyscallEvent {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub thread: ThreadId,
    /// Which call.
    pub syscall: Syscall,
    /// Entered or left.
    pub phase: SyscallPhase,
    /// Where the thread stood.
    pub stack: Option<StackId>,
}

/// Entered or left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyscallPhase {
    /// Entered, with the raw arguments in the order of the system call; missing ones are 0.
    Enter {
        /// The arguments.
        args: [u64; 6],
    },
    /// Left.
    Exit {
        /// The result; a negative error number on failure.
        result: i64,
    },
}

macro_rules! syscalls {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The system calls that a freeze can stand in. Others are counted by name only.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Syscall {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Syscall {
            /// By the kernel's name, as in `sys_enter_NAME`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$variant,)*
                    _ => return None,
                })
            }

            /// The kernel's name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

syscalls! {
    Mmap = "mmap",
    Munmap = "munmap",
    Brk = "brk",
    Mremap = "mremap",
    Mprotect = "mprotect",
    PkeyMprotect = "pkey_mprotect",
    Madvise = "madvise",
    ProcessMadvise = "process_madvise",
    Mlock = "mlock",
    Mlock2 = "mlock2",
    Mlockall = "mlockall",
    Munlock = "munlock",
    Munlockall = "munlockall",
    Msync = "msync",
    Mbind = "mbind",
    MigratePages = "migrate_pages",
    MovePages = "move_pages",
    Shmat = "shmat",
    Shmdt = "shmdt",
    IoUringRegister = "io_uring_register",
    Fork = "fork",
    Vfork = "vfork",
    Clone = "clone",
    Clone3 = "clone3",
    Execve = "execve",
    Execveat = "execveat",
    Exit = "exit",
    ExitGroup = "exit_group",
    Futex = "futex",
    FutexWait = "futex_wait",
    FutexWake = "futex_wake",
    Fsync = "fsync",
    Fdatasync = "fdatasync",
    Sync = "sync",
    Syncfs = "syncfs",
    Truncate = "truncate",
    Ftruncate = "ftruncate",
    Fallocate = "fallocate",
    Getdents = "getdents",
    Getdents64 = "getdents64",
    Rename = "rename",
    Renameat = "renameat",
    Renameat2 = "renameat2",
    Unlink = "unlink",
    Unlinkat = "unlinkat",
    Rmdir = "rmdir",
    Write = "write",
    Pwrite64 = "pwrite64",
    Read = "read",
    Pread64 = "pread64",
    Ioctl = "ioctl",
    Kill = "kill",
    Tgkill = "tgkill",
    Ptrace = "ptrace",
    ProcessVmReadv = "process_vm_readv",
    ProcessVmWritev = "process_vm_writev",
}

impl Syscall {
    /// Whether it goes over a number of bytes of memory, which its arguments say; those of `brk` are the step from the call before.
    #[must_use]
    pub fn has_size(self) -> bool {
        matches!(
            self,
            Self::Mmap
                | Self::Munmap
                | Self::Mremap
                | Self::Brk
                | Self::Mprotect
                | Self::PkeyMprotect
                | Self::Madvise
                | Self::Mlock
                | Self::Mlock2
                | Self::Munlock
                | Self::Msync
                | Self::Mbind
        )
    }
}
