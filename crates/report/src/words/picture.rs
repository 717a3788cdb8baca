//! Titles and labels of pictures: each has to stand alone on a slide.

use coldcase_analyze::details::Figure;
use coldcase_analyze::findings::{Cause, Findings, Freeze, Role};
use coldcase_ingest::capture::{Nanos, ResidentPart, Timestamp};

use super::deed::{is_late, is_pause};
use super::{cause_label, grade_label, headline, is_sure};
use crate::{names, units};

pub(crate) const OPERATION_ROW: &str = "Operation";
pub(crate) const MEMORY_ROW: &str = "Memory calls";
pub(crate) const RESIDENT_ROW: &str = "Resident size";

/// A part of a resident size.
pub(crate) fn resident_part(part: ResidentPart) -> &'static str {
    match part {
        ResidentPart::File => "files",
        ResidentPart::Anonymous => "anonymous",
        ResidentPart::Shared => "shared",
        ResidentPart::Swap => "swapped out",
    }
}

/// Above the lanes of a part in the freeze.
pub(crate) fn role_heading(findings: &Findings, role: Role, count: usize) -> String {
    match role {
        Role::Culprit => culprit_heading(findings),
        Role::Helper => format!("Worked for the pause ({count})"),
        Role::Victim => format!("Stood still ({count})"),
        Role::Accomplice => format!("In the way too ({count})"),
        Role::Bystander => format!("Others ({count})"),
        Role::Idle => format!("Waited for work ({count})"),
    }
}

fn culprit_heading(findings: &Findings) -> String {
    let Some(worst) = findings.worst().filter(|worst| is_sure(worst.grade)) else {
        return "Suspect".to_owned();
    };
    let lock =
        worst.lock.filter(|_| !is_pause(worst) && !worst.culprit.as_ref().is_some_and(is_late));
    lock.map_or_else(
        || "Culprit".to_owned(),
        |lock| format!("Culprit: had the {}", cause_label(lock.kind)),
    )
}

/// Below the lanes, for those that are not drawn.
pub(crate) fn lanes_left_out(victims: usize, others: usize) -> String {
    let part = |count: usize, one: &str, many: &str| {
        (count > 0).then(|| units::counted(count as u64, one, many))
    };
    let parts: Vec<String> = [
        part(victims, "thread that stood still", "threads that stood still"),
        part(others, "other thread", "other threads"),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("Not drawn: {}.", parts.join(" and "))
}

/// On the shade of a freeze.
pub(crate) fn freeze_label(at_least: &str, length: &str) -> String {
    format!("frozen for {at_least}{length}")
}

/// Below the axis of time.
pub(crate) fn axis_caption(origin: Timestamp, has_freeze: bool) -> String {
    let what = if has_freeze { "the start of the freeze" } else { "the start of the picture" };
    format!("time from {what}, {origin} s on the capture's clock")
}

/// What the timeline shows, for its title and for a screen reader.
pub(crate) fn timeline_title(findings: &Findings) -> String {
    format!("{}: threads against time", headline(findings))
}

/// What wait sites are of.
pub(crate) fn sites_scope(findings: &Findings) -> &'static str {
    match findings.worst() {
        Some(window) if window.freeze.span.is_some() => "In the freeze",
        Some(_) => "In the whole profile",
        None => "In the whole capture",
    }
}

/// Title of the bars of wait sites.
pub(crate) fn sites_title(findings: &Findings) -> String {
    let who = findings.worst().map(|window| whose(&window.freeze));
    match who {
        Some(who) => format!("Where threads waited while {who} stood still"),
        None => "Where threads waited, in the whole capture".to_owned(),
    }
}

/// Title of the flame graph.
pub(crate) fn flame_title(findings: &Findings) -> String {
    let who = findings.worst().map(|window| whose(&window.freeze));
    match who {
        Some(who) => format!("Time off the CPU by call stack while {who} stood still"),
        None if findings.off_cpu.is_empty() || findings.details.off_cpu_all.is_empty() => {
            "Time off the CPU by call stack, in the whole capture".to_owned()
        }
        None => "Time that threads were held up, by call stack, in the whole capture".to_owned(),
    }
}

/// Below a picture: which capture it is of, and how sure its verdict is.
pub(crate) fn provenance(findings: &Findings) -> String {
    let capture = &findings.capture;
    let parts = [
        Some(names::name(&capture.format)),
        capture.hostname.as_deref().map(|host| format!("host {}", names::name(host))),
        capture.kernel.as_deref().map(|kernel| format!("kernel {}", names::name(kernel))),
        findings.worst().map(|worst| grade_label(worst.grade).to_lowercase()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn whose(freeze: &Freeze) -> String {
    super::summary::who_froze(freeze)
}

pub(crate) const SITES_NOTE: &str = "Blocked time, summed over all threads that waited there.";
/// How a flame graph is read.
pub(crate) fn flame_note(findings: &Findings) -> &'static str {
    let worst = findings.worst();
    match worst.and_then(|window| window.cause) {
        Some(Cause::CpuStarvation | Cause::CpuThrottle) => {
            "Callers above, callees below; a box is as wide as the time that threads were off the CPU below it: waiting, \
             or ready after they were taken off there. After a wait, a thread that is ready has no stack."
        }
        _ => {
            "Callers above, callees below; a box is as wide as the time that threads waited below it."
        }
    }
}
pub(crate) const USER_FRAMES: &str = "user code";
pub(crate) const KERNEL_FRAMES: &str = "kernel";

/// After the largest number of a heat map's legend.
pub(crate) const HEAT_UNIT: &str = "threads blocked";
/// What a heat map is.
pub(crate) const HEAT_NOTE: &str = "Columns are read from the bottom up; the stronger a cell's colour, the more threads of the process were \
                                    blocked in it. A line marks a freeze.";
/// Beside the scale of a curve.
pub(crate) const THREADS_AXIS: &str = "Threads blocked";

/// Above the heat map, whose columns are that long.
pub(crate) fn heat_title(column: Nanos) -> String {
    format!("blocked threads, in columns of {}", units::round(column))
}

/// On a cell.
pub(crate) fn heat_cell(begin: Nanos, threads: f64) -> String {
    format!("{} after the start of the recording: {threads:.1} {HEAT_UNIT}", units::duration(begin))
}

/// Below the heat map: what its columns count from.
pub(crate) fn heat_caption(start: Timestamp) -> String {
    format!("columns count from the start of the recording, {start} s on the capture's clock")
}

/// Above the curve of blocked threads.
pub(crate) fn blocked_title(findings: &Findings) -> String {
    let what = if findings.details.resident.is_empty() {
        "blocked threads and memory calls"
    } else {
        "blocked threads, memory calls and resident size"
    };
    format!("{}: {what}", headline(findings))
}

/// To what an event belongs.
pub(crate) fn figure(figure: Figure) -> &'static str {
    match figure {
        Figure::Freeze => "Length of the freeze",
        Figure::LongestWait => "Longest wait",
        Figure::Call => "The call",
        Figure::Hold => "The lock held",
        Figure::Release => "Who woke whom",
    }
}
