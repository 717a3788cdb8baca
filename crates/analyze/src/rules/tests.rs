//! The built-in table on stacks of real kernels and programs.

use coldcase_ingest::capture::{Capture, Mode};

use super::*;

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
        (FUTEX, "pthread_cond_wait < worker", "futex", lock, false),
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
fn who_has_to_answer_is_told_from_a_disk_from_rest_and_from_a_mapped_file() {
    // Call chains of 6.1, 6.12 and 6.18.
    const COMPLETION: &str =
        "schedule < schedule_timeout < __wait_for_common < wait_for_completion";
    const FOLIO: &str = "schedule < io_schedule < folio_wait_bit_common";
    const BIT: &str = "schedule < rpc_wait_bit_killable < __wait_on_bit < out_of_line_wait_on_bit";
    for (stack, expected) in [
        ("schedule < fanotify_handle_event < fsnotify < do_dentry_open", "fanotify listener"),
        (
            "schedule < fanotify_get_response < fanotify_handle_event < fsnotify < security_file_open",
            "fanotify listener",
        ),
        (
            &format!("{COMPLETION}_killable < seccomp_do_user_notification < __seccomp_filter"),
            "seccomp supervisor",
        ),
        (
            "schedule < schedule_timeout < audit_log_start < audit_log_exit < __audit_syscall_exit",
            "reader of a full audit backlog",
        ),
        ("schedule < autofs_wait < autofs_mount_wait < autofs_d_automount", "automount daemon"),
        // A page of shared memory that a handler has to bring is no page of a file.
        (
            "schedule < handle_userfault < shmem_get_folio_gfp < shmem_fault < __do_fault < do_read_fault",
            "userfaultfd handler",
        ),
        (
            &format!("{BIT} < __rpc_execute < rpc_execute < rpc_run_task < nfs4_call_sync"),
            "NFS, RPC",
        ),
        (&format!("{FOLIO} < filemap_get_pages < filemap_read < nfs_file_read"), "NFS, RPC"),
        (
            &format!("{FOLIO} < filemap_get_pages < filemap_read < fuse_file_read_iter"),
            "FUSE server",
        ),
        (
            "schedule < request_wait_answer < __fuse_simple_request < fuse_do_readfolio < filemap_fault < __do_fault",
            "FUSE server",
        ),
        (
            "schedule < wait_for_response < compound_send_recv < cifs_send_recv < SMB2_open",
            "SMB server",
        ),
        (
            &format!(
                "{COMPLETION}_killable_timeout < ceph_mdsc_wait_request < ceph_mdsc_do_request"
            ),
            "Ceph server",
        ),
        ("schedule < p9_client_rpc < p9_client_getattr_dotl < v9fs_vfs_getattr_dotl", "9P server"),
        (
            "schedule < p9_virtio_request < p9_client_rpc < p9_client_walk < v9fs_vfs_lookup",
            "9P server",
        ),
        (
            "schedule < bit_wait < __wait_on_bit < netfs_wait_for_read < netfs_unbuffered_read",
            "file server",
        ),
    ] {
        let expected = Some((expected.to_owned(), WaitKind::Harm(Cause::Network, None)));
        assert_eq!(site(stack, TaskState::Uninterruptible), expected, "{stack}");
    }
    // What is passed through to a file system beneath is not asked of the server, and who serves waits for work.
    assert_eq!(
        kind(&format!(
            "{FOLIO} < filemap_read < ext4_file_read_iter < fuse_passthrough_read_iter < fuse_file_read_iter"
        )),
        Some(WaitKind::Harm(Cause::DiskIo, None))
    );
    assert_eq!(
        kind("schedule < fuse_dev_do_read < fuse_dev_read < vfs_read"),
        Some(WaitKind::Idle)
    );
    // A mutex on the way to a server is one.
    assert_eq!(
        kind(
            "schedule < schedule_preempt_disabled < __mutex_lock < compound_send_recv < cifs_send_recv"
        ),
        Some(WaitKind::Harm(Cause::Mutex, None))
    );
}

