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

# By default perf keeps the build id of a binary only if the instruction pointer of some sample, not
# just its callchain, lies in it: often not in captures of waits. So there are fixtures with the
# scenario's build id in the header, with all build ids there, with them in the mmap records, and
# without any.
all_build_ids=(--buildid-all)
mmap_build_ids=(--buildid-mmap)

record_hashmap_resize() { record_whole strong_events hashmap-resize; }
record_populate() { record_whole proven_events populate 3; }
record_futex_convoy() { record_whole strong_events futex-convoy; }
record_munmap_large() { record_whole strong_events munmap-large 12; }
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
    local events_with_signals=("${strong_events[@]}" "${signal_events[@]}")
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

# A disk of its own (a file system in a loop device), so that nobody else on the machine waits for
# it.
record_disk_fsync() {
    local image=$work/disk.img disk=$work/disk device number
    truncate -s 256M "$image"
    mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$image"
    mkdir -p "$disk"
    device=$(losetup --find --show "$image")
    mount "$device" "$disk"
    number=$(lsblk -dno MAJ:MIN "$device" | tr -d ' ')
    local events_with_disk=("${strong_events[@]}" "${file_events[@]}" "${block_events[@]}")
    local group=/sys/fs/cgroup/blkio/coldcase-lab
    build_ids=("${all_build_ids[@]}")
    record_whole events_with_disk disk-fsync "$disk" "$number" "$group"
    remove_cgroup "$group"
    umount "$disk"
    losetup -d "$device"
}

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
