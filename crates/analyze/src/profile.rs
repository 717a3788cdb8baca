//! Off-CPU profiles without times: sites and sums are known, the holder only by its absence.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Capture, Nanos, StackId, TaskState};

use crate::findings::{BlameRow, Cause, FoldedStack, Freeze, Grade, Lock, SiteTotal, Window};
use crate::operation;
use crate::options::Options;
use crate::rules::{Matcher, WaitKind};
use crate::sites;
use crate::timeline;

/// What a profile shows.
pub(crate) struct Profile {
    pub sites: Vec<SiteTotal>,
    pub window: Option<Window>,
    pub off_cpu: Vec<FoldedStack>,
}

/// Time at one site.
struct At<'a> {
    comm: &'a str,
    site: String,
    kind: WaitKind,
    time: Nanos,
}

/// Judges a profile.
pub(crate) fn judge(capture: &Capture, options: &Options) -> Profile {
    let rows = classify(capture, options);
    let mut harm: BTreeMap<Cause, Nanos> = BTreeMap::new();
    for row in &rows {
        // A futex may be a lock or an empty queue; without times nothing tells which.
        if let WaitKind::Harm(cause, _) = row.kind
            && cause != Cause::Futex
        {
            *harm.entry(cause).or_default() += row.time;
        }
    }
    let most = harm.into_iter().max_by_key(|&(cause, time)| (time, std::cmp::Reverse(cause)));
    let most = most.filter(|(_, time)| *time >= options.min_freeze);
    let mut times: BTreeMap<(&str, StackId), Nanos> = BTreeMap::new();
    for row in &capture.profile {
        *times.entry((capture.threads.get(row.thread).comm(), row.stack)).or_default() +=
            row.off_cpu;
    }
    Profile {
        sites: by_site(&rows),
        window: most.map(|(cause, blocked)| window(&rows, cause, blocked)),
        off_cpu: timeline::fold(capture, times),
    }
}

fn classify<'a>(capture: &'a Capture, options: &Options) -> Vec<At<'a>> {
    let mut matcher = Matcher::new(capture, &options.rules);
    let rows = capture.profile.iter().map(|row| {
        let rule = matcher.rule(Some(row.stack), TaskState::Unknown);
        let kind = rule.map_or(WaitKind::Other, |rule| rule.kind);
        let name = rule.map_or("no rule fits", |rule| rule.site.as_str());
        let site = sites::full_name(name, kind, operation::of_stack(capture, row.stack));
        At { comm: capture.threads.get(row.thread).comm(), site, kind, time: row.off_cpu }
    });
    rows.collect()
}

fn by_site(rows: &[At<'_>]) -> Vec<SiteTotal> {
    let mut sites: BTreeMap<&str, (WaitKind, Nanos, Vec<&str>)> = BTreeMap::new();
    for row in rows {
        let site = sites.entry(&row.site).or_insert((row.kind, Nanos::ZERO, Vec::new()));
        site.1 += row.time;
        if !site.2.contains(&row.comm) {
            site.2.push(row.comm);
        }
    }
    let mut sites: Vec<SiteTotal> = sites
        .into_iter()
        .map(|(site, (kind, blocked, comms))| SiteTotal {
            site: site.to_owned(),
            cause: match kind {
                WaitKind::Harm(cause, _) => Some(cause),
                WaitKind::Idle | WaitKind::Other => None,
            },
            blocked,
            waits: None,
            threads: comms.len() as u64,
            longest: None,
            idle: kind == WaitKind::Idle,
        })
        .collect();
    sites.sort_by(|a, b| {
        a.idle.cmp(&b.idle).then(b.blocked.cmp(&a.blocked)).then_with(|| a.site.cmp(&b.site))
    });
    sites
}

fn window(rows: &[At<'_>], cause: Cause, blocked: Nanos) -> Window {
    let mut comms: BTreeMap<&str, Nanos> = BTreeMap::new();
    let of_cause = |row: &&At<'_>| matches!(row.kind, WaitKind::Harm(known, _) if known == cause);
    for row in rows.iter().filter(of_cause) {
        *comms.entry(row.comm).or_default() += row.time;
    }
    let worst = comms.iter().max_by_key(|(comm, time)| (**time, std::cmp::Reverse(**comm)));
    let comm = worst.map_or(String::new(), |(comm, _)| (*comm).to_owned());
    let reason = "a profile without times shows who waited, not who held";
    Window {
        cause: Some(cause),
        grade: Grade::Circumstantial,
        evidence: vec![
            "the sums run over all threads of a name and over the whole recording".to_owned(),
            "waits that had not ended are missing: the figures are lower bounds".to_owned(),
        ],
        freeze: Freeze {
            pid: None,
            comm,
            span: None,
            open_start: false,
            open_end: false,
            threads_blocked: u32::try_from(comms.len()).unwrap_or(u32::MAX),
            blocked,
        },
        lock: cause.is_lock().then_some(Lock { kind: cause, mode: None, address: None }),
        culprit: None,
        blame: vec![BlameRow {
            thread: None,
            doing: reason.to_owned(),
            time: blocked,
            unknown: true,
        }],
        chain: Vec::new(),
        without_culprit: None,
    }
}
