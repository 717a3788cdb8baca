# How each fixture is recorded: which scenario, which events, how much of the time around the
# freeze. Sourced by ./record.

# Seconds of ordinary work: what is normal for the threads has to be in the capture too.
before=0.5
after=0.5

# A scenario recorded from before its freeze until after it.
#   record_whole "EVENTS ARRAY NAME" SCENARIO [ARGUMENTS]
record_whole() {
    local -n events=$1
    shift
    scenario_command="coldcase-lab $*"
    start_scenario "$@"
    start_truth
    start_perf "${events[@]}"
    tell_perf enable
    sleep "$before"
    go
    wait_for_note done
    sleep "$after"
    stop_perf
    stop_scenario
    stop_truth
}

events_with_signals=("${strong_events[@]}" "${signal_events[@]}")

# By default perf keeps the build id of a binary only if the instruction pointer of some sample, not
# just its callchain, lies in it: often not in captures of waits. So there are fixtures with the
# scenario's build id in the header, with all build ids there, with them in the mmap records, and
# without any.
all_build_ids=(--buildid-all)
mmap_build_ids=(--buildid-mmap)

record_hashmap_resize() { record_whole strong_events hashmap-resize; }
events_with_resident=("${strong_events[@]}" "${resident_events[@]}")

record_resident_step() { record_whole events_with_resident resident-step 3; }
record_populate() { record_whole proven_events populate 3; }
record_futex_convoy() { record_whole strong_events futex-convoy; }
record_munmap_large() { record_whole strong_events munmap-large 12; }

record_munmap_in_steps() {
    build_ids=("${all_build_ids[@]}")
    record_whole strong_events munmap-in-steps 12
}

record_smaps_reader() { record_whole strong_events smaps-reader 16; }

record_fork_large() {
    build_ids=("${mmap_build_ids[@]}")
    record_whole strong_events fork-large 12
}

record_idle_server() {
    build_ids=("${all_build_ids[@]}")
    record_whole strong_events idle-server
}

record_cpu_throttle() {
    local group=/sys/fs/cgroup/cpu/coldcase-lab
    record_whole strong_events cpu-throttle "$group"
    remove_cgroup "$group"
}

record_sigstop() {
    build_ids=("${all_build_ids[@]}")
    record_whole events_with_signals sigstop
}

# The server is killed with its supervisor, which takes the kernel a moment.
remove_cgroup() {
    until rmdir "$1" 2>/dev/null; do sleep 0.1; done
}

# The recording begins when the threads have already stood still for a while, as one that a health
# check starts.
record_captured_mid_freeze() {
    scenario_command="coldcase-lab populate 6"
    build_ids=("${all_build_ids[@]}")
    start_scenario populate 6
    start_truth
    start_perf "${strong_events[@]}"
    go
    wait_for_note populate_begin
    sleep 0.5
    tell_perf enable
    wait_for_note populate_end
    # Ends before the scenario's munmap: this capture is to hold one freeze, cut at its beginning.
    sleep 0.25
    stop_perf
    wait_for_note done
    stop_scenario
    stop_truth
}

# A disk of its own (a loop device), so that nobody else on the machine waits for it. Leaves
# $device and $number (MAJ:MIN).
make_disk() {
    truncate -s "$1" "$work/disk.img"
    device=$(losetup --find --show "$work/disk.img")
    number=$(lsblk -dno MAJ:MIN "$device" | tr -d ' ')
}

# ... with a file system on it, in $disk.
make_file_system() {
    make_disk "$1"
    disk=$work/disk
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "${@:2}" "$device"
    mkdir -p "$disk"
    mount "$device" "$disk"
}

remove_file_system() {
    until umount "$disk" 2>/dev/null; do sleep 0.1; done
    losetup -d "$device"
}

# A scenario on a disk that a cgroup throttles.
#   record_on_disk "EVENTS ARRAY NAME" SIZE SCENARIO
record_on_disk() {
    local group=/sys/fs/cgroup/blkio/coldcase-lab device number disk
    build_ids=("${all_build_ids[@]}")
    make_file_system "$2"
    record_whole "$1" "$3" "$disk" "$number" "$group"
    remove_cgroup "$group"
    remove_file_system
}

events_with_disk=("${strong_events[@]}" "${file_events[@]}" "${block_events[@]}")
events_with_journal=("${events_with_disk[@]}" "${journal_events[@]}")
events_with_reclaim=("${strong_events[@]}" "${vmscan_events[@]}")
events_with_block=("${strong_events[@]}" "${block_events[@]}")

record_disk_fsync() { record_on_disk events_with_disk 256M disk-fsync; }
record_page_fault_io() { record_on_disk events_with_block 256M page-fault-io; }
record_inode_lock() { record_on_disk events_with_disk 256M inode-lock; }

record_vma_lock() {
    local device number disk
    build_ids=("${all_build_ids[@]}")
    make_file_system 128M
    record_whole strong_events vma-lock "$disk"
    remove_file_system
}

# The disk's image lies in a file system of its own, which the scenario freezes: what then waits is
# the disk, and the file system on it.
record_journal_commit() {
    local device number disk storage inner=$work/inner
    build_ids=("${all_build_ids[@]}")
    make_file_system 512M
    storage=$disk
    truncate -s 256M "$storage/disk.img"
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$storage/disk.img"
    mkdir -p "$inner"
    mount -o loop "$storage/disk.img" "$inner"
    record_whole events_with_journal journal-commit "$inner" "$storage"
    until umount "$inner" 2>/dev/null; do sleep 0.1; done
    remove_file_system
}

