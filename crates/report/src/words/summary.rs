//! The two sentences that a manager understands: what froze, and who did it, as sure as the grade is.

use coldcase_analyze::findings::{Cause, Findings, Freeze, Window};
use coldcase_ingest::capture::Nanos;

use super::because::because;
use super::cause::{at_last_did, frozen_files, threads_did};
use super::deed::{is_late, is_pause, lock_before, lock_itself, who_did_it};
use super::explain::grade_label;
use super::quiet::no_freeze;
use crate::{names, units};

/// What the whole analysis says.
pub(crate) fn findings_summary(findings: &Findings) -> String {
    findings.worst().map_or_else(|| no_freeze(findings), window_summary)
}

/// The whole answer in one paragraph.
pub(crate) fn paragraph(findings: &Findings) -> String {
    let mut parts = vec![findings_summary(findings)];
    let grade = findings.worst().map(|worst| grade_label(worst.grade));
    parts.extend(grade.map(|grade| format!("({grade}.)")));
    parts.extend(when(findings));
    parts.extend(because(findings));
    if let Some(remedy) = findings.worst().and_then(|window| window.remedies.first()) {
        let action = names::text(&remedy.action);
        parts.push(format!("To change: {}.", action.trim_end_matches('.')));
    }
    parts.extend(
        findings.verdict.fingerprint.as_deref().map(|print| format!("[{}]", names::name(print))),
    );
    parts.join(" ")
}

/// What one freeze was.
pub(crate) fn window_summary(window: &Window) -> String {
    format!("{} {}", what_froze(window), who_did_it(window))
}

/// `From 2026-11-18 14:02:33.123 UTC, 1.20 s into the recording (2057.968123 s to 2066.757890 s on the capture's clock).`
pub(crate) fn when(findings: &Findings) -> Option<String> {
    let span = findings.worst()?.freeze.span?;
    let wall = findings.capture.wall_clock.and_then(|wall| wall.wall_ns_at(span.start));
    let from = wall.map(units::utc);
    let into = findings.capture.span.map(|whole| match span.start.since(whole.start) {
        Nanos::ZERO => "the start of the recording".to_owned(),
        into => format!("{} into the recording", units::duration(into)),
    });
    let from: Vec<String> = from.into_iter().chain(into).collect();
    let from = if from.is_empty() { String::new() } else { format!("From {} ", from.join(", ")) };
    let others = match findings.windows.len() {
        0 | 1 => String::new(),
        count => format!(" The worst of {count} freezes in this capture."),
    };
    Some(format!("{from}({} s to {} s on the capture's clock).{others}", span.start, span.end))
}

/// `at least ` where the freeze reaches beyond the recording.
pub(crate) fn at_least(freeze: &Freeze) -> &'static str {
    if freeze.open_start || freeze.open_end { "at least " } else { "" }
}

/// `vaultdb (pid 4711)`.
fn process(freeze: &Freeze) -> String {
    let name = names::name(&freeze.comm);
    let of = if is_family(freeze) { "processes of master" } else { "pid" };
    let pid = freeze.pid.map_or(String::new(), |pid| format!(" ({of} {pid})"));
    format!("{name}{pid}{}", and_others(freeze))
}

/// `vaultdb`, or `vaultdb and 8 more processes`, where it is the one of strangers that waited longest.
pub(crate) fn who_froze(freeze: &Freeze) -> String {
    format!("{}{}", names::name(&freeze.comm), and_others(freeze))
}

fn and_others(freeze: &Freeze) -> String {
    if !freeze.strangers {
        return String::new();
    }
    let others = u64::from(freeze.processes.saturating_sub(1));
    format!(" and {}", units::counted(others, "other process", "other processes"))
}

/// Whether what froze are processes of one master, each of one thread.
pub(crate) fn is_family(freeze: &Freeze) -> bool {
    freeze.processes > 1 && !freeze.strangers
}

