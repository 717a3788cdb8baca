//! The scenarios by name. One file each; to add one, write its file and its line in [`ALL`].

mod brk_large;
mod cgroup_freezer;
mod chronic_contention;
mod cpu_starvation;
mod cpu_throttle;
mod disk_fsync;
mod dontneed_large;
mod fork_large;
mod full_pipe;
mod futex_convoy;
mod hashmap_resize;
mod idle_server;
mod inode_lock;
mod journal_commit;
mod memory_limit;
mod memory_reclaim;
mod mlock_large;
mod munmap_in_steps;
mod munmap_large;
mod nested_locks;
mod page_fault_io;
mod populate;
mod position_lock;
mod ptrace_stop;
mod resident_step;
mod sigstop;
mod slow_backend;
mod smaps_reader;
mod swap_in;
mod two_freezes;
mod vma_lock;

pub struct Scenario {
    name: &'static str,
    arguments: &'static str,
    what: &'static str,
    pub run: fn(&[String]),
}

#[rustfmt::skip]
const ALL: &[Scenario] = &[
    Scenario { name: "hashmap-resize", arguments: "", what: "a HashMap doubles under mlockall(MCL_FUTURE)", run: hashmap_resize::run },
    Scenario { name: "populate", arguments: "[GIB]", what: "mmap(MAP_POPULATE), later munmap", run: populate::run },
    Scenario { name: "munmap-large", arguments: "[GIB]", what: "munmap of touched memory", run: munmap_large::run },
    Scenario { name: "fork-large", arguments: "[GIB]", what: "fork of a large process", run: fork_large::run },
    Scenario { name: "full-pipe", arguments: "", what: "a log shipper does not read its pipe", run: full_pipe::run },
    Scenario { name: "futex-convoy", arguments: "", what: "one thread keeps a std Mutex", run: futex_convoy::run },
    Scenario { name: "disk-fsync", arguments: "FOLDER MAJOR:MINOR CGROUP", what: "writers wait for a throttled disk", run: disk_fsync::run },
    Scenario { name: "smaps-reader", arguments: "[GIB]", what: "another process reads /proc/PID/smaps", run: smaps_reader::run },
    Scenario { name: "sigstop", arguments: "", what: "SIGSTOP, later SIGCONT", run: sigstop::run },
    Scenario { name: "cpu-throttle", arguments: "CGROUP", what: "a cgroup's CPU quota is used up", run: cpu_throttle::run },
    Scenario { name: "idle-server", arguments: "", what: "nothing freezes: a server without work", run: idle_server::run },
    Scenario { name: "brk-large", arguments: "[GIB]", what: "brk under mlockall(MCL_FUTURE)", run: brk_large::run },
    Scenario { name: "cgroup-freezer", arguments: "CGROUP", what: "a cgroup is frozen, later thawed", run: cgroup_freezer::run },
    Scenario { name: "chronic-contention", arguments: "", what: "nothing freezes: many short waits for one Mutex", run: chronic_contention::run },
    Scenario { name: "cpu-starvation", arguments: "CGROUP", what: "another process takes the CPUs", run: cpu_starvation::run },
    Scenario { name: "dontneed-large", arguments: "[GIB]", what: "madvise(MADV_DONTNEED) of much memory", run: dontneed_large::run },
    Scenario { name: "inode-lock", arguments: "FOLDER MAJOR:MINOR CGROUP", what: "a direct write keeps the inode's lock", run: inode_lock::run },
    Scenario { name: "journal-commit", arguments: "FOLDER STORAGE-FOLDER", what: "a journal's commit waits for its disk", run: journal_commit::run },
    Scenario { name: "memory-limit", arguments: "CGROUP", what: "a memory cgroup is full", run: memory_limit::run },
    Scenario { name: "memory-reclaim", arguments: "STORAGE-FOLDER CGROUP", what: "a full memory cgroup waits for its swap device", run: memory_reclaim::run },
    Scenario { name: "mlock-large", arguments: "[GIB]", what: "mlock of much memory", run: mlock_large::run },
    Scenario { name: "munmap-in-steps", arguments: "[GIB]", what: "nothing freezes: munmap of touched memory, piece by piece", run: munmap_in_steps::run },
    Scenario { name: "nested-locks", arguments: "[GIB]", what: "munmap while keeping a std Mutex", run: nested_locks::run },
    Scenario { name: "page-fault-io", arguments: "FOLDER MAJOR:MINOR CGROUP", what: "page faults wait for a throttled disk", run: page_fault_io::run },
    Scenario { name: "position-lock", arguments: "FOLDER [GIB]", what: "a long read() of a shared open file", run: position_lock::run },
    Scenario { name: "ptrace-stop", arguments: "", what: "a debugger attaches, later detaches", run: ptrace_stop::run },
    Scenario { name: "resident-step", arguments: "[GIB]", what: "madvise(MADV_POPULATE_WRITE), later munmap", run: resident_step::run },
    Scenario { name: "slow-backend", arguments: "", what: "a backend process answers late", run: slow_backend::run },
    Scenario { name: "swap-in", arguments: "MAJOR:MINOR CGROUP MEMORY-CGROUP", what: "page faults wait for a throttled swap device", run: swap_in::run },
    Scenario { name: "two-freezes", arguments: "[GIB]", what: "munmap, later a std Mutex is kept", run: two_freezes::run },
    Scenario { name: "vma-lock", arguments: "FOLDER", what: "a fault in a frozen file system, mprotect behind it", run: vma_lock::run },
];

pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

pub fn usage() -> String {
    let mut text = String::from("usage: coldcase-lab SCENARIO [ARGUMENTS]\n\n");
    for Scenario { name, arguments, what, .. } in ALL {
        text += &format!("  {:42} {what}\n", format!("{name} {arguments}"));
    }
    text
}
