//! The scenarios by name. One file each; to add one, write its file and its line in [`ALL`].

mod cpu_throttle;
mod disk_fsync;
mod fork_large;
mod futex_convoy;
mod hashmap_resize;
mod idle_server;
mod munmap_large;
mod populate;
mod sigstop;
mod smaps_reader;

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
    Scenario { name: "futex-convoy", arguments: "", what: "one thread keeps a std Mutex", run: futex_convoy::run },
    Scenario { name: "disk-fsync", arguments: "FOLDER MAJOR:MINOR CGROUP", what: "writers wait for a throttled disk", run: disk_fsync::run },
    Scenario { name: "smaps-reader", arguments: "[GIB]", what: "another process reads /proc/PID/smaps", run: smaps_reader::run },
    Scenario { name: "sigstop", arguments: "", what: "SIGSTOP, later SIGCONT", run: sigstop::run },
    Scenario { name: "cpu-throttle", arguments: "CGROUP", what: "a cgroup's CPU quota is used up", run: cpu_throttle::run },
    Scenario { name: "idle-server", arguments: "", what: "nothing freezes: a server without work", run: idle_server::run },
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
