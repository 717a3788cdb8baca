//! The built-in table on stacks of real kernels and programs.

use coldcase_ingest::capture::{Capture, Mode};

use super::*;

mod kernel_waits;

fn site(stack: &str, state: TaskState) -> Option<(String, WaitKind)> {
    let mut capture = Capture::default();
    let frames: Vec<_> =
        stack.split(" < ").map(|name| capture.frames.intern_name(Mode::Kernel, name)).collect();
    let stack = capture.stacks.intern(&frames);
    let rules = Rules::built_in();
    let rule = Matcher::new(&capture, &rules).rule(Some(stack), state)?;
    Some((rule.site.clone(), rule.kind))
}

/// Functions behind a `|` are the program's.
fn program_site(stack: &str) -> Option<(String, WaitKind, bool)> {
    let (kernel, user) = stack.split_once(" | ").unwrap_or((stack, ""));
    let mut capture = Capture::default();
    let mut frames = Vec::new();
    for (mode, names) in [(Mode::Kernel, kernel), (Mode::User, user)] {
        let names = names.split(" < ");
        frames.extend(names.map(|name| capture.frames.intern_name(mode, name)));
    }
    let stack = capture.stacks.intern(&frames);
    let rules = Rules::built_in();
    let rule = Matcher::new(&capture, &rules).rule(Some(stack), TaskState::Sleeping)?;
    Some((rule.site.clone(), rule.kind, rule.known_lock))
}

fn kind(stack: &str) -> Option<WaitKind> {
    site(stack, TaskState::Uninterruptible).map(|site| site.1)
}

#[test]
fn the_whole_table_can_be_read() {
    assert!(parse(BUILT_IN).unwrap().rules.len() > 40);
    for line in BUILT_IN.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '@'])) {
        assert!(line.split('|').all(|column| !column.trim().is_empty()), "{line}");
    }
}

#[test]
fn mmap_lock_is_told_from_other_rwsems_by_who_takes_it() {
    let write = Some(WaitKind::Harm(Cause::MmapLock, Some(LockMode::Write)));
    let read = Some(WaitKind::Harm(Cause::MmapLock, Some(LockMode::Read)));
    for (stack, expected) in [
        // 6.18, x86-64
        (
            "__schedule < schedule < schedule_preempt_disabled < rwsem_down_write_slowpath < down_write_killable < __vm_munmap < __x64_sys_munmap",
            write,
        ),
        (
            "__schedule < schedule < rwsem_down_read_slowpath < down_read_killable < lock_mm_and_find_vma < do_user_addr_fault < exc_page_fault",
            read,
        ),
        (
            "schedule < rwsem_down_write_slowpath.isra.0 < down_write_killable < vm_mmap_pgoff < ksys_mmap_pgoff",
            write,
        ),
        // 4.14
        (
            "__schedule < schedule < rwsem_down_read_failed < call_rwsem_down_read_failed < down_read < __do_page_fault < do_page_fault",
            read,
        ),
        (
            "__schedule < schedule < rwsem_down_write_failed_killable < call_rwsem_down_write_failed_killable < down_write_killable < SyS_munmap < entry_SYSCALL_64_fastpath",
            write,
        ),
        // arm64
        (
            "__schedule < schedule < rwsem_down_read_slowpath < down_read < do_page_fault < do_translation_fault < do_mem_abort < el0_da",
            read,
        ),
        // an inode's rwsem under a page fault is not mmap_lock
        (
            "schedule < rwsem_down_read_slowpath < down_read < ext4_map_blocks < filemap_fault < do_user_addr_fault < exc_page_fault",
            Some(WaitKind::Harm(Cause::Rwsem, Some(LockMode::Read))),
        ),
        (
            "schedule < rwsem_down_write_slowpath < down_write < register_netdevice_notifier",
            Some(WaitKind::Harm(Cause::Rwsem, Some(LockMode::Write))),
        ),
    ] {
        assert_eq!(kind(stack), expected, "{stack}");
    }
}

#[test]
fn other_waits_have_their_own_sites() {
    for (stack, cause) in [
        (
            "schedule < futex_wait_queue < __futex_wait < futex_wait < do_futex < __x64_sys_futex",
            Cause::Futex,
        ),
        (
            "schedule < io_schedule < folio_wait_bit_common < filemap_fault < __do_fault < do_read_fault",
            Cause::PageFaultIo,
        ),
        ("schedule < jbd2_log_wait_commit < ext4_sync_file < __x64_sys_fsync", Cause::FsJournal),
        ("schedule < do_signal_stop < get_signal", Cause::Stopped),
        ("schedule < schedule_preempt_disabled < __mutex_lock < pipe_write", Cause::Mutex),
        // Nobody holds a grace period: it is over when every CPU has done something else.
        (
            "schedule < schedule_timeout < __wait_for_common < __wait_rcu_gp < synchronize_rcu_normal < __do_sys_membarrier",
            Cause::Unknown,
        ),
        (
            "schedule < io_schedule < folio_wait_bit_common < do_swap_page < handle_mm_fault",
            Cause::Swap,
        ),
    ] {
        assert_eq!(kind(stack), Some(WaitKind::Harm(cause, None)), "{stack}");
    }
    assert_eq!(
        kind("schedule < schedule_hrtimeout_range < ep_poll < do_epoll_wait"),
        Some(WaitKind::Idle)
    );
    assert_eq!(kind("schedule < something_new"), None);
}

