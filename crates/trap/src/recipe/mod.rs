//! How to record a freeze without the trap: the command lines that a machine allows, each with what it can prove.
//!
//! All of it is one shell script: whatever is not a command is a comment.

mod machine;

use std::fmt::Write as _;

pub use machine::Machine;

use coldcase_ingest::capture::inert_lines;

use crate::events::{self, Event, Group};

/// What all rings together may take.
const RINGS: u64 = 512 << 20;
/// The ring of a CPU, in bytes: larger ones lose nothing less.
const RING: std::ops::RangeInclusive<u64> = 1 << 20..=16 << 20;
/// Where lines are broken.
const WIDTH: usize = 108;

/// The script for a machine, of which `what` says which it is.
pub fn script(what: &str, machine: &Machine) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut text, what, machine)
        .and_then(|()| whole(&mut text, machine))
        .and_then(|()| flight(&mut text, machine))
        .and_then(|()| profile(&mut text, machine))
        .and_then(|()| map(&mut text, machine));
    inert_lines(&text)
}

/// The one command that allows the best verdict, in lines that are indented from the second on.
pub fn best(machine: &Machine) -> String {
    perf(machine, &events::for_recordings(), "-o freeze.data", "-- sleep 30")
}

fn head(out: &mut String, what: &str, machine: &Machine) -> std::fmt::Result {
    let release = machine.release.as_deref().unwrap_or("of an unknown release");
    let arch = machine.arch.as_deref().unwrap_or("an unknown architecture");
    let cpus =
        machine.cpus.map_or("an unknown number of CPUs".to_owned(), |cpus| format!("{cpus} CPUs"));
    writeln!(out, "# How to record a freeze on {what}: Linux {release}, {arch}, {cpus}")?;
    comment(
        out,
        "Each numbered part is one way, the best first: as root, in a folder with room for some 100 MB. 30 stands for the seconds \
         until the freeze is over. The *.bt files are in contrib/ of coldcase's source.",
    )?;
    machine
        .missing
        .iter()
        .try_for_each(|missing| comment(out, &format!("Not as things are: {missing}")))
}

fn whole(out: &mut String, machine: &Machine) -> std::fmt::Result {
    part(
        out,
        1,
        "perf: who held which lock, in which call, over how many bytes, and who stood still for it",
    )?;
    can(
        out,
        "proven for mmap_lock, strong for other locks, disks, limits and stop signals",
        "what was before its start: a recording that begins in the freeze has no size and no start of the call",
    )?;
    for group in lacking(machine) {
        comment(
            out,
            &format!(
                "   this kernel has no events of {}, so it cannot tell {}",
                group.name, group.without
            ),
        )?;
    }
    tool(
        out,
        machine,
        &["perf"],
        "Debian: linux-perf, Fedora: perf, Ubuntu: linux-tools-$(uname -r)",
    )?;
    writeln!(out, "{}", best(machine))?;
    writeln!(out, "cp /proc/kallsyms kallsyms")?;
    writeln!(out, "coldcase report freeze.data --kallsyms kallsyms")
}

fn flight(out: &mut String, machine: &Machine) -> std::fmt::Result {
    part(out, 2, "perf as a flight recorder: when nobody knows when it freezes")?;
    can(
        out,
        "the same of the last seconds before the signal, as much as the rings hold",
        "the end of a freeze that still goes on; `coldcase trap` gets both, and waits for it",
    )?;
    tool(out, machine, &["perf"], "")?;
    let options = "--overwrite --switch-output=signal -o flight.data";
    writeln!(out, "{} &", perf(machine, &events::all(), options, ""))?;
    writeln!(out, "sleep 30            # until the freeze is noticed")?;
    writeln!(out, "kill -USR2 $!       # it writes flight.data. with the time behind it")?;
    writeln!(out, "sleep 2; kill $!; wait")?;
    writeln!(out, "cp /proc/kallsyms kallsyms")?;
    writeln!(out, "coldcase report \"$(ls flight.data.* | head -n 1)\" --kallsyms kallsyms")
}

fn profile(out: &mut String, machine: &Machine) -> std::fmt::Result {
    part(
        out,
        3,
        "an off-CPU profile, and a log of memory calls beside it: where perf cannot be had",
    )?;
    can(
        out,
        "who waited for how long, and where; the sizes of memory calls: circumstantial at best",
        "when, and who held a lock: who holds one on a CPU is in no off-CPU profile",
    )?;
    let names = ["offcputime", "libbpf-offcputime", "offcputime-bpfcc"];
    let there = tool(out, machine, &names, "Debian: libbpf-tools, or bpfcc-tools")?;
    tool(out, machine, &["bpftrace"], "of that name")?;
    writeln!(out, "bpftrace memory-syscalls.bt 1048576 >memory-syscalls.log &")?;
    writeln!(out, "{} 30 >offcputime.txt", there.unwrap_or(names[0]))?;
    writeln!(out, "kill -INT $!; wait")?;
    writeln!(out, "coldcase report offcputime.txt memory-syscalls.log")
}

