//! What a bundle has beside its capture: tables of statistics, and the kernel's log.

use std::collections::BTreeMap;

use super::RESIDENT;
use crate::capture::{Gauge, ProcessSize, Reading, Timestamp};

/// What the history calls a count, of whom (empty for control groups, where it is a process), and what that is.
const GAUGES: [(&str, &str, Gauge); 11] = [
    ("pressure", "memory some", Gauge::MemoryPressure),
    ("pressure", "io some", Gauge::IoPressure),
    ("pressure", "cpu some", Gauge::CpuPressure),
    ("vmstat", "allocstall_normal", Gauge::DirectReclaims),
    ("vmstat", "allocstall_movable", Gauge::DirectReclaims),
    ("vmstat", "pgmajfault", Gauge::MajorFaults),
    ("vmstat", "pswpin", Gauge::SwappedIn),
    ("vmstat", "pswpout", Gauge::SwappedOut),
    ("vmstat", "oom_kill", Gauge::OomKills),
    ("cgroup_limit_hits", "", Gauge::LimitHits),
    ("cgroup_throttled_periods", "", Gauge::ThrottledPeriods),
];
/// Priorities up to `KERN_WARNING` (`include/linux/kern_levels.h`).
const WARNING: u32 = 4;

/// How large processes were.
pub fn sizes(history: &[u8]) -> Vec<ProcessSize> {
    let history = String::from_utf8_lossy(history);
    let mut sizes: Vec<ProcessSize> = history.lines().filter_map(size).collect();
    sizes.sort_by_key(|size| size.time);
    sizes
}

/// What was counted; zones are one sum.
pub fn readings(history: &[u8]) -> Vec<Reading> {
    let history = String::from_utf8_lossy(history);
    let mut sums: BTreeMap<(Timestamp, Gauge, Option<i32>), u64> = BTreeMap::new();
    for Reading { time, gauge, pid, value } in history.lines().filter_map(reading) {
        let sum = sums.entry((time, gauge, pid)).or_default();
        *sum = sum.saturating_add(value);
    }
    let readings = sums.into_iter();
    readings.map(|((time, gauge, pid), value)| Reading { time, gauge, pid, value }).collect()
}

/// Lines that are warnings or worse: `priority,number,microseconds,flags;text`.
pub fn warnings(log: &[u8]) -> Vec<(Timestamp, String)> {
    let log = String::from_utf8_lossy(log);
    let warning = |line: &str| {
        let (head, text) = line.split_once(';')?;
        let mut fields = head.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let microseconds: u64 = fields.nth(1)?.parse().ok()?;
        let time = Timestamp(microseconds.checked_mul(1000)?);
        (priority % 8 <= WARNING).then(|| (time, text.to_owned()))
    };
    log.lines().filter_map(warning).collect()
}

/// `seconds, what, of whom, value`.
fn fields(line: &str) -> Option<(Timestamp, &str, &str, u64)> {
    let mut fields = line.split('\t');
    let seconds: f64 = fields.next()?.parse().ok()?;
    let (what, whom, value) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
    // Centuries fit; what does not is no time.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "checked here")]
    let time = (0.0..1e10).contains(&seconds).then_some(Timestamp((seconds * 1e9) as u64));
    Some((time?, what, whom, value))
}

fn size(line: &str) -> Option<ProcessSize> {
    let (time, what, whom, bytes) = fields(line)?;
    let (pid, comm) = whom.split_once(':').filter(|_| what == RESIDENT)?;
    Some(ProcessSize { time, pid: pid.parse().ok()?, comm: comm.to_owned(), bytes })
}

fn reading(line: &str) -> Option<Reading> {
    let (time, what, whom, value) = fields(line)?;
    let mut gauges = GAUGES.into_iter();
    let (_, of, gauge) =
        gauges.find(|(name, of, _)| *name == what && (of.is_empty() || *of == whom))?;
    let pid = if of.is_empty() { Some(whom.split_once(':')?.0.parse().ok()?) } else { None };
    Some(Reading { time, gauge, pid, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_known_by_their_names_and_zones_are_added() {
        let history = b"4.0\tpressure\tmemory some\t7\n4.0\tvmstat\tallocstall_normal\t2\n\
            4.0\tvmstat\tallocstall_movable\t3\n4.0\tcgroup_limit_hits\t7:db\t9\n\
            4.0\tpressure\tmemory full\t6\n4.0\tmeminfo\tMemFree\t5\nx\n4.0\tvmstat\tpswpin\t-1\n";
        let found: Vec<_> =
            readings(history).into_iter().map(|r| (r.gauge, r.pid, r.value)).collect();
        let expected = [
            (Gauge::MemoryPressure, None, 7),
            (Gauge::DirectReclaims, None, 5),
            (Gauge::LimitHits, Some(7), 9),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_the_kernels_log_the_warnings_are_kept() {
        let log = b"6,1,1000,-;usual\n4,2,2000,-;task db:7 blocked\n SUBSYSTEM=x\nno line\n\
            12,3,3000,-,caller=T1;of a facility\n3,4,99999999999999999999,-;late\n";
        let expected = [(2_000_000, "task db:7 blocked"), (3_000_000, "of a facility")]
            .map(|(time, text)| (Timestamp(time), text.to_owned()));
        assert_eq!(warnings(log), expected);
    }
}
