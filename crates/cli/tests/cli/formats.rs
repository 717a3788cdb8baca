//! One freeze in every format: each capture says the same, within what its format can know.
//!
//! The figures come from the programs' own logs (`fixtures/formats/*/program.log`): in `together`, main mapped 3 GiB from 10994.717907 to
//! 10995.977550, 1259.6 ms, while six threads waited 1249 to 1258 ms each, 7512 ms together; then it unmapped them in 96 ms, while they
//! waited 538 ms. In `beside`, 984 ms, and 5880 ms together; then 88 ms and 484 ms. In `shapes`, 885.2 ms, and 5285 ms together; then 105 ms
//! and 584 ms.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{code, coldcase, findings, fixture, folder, names, stderr, stdout};

const BYTES: u64 = 3 << 30;
/// Milliseconds that the six threads waited for the first call, and for both.
const TOGETHER: std::ops::Range<f64> = 7480.0..7560.0;
const TOGETHER_BOTH: std::ops::Range<f64> = 8000.0..8110.0;
const SHAPES: std::ops::Range<f64> = 5250.0..5330.0;
const SHAPES_BOTH: std::ops::Range<f64> = 5820.0..5920.0;

fn report(paths: &[&str], options: &[&str]) -> Value {
    let folder = folder();
    let paths: Vec<PathBuf> = paths.iter().map(|path| fixture("formats").join(path)).collect();
    let output = coldcase(folder.path())
        .arg("report")
        .args(paths)
        .args(options)
        .args(["--json", "-"])
        .output();
    findings(&output.unwrap())
}

fn verdict(found: &Value) -> (&str, &str, &str) {
    let text =
        |key: &str| found["verdict"][key].as_str().unwrap_or("null").to_owned().leak() as &str;
    (text("outcome"), text("cause"), text("grade"))
}

fn blocked(found: &Value) -> f64 {
    found["verdict"]["freeze"]["blocked_ms"].as_f64().unwrap()
}

fn site(found: &Value) -> &str {
    found["wait_sites"][0]["site"].as_str().unwrap()
}

