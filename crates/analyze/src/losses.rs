//! Events that the recording lost, and what can still be believed near them.

use coldcase_ingest::capture::{Capture, Nanos, Span, Timestamp};

/// A loss is reported when there is room again, so one that is reported soon after a span may lie in it.
const SOON: Nanos = Nanos(1_000_000_000);

/// Whether events were lost in a span or soon after it.
pub(crate) fn any(capture: &Capture, span: Span) -> bool {
    reported(capture, span) > 0 || missing(capture, span) > 0
}

/// Whether so many events were lost that who does not seem to wait may do so.
pub(crate) fn many(capture: &Capture, span: Span) -> bool {
    share(capture, span) > FEW
}

/// One event in fifty.
pub(crate) const FEW: f64 = 0.02;

/// How many of the events in a span were lost, from 0 to 1, or in it and soon after it, if that was reported then.
pub(crate) fn share(capture: &Capture, span: Span) -> f64 {
    let (reported, missing) = (reported(capture, span), missing(capture, span));
    let lost = reported.saturating_add(missing);
    if lost == 0 {
        return 0.0;
    }
    let soon = if reported > 0 { SOON } else { Nanos::ZERO };
    let recorded = capture.events_within(Span::new(span.start, span.end.plus(soon))) as f64;
    lost as f64 / (lost as f64 + recorded)
}

/// The last moment at which events may have been lost.
pub(crate) fn last(capture: &Capture) -> Option<Timestamp> {
    let end = capture.whole().end;
    let breaks_off = capture.breaks_off.filter(|&from| from < end).map(|_| end);
    capture.losses.iter().filter_map(|loss| loss.time).chain(breaks_off).max()
}

/// Whether nothing was lost anywhere.
pub(crate) fn none(capture: &Capture) -> bool {
    capture.losses.is_empty() && capture.breaks_off.is_none()
}

/// Losses that are reported in a span or soon after it.
fn reported(capture: &Capture, span: Span) -> u64 {
    let near = |time: Timestamp| span.start <= time && time <= span.end.plus(SOON);
    let losses = capture.losses.iter().filter(|loss| loss.time.is_some_and(near));
    losses.fold(0, |sum, loss| sum.saturating_add(loss.count))
}

/// Where a file breaks off, what is missing of some CPUs is about as much as there is of the others.
fn missing(capture: &Capture, span: Span) -> u64 {
    let from = capture.breaks_off.filter(|&from| from < span.end);
    from.map_or(0, |from| capture.events_within(Span::new(from.max(span.start), span.end)).max(1))
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
    fn where_a_file_breaks_off_as_much_is_missing_as_is_there_and_nothing_before() {
        let from = |ms: u64| {
            let breaks_off = Some(Timestamp(ms * 1_000_000));
            let capture = Capture { breaks_off, losses: Vec::new(), ..capture(0, 0) };
            assert!(!none(&capture));
            share(&capture, span())
        };
        assert_eq!([0, 2000, 2050].map(from), [0.5, 0.5, 1.0 / 3.0]);
        assert_eq!([3000, 3500].map(from), [0.0, 0.0]);
        assert!(from(2999) > 0.0, "nothing was written any more, and something may have happened");
    }

    #[test]
    fn many_is_more_than_one_event_in_fifty() {
        assert!(many(&capture(3, 2 * SECOND), span()));
        assert!(!many(&capture(2, 2 * SECOND), span()));
    }
}