#[test]
fn file_systems_and_block_devices_have_sites_of_their_own() {
    use Cause::{DiskIo, FsJournal, Reclaim, Rwsem};
    const COMPLETION: &str =
        "schedule < schedule_timeout < __wait_for_common < wait_for_completion";
    for (stack, name, cause) in [
        (&*format!("{COMPLETION} < xfs_buf_iowait < xfs_buf_read_map"), "disk I/O", DiskIo),
        ("schedule < io_schedule < __xfs_iunpin_wait < xfs_iflush_cluster", "xfs log", FsJournal),
        (
            "schedule < xlog_cil_push_background < xlog_cil_commit < __xfs_trans_commit",
            "xfs log",
            FsJournal,
        ),
        (
            "schedule < wait_reserve_ticket < __reserve_bytes < btrfs_reserve_metadata_bytes",
            "btrfs space to be freed",
            DiskIo,
        ),
        (
            "schedule < wait_extent_bit < lock_extent < btrfs_page_mkwrite",
            "btrfs extent lock",
            DiskIo,
        ),
        (
            "schedule < btrfs_start_ordered_extent < btrfs_wait_ordered_range",
            "disk write-back",
            DiskIo,
        ),
        ("schedule < btrfs_tree_read_lock < btrfs_search_slot", "btrfs tree lock", Rwsem),
        (
            &format!("{COMPLETION} < f2fs_issue_checkpoint < f2fs_sync_fs"),
            "f2fs checkpoint",
            FsJournal,
        ),
        (&format!("{COMPLETION} < f2fs_issue_flush < f2fs_do_sync_file"), "disk I/O", DiskIo),
        ("schedule < md_write_start < raid1_make_request < md_handle_request", "MD RAID", DiskIo),
        (
            "schedule < wait_woken < raid5_make_request < md_handle_request < submit_bio",
            "MD RAID",
            DiskIo,
        ),
        (
            "schedule < __bio_queue_enter < blk_mq_submit_bio < submit_bio_noacct",
            "frozen queue of a block device",
            DiskIo,
        ),
        // OpenZFS 2
        (
            "io_schedule < cv_wait_common < __cv_wait_io < txg_wait_synced_impl",
            "ZFS transaction group",
            FsJournal,
        ),
        (
            "schedule < __cv_timedwait_common < __cv_timedwait_hires < zil_commit_waiter < zil_commit_impl",
            "ZFS transaction group",
            FsJournal,
        ),
        (
            "schedule < cv_wait_common < __cv_wait < dmu_tx_wait < dmu_tx_assign",
            "ZFS write throttle",
            DiskIo,
        ),
        ("schedule < cv_wait_common < __cv_wait < dbuf_read < dmu_buf_hold", "disk I/O", DiskIo),
        (
            "schedule < cv_wait_common < __cv_wait < arc_wait_for_eviction < arc_get_data_impl",
            "ZFS cache eviction",
            Reclaim,
        ),
        (
            "schedule < cv_wait_common < __cv_wait < zfs_rangelock_enter_reader < zfs_read",
            "ZFS lock",
            Rwsem,
        ),
        // 6.18
        (
            "schedule < percpu_rwsem_wait < __percpu_down_read < copy_process < kernel_clone",
            "lock of all threads' cgroups",
            Rwsem,
        ),
        (
            "schedule < percpu_rwsem_wait < __percpu_down_read < vfs_writev < do_writev",
            "frozen file system",
            Rwsem,
        ),
    ] {
        let expected = Some((name.to_owned(), WaitKind::Harm(cause, None)));
        assert_eq!(site(stack, TaskState::Uninterruptible), expected, "{stack}");
    }
    // Its commit counts, not that a page's bit is waited for; its threads rest.
    assert_eq!(kind("schedule < taskq_thread < kthread"), Some(WaitKind::Idle));
}