#[test]
fn functions_of_programs_tell_a_lock_from_rest() {
    const EPOLL: &str =
        "__schedule < schedule < schedule_hrtimeout_range < do_epoll_wait < __x64_sys_epoll_wait";
    const FUTEX: &str =
        "__schedule < schedule < futex_wait_queue < __futex_wait < futex_wait < do_futex";
    let lock = WaitKind::Harm(Cause::Futex, None);
    for (kernel, user, site, kind, by_program) in [
        // PostgreSQL 15 of Debian 12, as recorded
        (
            EPOLL,
            "epoll_wait < WaitLatch < ProcSleep < LockAcquireExtended < LockRelationOid",
            "PostgreSQL lock",
            lock,
            true,
        ),
        (
            EPOLL,
            "epoll_wait < secure_read < pq_getbyte < PostgresMain",
            "epoll",
            WaitKind::Idle,
            false,
        ),
        (
            FUTEX,
            "sem_wait < PGSemaphoreLock < LWLockAcquire",
            "PostgreSQL light-weight lock",
            lock,
            true,
        ),
        (
            FUTEX,
            "pthread_cond_timedwait < take_gil < PyEval_RestoreThread",
            "Python's interpreter lock",
            lock,
            true,
        ),
        (
            FUTEX,
            "std::sys::sync::mutex::futex::Mutex::lock_contended < serve",
            "mutex of the program",
            lock,
            true,
        ),
        // Rust 1.95, whose standard library's names are mangled by their grammar.
        (
            FUTEX,
            "syscall < <std::sys::sync::mutex::futex::Mutex>::lock_contended < serve",
            "mutex of the program",
            lock,
            true,
        ),
        (FUTEX, "pthread_cond_wait < worker", "futex", lock, false),
        // As recorded: with frame pointers, and unwound by the programs' own tables.
        (FUTEX, "__pthread_once_slow", "one-time initialisation", lock, true),
        (
            FUTEX,
            "syscall < __cxa_guard_acquire < tables < serve",
            "one-time initialisation",
            lock,
            true,
        ),
        (
            FUTEX,
            "syscall < std::sys::pal::unix::futex::futex_wait < <std::sys::sync::once::futex::Once>::call < std::sync::once::Once::call_once",
            "one-time initialisation",
            lock,
            true,
        ),
        // The initialiser itself waits for something that others do.
        (
            FUTEX,
            "pthread_cond_wait < read_all < __pthread_once_slow < tables",
            "futex",
            lock,
            false,
        ),
        // Linux 6.18, as recorded
        (
            "__schedule < rt_mutex_schedule < rt_mutex_slowlock_block.constprop.0 < rt_mutex_wait_proxy_lock < futex_lock_pi < do_futex",
            "planner",
            "priority-inheritance lock",
            lock,
            true,
        ),
        (
            "__schedule < schedule < schedule_hrtimeout_range_clock < __do_semtimedop < do_semtimedop",
            "semop",
            "SysV semaphore",
            lock,
            false,
        ),
    ] {
        let found = program_site(&format!("{kernel} | {user}"));
        assert_eq!(found, Some((site.to_owned(), kind, by_program)), "{user}");
    }
    // A function of the program that is called like one of the kernel is none of the kernel's.
    assert_eq!(program_site("schedule < something_new | futex_wait_queue"), None);
}

#[test]
fn who_waits_behind_a_full_queue_or_for_a_core_is_told_from_rest() {
    let network = Some(WaitKind::Harm(Cause::Network, None));
    let full =
        |what: &str| (format!("reader of a full {what}"), WaitKind::Harm(Cause::Network, None));
    let asleep = |stack: &str| site(stack, TaskState::Sleeping);
    let wait = "__schedule < schedule < schedule_hrtimeout_range_clock";
    assert_eq!(
        asleep(&format!("{wait} < wq_sleep < do_mq_timedsend")),
        Some(full("message queue"))
    );
    assert_eq!(
        asleep(
            "__schedule < schedule < schedule_timeout < wait_woken < n_tty_write < file_tty_write"
        ),
        Some(full("terminal"))
    );
    assert_eq!(
        asleep(&format!("{wait} < wq_sleep < do_mq_timedreceive")),
        Some(("message queue".to_owned(), WaitKind::Idle))
    );
    assert_eq!(kind("schedule < anon_pipe_write"), network);
    // Linux 6.18, as recorded; who has ended leaves from the same function for good.
    let exits = "__schedule < schedule < do_exit < do_group_exit < get_signal";
    let stopped = Some(WaitKind::Harm(Cause::Stopped, None));
    assert_eq!(site(exits, TaskState::Idle).map(|site| site.1), stopped);
    assert_eq!(site(exits, TaskState::Dead).map(|site| site.1), Some(WaitKind::Other));
}

#[test]
fn a_users_rules_come_first_and_bad_ones_are_named() {
    let rules =
        Rules::built_in().extended("my lock | mutex | at=my_lock* | 6.1 | drivers/my.c\n").unwrap();
    assert_eq!(rules.rules[0].site, "my lock");
    assert_eq!(rules.rules.len(), Rules::built_in().rules.len() + 1);
    for (text, word) in [
        ("a | b", "columns"),
        ("a | nonsense | at=x | 1 | f.c", "no cause"),
        ("\na | mutex | on=x | 1 | f.c", "line 2"),
        ("a | mutex | at=@none | 1 | f.c", "@none"),
        ("a | mutex |  | 1 | f.c", "without a condition"),
    ] {
        let error = Rules::built_in().extended(text).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}