record_swap_in() {
    local group=/sys/fs/cgroup/blkio/coldcase-lab device number
    build_ids=("${all_build_ids[@]}")
    make_disk 512M
    mkswap -q "$device"
    swapon "$device"
    record_whole events_with_block swap-in "$number" "$group" /sys/fs/cgroup/memory/coldcase-lab
    remove_cgroup "$group"
    remove_cgroup /sys/fs/cgroup/memory/coldcase-lab
    swapoff "$device"
    losetup -d "$device"
}

# As record_journal_commit, with swap in the place of the inner file system.
record_memory_reclaim() {
    local device number disk swap group=/sys/fs/cgroup/memory/coldcase-lab
    build_ids=("${all_build_ids[@]}")
    make_file_system 512M
    truncate -s 384M "$disk/swap.img"
    swap=$(losetup --find --show "$disk/swap.img")
    mkswap -q "$swap"
    swapon "$swap"
    record_whole events_with_reclaim memory-reclaim "$disk" "$group"
    remove_cgroup "$group"
    swapoff "$swap"
    losetup -d "$swap"
    remove_file_system
}

# A scenario whose server lives in a cgroup of its own.
#   record_in_cgroup "EVENTS ARRAY NAME" HIERARCHY SCENARIO
record_in_cgroup() {
    local group=/sys/fs/cgroup/$2/coldcase-lab
    build_ids=("${all_build_ids[@]}")
    record_whole "$1" "$3" "$group"
    remove_cgroup "$group"
}

record_cpu_starvation() { record_in_cgroup strong_events cpu cpu-starvation; }
record_memory_limit() { record_in_cgroup events_with_reclaim memory memory-limit; }
record_cgroup_freezer() { record_in_cgroup events_with_signals freezer cgroup-freezer; }

# A scenario that needs nothing but its arguments.
record_plain() {
    build_ids=("${all_build_ids[@]}")
    record_whole strong_events "$@"
}

record_chronic_contention() { record_plain chronic-contention; }
record_two_freezes() { record_plain two-freezes 8; }
record_nested_locks() { record_plain nested-locks 8; }
record_slow_backend() { record_plain slow-backend; }
record_full_pipe() { record_plain full-pipe; }
record_position_lock() { record_plain position-lock /dev/shm 2; }
record_ptrace_stop() { record_plain ptrace-stop; }
record_mlock_large() { record_plain mlock-large 3; }
record_brk_large() { record_plain brk-large 3; }
record_dontneed_large() { record_plain dontneed-large 8; }

# Twelve C++ files that include much and compile for seconds, three at a time: a busy machine where
# nothing freezes.
record_busy_no_freeze() {
    local folder=$home/compile number
    mkdir -p "$folder"
    rm -f "$folder"/*
    for number in {1..12}; do
        cat >"$folder/part$number.cc" <<CPP
#include <iostream>
#include <map>
#include <regex>
int part$number(const std::string &text) {
    std::map<std::string, std::regex> patterns;
    patterns[text] = std::regex(text);
    return patterns.size();
}
CPP
    done
    cat >"$folder/Makefile" <<'MAKE'
all: $(patsubst %.cc,%.o,$(wildcard *.cc))
%.o: %.cc ; g++ -O2 -c $< -o $@
MAKE
    scenario_command="make -j3   # 12 C++ files"
    (cd "$folder" && exec make -j3) >"$work/program.log" 2>&1 &
    local make=$!
    server=$make
    start_truth "$make"
    start_perf "${strong_events[@]}"
    sleep 1
    tell_perf enable
    sleep 4
    stop_perf
    wait "$make"
    stop_truth
}

# The same freeze as `populate`, as an off-CPU profile shows it: sums by stack, without times, and
# with no trace of the holder, which was on a CPU.
record_folded_offcputime() {
    scenario_command="coldcase-lab populate 3"
    start_scenario populate 3
    start_truth
    perf_command=(offcputime -p "$server" 60)
    offcputime -p "$server" 60 >"$work/offcputime.txt" 2>"$work/offcputime.err" &
    local profiler=$!
    sleep 1.5 # to load its programs, which says nothing when it is done
    go
    wait_for_note done
    sleep "$after"
    kill -INT "$profiler"
    wait "$profiler" || true
    stop_scenario
    stop_truth
    "$lab/fold" "$work/offcputime.txt" >"$work/capture.folded"
}

# `populate` in the trap, twice at once: with its flight recorder, and with a budget that allows none, so that the second
# recording begins with the alarm. The process is watched, so nothing else runs.
record_trapped_populate() {
    local pids=()
    scenario_command="coldcase-lab populate 4"
    start_scenario populate 4
    start_truth
    set_trap bundle 100
    set_trap late 0
    sleep 2
    go
    wait_for_note done
    for trap in bundle late; do
        until grep -q 'wrote\|nothing was' "$work/$trap.log"; do sleep 0.1; done
    done
    kill "${pids[@]}"
    wait "${pids[@]}"
    stop_scenario
    stop_truth
    keep_bundles=(bundle late)
}

# Starts a trap with a budget in percent of a CPU; its process is added to $pids.
set_trap() {
    local command=("${COLDCASE:-coldcase}" trap --into "$work/$1" --process "$server" --every 100 --slower-than 400
        --seconds-before 2 --budget "$2")
    trap_commands[$1]=$(printf '%q ' coldcase "${command[@]:1}")
    "${command[@]}" 2>"$work/$1.log" &
    pids+=($!)
    until grep -q watching "$work/$1.log"; do sleep 0.1; done
}