#[test]
fn waits_for_pages_that_are_no_disks() {
    use Cause::{MemoryLimit, Swap, Unknown};
    for (stack, name, cause) in [
        // 6.18, where the wait of memory.high has another name than in 6.1
        (
            "schedule < schedule_timeout < schedule_timeout_killable < __mem_cgroup_handle_over_high < exit_to_user_mode_loop",
            "memory cgroup limit",
            MemoryLimit,
        ),
        (
            "schedule < schedule_timeout < schedule_timeout_killable < mem_cgroup_handle_over_high < exit_to_user_mode_loop",
            "memory cgroup limit",
            MemoryLimit,
        ),
        // 6.1 and 4.14: an entry of a page that is moved stands where one of a swapped page would.
        (
            "schedule < io_schedule < migration_entry_wait_on_locked < migration_entry_wait < do_swap_page < __handle_mm_fault",
            "page in migration",
            Unknown,
        ),
        (
            "schedule < io_schedule < wait_on_page_bit < __migration_entry_wait < do_swap_page",
            "page in migration",
            Unknown,
        ),
        (
            "schedule < io_schedule < folio_wait_bit_common < do_swap_page < __handle_mm_fault",
            "swap-in",
            Swap,
        ),
        (
            "schedule < kvm_async_pf_task_wait_schedule < __kvm_handle_async_pf < exc_page_fault",
            "page of the host",
            Unknown,
        ),
        (
            "schedule < schedule_timeout < __wait_for_common < __flush_work < __lru_add_drain_all < generic_fadvise",
            "emptying of page lists",
            Unknown,
        ),
    ] {
        let expected = Some((name.to_owned(), WaitKind::Harm(cause, None)));
        assert_eq!(site(stack, TaskState::Uninterruptible), expected, "{stack}");
    }
}

#[test]
fn locks_of_mappings_and_of_real_time_kernels_are_what_they_are() {
    use LockMode::{Read, Write};
    const RT: &str = "__schedule < rt_mutex_schedule < rt_mutex_slowlock_block < __rt_mutex_slowlock_locked < rt_mutex_slowlock";
    const DOWN: &str = "schedule < rwsem_down_write_slowpath < down_write";
    const DOWN_READ: &str = "schedule < rwsem_down_read_slowpath < down_read_killable";
    for (stack, name, cause, mode) in [
        // 6.12: an rwsem of the mapping's own; 6.15 and later: a count.
        (
            &*format!("{DOWN} < mprotect_fixup < do_mprotect_pkey"),
            "per-VMA lock",
            Cause::VmaLock,
            Some(Write),
        ),
        (
            &format!("{DOWN} < free_pgtables < unmap_region"),
            "per-VMA lock",
            Cause::VmaLock,
            Some(Write),
        ),
        (
            "schedule < __vma_start_write < mprotect_fixup",
            "per-VMA lock",
            Cause::VmaLock,
            Some(Write),
        ),
        // 6.17 and later
        (
            &format!("{DOWN_READ} < lock_next_vma < m_next < seq_read_iter"),
            "mmap_lock",
            Cause::MmapLock,
            Some(Read),
        ),
        (
            &format!("{DOWN_READ} < __x64_sys_process_mrelease < do_syscall_64"),
            "mmap_lock",
            Cause::MmapLock,
            Some(Read),
        ),
        // arm64
        (
            &format!("{DOWN} < __arm64_sys_brk < invoke_syscall"),
            "mmap_lock",
            Cause::MmapLock,
            Some(Write),
        ),
        // RT
        (&format!("{RT} < mutex_lock < rtnl_lock"), "kernel mutex", Cause::Mutex, None),
        (
            &format!("{RT} < rwbase_write_lock < down_write < register_netdevice_notifier"),
            "rwsem",
            Cause::Rwsem,
            Some(Write),
        ),
        (
            &format!("{RT} < __rwbase_read_lock < down_read < register_netdevice_notifier"),
            "rwsem",
            Cause::Rwsem,
            Some(Read),
        ),
        (
            "__schedule < schedule_rtlock < rtlock_slowlock_locked < rt_spin_lock < do_epoll_ctl",
            "spin lock that sleeps",
            Cause::Mutex,
            None,
        ),
    ] {
        let found = site(stack, TaskState::Uninterruptible)
            .map(|(name, kind)| (name.split(" (").next().unwrap_or_default().to_owned(), kind));
        assert_eq!(found, Some((name.to_owned(), WaitKind::Harm(cause, mode))), "{stack}");
    }
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
