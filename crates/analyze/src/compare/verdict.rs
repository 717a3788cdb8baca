//! Whether a change helped, and what speaks against saying so.

use coldcase_ingest::capture::{Nanos, Sentence};

use super::{Change, Incident, LEAST, RATIO, Side, SideFreeze};
use crate::findings::{Findings, Grade, Outcome};

/// Why two captures cannot be compared in full.
pub(super) struct Reservation {
    pub text: Sentence,
    /// Whether it forbids to say that a freeze is gone or shorter.
    pub hides: bool,
}

/// What is said in the end.
pub(super) struct Judged {
    pub change: Change,
    pub worse: bool,
    pub grade: Grade,
}

/// Whether a capture shows a freeze, or can show that there was none.
pub(super) fn can_tell(findings: &Findings) -> bool {
    findings.worst().is_some() || findings.verdict.outcome == Outcome::NoFreeze
}

/// Whether two freezes are one incident. What one of the captures does not know does not tell them apart.
pub(super) fn incident(before: Option<&SideFreeze>, after: Option<&SideFreeze>) -> Incident {
    let Some((before, after)) = before.zip(after) else { return Incident::NoPair };
    let either = |known: bool| known || before.operation.is_none() || after.operation.is_none();
    let times = before.length.is_some() == after.length.is_some();
    // A profile knows threads by name, and not their processes.
    let shared = before.threads.iter().any(|name| after.threads.contains(name));
    let who = if times { before.process == after.process } else { shared };
    if before.fingerprint.is_some() && before.fingerprint == after.fingerprint {
        Incident::Same
    } else if who
        && before.cause == after.cause
        && before.cause.is_some()
        && either(before.operation == after.operation)
    {
        Incident::Alike
    } else {
        Incident::Other
    }
}

/// What differs between the captures themselves.
pub(super) fn reservations(before: &Findings, after: &Findings) -> Vec<Reservation> {
    let mut found = Vec::new();
    let mut add = |text: Sentence, hides| found.push(Reservation { text, hides });
    for (findings, which) in [(before, "before"), (after, "after")] {
        if !can_tell(findings) {
            let text = format!(
                "the capture {which} cannot show a freeze: it lacks the switches of its threads with their stacks"
            );
            add(text.into(), true);
        }
        let lost = findings.capture.lost_events;
        if lost > 0 {
            let text = format!("the capture {which} lost {lost} events, and waits with them");
            add(text.into(), false);
        }
    }
    program_is_there(before, after, &mut add);
    events_differ(before, after, &mut add);
    match (before.capture.span, after.capture.span) {
        (Some(one), Some(other)) => {
            let (one, other) = (one.duration(), other.duration());
            let shorter = before.worst().is_some() && other.0 < one.0 / 2;
            if shorter {
                let text = format!(
                    "the capture after covers {:.1} s, that before {:.1} s: what comes now and then may not have come",
                    other.as_millis_f64() / 1e3,
                    one.as_millis_f64() / 1e3
                );
                add(text.into(), false);
            }
        }
        (None, None) => add("neither capture has times: sums are compared".into(), false),
        _ => add("one of the captures has no times: only sums can be compared".into(), false),
    }
    let kernels = (&before.capture.kernel, &after.capture.kernel);
    if let (Some(one), Some(other)) = kernels
        && one != other
    {
        add(format!("the kernels differ: {one} and {other}").into(), false);
    }
    found
}

/// Where the program that froze does not run, nothing is mended.
fn program_is_there(before: &Findings, after: &Findings, add: &mut impl FnMut(Sentence, bool)) {
    let Some(window) = before.worst() else { return };
    // A profile has names of threads instead.
    if before.capture.span.is_some() != after.capture.span.is_some() {
        return;
    }
    let comm = &window.freeze.comm;
    if !after.processes.iter().any(|process| process.comm == *comm) {
        let text = Sentence::from("no thread of ").task(comm);
        add(text.words(", which froze before, is in the capture after"), true);
    }
}

/// An event that only one of them recorded is evidence that the other lacks.
fn events_differ(before: &Findings, after: &Findings, add: &mut impl FnMut(Sentence, bool)) {
    let names = |findings: &Findings| -> Vec<String> {
        let events = findings.capture.events.iter();
        events.map(|(name, _)| name.clone()).filter(|name| name.contains(':')).collect()
    };
    let (one, other) = (names(before), names(after));
    // Texts of other formats name their events differently, or not at all.
    if before.capture.format != after.capture.format {
        let (one, other) = (&before.capture.format, &after.capture.format);
        add(format!("the captures are of different forms: {one} and {other}").into(), false);
        return;
    }
    for (has, lacks, which) in [(&one, &other, "before"), (&other, &one, "after")] {
        let missing: Vec<&String> = has.iter().filter(|name| !lacks.contains(name)).collect();
        if let Some(first) = missing.first() {
            let more = missing.len() - 1;
            let text = Sentence::from(format!("only the capture {which} has "));
            let text = text.name(coldcase_ingest::capture::NameKind::Event, first);
            let more = if more > 0 { format!(" and {more} more events") } else { String::new() };
            add(text.words(&more), false);
        }
    }
}

/// The word, and how sure it is.
pub(super) fn judge(
    before: &Side,
    after: &Side,
    incident: Incident,
    reservations: &[Reservation],
) -> Judged {
    let (change, worse) = changed(before, after, incident, reservations);
    let freezes = before.freeze.iter().chain(&after.freeze);
    let weakest = freezes.map(|freeze| freeze.grade).max().unwrap_or(Grade::Strong);
    let grade = match change {
        Change::CannotTell => Grade::Undetermined,
        _ if reservations.is_empty() => weakest,
        _ => weakest.max(Grade::Circumstantial),
    };
    Judged { change, worse, grade }
}

