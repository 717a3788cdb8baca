//! Events that the recording lost, and what can still be believed near them.

use coldcase_ingest::capture::{Capture, Nanos, Span, Timestamp};

/// A loss is reported when there is room again, so one that is reported soon after a span may lie in it.
const SOON: Nanos = Nanos(1_000_000_000);

/// Whether events were lost in a span or soon after it.
pub(crate) fn any(capture: &Capture, span: Span) -> bool {
    count(capture, span) > 0
}

/// Whether so many events were lost that who does not seem to wait may do so.
pub(crate) fn many(capture: &Capture, span: Span) -> bool {
    const FEW: f64 = 0.02;
    let lost = count(capture, span) as f64;
    let recorded = recorded(capture, Span::new(span.start, span.end.plus(SOON))) as f64;
    lost > FEW * (lost + recorded)
}

fn count(capture: &Capture, span: Span) -> u64 {
    let near = |time: Timestamp| span.start <= time && time <= span.end.plus(SOON);
    let losses = capture.losses.iter().filter(|loss| loss.time.is_some_and(near));
    losses.fold(0, |sum, loss| sum.saturating_add(loss.count))
}

/// Scheduler events, calls and samples in a span.
fn recorded(capture: &Capture, span: Span) -> usize {
    fn inside<T>(rows: &[T], span: Span, time: impl Fn(&T) -> Timestamp) -> usize {
        let before = |end| rows.partition_point(|row| time(row) < end);
        before(span.end).saturating_sub(before(span.start))
    }
    inside(&capture.switches, span, |row| row.time)
        + inside(&capture.wakeups, span, |row| row.time)
        + inside(&capture.contention, span, |row| row.time)
        + inside(&capture.mmap_locks, span, |row| row.time)
        + inside(&capture.syscalls, span, |row| row.time)
        + inside(&capture.samples, span, |row| row.time)
        + inside(&capture.activities, span, |row| row.time)
}