fn what_froze(window: &Window) -> String {
    let freeze = &window.freeze;
    let process = process(freeze);
    let did = match (window.cause, window.chain.first()) {
        // Who stopped them differs, and the wait's site says it: `frozen by the cgroup freezer`.
        (Some(Cause::Stopped), Some(link)) if lock_before(window).is_none() => {
            let were = if freeze.threads_blocked == 1 { "was" } else { "were" };
            format!("{were} {}", names::name(without_operation(&link.site)))
        }
        _ if window.culprit.as_ref().is_some_and(is_late) => {
            "had stopped for a pause of their runtime".to_owned()
        }
        _ if is_pause(window) => "stood in a pause of the Java VM".to_owned(),
        (Some(Cause::Futex), Some(link)) if let Some(did) = at_what_has_a_name(&link.site) => did,
        (Some(_), _) if window.freeze.paused && lock_before(window).is_some() => {
            format!("stood in a pause of the Java VM, whose threads {}", at_last_did(window))
        }
        (Some(cause), _) if let Some(lock) = lock_before(window) => {
            let itself = match cause {
                Cause::Network => "waited for somebody else",
                _ => at_last_did(window),
            };
            format!("{}, behind one that {itself}", threads_did(lock))
        }
        (Some(Cause::Network), Some(link)) if names_the_other_end(&link.site) => {
            let who = without_operation(&link.site);
            format!("waited for {} {}", article(who), names::name(who))
        }
        (Some(Cause::Unknown), Some(link)) if let Some(what) = without_a_word(&link.site) => {
            format!("waited for {what}")
        }
        (Some(_), _) if frozen_files(window) => at_last_did(window).to_owned(),
        (Some(cause), _) => threads_did(lock_itself(window).unwrap_or(cause)).to_owned(),
        (None, _) => threads_did(Cause::Unknown).to_owned(),
    };
    match freeze.span {
        Some(span) if window.cause == Some(Cause::MemorySyscall) && freeze.threads_blocked == 1 => {
            let time = units::duration(span.duration());
            let others =
                awaited_by(freeze).unwrap_or("no other is seen to have waited for it".into());
            format!(
                "One thread of {process} stood still for {}{time}, and {others}.",
                at_least(freeze)
            )
        }
        Some(span) => {
            let threads = threads(freeze);
            let time = units::duration(span.duration());
            let others = awaited_by(freeze).map_or(String::new(), |they| format!(", and {they}"));
            format!(
                "{process} stood still for {}{time}: {threads} {did}{others}.",
                at_least(freeze)
            )
        }
        None if freeze.blocked == Nanos::ZERO => {
            format!("{} {did} at the moment of the dump.", named_threads(freeze))
        }
        None => {
            let sum = units::duration(freeze.blocked);
            format!("{} {did} for at least {sum} in total.", named_threads(freeze))
        }
    }
}

/// `6 threads of others waited for it`.
fn awaited_by(freeze: &Freeze) -> Option<String> {
    let threads = units::counted(u64::from(freeze.awaited_by), "thread", "threads");
    // Of strangers nobody would know for which of them.
    let one = freeze.awaited_by > 0 && !freeze.strangers;
    one.then(|| format!("{threads} of others waited for it"))
}

/// `userfaultfd handler`, of `userfaultfd handler in page_fault`.
pub(super) fn without_operation(site: &str) -> &str {
    site.rsplit_once(" in ").map_or(site, |(rule, _)| rule)
}

/// Whether a wait site says who is at the other end.
fn names_the_other_end(site: &str) -> bool {
    let site = without_operation(site);
    const WHO: &[&str] = &[" server", " handler", " listener", " supervisor", " daemon"];
    site.starts_with("reader of a full ") || WHO.iter().any(|who| site.ends_with(who))
}

/// `an SMB server`, `an automount daemon`, `a seccomp supervisor`: as it is spoken.
fn article(name: &str) -> &'static str {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O']);
    if vowel || name.starts_with("SMB") { "an" } else { "a" }
}

