//! Every fixture has a test of its name: `coldcase check` on its folder.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{code, coldcase, fixture, fixture_names, folder, root, stderr, stdout};

/// One test for each name; a `_` stands for the folder's `-`.
macro_rules! fixtures {
    ($($name:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(&stringify!($name).replace('_', "-"));
            }
        )*
    };
}

fixtures! {
    brk_large
    busy_no_freeze
    captured_mid_freeze
    cgroup_freezer
    chronic_contention
    cpu_starvation
    cpu_throttle
    disk_fsync
    dontneed_large
    file_lock
    folded_offcputime
    fork_large
    full_pipe
    futex_convoy
    hashmap_resize
    idle_server
    inode_lock
    io_uring_read
    java_collection
    java_growing_heap
    java_late_pause
    journal_commit
    memory_limit
    memory_reclaim
    mlock_large
    munmap_in_steps
    munmap_large
    nested_locks
    page_fault_io
    populate
    position_lock
    postgresql_table_lock
    ptrace_stop
    python_dict_growth
    python_interpreter_lock
    resident_step
    sigstop
    slow_backend
    smaps_reader
    swap_in
    trapped_populate
    two_freezes
    vma_lock
}

fn check(name: &str) {
    let folder = folder();
    let output =
        coldcase(folder.path()).arg("check").arg(fixture(name)).output().expect("it can be run");
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).starts_with("ok  "), "{}", stdout(&output));
}

#[test]
fn every_folder_has_its_test() {
    let tested: BTreeSet<String> = TESTED.iter().map(|name| name.replace('_', "-")).collect();
    let folders: BTreeSet<String> = fixture_names().into_iter().collect();
    assert_eq!(tested, folders, "name every folder of fixtures/ in fixtures! above");
}

#[test]
fn every_folder_stands_in_the_list_and_holds_its_truth() {
    let list = fs::read_to_string(root().join("fixtures/README.md")).unwrap();
    for name in fixture_names() {
        assert!(list.contains(&format!("| `{name}` |")), "{name} is not in fixtures/README.md");
        for file in ["recording.txt", "truth.md", "truth.json", "expected.json"] {
            let path = fixture(&name).join(file);
            assert!(path.is_file(), "{} is missing", path.display());
        }
    }
}

#[test]
fn a_difference_is_named_and_exits_1() {
    let folder = folder();
    let path = folder.path().join("expected.json");
    let capture = fixture("idle-server/capture.data.zst");
    let expected = serde_json::json!({
        "capture": capture,
        "findings": {"verdict": {"outcome": "cause_found", "cause": "mmap_lock"}},
    });
    fs::write(path, expected.to_string()).unwrap();
    let output = coldcase(folder.path()).args(["check", "."]).output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let differs = r#"verdict.outcome: expected "cause_found", found "no_freeze""#;
    assert!(stdout(&output).contains(differs), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("0 as expected, 1 different\n"), "{}", stdout(&output));
}

#[test]
fn what_is_no_fixture_is_passed_over() {
    let folder = folder();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let mut command = coldcase(folder.path());
    let output = command.args(["check", "empty"]).arg(fixture("idle-server")).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).ends_with("1 as expected, 0 different\n"), "{}", stdout(&output));
}
