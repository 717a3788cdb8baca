//! Headlines, grades and reasons.

use coldcase_analyze::findings::{Cause, Findings, Grade, LockMode, Outcome, Window};
use coldcase_ingest::capture::{Nanos, WhyNoSymbol};

use super::summary::named_threads;
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
        Grade::Strong => "Where the threads stood shows it.",
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
        None if findings.verdict.outcome == Outcome::FreezeUnexplained => {
            "This capture cannot tell".to_owned()
        }
        None => "No freeze found".to_owned(),
        Some(window) => frozen(window),
    }
}

fn frozen(window: &Window) -> String {
    let freeze = &window.freeze;
    let name = names::name(&freeze.comm);
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
            format!("{} were blocked for at least {sum} in sum", named_threads(freeze))
        }
    }
}

/// Before what another freeze than the worst needs: `Against the freeze at 12.345 s (mmap_lock)`.
pub(crate) fn other_freeze(window: &Window) -> String {
    let at = window.freeze.span.map_or(String::new(), |span| format!(" at {} s", span.start));
    format!("Against the freeze{at} ({})", cause_of(window))
}

/// Why a frame has no name.
pub(crate) fn why_no_symbol(why: WhyNoSymbol) -> &'static str {
    match why {
        WhyNoSymbol::NotResolved => "not resolved",
        WhyNoSymbol::NoMapping => "no mapping covers this address",
        WhyNoSymbol::FileNotFound => "the module's file was not found",
        WhyNoSymbol::BuildIdMismatch => "the file found is of another build",
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

/// How a wait ended.
pub(crate) fn wait_ended(waker: Option<&str>, how: &str) -> String {
    match (waker, how) {
        (Some(waker), "") => format!("woken by {waker}"),
        (Some(waker), how) => match how.strip_prefix("woke it") {
            Some(rest) => format!("woken by {waker}{rest}"),
            None => format!("woken by {waker}, which {how}"),
        },
        (None, "") => "nobody knows who woke it".to_owned(),
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
