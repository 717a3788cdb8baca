# How to record a freeze on the captured machine: Linux 6.18.44-fc-v669, x86_64, 2 CPUs
# Each numbered part is one way, the best first: as root, in a folder with room for some 100 MB. 30 stands for
# the seconds until the freeze is over. The *.bt files are in contrib/ of coldcase's source.

# 1. perf: who held which lock, in which call, over how many bytes, and who stood still for it
#    can tell: proven for mmap_lock, strong for other locks, disks, limits and stop signals
#    cannot tell: what was before its start: a recording that begins in the freeze has no size and no start of
#    the call
perf record -a -g -m 16M -k CLOCK_MONOTONIC --buildid-all -o freeze.data \
    -e sched:sched_switch,sched:sched_waking \
    -e syscalls:sys_enter_mmap,syscalls:sys_exit_mmap,syscalls:sys_enter_munmap,syscalls:sys_exit_munmap \
    -e syscalls:sys_enter_mremap,syscalls:sys_exit_mremap,syscalls:sys_enter_brk,syscalls:sys_exit_brk \
    -e syscalls:sys_enter_mprotect,syscalls:sys_exit_mprotect,syscalls:sys_enter_madvise \
    -e syscalls:sys_exit_madvise,syscalls:sys_enter_mlock,syscalls:sys_exit_mlock \
    -e syscalls:sys_enter_mlockall,syscalls:sys_exit_mlockall,syscalls:sys_enter_clone \
    -e syscalls:sys_exit_clone,syscalls:sys_enter_clone3,syscalls:sys_exit_clone3,syscalls:sys_enter_fork \
    -e syscalls:sys_exit_fork,syscalls:sys_enter_vfork,syscalls:sys_exit_vfork,syscalls:sys_enter_fsync \
    -e syscalls:sys_exit_fsync,syscalls:sys_enter_fdatasync,syscalls:sys_exit_fdatasync \
    -e mmap_lock:mmap_lock_acquire_returned,mmap_lock:mmap_lock_released \
    -e lock:contention_begin --filter 'flags != 1' -e lock:contention_end -e cpu-clock/freq=99/ \
    -e sched:sched_process_fork,sched:sched_process_exec,sched:sched_process_exit \
    -e signal:signal_generate,signal:signal_deliver \
    -e vmscan:mm_vmscan_direct_reclaim_begin,vmscan:mm_vmscan_direct_reclaim_end \
    -e vmscan:mm_vmscan_memcg_reclaim_begin,vmscan:mm_vmscan_memcg_reclaim_end \
    -e jbd2:jbd2_start_commit,jbd2:jbd2_end_commit -e block:block_rq_issue,block:block_rq_complete \
    -e kmem:rss_stat/call-graph=no/ -- sleep 30
cp /proc/kallsyms kallsyms
coldcase report freeze.data --kallsyms kallsyms

# 2. perf as a flight recorder: when nobody knows when it freezes
#    can tell: the same of the last seconds before the signal, as much as the rings hold
#    cannot tell: the end of a freeze that still goes on; `coldcase trap` gets both, and waits for it
perf record -a -g -m 16M -k CLOCK_MONOTONIC --buildid-all --overwrite --switch-output=signal -o flight.data \
    -e sched:sched_switch,sched:sched_waking \
    -e syscalls:sys_enter_mmap,syscalls:sys_exit_mmap,syscalls:sys_enter_munmap,syscalls:sys_exit_munmap \
    -e syscalls:sys_enter_mremap,syscalls:sys_exit_mremap,syscalls:sys_enter_brk,syscalls:sys_exit_brk \
    -e syscalls:sys_enter_mprotect,syscalls:sys_exit_mprotect,syscalls:sys_enter_madvise \
    -e syscalls:sys_exit_madvise,syscalls:sys_enter_mlock,syscalls:sys_exit_mlock \
    -e syscalls:sys_enter_mlockall,syscalls:sys_exit_mlockall,syscalls:sys_enter_clone \
    -e syscalls:sys_exit_clone,syscalls:sys_enter_clone3,syscalls:sys_exit_clone3,syscalls:sys_enter_fork \
    -e syscalls:sys_exit_fork,syscalls:sys_enter_vfork,syscalls:sys_exit_vfork,syscalls:sys_enter_fsync \
    -e syscalls:sys_exit_fsync,syscalls:sys_enter_fdatasync,syscalls:sys_exit_fdatasync \
    -e mmap_lock:mmap_lock_acquire_returned,mmap_lock:mmap_lock_released \
    -e lock:contention_begin --filter 'flags != 1' -e lock:contention_end -e cpu-clock/freq=99/ \
    -e sched:sched_process_fork,sched:sched_process_exec,sched:sched_process_exit \
    -e signal:signal_generate,signal:signal_deliver \
    -e vmscan:mm_vmscan_direct_reclaim_begin,vmscan:mm_vmscan_direct_reclaim_end \
    -e vmscan:mm_vmscan_memcg_reclaim_begin,vmscan:mm_vmscan_memcg_reclaim_end \
    -e jbd2:jbd2_start_commit,jbd2:jbd2_end_commit -e block:block_rq_issue,block:block_rq_complete &
sleep 30            # until the freeze is noticed
kill -USR2 $!       # it writes flight.data. with the time behind it
sleep 2; kill $!; wait
cp /proc/kallsyms kallsyms
coldcase report "$(ls flight.data.* | head -n 1)" --kallsyms kallsyms

# 3. an off-CPU profile, and a log of memory calls beside it: where perf cannot be had
#    can tell: who waited for how long, and where; the sizes of memory calls: circumstantial at best
#    cannot tell: when, and who held a lock: who holds one on a CPU is in no off-CPU profile
bpftrace memory-syscalls.bt 1048576 >memory-syscalls.log &
offcputime 30 >offcputime.txt
kill -INT $!; wait
coldcase report offcputime.txt memory-syscalls.log

# 4. the same by bpftrace alone, for one process: PID
#    can tell: as the third
#    cannot tell: as the third
bpftrace memory-syscalls.bt 1048576 $PID >memory-syscalls.log &
timeout -s INT 30 bpftrace offcpu.bt $PID >offcpu-map.txt
kill -INT $!; wait
coldcase report offcpu-map.txt memory-syscalls.log
