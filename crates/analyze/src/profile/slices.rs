//! In which of a row of profiles, each of a second or so, the waiting stands out.
//!
//! ```text
//! waiting at mmap_lock, ms    4   0   7   0  --  5810  490   3   5
//! file                       36  37  38  39  40    41   42  43  44
//!                                            ^    `-- freeze -'
//!                                            a silent file: waits over its end are lost, or count in the next
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use coldcase_ingest::capture::{Capture, Nanos, Sentence, Span};

use super::At;
use crate::findings::Cause;

/// A file stands out if it has more than so many times the waiting of the one in the middle.
const STANDS_OUT: u64 = 5;

/// Adjacent files in which the waiting for one cause stands out.
pub(super) struct Run {
    pub cause: Cause,
    /// Indices of [`Capture::slices`].
    pub slices: Range<usize>,
    /// Their time, if the freeze fills them.
    pub span: Option<Span>,
    /// What a person should know of it.
    pub evidence: Vec<Sentence>,
}

/// Waiting by cause, for each slice.
type Waiting = BTreeMap<Cause, Vec<Nanos>>;

/// Sums of harmful waiting. Of a futex nothing tells whether it is a lock or an empty queue.
fn waiting(capture: &Capture, rows: &[At<'_>]) -> Waiting {
    let mut waiting = Waiting::new();
    for row in rows {
        let Some((cause, slice)) = row.harm().zip(row.slice) else { continue };
        let none = || vec![Nanos::ZERO; capture.slices.len()];
        if let Some(sum) = waiting.entry(cause).or_insert_with(none).get_mut(slice) {
            *sum += row.time;
        }
    }
    waiting
}

/// The run with the most waiting.
pub(super) fn worst(capture: &Capture, rows: &[At<'_>], min_freeze: Nanos) -> Option<Run> {
    let waiting = waiting(capture, rows);
    let mut runs: Vec<(Nanos, Nanos, Cause, Range<usize>)> = Vec::new();
    for (&cause, times) in &waiting {
        let usual = median(times);
        let stands_out =
            |time: Nanos| time >= min_freeze && time.0 > usual.0.saturating_mul(STANDS_OUT);
        for slices in adjacent(capture, |at| times.get(at).is_some_and(|time| stands_out(*time))) {
            let sum = times[slices.clone()].iter().copied().sum();
            runs.push((sum, usual, cause, slices));
        }
    }
    let others = runs.len().saturating_sub(1);
    let (sum, usual, cause, slices) = runs
        .into_iter()
        .max_by_key(|(sum, _, cause, slices)| (*sum, std::cmp::Reverse((*cause, slices.start))))?;
    let span = capture.slices[slices.start].hull(capture.slices[slices.end - 1]);
    let mut evidence = vec![
        format!(
            "{:.1} ms of waiting in {}, from {} to {} s, against {:.1} ms in the file in the middle",
            sum.as_millis_f64(),
            files(slices.len()),
            span.start,
            span.end,
            usual.as_millis_f64()
        )
        .into(),
        "a wait counts in the file in which it ended, so the freeze may have begun before".into(),
    ];
    evidence.extend(silence_before(capture, rows, slices.start).map(Sentence::from));
    if others > 0 {
        evidence.push(format!("less waiting stands out {others} more times").into());
    }
    let filled = longest(capture, rows, cause, &slices).0 >= span.duration().0 / 2;
    if !filled {
        evidence.push("no thread waited for half of that time: the freeze is shorter".into());
    }
    Some(Run { cause, slices, span: filled.then_some(span), evidence })
}

/// The longest that threads of one name waited in a run, each. A name may stand for many: that many as it takes to be off the CPU for
/// so long in the file in the middle.
fn longest(capture: &Capture, rows: &[At<'_>], cause: Cause, run: &Range<usize>) -> Nanos {
    let mut by_name: BTreeMap<&str, (Nanos, Vec<Nanos>)> = BTreeMap::new();
    for row in rows {
        let Some(slice) = row.slice else { continue };
        let none = || (Nanos::ZERO, vec![Nanos::ZERO; capture.slices.len()]);
        let (waited, all) = by_name.entry(row.comm).or_insert_with(none);
        if row.harm() == Some(cause) && run.contains(&slice) {
            *waited += row.time;
        }
        if let Some(sum) = all.get_mut(slice) {
            *sum += row.time;
        }
    }
    let lengths: Vec<Nanos> = capture.slices.iter().map(|slice| slice.duration()).collect();
    let length = median(&lengths).0.max(1);
    let each = by_name.into_values().map(|(waited, all)| {
        let threads = median(&all).0.saturating_add(length / 2) / length;
        Nanos(waited.0 / threads.max(1))
    });
    each.max().unwrap_or_default()
}

/// The most waiting for one cause in one slice.
pub(super) fn most_in_one(capture: &Capture, rows: &[At<'_>], cause: Cause) -> Nanos {
    let times = waiting(capture, rows).remove(&cause).unwrap_or_default();
    times.into_iter().max().unwrap_or_default()
}

fn median(times: &[Nanos]) -> Nanos {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Slices that are so, where they touch each other.
fn adjacent(capture: &Capture, is_so: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..capture.slices.len()).filter(|&at| is_so(at)) {
        let touches = at > 0 && capture.slices[at - 1].end == capture.slices[at].start;
        match runs.last_mut().filter(|run| touches && run.end == at) {
            Some(run) => run.end = at + 1,
            None => runs.push(at..at + 1),
        }
    }
    runs
}

/// Threads that most files have, and the files just before this one have not: they neither slept nor woke there.
fn silence_before(capture: &Capture, rows: &[At<'_>], first: usize) -> Option<String> {
    let mut seen: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for row in rows {
        seen.entry(row.comm).or_default().extend(row.slice);
    }
    seen.retain(|_, files| files.len() * 4 >= capture.slices.len() * 3);
    let missing = |at: usize| seen.values().filter(|files| !files.contains(&at)).count();
    let is_silent = |at: &usize| missing(*at) >= 2 && missing(*at) * 2 > seen.len();
    let silent: Vec<usize> = (0..first).rev().take_while(is_silent).collect();
    let least = silent.iter().map(|&at| missing(at)).min()?;
    Some(format!(
        "in {} before, {least} of {} threads that most files have are missing: they may have stood still there already",
        files(silent.len()),
        seen.len()
    ))
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{StackId, Timestamp};

    use super::*;
    use crate::rules::WaitKind;

    const SECOND: u64 = 1000;

    /// A capture of slices of a second; `gap_after` one of them, a second is missing.
    fn capture(count: u64, gap_after: Option<u64>) -> Capture {
        let at = |index: u64| {
            let index = index + u64::from(gap_after.is_some_and(|gap| index > gap));
            Timestamp(index * 1_000_000_000)
        };
        let slice = |index| Span::new(at(index), at(index).plus(Nanos::from_millis(SECOND)));
        Capture { slices: (0..count).map(slice).collect(), ..Capture::default() }
    }

    fn row(comm: &str, slice: usize, harm: bool, millis: u64) -> At<'_> {
        At {
            comm,
            site: String::new(),
            kind: if harm { WaitKind::Harm(Cause::MmapLock, None) } else { WaitKind::Idle },
            time: Nanos::from_millis(millis),
            waker: None,
            slice: Some(slice),
            stack: StackId::from_index(0),
        }
    }

    fn rest(comm: &str, slices: std::ops::Range<usize>, millis: u64) -> Vec<At<'_>> {
        slices.map(|slice| row(comm, slice, false, millis)).collect()
    }

    fn worst_of(capture: &Capture, rows: &[At<'_>]) -> Option<Run> {
        worst(capture, rows, Nanos::from_millis(50))
    }

    #[test]
    fn adjacent_files_are_one_freeze_and_a_gap_parts_them() {
        let mut rows = rest("a", 0..9, 500);
        rows.extend([row("a", 3, true, 900), row("a", 4, true, 800), row("a", 7, true, 950)]);
        let run = worst_of(&capture(9, None), &rows).unwrap();
        assert_eq!(run.slices, 3..5);
        let span = run.span.unwrap();
        assert_eq!((span.start.0, span.end.0), (3_000_000_000, 5_000_000_000));
        assert!(run.evidence.last().unwrap().contains("1 more times"), "{:?}", run.evidence);
        assert_eq!(worst_of(&capture(9, Some(3)), &rows).unwrap().slices, 7..8);
    }

    #[test]
    fn what_every_file_has_does_not_stand_out() {
        let rows: Vec<_> = (0..9).map(|slice| row("a", slice, true, 200)).collect();
        assert!(worst_of(&capture(9, None), &rows).is_none());
        assert_eq!(most_in_one(&capture(9, None), &rows, Cause::MmapLock), Nanos::from_millis(200));
    }

    /// Twenty threads of one name that waited 60 ms each were not frozen for a second.
    #[test]
    fn a_pools_sum_is_not_the_length_of_a_freeze() {
        let mut rows = rest("pool", 0..9, 20 * 990);
        rows.push(row("pool", 3, true, 20 * 60));
        let run = worst_of(&capture(9, None), &rows).unwrap();
        assert_eq!((run.slices, run.span), (3..4, None));
        rows.push(row("pool", 3, true, 20 * 600));
        assert!(worst_of(&capture(9, None), &rows).unwrap().span.is_some());
    }

    #[test]
    fn threads_that_are_missing_before_are_told() {
        let mut rows = rest("rare", 0..2, 10);
        for comm in ["a", "b", "c"] {
            rows.extend(rest(comm, 0..4, 900));
            rows.extend(rest(comm, 6..9, 900));
            rows.push(row(comm, 6, true, 80));
        }
        let run = worst_of(&capture(9, None), &rows).unwrap();
        let said = "in 2 files before, 3 of 3 threads that most files have are missing";
        assert!(run.evidence.iter().any(|text| text.contains(said)), "{:?}", run.evidence);
        rows.extend(rest("a", 4..6, 900));
        rows.extend(rest("b", 4..6, 900));
        let run = worst_of(&capture(9, None), &rows).unwrap();
        assert!(!run.evidence.iter().any(|text| text.contains("missing")), "{:?}", run.evidence);
    }
}
