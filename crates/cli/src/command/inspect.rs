//! `coldcase inspect`: what a capture holds, and what can be told from it.

use std::fmt::Write as _;

use anyhow::Result;
use coldcase_ingest::capture::{Capture, Meaning, Mode, Span, inert};
use coldcase_ingest::symbols::SymbolReport;

use super::inspect_names;
use super::recipe::captured;
use crate::args::InspectArguments;
use crate::exit_code::Exit;
use crate::redact::Redact;
use crate::{load, output};

/// Reads a capture and says what is in it.
pub fn run(arguments: &InspectArguments) -> Result<Exit> {
    let mut redact = Redact::open(&arguments.redaction)?;
    let (mut capture, mut symbols) = load::overview(&arguments.capture, &arguments.reading)?;
    if let Some(redaction) = redact.asked() {
        redaction.learn(&capture);
        redaction.symbols(&mut symbols);
        redaction.capture(&mut capture);
        redact.keep_key()?;
    }
    output::print(describe(&capture, &symbols).as_bytes())?;
    for warning in &capture.warnings {
        output::warning(warning);
    }
    // The process ends: the system takes its memory back at once, which is sooner than table by table.
    std::mem::forget(capture);
    Ok(Exit::Success)
}

fn describe(capture: &Capture, symbols: &SymbolReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut text, capture)
        .and_then(|()| reach(&mut text, capture))
        .and_then(|()| inspect_names::write(&mut text, symbols))
        .and_then(|()| events(&mut text, capture));
    text
}

fn head(out: &mut String, capture: &Capture) -> std::fmt::Result {
    let origin = &capture.origin;
    let or_unknown = |value: &Option<String>| value.as_deref().map_or("unknown".to_owned(), inert);
    writeln!(out, "format      {}", origin.format)?;
    writeln!(out, "recorded by {}", or_unknown(&origin.recorder))?;
    writeln!(out, "kernel      {} ({})", or_unknown(&origin.kernel), or_unknown(&origin.arch))?;
    let cpus = origin.cpus.map_or("unknown".to_owned(), |cpus| cpus.to_string());
    writeln!(out, "cpus        {cpus}")?;
    writeln!(out, "host        {}", or_unknown(&origin.hostname))?;
    if let Some(incident) = &capture.incident {
        let at = incident.alarm.map_or(String::new(), |at| format!("{at} s: "));
        let sizes = incident.sizes.len() + incident.readings.len();
        let log = incident.kernel_log.len();
        writeln!(out, "alarm       {at}{}", inert(&incident.saw))?;
        writeln!(
            out,
            "beside it   {sizes} figures of memory, pressure and control groups, {log} warnings of the kernel"
        )?;
    }
    match capture.span {
        Some(span) => writeln!(
            out,
            "time        {} to {} s: {:.3} s",
            span.start,
            span.end,
            span.duration().as_millis_f64() / 1000.0
        )?,
        None => writeln!(out, "time        {}", time_of_sums(&capture.slices))?,
    }
    let processes = capture.threads.processes().filter(|(_, process)| !process.threads.is_empty());
    writeln!(out, "threads     {} of {} processes", capture.threads.len(), processes.count())?;
    writeln!(
        out,
        "stacks      {} unique, of {} frames",
        capture.stacks.len(),
        capture.frames.len()
    )?;
    writeln!(out, "lost        {} events", capture.lost_events())
}

fn time_of_sums(slices: &[Span]) -> String {
    match slices {
        [first, .., last] => {
            format!("sums of {} slices, from {} to {} s", slices.len(), first.start, last.end)
        }
        _ => "none: sums only".to_owned(),
    }
}

fn events(out: &mut String, capture: &Capture) -> std::fmt::Result {
    writeln!(out, "\nevents")?;
    let (seen, never): (Vec<_>, Vec<_>) =
        capture.events.iter().partition(|event| event.count > 0 || event.sampled);
    for event in seen {
        let note = match (event.meaning, event.sampled) {
            (_, true) => "  sampled: some are missing",
            (Some(_), false) => "",
            (None, false) if !event.name.starts_with("PERF_RECORD") => "  counted only",
            (None, false) => "",
        };
        writeln!(out, "  {:>9}  {}{note}", event.count, inert(&event.name))?;
    }
    if !never.is_empty() {
        let names: Vec<String> = never.iter().map(|event| inert(&event.name)).collect();
        writeln!(out, "  {:>9}  {}", 0, names.join(", "))?;
    }
    Ok(())
}

/// What can be concluded, and what to record for more.
fn reach(out: &mut String, capture: &Capture) -> std::fmt::Result {
    writeln!(out, "\nwhat can be told")?;
    let has = |meaning| capture.recorded(meaning);
    let locks_alone = capture.shows_locks_alone();
    let stacks = capture.switches.iter().any(|switch| switch.stack.is_some())
        || locks_alone && !capture.stacks.is_empty();
    let in_kernel = |stack| {
        let mut frames = capture.stacks.frames(stack).iter();
        frames.any(|&frame| capture.frames.get(frame).mode == Mode::Kernel)
    };
    let profile = capture.profile.iter().any(|row| in_kernel(row.stack));
    let lines = [
        (
            has(Meaning::Switches) || has(Meaning::SwitchRecords) || locks_alone,
            "who stood still, and when",
            "sched:sched_switch",
        ),
        (stacks || profile, "what they waited for", "callchains (-g)"),
        (has(Meaning::Waking), "who ended each wait: a culprit, strong", "sched:sched_waking"),
        (has(Meaning::Contention), "which lock, by its address", "lock:contention_begin and _end"),
        (
            has(Meaning::MemorySyscalls),
            "sizes and flags of memory calls",
            "syscalls:sys_enter_mmap, ...",
        ),
        (
            has(Meaning::MmapLock),
            "who held mmap_lock: a culprit, proven",
            "mmap_lock:mmap_lock_acquire_returned and _released",
        ),
    ];
    for (can, what, record) in lines {
        let mark = if can { "yes" } else { "no " };
        let hint = if can { String::new() } else { format!("  (record {record})") };
        writeln!(out, "  {mark} {what}{hint}")?;
    }
    if locks_alone {
        writeln!(
            out,
            "      contention shows waits for locks of the kernel alone: whoever waited for anything else is not seen\n      (record \
             sched:sched_switch)"
        )?;
    }
    let switches_alone = has(Meaning::SwitchRecords) && !has(Meaning::Switches);
    if switches_alone {
        writeln!(
            out,
            "      PERF_RECORD_SWITCH has no stacks and no states: a wait for a lock and rest look alike"
        )?;
    }
    if [Meaning::Switches, Meaning::Waking].iter().any(|&meaning| capture.sampled(meaning)) {
        writeln!(
            out,
            "      the events are sampled (-F or -c): no durations can be told from them"
        )?;
    }
    if lines.iter().any(|(can, ..)| !can) {
        let command = coldcase_trap::best_command(&captured(capture)).replace('\n', "\n  ");
        writeln!(out, "\nrecord next time (`coldcase recipe` has other ways)\n  {command}")?;
        writeln!(out, "  cp /proc/kallsyms kallsyms   # as root, beside the capture")?;
    }
    Ok(())
}
