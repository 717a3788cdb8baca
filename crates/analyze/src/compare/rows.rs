//! What came, went, grew and shrank: sites, culprits, memory calls.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Nanos, Span};

use crate::findings::{Cause, Findings, Operation, ThreadName};

/// A harmful wait site of a process, before and after.
#[derive(Clone, Debug)]
pub struct SiteChange {
    /// Name of the process; empty where a format sums over all.
    pub process: String,
    /// The site's name.
    pub site: String,
    /// Its cause.
    pub cause: Option<Cause>,
    /// Before.
    pub before: SiteSum,
    /// After.
    pub after: SiteSum,
}

/// Waiting at one site.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct SiteSum {
    /// Blocked time, summed over threads.
    pub blocked: Nanos,
    /// Part of its time in the capture that an average thread of the process stood there, 0 to 1; `None` where times are unknown.
    pub share: Option<f64>,
    /// Number of waits; `None` where a format knows sums only.
    pub waits: Option<u64>,
    /// The longest of them.
    pub longest: Option<Nanos>,
}

/// Who caused freezes, by the pool of threads, the cause and the call.
#[derive(Clone, Debug)]
pub struct CulpritChange {
    /// One of them.
    pub thread: ThreadName,
    /// The cause.
    pub cause: Option<Cause>,
    /// The call.
    pub operation: Option<Operation>,
    /// Before.
    pub before: CulpritSum,
    /// After.
    pub after: CulpritSum,
}

/// Freezes by one culprit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CulpritSum {
    /// How many.
    pub freezes: u64,
    /// How long the longest lasted; `None` if there was none, and for profiles without times.
    pub longest: Option<Nanos>,
}

/// Memory calls of a process.
#[derive(Clone, Debug)]
pub struct MemoryChange {
    /// Name of the thread, or of one of its pool.
    pub comm: String,
    /// Which call.
    pub operation: Operation,
    /// Before.
    pub before: MemorySum,
    /// After.
    pub after: MemorySum,
}

/// Memory calls, summed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MemorySum {
    /// How many.
    pub calls: u64,
    /// Bytes of the largest; `None` if of none it is known.
    pub largest: Option<u64>,
    /// How long the longest took; `None` if of none it is known.
    pub longest: Option<Nanos>,
}

pub(super) fn sites(before: &Findings, after: &Findings) -> Vec<SiteChange> {
    let mut rows: BTreeMap<(&str, &str), SiteChange> = BTreeMap::new();
    for (findings, is_after) in [(before, false), (after, true)] {
        let covered = findings.capture.span.map(|span| span.duration());
        for process in &findings.processes {
            for site in process.sites.iter().filter(|site| !site.idle && site.cause.is_some()) {
                let time =
                    covered.map(|covered| Nanos(covered.0.saturating_mul(process.threads.max(1))));
                let sum = SiteSum {
                    blocked: site.blocked,
                    share: time.map(|time| site.blocked.share_of(time)),
                    waits: site.waits,
                    longest: site.longest,
                };
                let none = |findings: &Findings| SiteSum {
                    share: findings.capture.span.map(|_| 0.0),
                    waits: findings.capture.span.map(|_| 0),
                    ..SiteSum::default()
                };
                let row = rows.entry((&process.comm, &site.site)).or_insert_with(|| SiteChange {
                    process: process.comm.clone(),
                    site: site.site.clone(),
                    cause: site.cause,
                    before: none(before),
                    after: none(after),
                });
                *(if is_after { &mut row.after } else { &mut row.before }) = sum;
            }
        }
    }
    let mut rows: Vec<SiteChange> = rows.into_values().collect();
    rows.sort_by(|a, b| b.difference().total_cmp(&a.difference()));
    rows
}

impl SiteChange {
    /// How much larger or smaller it became, as a share of a thread's time; in seconds where times are unknown.
    #[must_use]
    pub fn difference(&self) -> f64 {
        match (self.before.share, self.after.share) {
            (Some(before), Some(after)) => (after - before).abs(),
            _ => self.before.blocked.as_millis_f64().max(self.after.blocked.as_millis_f64()) / 1e3,
        }
    }

    /// `came`, `went`, `grew`, `shrank`, `same`; `both` where times are unknown.
    #[must_use]
    pub fn word(&self) -> &'static str {
        let (before, after) = (self.before.blocked.0, self.after.blocked.0);
        match (self.before.share, self.after.share) {
            // A thousandth of a thread's time is noise.
            (Some(one), Some(other)) if (one - other).abs() < 0.001 => "same",
            _ if before == 0 => "came",
            _ if after == 0 => "went",
            (Some(one), Some(other)) if other >= one * super::RATIO => "grew",
            (Some(one), Some(other)) if one >= other * super::RATIO => "shrank",
            (Some(_), Some(_)) => "same",
            _ => "both",
        }
    }
}

/// What numbered threads of a pool share: `serve-` of `serve-4`.
pub(super) fn pool(comm: &str) -> &str {
    comm.trim_end_matches(|character: char| character.is_ascii_digit())
}

pub(super) fn culprits(before: &Findings, after: &Findings) -> Vec<CulpritChange> {
    let mut rows: BTreeMap<(&str, Option<Cause>, Option<&str>), CulpritChange> = BTreeMap::new();
    for (findings, is_after) in [(before, false), (after, true)] {
        for window in &findings.windows {
            let Some(culprit) = &window.culprit else { continue };
            let operation = culprit.operation;
            let key = (
                pool(&culprit.thread.comm),
                window.cause,
                operation.map(|operation| operation.word()),
            );
            let row = rows.entry(key).or_insert_with(|| CulpritChange {
                thread: culprit.thread.clone(),
                cause: window.cause,
                operation,
                before: CulpritSum::default(),
                after: CulpritSum::default(),
            });
            let sum = if is_after { &mut row.after } else { &mut row.before };
            sum.freezes += 1;
            sum.longest = sum.longest.max(window.freeze.span.map(Span::duration));
        }
    }
    let mut rows: Vec<CulpritChange> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.before.longest.max(row.after.longest)));
    rows
}

pub(super) fn memory(before: &Findings, after: &Findings) -> Vec<MemoryChange> {
    let mut rows: BTreeMap<(&str, &str), MemoryChange> = BTreeMap::new();
    for (findings, is_after) in [(before, false), (after, true)] {
        for total in &findings.memory_totals {
            let key = (pool(&total.comm), total.operation.word());
            let row = rows.entry(key).or_insert_with(|| MemoryChange {
                comm: total.comm.clone(),
                operation: total.operation,
                before: MemorySum::default(),
                after: MemorySum::default(),
            });
            let sum = if is_after { &mut row.after } else { &mut row.before };
            sum.calls += total.calls;
            sum.largest = sum.largest.max(total.largest);
            sum.longest = sum.longest.max(total.longest);
        }
    }
    let mut rows: Vec<MemoryChange> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.before.largest.max(row.after.largest)));
    rows
}