fn warned(found: &Value, text: &str) -> bool {
    found["capture"]["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .any(|note| note.as_str().unwrap().contains(text))
}

/// With times, the lock's holder is known by its own events or by those whom it woke.
#[test]
fn captures_with_times_name_the_same_culprit() {
    for (path, format, grade) in [
        ("together/capture.data.zst", "perf.data", "proven"),
        ("together/script.txt.zst", "perf script", "proven"),
        ("together/ftrace.txt.zst", "ftrace", "strong"),
        ("together/trace-cmd.txt.zst", "ftrace", "strong"),
    ] {
        let names = names();
        let options: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = report(&[path], &options);
        assert_eq!(found["capture"]["format"], format);
        assert_eq!(verdict(&found), ("cause_found", "mmap_lock", grade), "{path}");
        let (freeze, culprit) = (&found["verdict"]["freeze"], &found["verdict"]["culprit"]);
        assert!(TOGETHER.contains(&blocked(&found)), "{path}: {}", blocked(&found));
        assert_eq!(freeze["threads_blocked"], 6, "{path}");
        assert_eq!((&culprit["tid"], &culprit["bytes"]), (&8730.into(), &BYTES.into()), "{path}");
        assert_eq!(culprit["operation"], "mmap", "{path}");
        let held = culprit["held_ms"].as_f64().unwrap();
        assert!((1255.0..1262.0).contains(&held), "{path}: {held}");
        assert_eq!(site(&found), "mmap_lock (write) in mmap", "{path}");
    }
}

/// One run, recorded by perf three times at once: as a file, with compressed records, through a pipe; and by offcputime.
#[test]
fn every_shape_of_a_recording_says_the_same() {
    let names = names();
    let options: Vec<&str> = names.iter().map(String::as_str).collect();
    let of = |path: &str| report(&[path], &options);
    let file = of("shapes/file.data.zst");
    assert_eq!(verdict(&file), ("cause_found", "mmap_lock", "strong"));
    assert!(SHAPES.contains(&blocked(&file)), "{}", blocked(&file));
    assert_eq!(file["verdict"]["culprit"]["tid"], 16577);
    for path in ["shapes/compressed.data.zst", "shapes/pipe.data.zst"] {
        let other = of(path);
        assert_eq!(verdict(&other), verdict(&file), "{path}");
        assert_eq!(site(&other), site(&file), "{path}");
        for key in ["tid", "operation", "kernel_stack", "user_stack"] {
            let culprit = |found: &Value| found["verdict"]["culprit"][key].clone();
            assert_eq!(culprit(&other), culprit(&file), "{path}: {key}");
        }
        let freeze = |found: &Value| found["verdict"]["freeze"].clone();
        assert_eq!(freeze(&other)["threads_blocked"], freeze(&file)["threads_blocked"], "{path}");
        assert_eq!(freeze(&other)["process"], freeze(&file)["process"], "{path}");
        // Each recording takes the time of an event for itself, a moment after the other.
        for key in ["start_s", "end_s"] {
            let of = |found: &Value| freeze(found)[key].as_f64().unwrap();
            assert!((of(&other) - of(&file)).abs() < 0.001, "{path}: {key}");
        }
        assert!((blocked(&other) - blocked(&file)).abs() < 2.0, "{path}: {}", blocked(&other));
    }
    let profile = of("shapes/offcputime.folded");
    assert_eq!((verdict(&profile).1, site(&profile)), ("mmap_lock", site(&file)));
    assert!(SHAPES_BOTH.contains(&blocked(&profile)), "{}", blocked(&profile));
}

/// Folded from the recording, both calls are one sum, as in every profile.
#[test]
fn what_is_folded_from_a_recording_has_its_site_and_sum() {
    let folder = folder();
    let folded = folder.path().join("off.folded");
    let mut export = coldcase(folder.path());
    let export = export.arg("export").arg(fixture("formats/together/capture.data.zst"));
    let output = export.args(names()).args(["--to", "folded", "-o"]).arg(&folded).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let mut command = coldcase(folder.path());
    let found =
        findings(&command.arg("report").arg(folded).args(["--json", "-"]).output().unwrap());
    assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "circumstantial"));
    assert!(TOGETHER_BOTH.contains(&blocked(&found)), "{}", blocked(&found));
    // Of the whole machine, other programs' waits are longer.
    let mut sites = found["wait_sites"].as_array().unwrap().iter().map(|site| &site["site"]);
    assert!(sites.any(|site| site == "mmap_lock (write) in mmap"), "{}", found["wait_sites"]);
}

/// timehist has no wakers' stacks: who waited is known, and for how long, but not for whom.
#[test]
fn timehist_shows_who_waited_and_accuses_nobody() {
    let found = report(&["together/timehist.txt.zst"], &[]);
    assert_eq!(found["capture"]["format"], "perf sched timehist");
    assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "circumstantial"));
    assert!(TOGETHER.contains(&blocked(&found)), "{}", blocked(&found));
    assert_eq!(found["verdict"]["freeze"]["process"]["pid"], 8730);
    assert_eq!(found["verdict"]["culprit"], Value::Null);
    assert_eq!(site(&found), "mmap_lock (write) in mmap");
    assert!(warned(&found, "--max-stack"));
}

/// Profiles sum both calls up, and do not see who held the lock.
#[test]
fn profiles_have_the_same_site_and_sum() {
    for (path, format) in [
        ("together/offcputime.txt.zst", "offcputime"),
        ("together/offcputime.folded", "folded"),
        ("together/offcpu-map.txt", "bpftrace"),
    ] {
        let found = report(&[path], &[]);
        assert_eq!(found["capture"]["format"], format);
        assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "circumstantial"), "{path}");
        assert!(TOGETHER_BOTH.contains(&blocked(&found)), "{path}: {}", blocked(&found));
        assert_eq!(found["verdict"]["freeze"]["threads_blocked"], 6, "{path}");
        assert_eq!(found["verdict"]["culprit"], Value::Null, "{path}");
        assert_eq!(site(&found), "mmap_lock (write) in mmap", "{path}");
    }
    assert!(warned(&report(&["together/offcpu-map.txt"], &[]), "@ms was passed over: a histogram"));
}

