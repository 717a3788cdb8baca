//! Lanes as short texts, for the page's script.
//!
//! Lanes would be megabytes as numbers, so each is a text: for every block the gap before it, its kind as a letter
//! from `A`, its length and, if it shows one wait only, the number of its site; figures to the base 36.
//!
//! ```text
//! 2sA1e.0;0H5;     gap 100, kind A of 50 at site 0; then at once kind H of 5
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

use coldcase_analyze::findings::{Lane, Timeline};
use coldcase_ingest::capture::{Nanos, Span, Timestamp};

use crate::chart::lanes::{Block, blocks};
use crate::names;

/// Most blocks, each some six bytes: that many show 200 threads over ten seconds in detail.
const BLOCKS: usize = 80_000;
/// Outside the part that is shown first, blocks may be that much coarser.
const COARSER: u64 = 4;

/// Every lane as text, with blocks as fine as their number allows.
pub(super) fn lanes(timeline: &Timeline, texts: &mut Numbered<String>) -> Vec<String> {
    let mut least = Nanos((timeline.span.duration().0 / 8_000).max(1_000));
    let drawn = loop {
        let most = if least < timeline.span.duration() { BLOCKS } else { usize::MAX };
        match all_drawn(timeline, least, most) {
            Some(drawn) => break drawn,
            None => least = Nanos(least.0 * 2),
        }
    };
    drawn.iter().map(|lane| encoded(timeline.whole, lane, texts)).collect()
}

/// The blocks of all lanes; `None` if they are more than `most`.
fn all_drawn(timeline: &Timeline, least: Nanos, most: usize) -> Option<Vec<Vec<Block<'_>>>> {
    let mut left = most;
    let lanes = timeline.lanes.iter().map(|lane| {
        let lane = drawn(timeline, lane, least);
        left = left.checked_sub(lane.len())?;
        Some(lane)
    });
    lanes.collect()
}

fn drawn<'a>(timeline: &Timeline, lane: &'a Lane, least: Nanos) -> Vec<Block<'a>> {
    let (whole, shown) = (timeline.whole, timeline.span);
    let coarse = Nanos(least.0.saturating_mul(COARSER));
    let parts = [
        (Span::new(whole.start, shown.start), coarse),
        (shown, least),
        (Span::new(shown.end, whole.end), coarse),
    ];
    parts.into_iter().flat_map(|(part, least)| blocks(&lane.segments, part, least)).collect()
}

fn encoded(whole: Span, blocks: &[Block<'_>], texts: &mut Numbered<String>) -> String {
    let mut text = String::new();
    let mut pen = 0;
    for block in blocks {
        let (start, end) = (micros(whole, block.span.start), micros(whole, block.span.end));
        // Kinds are nine, so the letter is one of A to I.
        let letter = char::from(b'A' + block.kind as u8);
        let (gap, length) = (Base36(start.saturating_sub(pen)), Base36(end - start));
        let _ = write!(text, "{gap}{letter}{length}");
        if let Some(site) = block.whole.and_then(|segment| segment.site.as_deref()) {
            let _ = write!(text, ".{}", Base36(texts.number(names::function(site)) as u64));
        }
        text.push(';');
        pen = end;
    }
    text
}

/// Microseconds from the start of the capture.
pub(super) fn micros(whole: Span, time: Timestamp) -> u64 {
    time.since(whole.start).0 / 1_000
}

/// Values by the order in which they are first named.
pub(super) struct Numbered<T> {
    pub order: Vec<T>,
    numbers: BTreeMap<T, usize>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { order: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Numbered<T> {
    /// A value's number, which is new for a new one.
    pub fn number(&mut self, value: T) -> usize {
        if let Some(&known) = self.numbers.get(&value) {
            return known;
        }
        self.order.push(value.clone());
        self.numbers.insert(value, self.order.len() - 1);
        self.order.len() - 1
    }
}

/// A number to the base 36.
struct Base36(u64);

impl std::fmt::Display for Base36 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        if self.0 >= 36 {
            write!(f, "{}", Base36(self.0 / 36))?;
        }
        write!(f, "{}", char::from(DIGITS[(self.0 % 36) as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coldcase_analyze::findings::{Cause, Segment, SegmentState};

    fn segment(start: u64, end: u64, state: SegmentState, site: Option<&str>) -> Segment {
        let span = Span::new(Timestamp(start * 1_000), Timestamp(end * 1_000));
        Segment { span, state, site: site.map(Into::into) }
    }

    #[test]
    fn lanes_are_written_as_the_head_of_this_file_says() {
        let lock = SegmentState::Blocked(Cause::MmapLock);
        let segments = [
            segment(100, 150, lock, Some("mmap_lock")),
            segment(150, 155, SegmentState::OnCpu, None),
        ];
        let whole = Span::new(Timestamp(0), Timestamp(1_000_000));
        let drawn = blocks(&segments, whole, Nanos(1));
        let mut texts = Numbered::default();
        assert_eq!(encoded(whole, &drawn, &mut texts), "2sA1e.0;0H5;");
        assert_eq!(texts.order, ["mmap_lock"]);
        assert_eq!(Base36(u64::MAX).to_string(), "3w5e11264sgsf");
    }
}