fn changed(
    before: &Side,
    after: &Side,
    incident: Incident,
    reservations: &[Reservation],
) -> (Change, bool) {
    let hidden = reservations.iter().any(|reservation| reservation.hides);
    match (&before.freeze, &after.freeze) {
        (None, None) if hidden => (Change::CannotTell, false),
        (None, None) => (Change::None, false),
        (Some(_), None) if hidden => (Change::CannotTell, false),
        (Some(_), None) => (Change::Gone, false),
        (None, Some(_)) if !before.can_tell => (Change::CannotTell, false),
        (None, Some(_)) => (Change::New, true),
        (Some(one), Some(other)) => pair(one, other, incident, hidden),
    }
}

/// Two freezes: a lower bound of a length can show that it is longer, never that it is shorter.
fn pair(
    before: &SideFreeze,
    after: &SideFreeze,
    incident: Incident,
    hidden: bool,
) -> (Change, bool) {
    let (one, other) = match (before.length, after.length) {
        (Some(one), Some(other)) => (one, other),
        _ => (before.blocked, after.blocked),
    };
    let longer = differs(one, other) && !before.open;
    let shorter = differs(other, one) && !after.open;
    let moved = incident == Incident::Other;
    match (longer, shorter) {
        (true, _) if moved => (Change::Moved, true),
        (true, _) => (Change::Longer, true),
        // Another program that freezes for less is no proof that this one is mended.
        (_, true) if hidden => (Change::CannotTell, false),
        (_, true) if !moved => (Change::Shorter, false),
        _ if moved => (Change::Moved, false),
        _ if differs(one, other) || differs(other, one) => (Change::CannotTell, false),
        _ => (Change::Same, false),
    }
}

/// Whether a time is so much longer that it is another one.
fn differs(short: Nanos, long: Nanos) -> bool {
    long.0 >= short.0.saturating_add(LEAST.0) && long.0 as f64 >= short.0 as f64 * RATIO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Cause;

    fn side(length: Option<u64>, cause: Cause) -> Side {
        let freeze = length.map(|millis| SideFreeze {
            process: "db".to_owned(),
            threads: Vec::new(),
            cause: Some(cause),
            operation: None,
            culprit: None,
            grade: Grade::Strong,
            length: Some(Nanos::from_millis(millis)),
            open: false,
            blocked: Nanos::from_millis(millis),
            threads_blocked: 2,
            fingerprint: Some(format!("{}-none-0", cause.word())),
        });
        Side {
            can_tell: true,
            freezes: u64::from(freeze.is_some()),
            freeze,
            frozen: Nanos::ZERO,
            covered: None,
            longest_of_same: None,
        }
    }

    fn words(before: &Side, after: &Side, reservations: &[Reservation]) -> (&'static str, bool) {
        let incident = incident(before.freeze.as_ref(), after.freeze.as_ref());
        let judged = judge(before, after, incident, reservations);
        (judged.change.word(), judged.worse)
    }

    #[test]
    fn lengths_have_to_differ_by_a_quarter_and_by_50_ms() {
        let freeze = |millis| side(Some(millis), Cause::MmapLock);
        let none = side(None, Cause::MmapLock);
        for (before, after, expected) in [
            (1000, 1000, ("same", false)),
            (1000, 1249, ("same", false)),
            (1000, 1250, ("longer", true)),
            (1250, 1000, ("shorter", false)),
            (60, 100, ("same", false)),
            (60, 110, ("longer", true)),
        ] {
            assert_eq!(words(&freeze(before), &freeze(after), &[]), expected);
        }
        assert_eq!(words(&freeze(60), &none, &[]), ("gone", false));
        assert_eq!(words(&none, &freeze(60), &[]), ("new", true));
        assert_eq!(words(&none, &none, &[]), ("none", false));
    }

    #[test]
    fn another_freeze_has_moved_and_is_worse_only_if_longer() {
        let before = side(Some(1000), Cause::MmapLock);
        let other = |millis| side(Some(millis), Cause::Futex);
        assert_eq!(words(&before, &other(500), &[]), ("moved", false));
        assert_eq!(words(&before, &other(1000), &[]), ("moved", false));
        assert_eq!(words(&before, &other(2000), &[]), ("moved", true));
    }

    #[test]
    fn what_cannot_be_seen_is_never_better() {
        let (freeze, none) = (side(Some(1000), Cause::MmapLock), side(None, Cause::MmapLock));
        let blind = [Reservation { text: "blind".into(), hides: true }];
        assert_eq!(words(&freeze, &none, &blind), ("cannot_tell", false));
        assert_eq!(words(&none, &none, &blind), ("cannot_tell", false));
        let mut blind_before = none.clone();
        blind_before.can_tell = false;
        assert_eq!(words(&blind_before, &freeze, &blind), ("cannot_tell", false));
        let mut cut = side(Some(100), Cause::MmapLock);
        cut.freeze.as_mut().unwrap().open = true;
        assert_eq!(words(&freeze, &cut, &[]), ("cannot_tell", false), "it may be as long");
        assert_eq!(words(&cut, &freeze, &[]), ("cannot_tell", false), "it may have been as long");
    }

    #[test]
    fn a_difference_of_the_captures_lowers_the_grade() {
        let (freeze, none) = (side(Some(1000), Cause::MmapLock), side(None, Cause::MmapLock));
        let other = [Reservation { text: "other kernels".into(), hides: false }];
        let grade = |reservations| judge(&freeze, &none, Incident::NoPair, reservations).grade;
        assert_eq!((grade(&[]), grade(&other)), (Grade::Strong, Grade::Circumstantial));
    }
}