#[test]
fn a_log_beside_a_profile_names_the_call() {
    for (profile, log, tid) in [
        ("together/offcputime.folded", "together/memory-syscalls.log", 8730),
        ("together/offcputime.txt.zst", "together/memory-syscalls.log", 8730),
        ("beside/offcputime.folded.zst", "beside/strace.log.zst", 18826),
        ("beside/offcputime.folded.zst", "beside/perf-trace.log.zst", 18826),
    ] {
        // In any order.
        for paths in [[profile, log], [log, profile]] {
            let found = report(&paths, &[]);
            assert_eq!(
                verdict(&found),
                ("cause_found", "mmap_lock", "circumstantial"),
                "{paths:?}"
            );
            let culprit = &found["verdict"]["culprit"];
            assert_eq!(
                (&culprit["tid"], &culprit["bytes"]),
                (&tid.into(), &BYTES.into()),
                "{paths:?}"
            );
            assert_eq!(culprit["operation"], "mmap", "{paths:?}");
            assert_eq!(found["memory_events"][0]["bytes"], BYTES, "{paths:?}");
        }
    }
}

#[test]
fn a_log_beside_a_perf_data_without_calls_gives_the_culprits_bytes() {
    let alone = report(&["beside/capture.data.zst"], &names().each_ref().map(String::as_str));
    assert_eq!(alone["verdict"]["culprit"]["bytes"], Value::Null);
    for log in ["beside/strace.log.zst", "beside/perf-trace.log.zst"] {
        let found =
            report(&["beside/capture.data.zst", log], &names().each_ref().map(String::as_str));
        assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "strong"), "{log}");
        let culprit = &found["verdict"]["culprit"];
        assert_eq!((&culprit["tid"], &culprit["bytes"]), (&18826.into(), &BYTES.into()), "{log}");
        assert!((5850.0..5900.0).contains(&blocked(&found)), "{log}: {}", blocked(&found));
        assert!(warned(&found, "to the capture's clock"), "{log}");
    }
}

#[test]
fn a_log_that_does_not_fit_is_refused_with_the_way_out() {
    let folder = folder();
    let path = |name: &str| fixture("formats").join(name);
    let run = |paths: &[&str], options: &[&str]| {
        let paths = paths.iter().map(|name| path(name));
        coldcase(folder.path())
            .arg("report")
            .args(paths)
            .args(options)
            .args(["--json", "-"])
            .output()
            .unwrap()
    };
    let apart = run(&["together/capture.data.zst", "beside/strace.log.zst"], &[]);
    assert!(stderr(&apart).contains("memory calls of its own"), "{}", stderr(&apart));
    let shifted =
        run(&["beside/capture.data.zst", "beside/strace.log.zst"], &["--log-offset", "-5"]);
    assert_eq!(code(&shifted), 3, "{}", stderr(&shifted));
    assert!(stderr(&shifted).contains("--log-offset"), "{}", stderr(&shifted));
    let two = run(&["together/offcputime.folded", "beside/capture.data.zst"], &[]);
    assert_eq!(code(&two), 2, "{}", stderr(&two));
    let wrong = run(&["beside/capture.data.zst"], &["--log-offset", "soon"]);
    assert_eq!(code(&wrong), 2, "{}", stderr(&wrong));
}

