//! The trap with a perf that only acts like one, so that no root is needed: a script that answers on its pipes, ends with
//! its workload, and gives out recordings that were made by hand.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::{Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use super::*;
use crate::join::tests::recording;
use crate::keep::Limits;
use crate::session::pid_of;
use crate::watch::Manners;

/// `perf stat` counts, `perf record` records what lies beside the script as `flight`, `follow` and `names`.
const PERF: &str = r#"#!/bin/bash
here=$(dirname "$0")
case $1 in
--version) echo "perf version 6.1.0"; exit ;;
stat) echo "$(cat "$here/rate" 2>/dev/null || echo 1000);;sched:sched_switch;1;100.00;;" >&2; exit ;;
esac
while [ $# -gt 0 ]; do
    case $1 in
    --control=fifo:*) pipes=${1#*:}; control=${pipes%,*}; answers=${pipes#*,} ;;
    -o) out=$2; shift ;;
    --) shift; break ;;
    esac
    shift
done
name=$(basename "$out" .data)
[ ! -e "$here/broken-$name" ] || { echo "failed to open $name" >&2; exit 255; }
number=0
dump() { number=$((number + 1)); cp "$here/flight" "$out.$number"; echo "[ perf record: Dump $out.$number ]" >&2; }
trap dump USR2
exec 3<&0
"$@" <&3 3<&- &
workload=$!
exec 3<&-
exec 4<>"$control"
while kill -0 $workload 2>/dev/null; do
    if read -r -t 0.02 -u 4 word; then echo ack >"$answers"; fi
done
if [ "$name" = flight ]; then dump; else cp "$here/$name" "$out"; fi
"#;

