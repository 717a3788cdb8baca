# The events of the recordings, as arguments of `perf record`. Sourced by ./record.
#
# A filter holds for the event before it, so every `--filter` follows its own `-e`.

sched_events=(-e sched:sched_switch -e sched:sched_waking)
task_events=(-e sched:sched_process_fork -e sched:sched_process_exec -e sched:sched_process_exit)
# Not with `-F`: a global frequency would sample the tracepoints as well, silently.
cpu_events=(-e cpu-clock/freq=99/)
# Nine in ten begins are spinlocks of microseconds; their ends cannot be told apart by a filter and
# stay.
contention_events=(-e lock:contention_begin --filter 'flags != 1' -e lock:contention_end)
mmap_lock_events=(-e mmap_lock:mmap_lock_acquire_returned -e mmap_lock:mmap_lock_released)
# Without callchains: one for each page fault of the machine.
resident_events=(-e kmem:rss_stat/call-graph=no/)
signal_events=(-e signal:signal_generate -e signal:signal_deliver)
vmscan_events=(-e 'vmscan:mm_vmscan_direct_reclaim_*' -e 'vmscan:mm_vmscan_memcg_reclaim_*')
journal_events=(-e jbd2:jbd2_start_commit -e jbd2:jbd2_end_commit)
block_events=(-e block:block_rq_issue -e block:block_rq_complete)

syscall_events() {
    local call
    for call in "$@"; do
        printf -- '-e\nsyscalls:sys_enter_%s\n-e\nsyscalls:sys_exit_%s\n' "$call" "$call"
    done
}
mapfile -t memory_events < <(syscall_events mmap munmap mremap brk mprotect madvise mlock mlockall)
mapfile -t fork_events < <(syscall_events clone clone3 fork vfork)
# Without write: perf writes too, and would record its own writes for ever.
mapfile -t file_events < <(syscall_events fsync fdatasync)

# What a capture needs to name a holder from lock addresses, wakers and system calls ...
strong_events=("${sched_events[@]}" "${memory_events[@]}" "${fork_events[@]}" "${contention_events[@]}"
    "${task_events[@]}" "${cpu_events[@]}")
# ... and what it needs to prove it.
proven_events=("${strong_events[@]}" "${mmap_lock_events[@]}")

# What people record who know less of what they will need: captures of the same freeze beside the
# full one. PID stands for the server's process.
sched_set=(-a -g "${sched_events[@]}")
switch_set=(-a -g -e sched:sched_switch)
bare_set=(-a "${sched_events[@]}")
lock_set=(-a -g "${contention_events[@]}")
pid_set=(-g "${sched_events[@]}" "${memory_events[@]}" "${fork_events[@]}" -p PID)
