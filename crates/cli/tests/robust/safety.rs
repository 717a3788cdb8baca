//! Safe to open and to share: what the program touches, and what names can do in what it writes.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use crate::measured::{run, run_with};
use crate::perf_file::{Moment, PerfFile};
use crate::targets::KERNEL;
use crate::{inert, root};

const EVIL: &[&str] = &[
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)",
    "[x](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "a|b|c",
    "`a`\n# heading",
    "\u{1b}]0;evil\u{7}\u{1b}[2J",
    "safe\u{202e}cod.exe",
    "\u{9b}31m",
    "=cmd|'/c calc'!A1",
];

/// A capture in which paths lead everywhere, and threads and the program have evil names.
fn evil_capture() -> PerfFile {
    let mut file = PerfFile::new();
    let paths = [
        "/etc/passwd",
        "../../../../../../etc/shadow",
        "/bin/../../../etc/hostname",
        "/bin/link",
        "/linked/server",
        "/proc/self/environ",
        "/dev/zero",
        "//etc/group",
        "/tmp/perf-100.map",
        "<script>alert(1)</script>",
    ];
    for (index, path) in (0_u64..).zip(paths) {
        let at = Moment { time: 1, pid: 100, tid: 100, cpu: 0 };
        file.map(at, (index + 1) << 20, 1 << 20, path.as_bytes());
    }
    file.comm(Moment { time: 1, pid: 100, tid: 99, cpu: 0 }, EVIL[0].as_bytes());
    for (tid, name) in (100..).zip(EVIL) {
        file.comm(Moment { time: 1, pid: 100, tid, cpu: 0 }, name.as_bytes());
        for step in 0..20 {
            let at = Moment { time: 1_000_000_000 + step * 100_000_000, pid: 100, tid, cpu: 0 };
            let user = [0xffff_ffff_ffff_fe00, (step % 10 + 1) << 20 | 16];
            let waits = [kernel(&[4, 3, 6, 8, 13, 14]), user.to_vec()].concat();
            let lets_go = [kernel(&[17, 22, 10, 9, 2, 1]), user.to_vec()].concat();
            file.switch(at, &waits, 2, 99);
            let later = Moment { time: at.time + 90_000_000, pid: 100, tid: 99, cpu: 0 };
            file.waking(later, &lets_go, tid).switch(later, &[], 0, tid);
        }
    }
    file
}

/// A stack of the kernel's functions with these numbers, innermost first.
fn kernel(functions: &[usize]) -> Vec<u64> {
    functions.iter().map(|&index| KERNEL[index].0 + 0x11).collect()
}

/// A folder with the capture, and symbol folders whose links lead out of them.
fn trap() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("capture"), evil_capture().bytes()).unwrap();
    fs::create_dir_all(path("symfs/bin")).unwrap();
    fs::create_dir_all(path("outside")).unwrap();
    fs::write(path("outside/server"), "secret").unwrap();
    fs::write(path("outside/perf-100.map"), "100000 100000 secret\n").unwrap();
    symlink(path("outside/server"), path("symfs/bin/link")).unwrap();
    symlink(path("outside"), path("symfs/linked")).unwrap();
    symlink(path("outside/perf-100.map"), path("symfs/perf-100.map")).unwrap();
    let list = KERNEL.iter().map(|(address, name)| format!("{address:016x} T {name}\n"));
    fs::write(path("kallsyms"), list.collect::<String>()).unwrap();
    folder
}

const ARGUMENTS: &[&str] = &[
    "report",
    "capture",
    "--symfs",
    "symfs",
    "--kallsyms",
    "kallsyms",
    "-o",
    "page.html",
    "--json",
    "findings.json",
    "--markdown",
    "page.md",
    "--png",
    "pictures",
];

#[test]
fn nothing_is_opened_that_was_not_named_and_nothing_is_started_or_sent() {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("passed over: strace is not installed, or may not trace");
        return;
    }
    let folder = trap();
    let output = Command::new("strace")
        .current_dir(folder.path())
        .args(["-f", "-qq", "-o", "trace", "-e", "trace=%file,%network,%process"])
        .arg(env!("CARGO_BIN_EXE_coldcase"))
        .args(ARGUMENTS)
        .env("HOME", folder.path())
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("DEBUGINFOD_CACHE_PATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let trace = fs::read_to_string(folder.path().join("trace")).unwrap();
    let mut opened = 0;
    let mut started = 0;
    for line in trace.lines() {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        let name = call.split('(').next().unwrap_or_default();
        match name {
            "execve" => started += 1,
            "fork" | "vfork" | "execveat" => panic!("{line}"),
            "clone" | "clone3" => assert!(call.contains("CLONE_THREAD"), "{line}"),
            "socket" | "connect" | "sendto" | "sendmsg" | "bind" | "listen" => panic!("{line}"),
            "open" | "openat" | "openat2" | "creat" => {
                let path = call.split('"').nth(1).unwrap_or_default();
                assert!(may_be_opened(path, folder.path()), "{line}");
                opened += 1;
            }
            _ => {}
        }
    }
    assert_eq!(started, 1, "only the program itself");
    assert!(opened > 5, "{trace}");
}