/// The same capture as perf.data and as the text that `perf script` makes of it.
#[test]
fn perf_scripts_text_of_a_fixture_says_what_the_fixture_says() {
    for name in ["populate", "munmap-large", "futex-convoy"] {
        let folder = folder();
        let of = |file: &str| {
            let path = fixture(name).join(file);
            let mut command = coldcase(folder.path());
            findings(
                &command
                    .arg("report")
                    .arg(path)
                    .args(names())
                    .args(["--json", "-"])
                    .output()
                    .unwrap(),
            )
        };
        let (data, text) = (of("capture.data.zst"), of("script.txt.zst"));
        assert_eq!(verdict(&data), verdict(&text), "{name}");
        for key in ["tid", "operation", "bytes", "flags"] {
            assert_eq!(
                data["verdict"]["culprit"][key], text["verdict"]["culprit"][key],
                "{name}: {key}"
            );
        }
        assert_eq!(data["verdict"]["lock"], text["verdict"]["lock"], "{name}");
        let close = |key: &str| {
            let of = |found: &Value| found["verdict"]["freeze"][key].as_f64().unwrap();
            assert!((of(&data) - of(&text)).abs() < 0.01, "{name}: {key}");
        };
        ["start_s", "end_s", "duration_ms", "blocked_ms", "threads_blocked"]
            .into_iter()
            .for_each(close);
        // What the text names already says nothing of a list of the kernel's symbols.
        assert!(!warned(&text, "kernel symbols"), "{name}: {}", text["capture"]["warnings"]);
        // The text has no records, only events.
        for (event, count) in text["capture"]["events"].as_object().unwrap() {
            assert_eq!(&data["capture"]["events"][event], count, "{name}: {event}");
        }
    }
}

/// Without callchains nothing tells which threads share an address space, so each is told of by itself, and the call that all of them
/// waited for is not said to have held up nobody.
#[test]
fn who_is_to_blame_for_others_in_a_text_without_chains_is_not_told_of_as_alone() {
    let folder = folder();
    let packed = std::fs::read(fixture("munmap-large").join("script.txt.zst")).unwrap();
    let text = String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('\t') && !line.is_empty());
    std::fs::write(folder.path().join("script.txt"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    let output =
        coldcase(folder.path()).args(["report", "script.txt", "--json", "-"]).output().unwrap();
    let found = findings(&output);
    let windows = found["windows"].as_array().unwrap();
    let own: Vec<_> = windows.iter().filter(|window| window["cause"] == "memory_syscall").collect();
    assert!(own.is_empty(), "{own:?}");
    assert!(!windows.is_empty());
    for window in windows {
        assert_eq!(
            (&window["cause"], &window["grade"]),
            (&"mmap_lock".into(), &"circumstantial".into())
        );
        assert_eq!(window["culprit"]["operation"], "munmap");
    }
}

/// `perf lock record` and the like: who waited for which lock of the kernel, and when; nobody is seen who held it, and nobody who
/// waited for anything else.
#[test]
fn contention_alone_shows_who_waited_for_a_lock_of_the_kernel_and_accuses_nobody() {
    let of = |name: &str| {
        let folder = folder();
        let path = fixture(name).join("lock.data.zst");
        let mut command = coldcase(folder.path());
        findings(
            &command.arg("report").arg(path).args(names()).args(["--json", "-"]).output().unwrap(),
        )
    };
    let found = of("mlock-large");
    assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "circumstantial"));
    assert_eq!(found["verdict"]["freeze"]["threads_blocked"], 6);
    assert_eq!(found["verdict"]["culprit"], Value::Null);
    // The program's own log: 2958 ms.
    let length = found["verdict"]["freeze"]["duration_ms"].as_f64().unwrap();
    assert!((2940.0..2980.0).contains(&length), "{length}");
    let causes = |key: &str| -> BTreeSet<String> {
        let rows = found["verdict"][key].as_array().unwrap().iter();
        rows.map(|row| row["cause"].as_str().unwrap().to_owned()).collect()
    };
    for unseen in ["futex", "disk_io", "cpu_starvation", "stopped", "network"] {
        assert!(causes("cannot_tell").contains(unseen), "{unseen}");
        assert!(!causes("ruled_out").contains(unseen), "{unseen}");
    }
    assert!(warned(&found, "only waits for locks of the kernel"));
    let other = of("slow-backend");
    assert_eq!(verdict(&other), ("freeze_unexplained", "null", "undetermined"));
    assert_eq!(other["windows"].as_array().map(Vec::len), Some(0));
}

