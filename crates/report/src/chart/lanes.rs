//! A lane's segments as blocks that can be seen: what is narrower than a pixel is merged.
//!
//! A busy thread has a hundred thousand segments, and a picture has a thousand columns. Narrow neighbours
//! become one block in the colour of whatever took most of its time:
//!
//! ```text
//!   segments  |#|-|#|-|#|==========|-|#####|
//!   blocks    |####### |==========|#######|
//! ```

use coldcase_analyze::details::Short;
use coldcase_analyze::findings::Segment;
use coldcase_ingest::capture::{Nanos, Span};

use crate::words::{Kind, kind_of};

/// A stretch of one colour.
#[derive(Clone, Debug)]
pub(crate) struct Block<'a> {
    pub span: Span,
    pub kind: Kind,
    /// The one segment that it shows; `None` where several were merged.
    pub whole: Option<&'a Segment>,
}

/// Blocks of a lane, none shorter than `least` but the last of a run.
pub(crate) fn blocks<'a>(segments: &'a [Segment], shown: Span, least: Nanos) -> Vec<Block<'a>> {
    let mut blocks = Vec::new();
    // Of two kinds that took as long the first of the legend is shown, which has waiting before running.
    let mut run = Short::default();
    // A lane covers all of a capture, and has millions of segments where a picture shows a few.
    let first = segments.partition_point(|segment| segment.span.end <= shown.start);
    let segments = segments[first..].iter().take_while(|segment| segment.span.start < shown.end);
    for segment in segments {
        let Some(span) = segment.span.intersect(shown) else { continue };
        if run.ends_before(span, least) {
            blocks.extend(run.take().map(of_several));
        }
        if span.duration() >= least && run.is_empty() {
            push(&mut blocks, Block { span, kind: kind_of(segment.state), whole: Some(segment) });
            continue;
        }
        run.add(span, kind_of(segment.state));
    }
    blocks.extend(run.take().map(of_several));
    blocks
}

/// Adds a block, or lengthens the last one if it goes on in the same way.
fn push<'a>(blocks: &mut Vec<Block<'a>>, block: Block<'a>) {
    if let Some(last) = blocks.last_mut()
        && last.span.end == block.span.start
        && last.kind == block.kind
        && last.whole.map(|segment| &segment.site) == block.whole.map(|segment| &segment.site)
    {
        last.span.end = block.span.end;
        return;
    }
    blocks.push(block);
}

fn of_several<'a>((span, kind): (Span, Kind)) -> Block<'a> {
    Block { span, kind, whole: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coldcase_analyze::findings::{Cause, SegmentState};
    use coldcase_ingest::capture::Timestamp;

    fn segment(start: u64, end: u64, state: SegmentState) -> Segment {
        Segment { span: Span::new(Timestamp(start), Timestamp(end)), state, site: None }
    }

    fn drawn(segments: &[Segment]) -> Vec<(u64, u64, Kind)> {
        let shown = Span::new(Timestamp(0), Timestamp(1_000));
        blocks(segments, shown, Nanos(10))
            .into_iter()
            .map(|block| (block.span.start.0, block.span.end.0, block.kind))
            .collect()
    }

    #[test]
    fn narrow_neighbours_become_one_block_of_the_longest_state() {
        let lock = SegmentState::Blocked(Cause::MmapLock);
        let segments = [
            segment(0, 3, SegmentState::OnCpu),
            segment(3, 9, lock),
            segment(9, 12, SegmentState::OnCpu),
            segment(12, 100, lock),
        ];
        assert_eq!(
            drawn(&segments),
            [(0, 12, Kind::MmapLock), (12, 100, Kind::MmapLock)],
            "6 of 12 were waiting, and what is wide stays as it is"
        );
    }

    #[test]
    fn gaps_stay_gaps() {
        let segments = [segment(0, 2, SegmentState::OnCpu), segment(500, 502, SegmentState::OnCpu)];
        assert_eq!(drawn(&segments), [(0, 2, Kind::OnCpu), (500, 502, Kind::OnCpu)]);
    }

    #[test]
    fn what_lies_outside_is_cut() {
        let segments = [segment(900, 2_000, SegmentState::Idle)];
        assert_eq!(drawn(&segments), [(900, 1_000, Kind::Idle)]);
    }

    #[test]
    fn a_hundred_thousand_segments_fit_the_columns() {
        let segments: Vec<Segment> = (0..100_000)
            .map(|at| Segment {
                span: Span::new(Timestamp(at * 10), Timestamp(at * 10 + 10)),
                state: if at % 3 == 0 { SegmentState::OnCpu } else { SegmentState::Idle },
                site: None,
            })
            .collect();
        let shown = Span::new(Timestamp(0), Timestamp(1_000_000));
        let blocks = blocks(&segments, shown, Nanos(1_000));
        assert!(blocks.len() <= 1_001, "{}", blocks.len());
        assert!(blocks.iter().all(|block| block.kind == Kind::Idle));
    }
}