/// A machine: the perf, what it records, a folder of tracepoints, and one for bundles.
struct Bench {
    folder: TempDir,
    options: Options,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let perf = folder.path().join("perf");
        fs::write(&perf, PERF).unwrap();
        fs::set_permissions(&perf, fs::Permissions::from_mode(0o755)).unwrap();
        for event in ["sched_switch", "sched_waking"] {
            fs::create_dir_all(folder.path().join("events/sched").join(event)).unwrap();
        }
        let now = clock::monotonic();
        let second = 1_000_000_000;
        for (name, times) in [
            ("flight", [now - 3 * second, now - second]),
            ("follow", [now + 30 * second, now + 40 * second]),
            ("names", [0, 0]),
        ] {
            fs::write(folder.path().join(name), recording(&[7], &times)).unwrap();
        }
        let options = Options {
            folder: folder.path().join("bundles"),
            watches: Vec::new(),
            manners: Manners {
                every: Duration::from_millis(20),
                slower_than: Duration::from_secs(1),
                confirm: 1,
            },
            before: Duration::from_secs(15),
            after: Duration::from_millis(300),
            at_most: 1000,
            quiet: Duration::ZERO,
            limits: Limits { bundles: 3, bytes: 1 << 30 },
            budget: 10.0,
            ring_bytes: 1 << 20,
            perf,
            with_binaries: false,
        };
        Self { folder, options }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Arms the trap, lets it do something, and gives what it said. Nothing of perf is left behind.
    fn run(&self, act: impl FnOnce(&mut Trap<'_>)) -> String {
        let mut said = String::new();
        let mut say = |line: &str| said.push_str(&format!("{line}\n"));
        let perf = Perf::find(&self.options.perf).unwrap();
        let mut trap = set(&self.options, perf, &self.path("events"), &mut say).unwrap();
        act(&mut trap);
        trap.end();
        let left = fs::read_dir(self.path("bundles")).unwrap().flatten();
        let left: Vec<String> =
            left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let odd = |name: &String| name.ends_with(".unfinished") || name == SCRATCH;
        assert!(!left.iter().any(odd), "{left:?}");
        said
    }

    fn manifest(&self) -> String {
        let newest = keep::bundles(&self.options.folder).pop().unwrap();
        let bytes = zstd::decode_all(File::open(newest.path).unwrap()).unwrap();
        String::from_utf8_lossy(&bytes[512..bytes.len().min(20_000)]).into_owned()
    }
}

fn by_hand(trap: &mut Trap<'_>) {
    trap.signals.ask_for_capture();
    trap.tick();
}

fn is_alive(pid: u32) -> bool {
    test_kill_process(pid_of(pid).unwrap()).is_ok()
}

#[test]
fn a_signal_by_hand_gives_a_bundle_and_perf_flies_on() {
    let bench = Bench::new();
    let mut pid = 0;
    let said = bench.run(|trap| {
        pid = trap.flight.as_ref().unwrap().pid();
        by_hand(trap);
        assert_eq!(trap.flight.as_ref().unwrap().pid(), pid);
        assert!(trap.flight.as_mut().unwrap().check().is_ok());
    });
    assert!(said.contains("armed") && said.contains("wrote"), "{said}");
    assert!(!is_alive(pid));
    let manifest = bench.manifest();
    assert!(manifest.contains("\"flight\": true") && manifest.contains("SIGUSR1"), "{manifest}");
}

#[test]
fn two_hundred_alarms_stay_within_the_cap_and_leave_nothing_in_memory() {
    /// Beside it other tests allocate; of what one bundle holds (the kernel's symbols alone are some MB), 150 would be far more.
    const SLACK: u64 = 128 << 20;
    let mut bench = Bench::new();
    bench.options.after = Duration::ZERO;
    let resident = || crate::proc::process(std::process::id()).unwrap().resident;
    bench.run(|trap| {
        (0..50).for_each(|_| by_hand(trap));
        let before = resident();
        (50..200).for_each(|_| by_hand(trap));
        assert!(resident() < before + SLACK, "{} after {before} bytes", resident());
    });
    let numbers: Vec<u64> =
        keep::bundles(&bench.options.folder).iter().map(|bundle| bundle.number).collect();
    assert_eq!(numbers, [198, 199, 200]);
}

#[test]
fn a_load_that_grows_makes_the_recorder_give_events_up() {
    let bench = Bench::new();
    let said = bench.run(|trap| {
        assert!(trap.flight.is_some());
        // A hundred times as many switches as the budget of 10 % allows.
        fs::write(bench.path("rate"), "4000000").unwrap();
        trap.counted = Instant::now().checked_sub(COUNT).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while trap.flight.is_some() && Instant::now() < until {
            trap.tick();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(trap.flight.is_none());
    });
    assert!(
        said.contains("from now on recording from the alarm on: switches and wakeups"),
        "{said}"
    );
}

#[test]
fn a_failing_command_is_one_alarm_until_it_is_well_again() {
    let mut bench = Bench::new();
    let well = bench.path("well");
    let words = ["test", "-e", well.to_str().unwrap()].map(str::to_owned).to_vec();
    bench.options.watches = vec![Watched::Command(words)];
    fs::write(&well, "").unwrap();
    let said = bench.run(|trap| {
        let mut turns = |count: u32| {
            for _ in 0..count {
                trap.tick();
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        turns(10);
        fs::remove_file(&well).unwrap();
        turns(20);
        fs::write(&well, "").unwrap();
        turns(10);
        fs::remove_file(&well).unwrap();
        turns(10);
    });
    assert_eq!(said.matches("failed (exit status: 1)").count(), 2, "{said}");
    assert_eq!(said.matches("wrote").count(), 2, "{said}");
}

#[test]
fn a_perf_that_was_killed_is_started_again_and_its_loss_is_in_the_bundle() {
    let bench = Bench::new();
    let said = bench.run(|trap| {
        let pid = trap.flight.as_ref().unwrap().pid();
        kill_process(pid_of(pid).unwrap(), Signal::KILL).unwrap();
        while is_alive(pid) && trap.flight.as_mut().unwrap().check().is_ok() {}
        trap.tick();
        by_hand(trap);
        trap.retry.0 = Instant::now();
        trap.tick();
        assert!(trap.flight.is_some());
    });
    assert!(said.contains("the flight recorder ended"), "{said}");
    assert!(said.contains("the flight recorder runs again"), "{said}");
    let manifest = bench.manifest();
    assert!(manifest.contains("\"flight\": false"), "{manifest}");
    assert!(manifest.contains("the capture begins after the alarm"), "{manifest}");
}

#[test]
fn what_perf_says_when_it_cannot_record_is_passed_on() {
    let bench = Bench::new();
    fs::write(bench.path("broken-flight"), "").unwrap();
    let said = bench.run(by_hand);
    assert!(said.contains("recording from the alarm on: perf: failed to open flight"), "{said}");
    assert!(said.contains("wrote"), "{said}");
    fs::write(bench.path("broken-follow"), "").unwrap();
    let said = bench.run(by_hand);
    assert!(said.contains("nothing was captured"), "{said}");
}

#[test]
fn a_budget_that_is_too_small_leaves_the_flight_recorder_on_the_ground() {
    let mut bench = Bench::new();
    bench.options.budget = 0.1;
    let said = bench.run(by_hand);
    assert!(said.contains("more than the budget of 0.1 %"), "{said}");
    assert!(said.contains("not in the flight recorder: switches and wakeups"), "{said}");
    assert!(bench.manifest().contains("\"flight\": false"));
}

#[test]
fn a_second_trap_and_a_folder_that_cannot_be_written_are_refused() {
    let bench = Bench::new();
    bench.run(|_| {
        assert!(matches!(take(&bench.options.folder), Err(TrapError::Busy(_))));
        assert!(status(&bench.options.folder).unwrap().1);
    });
    assert!(!status(&bench.options.folder).unwrap().1);
    let below_a_file = bench.path("flight").join("bundles");
    let message = take(&below_a_file).unwrap_err().to_string();
    assert!(message.starts_with("cannot make "), "{message}");
}

#[test]
fn a_capture_of_which_nothing_can_be_read_says_why_and_the_trap_goes_on() {
    let bench = Bench::new();
    let said = bench.run(|trap| {
        fs::rename(bench.path("flight"), bench.path("away")).unwrap();
        fs::write(bench.path("broken-follow"), "").unwrap();
        by_hand(trap);
        fs::rename(bench.path("away"), bench.path("flight")).unwrap();
        fs::remove_file(bench.path("broken-follow")).unwrap();
        by_hand(trap);
    });
    let why = "nothing was captured: perf: nothing was recorded after the alarm: perf: failed to open follow";
    assert!(said.contains(why) && said.contains("flight.data.1: No such file"), "{said}");
    assert_eq!(said.matches("wrote").count(), 1, "{said}");
}

#[test]
fn what_an_earlier_trap_left_behind_is_cleared() {
    let bench = Bench::new();
    let scratch = bench.path("bundles").join(SCRATCH);
    fs::create_dir_all(&scratch).unwrap();
    fs::write(scratch.join("flight.data.1"), "x").unwrap();
    fs::write(bench.path("bundles/.coldcase-000001-a.tar.zst.unfinished"), "x").unwrap();
    bench.run(|_| assert!(!scratch.join("flight.data.1").exists()));
}
