//! Rows of the tables, each with what a bar beside it shows.

use coldcase_analyze::findings::{Findings, ProcessTotal, SiteTotal, Window};
use coldcase_ingest::capture::{Nanos, Timestamp};

use crate::words::Kind;
use crate::{names, units, words};

/// Longest tables; what is left out is said in a line below, and stands in the JSON.
const SITES: usize = 60;
const BLAME: usize = 9;
const WAITS: usize = 12;
const PROGRAMS: usize = 12;

/// A freeze.
pub(crate) struct WindowLine {
    pub worst: bool,
    pub when: String,
    pub length: String,
    pub process: String,
    pub threads: String,
    pub blocked: String,
    pub cause: &'static str,
    pub grade: &'static str,
}

/// Who caused how much waiting.
pub(crate) struct BlameLine {
    pub who: String,
    pub doing: String,
    pub time: String,
    pub share: String,
    pub percent: f64,
    pub unknown: bool,
}

/// Where threads waited.
pub(crate) struct SiteLine {
    pub site: String,
    pub cause: &'static str,
    pub kind: Kind,
    pub blocked: String,
    pub percent: f64,
    pub waits: String,
    pub threads: String,
    pub longest: String,
}

/// The processes of one name.
pub(crate) struct ProgramLine {
    pub name: String,
    pub threads: String,
    pub site: String,
    pub blocked: String,
    pub longest: String,
    pub rest: String,
    /// How long they were away for what is not known.
    pub unknown: String,
}

/// A long wait in the freeze.
pub(crate) struct WaitLine {
    /// Its number among all that can be looked into.
    pub index: usize,
    pub who: String,
    pub site: String,
    pub when: String,
    pub length: String,
    pub ended: String,
}

pub(super) fn windows(findings: &Findings) -> Vec<WindowLine> {
    findings
        .windows
        .iter()
        .enumerate()
        .map(|(index, window)| window_line(window, findings.verdict.window == Some(index)))
        .collect()
}

fn window_line(window: &Window, worst: bool) -> WindowLine {
    let freeze = &window.freeze;
    let process = names::name(&freeze.comm);
    WindowLine {
        worst,
        when: freeze.span.map_or_else(unknown, |span| format!("{} s", span.start)),
        length: freeze.span.map_or_else(unknown, |span| {
            let open = if words::at_least(freeze).is_empty() { "" } else { "≥ " };
            format!("{open}{}", units::duration(span.duration()))
        }),
        process: freeze.pid.map_or(process.clone(), |pid| format!("{process} ({pid})")),
        threads: units::count(u64::from(freeze.threads_blocked)),
        blocked: units::duration(freeze.blocked),
        cause: words::cause_of(window),
        grade: words::grade_label(window.grade),
    }
}

pub(super) fn blame_total(window: &Window) -> String {
    units::duration(window.blame.iter().map(|row| row.time).sum())
}

pub(super) fn blame(window: &Window) -> Vec<BlameLine> {
    let total = window.blame.iter().map(|row| row.time).sum();
    let shown = window.blame.iter().take(BLAME).map(|row| BlameLine {
        who: row.thread.as_ref().map_or_else(
            || words::nobody_charged(window, row.unknown).to_owned(),
            |thread| words::thread(thread, window.freeze.pid),
        ),
        doing: names::text(&row.doing),
        time: units::duration(row.time),
        share: units::share(row.time, total),
        percent: percent(row.time, total),
        unknown: row.unknown,
    });
    let mut lines: Vec<BlameLine> = shown.collect();
    let rest = window.blame.get(BLAME..).unwrap_or_default();
    if !rest.is_empty() {
        // The column has to add up to the total, so the rest is a row of its own.
        let time = rest.iter().map(|row| row.time).sum();
        lines.push(BlameLine {
            who: units::counted(rest.len() as u64, "smaller row", "smaller rows"),
            doing: String::new(),
            time: units::duration(time),
            share: units::share(time, total),
            percent: percent(time, total),
            unknown: false,
        });
    }
    lines
}