fn map(out: &mut String, machine: &Machine) -> std::fmt::Result {
    part(out, 4, "the same by bpftrace alone, for one process: PID")?;
    can(out, "as the third", "as the third")?;
    tool(out, machine, &["bpftrace"], "of that name")?;
    writeln!(out, "bpftrace memory-syscalls.bt 1048576 $PID >memory-syscalls.log &")?;
    writeln!(out, "timeout -s INT 30 bpftrace offcpu.bt $PID >offcpu-map.txt")?;
    writeln!(out, "kill -INT $!; wait")?;
    writeln!(out, "coldcase report offcpu-map.txt memory-syscalls.log")
}

fn part(out: &mut String, number: u32, title: &str) -> std::fmt::Result {
    writeln!(out)?;
    comment(out, &format!("{number}. {title}"))
}

fn can(out: &mut String, can: &str, cannot: &str) -> std::fmt::Result {
    comment(out, &format!("   can tell: {can}"))?;
    comment(out, &format!("   cannot tell: {cannot}"))
}

/// Names the first of these tools that is there, or says where one comes from.
fn tool(
    out: &mut String,
    machine: &Machine,
    names: &[&'static str],
    from: &str,
) -> Result<Option<&'static str>, std::fmt::Error> {
    let Some(tools) = &machine.tools else { return Ok(None) };
    let there = names.iter().copied().find(|name| tools.contains(name));
    if there.is_none() && !from.is_empty() {
        comment(out, &format!("   {} is not there: install it ({from})", names[0]))?;
    }
    Ok(there)
}

/// Groups of which this machine has nothing.
fn lacking(machine: &Machine) -> impl Iterator<Item = Group> {
    let groups = events::for_recordings().into_iter();
    groups.filter(|group| !group.events.iter().any(|event| machine.events.contains(event.name())))
}

/// `perf record` with what this machine has. A ring is a power of two.
fn perf(machine: &Machine, groups: &[Group], options: &str, workload: &str) -> String {
    let share = RINGS / u64::from(machine.cpus.unwrap_or(1).max(1));
    let ring = share.clamp(*RING.start(), *RING.end()).next_power_of_two() >> 20;
    let mut command =
        format!("perf record -a -g -m {ring}M -k CLOCK_MONOTONIC --buildid-all {options}");
    let mut width = command.len();
    for group in groups {
        let has = |event: &&Event| machine.events.contains(event.name());
        let (plain, filtered): (Vec<&Event>, Vec<&Event>) =
            group.events.iter().filter(has).partition(|event| event.filter.is_empty());
        let filtered =
            filtered.iter().map(|event| format!("-e {} --filter '{}'", event.spec, event.filter));
        for words in filtered.chain(lists(&plain)) {
            if width + words.len() > WIDTH {
                command.push_str(" \\\n   ");
                width = 3;
            }
            width += words.len() + 1;
            write!(command, " {words}").unwrap_or_default();
        }
    }
    if !workload.is_empty() {
        write!(command, " {workload}").unwrap_or_default();
    }
    command
}

/// Events in lists that are not too long for a line.
fn lists(events: &[&Event]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for event in events {
        match lists.last_mut() {
            Some(list) if list.len() + event.spec.len() < WIDTH - 6 => {
                list.push(',');
                list.push_str(event.spec);
            }
            _ => lists.push(format!("-e {}", event.spec)),
        }
    }
    lists
}

/// A comment in lines of readable length, indented alike.
fn comment(out: &mut String, text: &str) -> std::fmt::Result {
    let indent = " ".repeat(text.len() - text.trim_start().len());
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.len() + indent.len() + word.len() > WIDTH {
            writeln!(out, "# {indent}{}", line.trim_end())?;
            line.clear();
        }
        line.push_str(word);
        line.push(' ');
    }
    writeln!(out, "# {indent}{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_shrink_with_the_number_of_cpus() {
        for (cpus, ring) in
            [(Some(2), "-m 16M"), (Some(96), "-m 8M"), (Some(2000), "-m 1M"), (None, "-m 16M")]
        {
            let machine = Machine::captured(None, None, cpus, []);
            assert!(best(&machine).contains(ring), "{cpus:?}");
        }
    }

    #[test]
    fn a_filter_holds_for_its_event_alone() {
        let command = best(&Machine::captured(None, None, None, []));
        let words: Vec<&str> = command.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "--filter").unwrap();
        assert_eq!(words[at - 1], "lock:contention_begin");
        assert!(command.lines().all(|line| line.len() <= WIDTH + 10), "{command}");
    }

    #[test]
    fn tools_and_rights_that_are_missing_are_named() {
        let mut machine = Machine::captured(Some("5.10.0"), Some("x86_64"), Some(8), []);
        machine.tools = Some(vec!["offcputime-bpfcc"]);
        machine.missing = Some("missing CAP_PERFMON".to_owned());
        let script = script("this machine", &machine);
        for part in [
            "Not as things are: missing CAP_PERFMON",
            "perf is not there: install it (Debian: linux-perf",
            "bpftrace is not there",
            "offcputime-bpfcc 30 >offcputime.txt",
            "no events of holds of mmap_lock",
            "no events of contended locks",
        ] {
            assert!(script.contains(part), "{part}: {script}");
        }
    }
}
