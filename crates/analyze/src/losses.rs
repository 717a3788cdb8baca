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
    share(capture, span) > FEW
}

/// One event in fifty.
pub(crate) const FEW: f64 = 0.02;

/// How many of the events in a span, or soon after it, were lost, from 0 to 1.
pub(crate) fn share(capture: &Capture, span: Span) -> f64 {
    let lost = count(capture, span);
    if lost == 0 {
        return 0.0;
    }
    let recorded = recorded(capture, Span::new(span.start, span.end.plus(SOON))) as f64;
    lost as f64 / (lost as f64 + recorded)
}

fn count(capture: &Capture, span: Span) -> u64 {
    let near = |time: Timestamp| span.start <= time && time <= span.end.plus(SOON);
    let losses = capture.losses.iter().filter(|loss| loss.time.is_some_and(near));
    losses.fold(0, |sum, loss| sum.saturating_add(loss.count))
}

/// Events in a span.
fn recorded(capture: &Capture, span: Span) -> usize {
    fn inside<T>(rows: &[T], span: Span, time: impl Fn(&T) -> Timestamp) -> usize {
        let before = |end| rows.partition_point(|row| time(row) < end);
        before(span.end).saturating_sub(before(span.start))
    }
    usize::try_from(capture.spins.within(span)).unwrap_or(usize::MAX)
        + inside(&capture.switches, span, |row| row.time)
        + inside(&capture.wakeups, span, |row| row.time)
        + inside(&capture.contention, span, |row| row.time)
        + inside(&capture.mmap_locks, span, |row| row.time)
        + inside(&capture.syscalls, span, |row| row.time)
        + inside(&capture.samples, span, |row| row.time)
        + inside(&capture.activities, span, |row| row.time)
        + inside(&capture.resident, span, |row| row.time)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Loss, LossKind};

    use super::*;
    use crate::script;

    const SECOND: u64 = 1_000_000_000;

    /// A hundred events between the second second and the third, and so many lost at a time.
    fn capture(lost: u64, time: u64) -> Capture {
        let events: Vec<String> = (0..100).map(|row| format!("{}ms .a", 2000 + row)).collect();
        let mut capture = script::record(Capture::default(), &events.join(","));
        let (time, kind, note) = (Some(Timestamp(time)), LossKind::Lost, String::new());
        capture.losses.push(Loss { time, kind, count: lost, note });
        capture
    }

    fn span() -> Span {
        Span::new(Timestamp(2 * SECOND), Timestamp(3 * SECOND))
    }

    #[test]
    fn a_loss_may_lie_in_a_span_up_to_a_second_before_it_is_reported() {
        assert!(any(&capture(1, 3 * SECOND + SECOND / 2), span()));
        assert!(!any(&capture(1, 5 * SECOND), span()));
        assert!(!any(&capture(1, SECOND), span()));
    }

    #[test]
    fn many_is_more_than_one_event_in_fifty() {
        assert!(many(&capture(3, 2 * SECOND), span()));
        assert!(!many(&capture(2, 2 * SECOND), span()));
    }
}
