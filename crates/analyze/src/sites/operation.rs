//! What a thread was doing, told by the kernel functions of a stack.

use coldcase_ingest::capture::{Capture, StackId, Syscall};

use crate::findings::Operation;
use crate::names;

/// The innermost operation of a stack: a page fault inside a `read` is a page fault.
pub(crate) fn of_stack(capture: &Capture, stack: StackId) -> Option<Operation> {
    let mut names = names::kernel(capture, stack);
    names.find_map(of_function).or_else(|| names::kernel(capture, stack).find_map(of_helper))
}

/// The operation that a function serves as a rule, for stacks in which the entry was inlined into
/// `do_syscall_64` or `x64_sys_call`; `execve` maps through the same functions, but has an entry of its own.
fn of_helper(name: &str) -> Option<Operation> {
    Some(Operation::Syscall(match name {
        "vm_mmap_pgoff" => Syscall::Mmap,
        "__vm_munmap" | "vm_munmap" => Syscall::Munmap,
        "do_mprotect_pkey" => Syscall::Mprotect,
        "do_madvise" => Syscall::Madvise,
        "do_mremap" => Syscall::Mremap,
        "do_mlock" => Syscall::Mlock,
        "dup_mmap" | "copy_process" | "kernel_clone" | "_do_fork" => Syscall::Clone,
        "vfs_fsync_range" | "do_fsync" => Syscall::Fsync,
        "process_vm_rw" => Syscall::ProcessVmReadv,
        _ => return None,
    }))
}

/// The operation that a kernel function belongs to, if it belongs to one only.
fn of_function(name: &str) -> Option<Operation> {
    Some(match name {
        "exc_page_fault"
        | "asm_exc_page_fault"
        | "do_user_addr_fault"
        | "do_page_fault"
        | "__do_page_fault"
        | "async_page_fault"
        | "do_mem_abort"
        | "do_translation_fault"
        | "lock_mm_and_find_vma"
        | "handle_page_fault" => Operation::PageFault,
        "show_smap"
        | "show_smaps_rollup"
        | "show_map"
        | "show_map_vma"
        | "show_numa_map"
        | "pagemap_read"
        | "m_start"
        | "m_next"
        | "m_stop"
        | "proc_pid_cmdline_read"
        | "environ_read"
        | "mem_rw"
        | "clear_refs_write"
        | "proc_maps_open"
        | "do_procmap_query"
        | "proc_reg_read"
        | "smap_gather_stats"
        | "access_remote_vm"
        | "__access_remote_vm"
        | "get_cmdline" => Operation::ProcRead,
        "khugepaged" | "khugepaged_do_scan" | "khugepaged_scan_mm_slot" => Operation::Khugepaged,
        "task_numa_work" => Operation::NumaBalancing,
        "do_group_exit" | "do_exit" | "exit_mmap" => Operation::Syscall(Syscall::Exit),
        "ksys_mmap_pgoff" => Operation::Syscall(Syscall::Mmap),
        // Their entry functions end in a jump to these (`mm/mempolicy.c`, `mm/migrate.c`, `ipc/shm.c`), and stand in no stack.
        "kernel_mbind" => Operation::Syscall(Syscall::Mbind),
        "kernel_migrate_pages" => Operation::Syscall(Syscall::MigratePages),
        "kernel_move_pages" => Operation::Syscall(Syscall::MovePages),
        "ksys_shmdt" => Operation::Syscall(Syscall::Shmdt),
        "do_shmat" => Operation::Syscall(Syscall::Shmat),
        "do_execveat_common" | "bprm_execve" => Operation::Syscall(Syscall::Execve),
        "ksys_write" => Operation::Syscall(Syscall::Write),
        "ksys_read" => Operation::Syscall(Syscall::Read),
        "ksys_sync" => Operation::Syscall(Syscall::Sync),
        "do_futex" => Operation::Syscall(Syscall::Futex),
        "do_signal_stop" | "get_signal" => Operation::Signal,
        _ => Operation::Syscall(of_entry(name)?),
    })
}

/// What stands before a system call's name in its entry function.
const PREFIXES: &[&str] = &[
    "__x64_sys_",
    "__arm64_sys_",
    "__do_sys_",
    "__se_sys_",
    "__ia32_sys_",
    "SyS_",
    "SYSC_",
    "sys_",
];

/// The entry function of the system call in which a stack was taken.
pub(crate) fn entry(capture: &Capture, stack: StackId) -> Option<&str> {
    let has_prefix = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    names::kernel(capture, stack).filter(has_prefix).last()
}

/// Entry functions of system calls: `__x64_sys_munmap`, `__arm64_sys_brk`, `__do_sys_mremap`, `SyS_mmap`.
fn of_entry(name: &str) -> Option<Syscall> {
    // Everything is done by an ioctl: it says nothing of what a thread did.
    let named = PREFIXES.iter().find_map(|prefix| Syscall::from_name(name.strip_prefix(prefix)?));
    named.filter(|&call| call != Syscall::Ioctl)
}

/// Whether the operation can hold `mmap_lock` for long.
pub(crate) fn is_memory(operation: Operation) -> bool {
    use Syscall as S;
    match operation {
        Operation::Syscall(syscall) => matches!(
            syscall,
            S::Mmap
                | S::Munmap
                | S::Brk
                | S::Mremap
                | S::Mprotect
                | S::PkeyMprotect
                | S::Madvise
                | S::ProcessMadvise
                | S::Mlock
                | S::Mlock2
                | S::Mlockall
                | S::Munlock
                | S::Munlockall
                | S::Msync
                | S::Mbind
                | S::MigratePages
                | S::MovePages
                | S::Shmat
                | S::Shmdt
                | S::IoUringRegister
                | S::Fork
                | S::Vfork
                | S::Clone
                | S::Clone3
                | S::Execve
                | S::Execveat
                | S::Exit
                | S::ExitGroup
                | S::ProcessVmReadv
                | S::ProcessVmWritev
        ),
        Operation::PageFault
        | Operation::ProcRead
        | Operation::Khugepaged
        | Operation::NumaBalancing => true,
        Operation::UserLock
        | Operation::RuntimePause
        | Operation::LateToPause
        | Operation::Signal => false,
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

    #[test]
    fn calls_whose_entry_function_stands_in_no_stack_are_known_by_what_it_jumps_to() {
        let of = |functions: &str| {
            let capture = script::record(Capture::default(), &format!("0 .a,1ms b!a {functions}"));
            let stack = capture.wakeups[0].stack.unwrap();
            of_stack(&capture, stack).map(Operation::word)
        };
        let ends = "do_syscall_64<entry_SYSCALL_64_after_hwframe";
        assert_eq!(of(&format!("up_write<do_mbind<kernel_mbind<{ends}")), Some("mbind"));
        assert_eq!(of(&format!("up_write<ksys_shmdt<{ends}")), Some("shmdt"));
        let pins = "up_read<__gup_longterm_locked<io_pin_pages<__do_sys_io_uring_register";
        assert_eq!(of(&format!("{pins}<{ends}")), Some("io_uring_register"));
    }
}