#[test]
fn hung_tasks_of_a_kernel_log_are_told() {
    let found = report(&["hung-task.txt"], &[]);
    assert_eq!(found["capture"]["format"], "kernel log");
    assert_eq!(verdict(&found), ("cause_found", "rwsem", "circumstantial"));
    // mkdir, mv and a shell's write waited for the file system to thaw; each is said to have waited 2 s at least.
    assert_eq!(found["verdict"]["freeze"]["threads_blocked"], 3);
    assert!(blocked(&found) >= 6000.0, "{}", blocked(&found));
    assert!(site(&found).starts_with("frozen file system"), "{}", site(&found));
}

/// One file system was frozen, and eight tasks waited behind it (`fixtures/formats/kernel-log/stuck.c`); the detector saw the five that a
/// signal could not have ended, at least 5 s.
#[test]
fn blocked_tasks_of_every_kernel_have_their_sites() {
    for (kernel, release, write) in [
        ("5.10", "5.10.0-46-amd64", "frozen file system in page_fault"),
        ("6.1", "6.1.0-47-amd64", "frozen file system in madvise"),
        ("7.2", "7.2.13+deb14-amd64", "frozen file system in madvise"),
    ] {
        let seen = [
            "disk write-back in fsync",
            "kernel mutex in write",
            "per-CPU rwsem",
            write,
            "frozen file system in write",
        ];
        let unseen = ["disk I/O", "mmap_lock (read) in proc_read", "mmap_lock (write) in mmap"];
        let of = |dump: &str| report(&[&format!("kernel-log/{kernel}-{dump}.txt.zst")], &[]);
        let dmesg = of("dmesg");
        assert_eq!(sites(&dmesg), BTreeSet::from(seen), "{kernel}");
        assert_eq!(dmesg["capture"]["kernel"], release);
        let times = dmesg["wait_sites"].as_array().unwrap().iter().map(|site| &site["blocked_ms"]);
        assert!(times.into_iter().all(|time| *time == 5000.0), "{kernel}: {dmesg}");
        let all = BTreeSet::from_iter(seen.into_iter().chain(unseen));
        let dump = of("w");
        assert_eq!(sites(&dump), all, "{kernel}");
        let summary = dump["verdict"]["summary"].as_str().unwrap();
        assert!(summary.contains("at the moment of the dump"), "{summary}");
    }
    let owner = "log:2:135 is blocked on a mutex likely owned by task log:1:133";
    assert!(warned(&report(&["kernel-log/7.2-dmesg.txt.zst"], &[]), owner));
    // Of all tasks, those that sleep are not blocked.
    let all = report(&["kernel-log/7.2-t.txt.zst"], &[]);
    assert_eq!(sites(&all), sites(&report(&["kernel-log/7.2-w.txt.zst"], &[])));
    assert!(warned(&all, "tasks in other states were passed over"));
}

fn sites(found: &Value) -> BTreeSet<&str> {
    let sites = found["wait_sites"].as_array().unwrap().iter();
    sites.map(|site| site["site"].as_str().unwrap()).collect()
}

/// bcc's published samples: old kernels' stacks of idle threads and disks.
#[test]
fn bccs_samples_are_read_to_the_last_block() {
    for (path, format, rows) in [
        ("bcc/offcputime.txt", "offcputime", 61),
        ("bcc/offcputime.folded", "folded", 47),
        ("bcc/offwaketime.txt", "offcputime", 5),
        ("bcc/offwaketime.folded", "folded", 118),
        ("bcc/wakeuptime.txt", "offcputime", 11),
        ("bcc/wakeuptime.folded", "folded", 105),
    ] {
        let found = report(&[path], &[]);
        assert_eq!(found["capture"]["format"], format, "{path}");
        let (_, count) = found["capture"]["events"].as_object().unwrap().iter().next().unwrap();
        assert_eq!(*count, rows, "{path}");
        assert_eq!(found["capture"]["warnings"].as_array().unwrap().len(), 0, "{path}");
    }
}