/// The sites that matter, and how many are left out: the unknown and rest (epoll and the like) are listed last.
pub(super) fn sites(findings: &Findings) -> (Vec<SiteLine>, usize) {
    let (rest, harm): (Vec<_>, Vec<_>) = findings.wait_sites.iter().partition(|site| site.idle);
    let longest = harm.iter().map(|site| site.blocked).max().unwrap_or_default();
    let (known, unknown): (Vec<_>, Vec<_>) =
        harm.into_iter().partition(|site| site.cause.is_some());
    let all = known.into_iter().chain(unknown).chain(rest);
    let lines: Vec<SiteLine> = all.take(SITES).map(|site| site_line(site, longest)).collect();
    let left = findings.wait_sites.len() - lines.len();
    (lines, left)
}

/// The programs that waited most at what a freeze is made of; those that only rested come last.
pub(super) fn programs(findings: &Findings) -> Vec<ProgramLine> {
    let harm = |site: &&SiteTotal| !site.idle && site.cause.is_some();
    let blocked = |row: &ProcessTotal| -> Nanos {
        row.sites.iter().filter(harm).map(|site| site.blocked).sum()
    };
    let mut rows: Vec<&ProcessTotal> = findings.processes.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(blocked(row)));
    let sum = |row: &ProcessTotal, counts: fn(&SiteTotal) -> bool| {
        units::duration(row.sites.iter().filter(|site| counts(site)).map(|site| site.blocked).sum())
    };
    let line = |row: &ProcessTotal| {
        let first = row.sites.iter().find(harm);
        ProgramLine {
            name: names::name(&row.comm),
            threads: units::count(row.threads),
            site: first.map_or_else(unknown, |site| names::function(&site.site)),
            blocked: units::duration(blocked(row)),
            longest: first.and_then(|site| site.longest).map_or_else(unknown, units::duration),
            rest: sum(row, |site| site.idle),
            unknown: sum(row, |site| !site.idle && site.cause.is_none()),
        }
    };
    rows.into_iter().take(PROGRAMS).map(line).collect()
}

fn site_line(site: &SiteTotal, longest: Nanos) -> SiteLine {
    SiteLine {
        site: names::function(&site.site),
        cause: match site.cause {
            _ if site.idle => "rest",
            Some(cause) => words::cause_label(cause),
            None => "unknown",
        },
        kind: words::kind_of_site(site),
        blocked: units::duration(site.blocked),
        percent: percent(site.blocked, longest).min(100.0),
        waits: site.waits.map_or_else(unknown, units::count),
        threads: units::count(site.threads),
        longest: site.longest.map_or_else(unknown, units::duration),
    }
}

/// The longest waits of the freeze, and how many are left out.
pub(super) fn waits(findings: &Findings) -> (Vec<WaitLine>, usize) {
    let (Some(window), Some(timeline)) = (findings.worst(), &findings.timeline) else {
        return (Vec::new(), 0);
    };
    let Some(freeze) = window.freeze.span else { return (Vec::new(), 0) };
    let home = window.freeze.pid;
    let waits = || {
        let waits = findings.details.waits.iter().enumerate();
        let inside = waits.filter(|(_, wait)| wait.harm && wait.span.intersect(freeze).is_some());
        inside.filter_map(|(index, wait)| Some((index, wait, timeline.lanes.get(wait.lane)?)))
    };
    let lines: Vec<WaitLine> = waits()
        .take(WAITS)
        .map(|(index, wait, lane)| WaitLine {
            index,
            who: words::thread(&lane.thread, home),
            site: names::function(&wait.site),
            when: relative(wait.span.start, Some(freeze.start)),
            length: units::duration(wait.span.duration()),
            ended: words::wait_ended(
                wait.waker.as_ref().map(|waker| words::thread_in_table(waker, home)).as_deref(),
                &names::text(&wait.how),
            ),
        })
        .collect();
    let left = waits().count() - lines.len();
    (lines, left)
}

/// A moment as seen from the begin of the freeze, or on the capture's clock.
pub(super) fn relative(time: Timestamp, origin: Option<Timestamp>) -> String {
    match origin {
        Some(origin) if time == origin => "0".to_owned(),
        Some(origin) if time < origin => format!("−{}", units::duration(origin.since(time))),
        Some(origin) => format!("+{}", units::duration(time.since(origin))),
        None => format!("{time} s"),
    }
}

pub(super) fn percent(part: Nanos, whole: Nanos) -> f64 {
    part.share_of(whole) * 100.0
}

pub(super) fn unknown() -> String {
    "–".to_owned()
}
