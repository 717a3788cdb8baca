//! What is said where nothing froze: chronic contention, if there is some, and else what was waited for most.

use coldcase_analyze::findings::{Cause, Contention, Findings, Outcome, SiteTotal};

use super::cause_label;
use super::deed::is_pause;
use crate::document::frame_row;
use crate::{names, units};

/// What the analysis says of a capture without a freeze.
pub(super) fn no_freeze(findings: &Findings) -> String {
    if findings.verdict.outcome == Outcome::FreezeUnexplained {
        let missing = findings.verdict.cannot_tell.first();
        let missing = missing.map_or_else(String::new, |row| {
            format!(" It would take {}.", names::text(&row.missing))
        });
        return format!("This capture cannot tell whether anything froze.{missing}");
    }
    let covered = findings.capture.span.map_or_else(String::new, |span| {
        format!(" in the {} that this capture covers", units::duration(span.duration()))
    });
    let threads: u64 = findings.processes.iter().map(|row| row.threads).sum();
    let looked_at = match findings.processes.len() {
        0 => String::new(),
        programs => format!(
            ": {} of {} were looked at",
            units::counted(threads, "thread", "threads"),
            units::counted(programs as u64, "program", "programs")
        ),
    };
    let nothing = format!("Nothing froze{covered}{looked_at}.");
    match &findings.contention {
        Some(contention) => format!("{} {nothing}", chronic(contention)),
        None => format!("{nothing} {}", waited_most(findings)),
    }
}

fn waited_most(findings: &Findings) -> String {
    let single = |site: &SiteTotal| {
        site.longest.map_or_else(String::new, |longest| {
            format!(", at most {} at a time", units::duration(longest))
        })
    };
    let harmful = |site: &&SiteTotal| is_harm(findings, site);
    let most = findings.wait_sites.iter().find(harmful).map_or_else(
        || "No thread waited at anything that a freeze is made of.".to_owned(),
        |site| {
            let sum = units::duration(site.blocked);
            let single = single(site);
            format!(
                "Threads waited most at {}: {sum} in total{single}.",
                names::function(&site.site)
            )
        },
    );
    let futex = findings.wait_sites.iter().find(|site| may_be_idle(findings, site));
    let futex = futex.and_then(|site| site.longest).map_or_else(String::new, |longest| {
        format!(
            " At a futex, as idle workers or for a lock, they waited for up to {}: not taken for a freeze, since nothing \
             shows that threads which normally run were held up there together.",
            units::duration(longest)
        )
    });
    format!("{most}{futex}")
}

/// Whether a thread that waits at a site may be an idle worker: the kernel sees a futex, and not what the program does with it.
fn may_be_idle(findings: &Findings, site: &SiteTotal) -> bool {
    may_be_idle_in(findings, None, site)
}

/// The same of the threads of one program, if one is given: another's contention says nothing of them.
fn may_be_idle_in(findings: &Findings, program: Option<&str>, site: &SiteTotal) -> bool {
    let is_contended = |contention: &Contention| {
        contention.site == site.site && program.is_none_or(|program| program == contention.comm)
    };
    let is_lock = findings.worst().is_some_and(|worst| worst.cause == Some(Cause::Futex))
        || findings.contention.as_ref().is_some_and(is_contended);
    site.site == "futex" && !site.idle && !is_lock
}

/// Whether waiting at a site is what a freeze is made of, for certain.
pub(crate) fn is_harm(findings: &Findings, site: &SiteTotal) -> bool {
    !site.idle && site.cause.is_some() && !may_be_idle(findings, site)
}

/// The same of the threads of one program.
pub(crate) fn is_harm_in(findings: &Findings, program: &str, site: &SiteTotal) -> bool {
    !site.idle && site.cause.is_some() && !may_be_idle_in(findings, Some(program), site)
}

/// A site's cause in a table.
pub(crate) fn site_cause(findings: &Findings, site: &SiteTotal) -> &'static str {
    match site.cause {
        _ if site.idle => "idle",
        Some(Cause::Futex) if findings.worst().is_some_and(is_pause) => {
            "pause of the Java VM, or idle"
        }
        Some(_) if may_be_idle(findings, site) => "idle worker or lock; cannot tell",
        Some(cause) => cause_label(cause),
        None => "unknown",
    }
}

/// The group of a site in a table.
pub(crate) fn site_group(findings: &Findings, site: &SiteTotal) -> &'static str {
    if site.idle {
        "Idle"
    } else if is_harm(findings, site) {
        "Held up"
    } else {
        "Held up or idle: cannot tell"
    }
}

/// The headline of a capture with many short waits for one lock.
pub(super) fn chronic_headline(contention: &Contention) -> String {
    let place = function(contention).map_or_else(String::new, |name| format!(", in {name}"));
    let lock = match contention.cause {
        Cause::Futex => "lock contention".to_owned(),
        cause => format!("contention for {}", cause_label(cause)),
    };
    format!(
        "No freeze, but chronic {lock} in {}: {}, {}{place}",
        names::name(&contention.comm),
        units::duration(contention.blocked),
        units::counted(contention.waits, "wait", "waits")
    )
}

fn chronic(contention: &Contention) -> String {
    let pid = contention.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let place = contention.place.as_ref().map(frame_row);
    let place = place.map_or_else(String::new, |row| {
        format!(", most of it in {} ({})", row.function, row.place)
    });
    format!(
        "{}{pid} has chronic contention at {}: {} waited {} in {}, at most {} at a time{place}.",
        names::name(&contention.comm),
        names::name(&contention.site),
        units::counted(contention.threads, "thread", "threads"),
        units::duration(contention.blocked),
        units::counted(contention.waits, "wait", "waits"),
        units::duration(contention.longest),
    )
}

/// Where most of it was waited.
pub(crate) fn function(contention: &Contention) -> Option<String> {
    contention.place.as_ref()?.function.as_deref().map(names::function)
}