#[test]
fn inspect_says_what_each_format_holds() {
    for (path, format, can) in [
        ("together/script.txt.zst", "perf script", "yes who held mmap_lock"),
        ("together/timehist.txt.zst", "perf sched timehist", "yes who stood still"),
        ("together/ftrace.txt.zst", "ftrace", "yes who ended each wait"),
        ("together/offcputime.txt.zst", "offcputime", "yes what they waited for"),
        ("together/offcpu-map.txt", "bpftrace", "yes what they waited for"),
        ("together/memory-syscalls.log", "memory-syscalls.bt", "yes sizes and flags"),
        ("beside/strace.log.zst", "strace", "yes sizes and flags"),
        ("beside/perf-trace.log.zst", "perf trace", "yes sizes and flags"),
        ("hung-task.txt", "kernel log", "yes what they waited for"),
    ] {
        let folder = folder();
        let output = coldcase(folder.path())
            .arg("inspect")
            .arg(fixture("formats").join(path))
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{path}: {}", stderr(&output));
        assert!(
            stdout(&output).contains(&format!("format      {format}\n")),
            "{path}: {}",
            stdout(&output)
        );
        assert!(stdout(&output).contains(can), "{path}: {}", stdout(&output));
    }
}

#[test]
fn a_format_that_is_insisted_on_is_used() {
    let folder = folder();
    let run = |format: &str| {
        let path = fixture("formats/together/offcputime.folded");
        coldcase(folder.path())
            .arg("inspect")
            .arg(path)
            .args(["--format", format])
            .output()
            .unwrap()
    };
    for format in [
        "perf-script",
        "timehist",
        "ftrace",
        "offcputime",
        "bpftrace",
        "strace",
        "perf-trace",
        "memory-syscalls",
        "kernel-log",
        "perf",
    ] {
        let output = run(format);
        assert_eq!(code(&output), 3, "{format}: {}", stdout(&output));
        assert!(stderr(&output).contains("at byte 0"), "{format}: {}", stderr(&output));
    }
    assert_eq!(code(&run("folded")), 0);
}

/// The program mapped 256 MiB with MAP_POPULATE (fixtures/formats/strace/program.c); the counts are those of grep.
#[test]
fn a_log_with_times_of_day_is_read_and_one_with_steps_refused() {
    let found = report(&["strace/tt.log.zst"], &[]);
    let largest = &found["memory_events"][0];
    assert_eq!(
        (largest["operation"].as_str(), largest["bytes"].as_u64()),
        (Some("mmap"), Some(256 << 20))
    );
    assert_eq!(largest["duration_ms"], 116.896);
    assert_eq!(
        (&found["capture"]["events"]["strace:mmap"], &found["capture"]["events"]["strace:munmap"]),
        (&51.into(), &42.into())
    );
    let folder = folder();
    let path = fixture("formats/strace/r.log.zst");
    let output = coldcase(folder.path()).arg("report").arg(path).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("the times are those of strace -r"), "{}", stderr(&output));
}

#[test]
fn a_trace_dat_is_named_with_the_command_that_converts_it() {
    let folder = folder();
    let output = coldcase(folder.path())
        .arg("report")
        .arg(fixture("formats/together/trace.dat"))
        .output()
        .unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("trace-cmd report FILE > FILE.txt"), "{}", stderr(&output));
}

