//! `coldcase trap`: waits for a freeze on the live system and captures it as a bundle.

use std::time::Duration;

use anyhow::Result;
use coldcase_ingest::capture::inert_lines;
use coldcase_trap::{Limits, Manners, Options, Status, Watched, Which};

use crate::args::TrapArguments;
use crate::exit_code::Exit;
use crate::output;

/// Sets the trap, or says what one is doing.
pub fn run(arguments: &TrapArguments) -> Result<Exit> {
    if arguments.status {
        let (status, runs) = coldcase_trap::status(&arguments.into)?;
        output::print(describe(&status, runs).as_bytes())?;
    } else {
        coldcase_trap::run(&options(arguments), &mut |line| output::say(line))?;
    }
    Ok(Exit::Success)
}

fn options(arguments: &TrapArguments) -> Options {
    let seconds = Duration::from_secs;
    Options {
        folder: std::path::absolute(&arguments.into).unwrap_or_else(|_| arguments.into.clone()),
        watches: watches(arguments),
        manners: Manners {
            every: Duration::from_millis(arguments.every),
            slower_than: Duration::from_millis(arguments.slower_than),
            confirm: arguments.confirm,
        },
        before: seconds(arguments.seconds_before),
        after: seconds(arguments.seconds_after),
        at_most: arguments.at_most,
        quiet: seconds(arguments.quiet),
        limits: Limits {
            bundles: arguments.keep as usize,
            bytes: arguments.max_mib.saturating_mul(1 << 20),
        },
        budget: arguments.budget,
        ring_bytes: arguments.ring.saturating_mul(1 << 20),
        perf: arguments.perf.clone(),
        with_binaries: arguments.with_binaries,
    }
}

fn watches(arguments: &TrapArguments) -> Vec<Watched> {
    let command = Some(arguments.command.clone()).filter(|words| !words.is_empty());
    let send = arguments.send.as_deref().unwrap_or_default();
    let send = send.replace("\\r", "\r").replace("\\n", "\n").into_bytes();
    let tcp = arguments.tcp.clone().map(|address| Watched::Tcp { address, send });
    let process = |text: &String| {
        let name = || Which::Name(text.clone());
        Watched::Process(text.parse().map_or_else(|_| name(), Which::Pid))
    };
    let watches = [command.map(Watched::Command), arguments.http.clone().map(Watched::Http), tcp];
    watches.into_iter().flatten().chain(arguments.process.iter().map(process)).collect()
}

fn describe(status: &Status, runs: bool) -> String {
    let cost = &status.cost;
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
    let own = if cost.armed_s > 0.0 { cost.own_cpu_s / cost.armed_s * 100.0 } else { 0.0 };
    let runs = if runs { "runs" } else { "does not run any more" };
    let mut rows = vec![
        ("trap", format!("{runs} (pid {}), for {:.0} s", status.pid, cost.armed_s)),
        ("watches", or(status.watches.join(", "), "SIGUSR1 only")),
        ("health", status.health.clone()),
        (
            "recorder",
            status.flight.as_ref().map_or_else(
                || format!("flight recorder, reaches back {:.0} s", status.ring_s),
                |why| format!("from the alarm on: {why}"),
            ),
        ),
        ("events", or(status.groups.join(", "), "none before an alarm")),
    ];
    for row in &status.dropped {
        let figures = format!("{:.0} a second, {:.1} % of a CPU", row.per_second, row.percent);
        rows.push(("left out", format!("{} ({figures}; budget {} %)", row.name, status.budget)));
    }
    rows.extend([
        (
            "cost",
            format!("{own:.2} % of a CPU itself, its events about {:.2} %", cost.events_percent),
        ),
        ("memory", format!("{} and {} of rings", mib(cost.memory_bytes), mib(cost.ring_bytes))),
        ("written", mib(cost.written_bytes)),
        (
            "captures",
            format!(
                "{}, {} failed, {} alarms passed over",
                status.captures, status.failed, status.refused
            ),
        ),
        ("bundles", format!("{} of {}", status.bundles, mib(status.bundle_bytes))),
    ]);
    rows.extend(status.newest.clone().map(|newest| ("newest", newest)));
    let text: String = rows.iter().map(|(name, text)| format!("{name:<9} {text}\n")).collect();
    inert_lines(&text)
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}
