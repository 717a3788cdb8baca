//! Names that everybody has. What is not known to be one is private.

/// Threads of the kernel, by what their names begin with; a number or a `/` follows, or nothing.
const KERNEL_THREADS: &[&str] = &[
    "cpuhp",
    "idle_inject",
    "irq",
    "jbd2",
    "kauditd",
    "kblockd",
    "kcompactd",
    "kdevtmpfs",
    "khugepaged",
    "khungtaskd",
    "kintegrityd",
    "ksmd",
    "ksoftirqd",
    "kswapd",
    "kthreadd",
    "kworker",
    "migration",
    "napi",
    "oom_reaper",
    "rcu_preempt",
    "rcu_sched",
    "rcu_tasks_kthre",
    "rcu_tasks_rude_",
    "rcu_tasks_trace",
    "rcub",
    "rcuc",
    "rcuog",
    "rcuop",
    "scsi_eh_",
    "swapper",
    "watchdogd",
    "writeback",
    "xfsaild",
];

/// Whether a thread's name tells nothing: none, one of the kernel's, or what tools write for a name that they do not know (`:1234`,
/// `<...>`).
pub(crate) fn is_public_task(name: &str) -> bool {
    let unknown = |rest: &str| rest.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
    let kernel = |stem: &&str| {
        let rest = name.strip_prefix(*stem);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|next: char| next == '/' || next.is_ascii_digit())
        })
    };
    name.is_empty()
        || name.strip_prefix(':').is_some_and(unknown)
        || matches!(name, "<...>" | "<idle>" | "[unknown]")
        || KERNEL_THREADS.iter().any(kernel)
}

/// Folders of every Linux (Filesystem Hierarchy Standard 3.0), of packages and of compilers.
pub(crate) fn is_public_folder(name: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "",
        ".",
        "..",
        ".build-id",
        ".debug",
        "aarch64-linux-gnu",
        "alloc",
        "bin",
        "boot",
        "build",
        "core",
        "debug",
        "deps",
        "dev",
        "etc",
        "home",
        "include",
        "jvm",
        "kernel",
        "lib",
        "lib32",
        "lib64",
        "libexec",
        "library",
        "local",
        "media",
        "mnt",
        "modules",
        "opt",
        "proc",
        "release",
        "root",
        "run",
        "sbin",
        "share",
        "shm",
        "src",
        "srv",
        "std",
        "sys",
        "target",
        "tmp",
        "usr",
        "var",
        "x86_64-linux-gnu",
    ];
    FOLDERS.contains(&name) || name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Libraries and runtimes that programs share, by their names before `.so` or a version.
const LIBRARIES: &[&str] = &[
    "ld-linux-aarch64",
    "ld-linux-x86-64",
    "ld-musl-aarch64",
    "ld-musl-x86_64",
    "ld",
    "libc",
    "libc++",
    "libcrypto",
    "libdl",
    "libffi",
    "libgcc_s",
    "libjemalloc",
    "libjvm",
    "libm",
    "libmimalloc",
    "libnode",
    "libnuma",
    "libpthread",
    "libpython2",
    "libpython3",
    "librt",
    "libsqlite3",
    "libssl",
    "libstdc++",
    "libtcmalloc",
    "libtcmalloc_minimal",
    "liburing",
    "libuv",
    "libz",
    "libzstd",
];

/// Whether a file's name is one that everybody has.
pub(crate) fn is_public_file(name: &str) -> bool {
    const FILES: &[&str] =
        &["kallsyms", "System.map", "vmlinux", "linux-vdso.so.1", "null", "perf", "zero"];
    let stem = name.split_once(".so").map(|(stem, _)| stem);
    // `libc-2.31.so`, `libpython3.11.so.1.0`
    let stem = stem.map(|stem| stem.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
    let stem = stem.map(|stem| stem.trim_end_matches('-'));
    let known = |stem: &str| {
        LIBRARIES.iter().any(|library| {
            *library == stem || library.trim_end_matches(|c: char| c.is_ascii_digit()) == stem
        })
    };
    let map = name.strip_prefix("perf-").and_then(|rest| rest.strip_suffix(".map"));
    name.is_empty()
        || FILES.contains(&name)
        || stem.is_some_and(known)
        || map.is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What stands behind a file's name and tells its kind: `.so.6`, `.data.zst`.
pub(crate) fn is_public_suffix(suffix: &str) -> bool {
    const SUFFIXES: &[&str] = &[
        "bz2", "c", "cc", "class", "cpp", "csv", "data", "debug", "dll", "exe", "folded", "go",
        "gz", "h", "hpp", "html", "jar", "java", "js", "json", "ko", "kt", "log", "map", "md",
        "mjs", "node", "o", "old", "perf", "py", "rb", "rs", "s", "S", "scala", "so", "trace",
        "ts", "txt", "xz", "zip", "zst",
    ];
    SUFFIXES.contains(&suffix) || suffix.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an event is the kernel's or perf's own, and not a probe that somebody set and named.
pub(crate) fn is_public_event(name: &str) -> bool {
    const PROBES: &[&str] = &["probe", "sdt", "uprobes", "kprobes", "synthetic"];
    // The readers' own words for what a format without events holds, and what perf calls its counters.
    const COUNTERS: &[&str] = &[
        "blocked tasks",
        "bpftrace map",
        "branch",
        "cache",
        "context-switches",
        "cpu-",
        "cpu_clk",
        "cs",
        "cycles",
        "dummy",
        "instructions",
        "major-faults",
        "minor-faults",
        "off-cpu",
        "offcpu",
        "page-faults",
        "PERF_RECORD",
        "perf trace",
        "strace",
        "task-clock",
    ];
    match name.split_once(':') {
        Some((group, _)) if group.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            !PROBES.iter().any(|probe| group == *probe || group.starts_with(&format!("{probe}_")))
        }
        _ => COUNTERS.iter().any(|counter| name.starts_with(counter)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_threads_keep_their_names() {
        for name in ["", "kworker/0:1-events", "kswapd0", "jbd2/vda1-8", "swapper/3", ":-1"] {
            assert!(is_public_task(name), "{name}");
        }
        for name in ["kworkers", "10.1.2.3-manager", "nfsd", "acme", "irqbalance", "swapper-db"] {
            assert!(!is_public_task(name), "{name}");
        }
    }

    #[test]
    fn libraries_that_everybody_has_keep_their_names() {
        for name in ["libc.so.6", "libc-2.31.so", "libpython3.11.so.1.0", "perf-77.map"] {
            assert!(is_public_file(name), "{name}");
        }
        for name in ["libacme.so", "libcrypto", "libc-acme.so", "perf-acme.map", "python3.11"] {
            assert!(!is_public_file(name), "{name}");
        }
    }

    #[test]
    fn probes_are_private() {
        for name in ["sched:sched_switch", "cpu-clock/freq=99/", "PERF_RECORD_MMAP2", "cycles:ppp"]
        {
            assert!(is_public_event(name), "{name}");
        }
        for name in ["probe_acme:ledger_post", "sdt_acme:x", "probe:acme", "ledger"] {
            assert!(!is_public_event(name), "{name}");
        }
    }
}