/// What was named, what the dynamic linker and the language's run time need, and what ARCHITECTURE.md lists.
fn may_be_opened(path: &str, folder: &Path) -> bool {
    const SYSTEM: &[&str] =
        &["/etc/ld.so.", "/lib", "/usr/lib", "/proc/self/", "/sys/fs/cgroup", "/sys/kernel/notes"];
    const NAMED: &[&str] =
        &["capture", "symfs", "kallsyms", "page.html", "findings.json", "page.md", "pictures"];
    let path = Path::new(path);
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let first = inside.components().next().map(|part| part.as_os_str().to_string_lossy());
    let named = first.is_some_and(|first| NAMED.contains(&first.as_ref()));
    let system = SYSTEM.iter().any(|start| inside.to_string_lossy().starts_with(start));
    (named || system)
        && !inside.starts_with("/proc/self/environ")
        && !inside.to_string_lossy().contains("..")
}

#[test]
fn links_out_of_a_symbol_folder_are_refused_and_names_stay_inert() {
    let folder = trap();
    let outcome = run(folder.path(), ARGUMENTS);
    outcome.ended_well("the trap");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (page, json, markdown) = (read("page.html"), read("findings.json"), read("page.md"));
    inert::html(&page);
    inert::json(&json);
    inert::markdown(&markdown);
    inert::plain(&outcome.stderr);
    assert!(json.contains("alert(1)"), "the names are there");
    for text in [&page, &json, &markdown, &outcome.stderr] {
        assert!(!text.contains("secret"), "what lies outside is shown");
    }
    for command in [
        &["report", "capture"][..],
        &["report", "capture", "--summary"],
        &["inspect", "capture", "--symfs", "symfs"],
    ] {
        let outcome = run(folder.path(), command);
        outcome.ended_well("the trap");
        inert::plain(&outcome.stdout);
        inert::plain(&outcome.stderr);
        let alone = |line: &str| line == "# heading" || line.starts_with("error: ");
        assert!(!outcome.stdout.lines().chain(outcome.stderr.lines()).any(alone));
    }
    let pictures = fs::read_dir(folder.path().join("pictures")).unwrap();
    for picture in pictures {
        let name = picture.unwrap().file_name().into_string().unwrap();
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte)),
            "{name}"
        );
    }
}

#[test]
fn a_capture_may_have_an_evil_name_itself() {
    let folder = TempDir::new().unwrap();
    let capture = fs::read(root().join("fixtures/idle-server/capture.data.zst")).unwrap();
    for name in ["<script>alert(1)", "\u{1b}[2J\u{7}", "a\u{202e}b\nerror: c", "[x](http:)|`"] {
        fs::write(folder.path().join(name), &capture).unwrap();
        let arguments = ["report", name, "-o", "page.html", "--markdown", "page.md"];
        let outcome = run(folder.path(), &arguments);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        inert::plain(&outcome.stderr);
        inert::html(&fs::read_to_string(folder.path().join("page.html")).unwrap());
        inert::markdown(&fs::read_to_string(folder.path().join("page.md")).unwrap());
        fs::write(folder.path().join(name), "nothing").unwrap();
        let refused = run(folder.path(), &["report", name]);
        assert_eq!(refused.code, Some(3));
        inert::plain(&refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("capture");
    let mut bytes = evil_capture().bytes();
    // The records are said to go on to the end of a file so long that it is open for seconds.
    let (records, size) = (number(&bytes, 40), 1 << 33);
    bytes[48..56].copy_from_slice(&(size - records).to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(size).unwrap();
    let outcome = run_with(folder.path(), &["report", "capture", "--json", "-"], |_, process| {
        // It has looked at the file's size by then.
        while bytes_read(process)? < 1 << 21 {
            thread::yield_now();
        }
        file.set_len(records + 16)
    });
    outcome.ended_well("a file that is cut").says("while it was read");
    assert_eq!(outcome.code, Some(3));
}

/// How many bytes a process has read (`/proc/PID/io`, proc(5)).
fn bytes_read(process: u32) -> io::Result<u64> {
    let counts = fs::read_to_string(format!("/proc/{process}/io"))?;
    let count = counts.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
    count.ok_or_else(|| io::Error::other("nothing is counted"))
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}
