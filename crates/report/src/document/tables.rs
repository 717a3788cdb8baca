//! Rows of the tables, each with what a bar beside it shows.

use coldcase_analyze::findings::{Findings, ProcessTotal, SiteTotal, Window};
use coldcase_ingest::capture::{Nanos, Span, Timestamp};

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
    pub culprit: String,
    pub call: String,
    pub size: String,
    pub grade: &'static str,
    /// What the timeline has to show of it: from and until, in microseconds from the start of the capture.
    pub moment: Option<(u64, u64)>,
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
    /// What is alike stands together, and the first of each group says what that is.
    pub group: &'static str,
    pub opens_group: bool,
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
        .map(|(index, window)| WindowLine {
            moment: moment(findings, window),
            when: when(findings, window),
            ..window_line(window, findings.verdict.window == Some(index))
        })
        .collect()
}

/// When a freeze began, from the start of the recording where that is known.
fn when(findings: &Findings, window: &Window) -> String {
    let begin = findings.capture.span.map(|whole| whole.start);
    window.freeze.span.map_or_else(unknown, |span| relative(span.start, begin))
}

/// A freeze with as much again around it.
fn moment(findings: &Findings, window: &Window) -> Option<(u64, u64)> {
    let (span, whole) = (window.freeze.span?, findings.timeline.as_ref()?.whole);
    let margin = Nanos(span.duration().0 / 2);
    let shown = Span::new(span.start.minus(margin), span.end.plus(margin)).intersect(whole)?;
    let micros = |time: Timestamp| time.since(whole.start).0 / 1_000;
    Some((micros(shown.start), micros(shown.end)))
}

fn window_line(window: &Window, worst: bool) -> WindowLine {
    let freeze = &window.freeze;
    let culprit = window.culprit.as_ref();
    let process = words::who_froze(freeze);
    WindowLine {
        worst,
        when: String::new(),
        length: freeze.span.map_or_else(unknown, |span| {
            let open = if words::at_least(freeze).is_empty() { "" } else { "≥ " };
            format!("{open}{}", units::duration(span.duration()))
        }),
        process: match freeze.pid.filter(|_| !freeze.strangers) {
            Some(pid) => format!("{process} ({pid})"),
            None => process,
        },
        threads: units::count(u64::from(freeze.threads_blocked)),
        blocked: units::duration(freeze.blocked),
        cause: words::cause_of(window),
        culprit: culprit.map_or_else(unknown, |culprit| {
            words::thread_in_table(&culprit.thread, window.freeze.pid)
        }),
        call: culprit
            .and_then(|culprit| Some((culprit, culprit.operation?)))
            .map_or_else(unknown, |(culprit, call)| words::deed_short(call, &culprit.flags)),
        size: culprit.and_then(|culprit| culprit.bytes).map_or_else(unknown, units::size),
        grade: words::grade_label(window.grade),
        moment: None,
    }
}

pub(super) fn blame_total(window: &Window) -> String {
    units::duration(window.blame.iter().map(|row| row.time).sum())
}

pub(super) fn blame(window: &Window) -> Vec<BlameLine> {
    // A profile knows of nobody, and says so.
    if window.freeze.span.is_none() && window.blame.iter().all(|row| row.unknown) {
        return Vec::new();
    }
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
        harm.into_iter().partition(|site| words::is_harm(findings, site));
    let all = known.into_iter().chain(unknown).chain(rest);
    let mut lines: Vec<SiteLine> =
        all.take(SITES).map(|site| site_line(findings, site, longest)).collect();
    for index in 0..lines.len() {
        lines[index].opens_group = index == 0 || lines[index - 1].group != lines[index].group;
    }
    let left = findings.wait_sites.len() - lines.len();
    (lines, left)
}

/// The programs that waited most at what a freeze is made of; those that only rested come last.
pub(super) fn programs(findings: &Findings) -> Vec<ProgramLine> {
    let harm = |row: &ProcessTotal, site: &SiteTotal| words::is_harm_in(findings, &row.comm, site);
    let blocked = |row: &ProcessTotal| -> Nanos {
        row.sites.iter().filter(|site| harm(row, site)).map(|site| site.blocked).sum()
    };
    let mut rows: Vec<&ProcessTotal> = findings.processes.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(blocked(row)));
    let is_unknown = |site: &SiteTotal| !site.idle && site.cause.is_none();
    let sum = |row: &ProcessTotal, counts: &dyn Fn(&SiteTotal) -> bool| {
        units::duration(row.sites.iter().filter(|site| counts(site)).map(|site| site.blocked).sum())
    };
    let line = |row: &ProcessTotal| {
        let first = row.sites.iter().find(|site| harm(row, site));
        ProgramLine {
            name: names::name(&row.comm),
            threads: units::count(row.threads),
            site: first.map_or_else(unknown, |site| names::function(&site.site)),
            blocked: units::duration(blocked(row)),
            longest: first.and_then(|site| site.longest).map_or_else(unknown, units::duration),
            rest: sum(row, &|site| !harm(row, site) && !is_unknown(site)),
            unknown: sum(row, &is_unknown),
        }
    };
    rows.into_iter().take(PROGRAMS).map(line).collect()
}

fn site_line(findings: &Findings, site: &SiteTotal, longest: Nanos) -> SiteLine {
    SiteLine {
        site: names::function(&site.site),
        cause: words::site_cause(findings, site),
        group: words::site_group(findings, site),
        opens_group: false,
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
            ended: words::this_ended(findings, wait, |who| words::thread_in_table(who, home)),
        })
        .collect();
    let left = waits().count() - lines.len();
    (lines, left)
}

/// A moment as seen from the start of the freeze, or on the capture's clock.
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
