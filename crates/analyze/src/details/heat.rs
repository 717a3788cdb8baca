//! How many threads stood still, over time: a freeze is what the eye finds first.

use coldcase_ingest::capture::{Nanos, Span};

use crate::details::Heat;

/// Bins of a column.
const BINS: usize = 50;
/// Columns: fewer show no rhythm, more are too narrow.
const FEWEST: u64 = 5;
const MOST: u64 = 120;

/// Time in which threads are kept from running, in bins over a capture: none yet.
pub(crate) fn empty(capture: Span) -> Option<Heat> {
    let column = column(capture.duration())?;
    let bin = Nanos(column.0 / BINS as u64);
    let bins = usize::try_from(capture.duration().0.div_ceil(bin.0)).ok()?;
    Some(Heat { start: capture.start, bin, column: BINS, blocked: vec![Nanos(0); bins] })
}

/// A second, as FlameScope has it, unless the capture is very short or very long.
fn column(capture: Nanos) -> Option<Nanos> {
    const MS: u64 = 1_000_000;
    let fits = |column: &u64| (FEWEST..=MOST).contains(&(capture.0 / column));
    let second = Some(1_000 * MS).filter(fits);
    let mut steps = (0..9).flat_map(|power| [1, 2, 5].map(|step| step * 10_u64.pow(power) * MS));
    second.or_else(|| steps.find(fits)).map(Nanos)
}

/// A thread was kept from running, in the capture's time.
pub(crate) fn add(heat: &mut Heat, span: Span) {
    let mut at = span.start;
    while at < span.end {
        let index = at.since(heat.start).0 / heat.bin.0;
        let end = heat.start.plus(Nanos((index + 1) * heat.bin.0)).min(span.end);
        // A bin's index is below their number, which is a usize.
        if let Some(bin) = usize::try_from(index).ok().and_then(|index| heat.blocked.get_mut(index))
        {
            *bin += end.since(at);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coldcase_ingest::capture::Timestamp;

    const MS: u64 = 1_000_000;

    fn span(start: u64, end: u64) -> Span {
        Span::new(Timestamp(start * MS), Timestamp(end * MS))
    }

    #[test]
    fn a_wait_is_spread_over_its_bins() {
        let mut heat = empty(span(1_000, 11_000)).unwrap();
        add(&mut heat, span(1_010, 1_050));
        add(&mut heat, span(1_030, 1_050));
        assert_eq!((heat.bin, heat.column, heat.blocked.len()), (Nanos(20 * MS), 50, 500));
        let blocked = &heat.blocked[..4];
        assert_eq!(blocked, [10, 30, 20, 0].map(|ms| Nanos(ms * MS)));
    }

    #[test]
    fn columns_are_seconds_where_a_capture_allows_it() {
        let column = |ms: u64| column(Nanos(ms * MS)).map(|column| column.0 / MS);
        assert_eq!(column(10_000), Some(1_000));
        assert_eq!(column(1_400), Some(20));
        assert_eq!(column(3_600_000), Some(50_000));
        assert_eq!(column(0), None);
    }
}