/// What those wait for at whose site the rules know what is lacking, though there is no cause of that name.
fn without_a_word(site: &str) -> Option<&'static str> {
    match without_operation(site) {
        "RCU grace period" => Some("the end of an RCU grace period of the kernel"),
        "page under migration" => Some("a page of memory that the kernel was moving"),
        "page of the host" => {
            Some("the host of this virtual machine to bring in a page of its memory")
        }
        "emptying of page lists" => Some("the kernel to empty its lists of pages on every CPU"),
        _ => None,
    }
}

/// Who was blocked, where names are all that is known of threads: the one that waited most, and how many others.
pub(super) fn named_threads(freeze: &Freeze) -> String {
    let name = names::name(&freeze.comm);
    if let Some((first, last)) = &freeze.range {
        return format!("Threads {}…{}", names::name(first), names::name(last));
    }
    match freeze.threads_blocked {
        0 | 1 => format!("Threads of {name}"),
        2 => format!("Threads of {name} and of one other name"),
        count => format!("Threads of {name} and of {} other names", count - 1),
    }
}

fn threads(freeze: &Freeze) -> String {
    let (one, many) =
        if is_family(freeze) { ("process", "processes") } else { ("thread", "threads") };
    units::counted(u64::from(freeze.threads_blocked), one, many)
}

/// What threads did at a lock of a program of which more is known than that it is one: `file lock`, `file lease`, `Python's interpreter
/// lock`, or that it is none, and the program keeps them standing otherwise: `pause of the virtual machine`.
fn at_what_has_a_name(site: &str) -> Option<String> {
    let name = names::name(site);
    if site.starts_with("pause of ") || site.starts_with("stop by ") {
        return Some(format!("stood in a {name}"));
    }
    let article = if site.starts_with(char::is_lowercase) { "a " } else { "" };
    let is_lock = ["lock", "lease", "initialisation"].iter().any(|end| site.ends_with(end));
    is_lock.then(|| format!("waited for {article}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_rules_have_no_cause_for_has_words() {
        let table = include_str!("../../../analyze/src/rules/rules.txt");
        let rules = table.lines().filter(|line| !line.starts_with(['#', '@']));
        let columns = rules.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
        let sites: Vec<&str> = columns
            .filter(|columns| columns.get(1) == Some(&"unknown"))
            .map(|columns| columns[0])
            .collect();
        assert!(sites.len() >= 4, "{sites:?}");
        for site in sites {
            assert!(without_a_word(site).is_some() && !site.contains(" in "), "{site}");
        }
    }

    #[test]
    fn what_keeps_a_programs_threads_standing_is_named_where_it_is_known() {
        let told = |site| at_what_has_a_name(site).unwrap();
        assert_eq!(told("file lease"), "waited for a file lease");
        assert_eq!(told("Python's interpreter lock"), "waited for Python's interpreter lock");
        assert_eq!(told("pause of the virtual machine"), "stood in a pause of the virtual machine");
        assert_eq!(told("one-time initialisation"), "waited for a one-time initialisation");
        assert_eq!(at_what_has_a_name("mutex of the program"), None);
    }

    #[test]
    fn who_has_to_answer_is_named_as_it_is_spoken() {
        for (site, expected) in [
            ("FUSE server", "a FUSE server"),
            ("SMB server", "an SMB server"),
            ("automount daemon", "an automount daemon"),
            ("fanotify listener", "a fanotify listener"),
            ("reader of a full audit backlog", "a reader of a full audit backlog"),
        ] {
            assert!(names_the_other_end(site), "{site}");
            assert_eq!(format!("{} {site}", article(site)), expected);
        }
        assert!(names_the_other_end("userfaultfd handler in page_fault"));
        assert!(!names_the_other_end("NFS, RPC"));
        assert_eq!(
            without_a_word("emptying of page lists in mlockall"),
            without_a_word("emptying of page lists")
        );
    }
}
