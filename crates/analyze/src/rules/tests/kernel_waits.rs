//! Waits for servers, disks, pages and locks, by the call chains of several kernels.

use super::*;

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
        (
            "schedule < schedule_timeout < wait_woken < sk_stream_wait_close < __tcp_close < inet_release",
            "socket close",
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
            "page under migration",
            Unknown,
        ),
        (
            "schedule < io_schedule < wait_on_page_bit < __migration_entry_wait < do_swap_page",
            "page under migration",
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
fn who_waits_for_a_vfork_child_does_so_where_that_is_inlined_too() {
    const COMPLETION: &str =
        "schedule < schedule_timeout < __wait_for_common < wait_for_completion_state";
    let found = |rest: &str| site(&format!("{COMPLETION} < {rest}"), TaskState::Sleeping);
    let other = |name: &str| Some((name.to_owned(), WaitKind::Other));
    assert_eq!(found("kernel_clone < __do_sys_clone3"), other("vfork child"));
    assert_eq!(found("wait_for_vfork_done < _do_fork"), other("vfork child"));
    assert_eq!(found("copy_namespaces < copy_process < kernel_clone"), other("kernel work"));
}

#[test]
fn who_opens_a_file_upon_which_another_has_a_lease_waits_for_that_one() {
    let stack =
        "schedule < schedule_timeout < __break_lease < do_dentry_open < vfs_open < path_openat";
    let expected = Some(("file lease".to_owned(), WaitKind::Harm(Cause::Futex, None)));
    assert_eq!(site(stack, TaskState::Sleeping), expected);
}