/// What was made of a capture is none.
#[test]
fn exports_are_named_for_what_they_are() {
    let folder = folder();
    for (format, name) in
        [("speedscope", "speedscope"), ("firefox", "Firefox Profiler"), ("perfetto", "Perfetto")]
    {
        let path = folder.path().join(format);
        let capture = fixture("formats/together/capture.data.zst");
        let mut export = coldcase(folder.path());
        let export = export.arg("export").arg(capture).args(["--to", format, "-o"]).arg(&path);
        let output = export.output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let output = coldcase(folder.path()).arg("report").arg(&path).output().unwrap();
        assert_eq!(code(&output), 3, "{format}");
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
    }
}

/// From `fixtures/formats/loop/program.log`, on the wall's clock: main's mmap from 02:31:40.385 to 41.603, while six threads waited 7284 ms
/// together; its munmap from 42.004 to 42.093, while they waited 489 ms.
#[test]
fn a_folder_of_profiles_shows_in_which_files_the_waiting_stands_out() {
    let millis = |found: &Value, key: &str| found["verdict"]["freeze"][key].as_f64().unwrap();
    let evidence = |found: &Value| found["verdict"]["evidence"].to_string();
    let at = f64::from((2 * 60 + 31) * 60);

    // bpftrace goes on and prints: a wait counts in the second in which it ended.
    let found = report(&["loop/bpftrace"], &[]);
    assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "circumstantial"));
    assert_eq!((millis(&found, "start_s"), millis(&found, "end_s")), (at + 40.0, at + 42.0));
    assert!((7680.0..7860.0).contains(&blocked(&found)), "{}", blocked(&found));
    assert_eq!(found["verdict"]["freeze"]["threads_blocked"], 6);
    assert_eq!(found["verdict"]["culprit"], Value::Null);
    assert_eq!(site(&found), "mmap_lock (write) in mmap");
    assert!(warned(&found, "borders are known to 1.0 s only"));

    // offcputime begins anew: the long waits reach over its borders and are lost, but in their file nobody is to be seen.
    let found = report(&["loop/offcputime"], &[]);
    assert_eq!(verdict(&found), ("cause_found", "mmap_lock", "circumstantial"));
    let files = "in 1 file, from 1795314701.548000 to 1795314702.651000 s";
    assert!(evidence(&found).contains(files), "{}", evidence(&found));
    // Each thread waited for less than 0.1 s of it.
    assert_eq!(found["verdict"]["freeze"]["duration_ms"], Value::Null);
    assert!((470.0..520.0).contains(&blocked(&found)), "{}", blocked(&found));
    assert!(evidence(&found).contains("in 1 file before, 6 of 6 threads"), "{}", evidence(&found));

    // Outside of the freeze nothing stands out, and names with numbers tell no times.
    let folder = folder();
    for (number, second) in (30..38).enumerate() {
        let from = fixture("formats/loop/bpftrace").join(format!("02-31-{second}.txt.zst"));
        std::fs::copy(from, folder.path().join(format!("{number:05}.txt.zst"))).unwrap();
    }
    let run = |options: &[&str]| {
        let mut command = coldcase(folder.path());
        command.args(["report", ".", "--json", "-"]).args(options).output().unwrap()
    };
    let refused = run(&[]);
    assert_eq!(code(&refused), 3);
    assert!(stderr(&refused).contains("--every MS"), "{}", stderr(&refused));
    let found = findings(&run(&["--every", "1000"]));
    assert_eq!(verdict(&found).0, "no_freeze");
}

/// A program's own frames tell where it stood and not why: three threads waited 0.7 s each for a mutex.
#[test]
fn stacks_of_user_space_alone_never_show_that_nothing_froze() {
    let recordings = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ingest/tests/data/perf");
    for name in ["off-cpu.data.zst", "off-cpu-direct.data.zst"] {
        let found = report(&[recordings.join(name).to_str().unwrap()], &[]);
        assert_eq!(found["verdict"]["outcome"], "freeze_unexplained", "{name}");
        assert_eq!(found["verdict"]["culprit"], Value::Null, "{name}");
    }
}
