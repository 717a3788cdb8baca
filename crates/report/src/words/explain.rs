//! Headlines, grades and reasons.

use coldcase_analyze::details::WaitView;
use coldcase_analyze::findings::{Cause, Findings, Grade, LockMode, Outcome, ThreadName, Window};
use coldcase_ingest::capture::{Nanos, Timestamp, WhyNoSymbol};

use super::cause::threads_did;
use super::deed::is_pause;
use super::quiet::chronic_headline;
use super::summary::{named_threads, who_froze};
use super::{at_least, cause_of};
use crate::{names, units};

/// A grade on its badge.
pub(crate) fn grade_label(grade: Grade) -> &'static str {
    match grade {
        Grade::Proven => "Proven",
        Grade::Strong => "Strong evidence",
        Grade::Circumstantial => "Circumstantial",
        Grade::Undetermined => "Undetermined",
    }
}

/// What the grade of a freeze rests on.
pub(crate) fn grade_meaning(window: &Window, grade: Grade) -> String {
    let culprit = window.culprit.as_ref();
    // Who stopped others is told by one event, and the evidence says which.
    if let (Grade::Strong, Some(Cause::Stopped), Some(_), [.., told]) =
        (grade, window.cause, culprit, window.evidence.as_slice())
    {
        return format!("{}.", names::text(told));
    }
    let meaning = match grade {
        Grade::Proven if window.lock.is_some() => "The holder's own lock events show it.",
        Grade::Proven => "The kernel's own events show it.",
        Grade::Strong if window.cause == Some(Cause::MemorySyscall) => {
            "The call's own events show it."
        }
        Grade::Strong if culprit.is_some_and(|culprit| culprit.bytes.is_some()) => {
            "Who woke whom, and the call's arguments, show it."
        }
        Grade::Strong if window.lock.is_some() => "Who woke whom shows it.",
        Grade::Strong if culprit.is_some() => "What this thread did meanwhile shows it.",
        Grade::Strong => "The threads' own stacks show it.",
        Grade::Circumstantial if window.freeze.span.is_none() => {
            "Sums without times speak for it: check before you act."
        }
        Grade::Circumstantial if culprit.is_none() && window.cause == Some(Cause::CpuThrottle) => {
            "How long threads were ready is exact; that a quota kept them from running is inferred."
        }
        Grade::Circumstantial
            if culprit.is_none() && window.cause == Some(Cause::CpuStarvation) =>
        {
            "How long threads were ready and who ran meanwhile is exact; why they got no share is not recorded."
        }
        Grade::Circumstantial => "It fits, but is not shown: check before you act.",
        Grade::Undetermined => "Nothing in this capture speaks for anybody.",
    };
    meaning.to_owned()
}

/// On the badge of a freeze without a cause.
pub(crate) const CAUSE_UNKNOWN: &str = "Cause unknown";

/// The report's title line.
pub(crate) fn headline(findings: &Findings) -> String {
    match findings.worst() {
        None if let Some(possible) = &findings.verdict.possible => format!(
            "Possible lock wait of {} in {} {} processes: needs symbols",
            units::duration(possible.longest),
            units::count(possible.processes),
            names::name(&possible.comm)
        ),
        None if findings.verdict.outcome == Outcome::FreezeUnexplained => {
            "This capture cannot tell".to_owned()
        }
        None if let Some(contention) = &findings.contention => chronic_headline(contention),
        None => "No freeze found".to_owned(),
        Some(window) => frozen(window),
    }
}

fn frozen(window: &Window) -> String {
    let freeze = &window.freeze;
    let name = who_froze(freeze);
    match freeze.span {
        // Its own long call froze it, and nobody else.
        Some(span) if window.cause == Some(Cause::MemorySyscall) && freeze.threads_blocked == 1 => {
            let time = units::duration(span.duration());
            format!("A thread of {name} stood still for {}{time}", at_least(freeze))
        }
        Some(span) => {
            format!("{name} froze for {}{}", at_least(freeze), units::duration(span.duration()))
        }
        None if freeze.blocked == Nanos::ZERO => {
            format!("{} were blocked at the moment of the dump", named_threads(freeze))
        }
        None => {
            let sum = units::duration(freeze.blocked);
            let did = window.cause.map_or("were blocked", threads_did);
            let unknown = window.lock.is_some() && window.culprit.is_none();
            let holder = if unknown { "; holder not recorded" } else { "" };
            format!("{} {did} for at least {sum} together{holder}", named_threads(freeze))
        }
    }
}

/// Before what another freeze than the worst needs: `Against the freeze 1.23 s earlier (mmap_lock)`.
pub(crate) fn other_freeze(worst: &Window, window: &Window) -> String {
    let spans = worst.freeze.span.zip(window.freeze.span);
    let when =
        spans.map_or(String::new(), |(worst, span)| format!(" {}", apart(worst.start, span.start)));
    format!("Against the freeze{when} ({})", cause_of(window))
}

/// `1.23 s earlier`: a moment as seen from another.
pub(super) fn apart(from: Timestamp, to: Timestamp) -> String {
    match (from.since(to), to.since(from)) {
        (Nanos::ZERO, Nanos::ZERO) => "at the same time".to_owned(),
        (Nanos::ZERO, later) => format!("{} later", units::duration(later)),
        (earlier, _) => format!("{} earlier", units::duration(earlier)),
    }
}

/// Why a frame has no name.
pub(crate) fn why_no_symbol(why: WhyNoSymbol) -> &'static str {
    match why {
        WhyNoSymbol::NotResolved => "not resolved",
        WhyNoSymbol::NoMapping => "no mapping covers this address",
        WhyNoSymbol::FileNotFound => "the module's file was not found",
        WhyNoSymbol::BuildIdMismatch => "the file found is from another build",
        WhyNoSymbol::NoSymbol => "no symbol there",
        WhyNoSymbol::Unreadable => "the module's file could not be read",
        WhyNoSymbol::NoFile => "memory without a file: JIT code, a heap or a stack",
        WhyNoSymbol::NoKernelSymbols => "no kernel symbols were given",
    }
}

/// Whether a grade allows to call somebody the culprit.
pub(crate) fn is_sure(grade: Grade) -> bool {
    matches!(grade, Grade::Proven | Grade::Strong)
}

/// What a waker did to end a wait, as `how` says; the runtime's own thread ends its pause.
pub(crate) fn how(findings: &Findings, waker: Option<&ThreadName>, how: &str) -> String {
    let pause = findings.worst().filter(|worst| is_pause(worst));
    let made_it = pause.and_then(|worst| worst.culprit.as_ref()).map(|culprit| &culprit.thread);
    match waker {
        Some(waker) if made_it == Some(waker) => "ended the pause".to_owned(),
        _ => names::text(how),
    }
}

/// How a single wait ended; `thread` names who ended it.
pub(crate) fn this_ended(
    findings: &Findings,
    wait: &WaitView,
    thread: impl Fn(&ThreadName) -> String,
) -> String {
    let by = wait.waker.as_ref().map(thread);
    match by.as_deref() {
        // Whoever leaves a CPU wakes nobody.
        Some(before) if wait.ready => format!("{before} {}", wait.how),
        None if wait.ready => wait.how.clone(),
        by => wait_ended(by, &how(findings, wait.waker.as_ref(), &wait.how)),
    }
}

/// How a wait ended.
pub(crate) fn wait_ended(waker: Option<&str>, how: &str) -> String {
    match (waker, how) {
        (Some(waker), "") => format!("woken by {waker}"),
        (Some(waker), how) => match how.strip_prefix("woke it") {
            Some(rest) => format!("woken by {waker}{rest}"),
            None => format!("woken by {waker}, which {how}"),
        },
        (None, "") => "it is not recorded who woke it".to_owned(),
        (None, how) => how.to_owned(),
    }
}

/// After a lock's name: how it was held.
pub(crate) fn held_as(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Read => ", held for reading",
        LockMode::Write => ", held for writing",
    }
}
