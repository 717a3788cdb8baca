//! Files that break off: a copy that was cut, or a recorder that was killed.
//!
//! perf empties the CPUs' buffers in turns (`order.rs`). If a file ends in the midst of that, its last stretch has the events of
//! some CPUs only, and a thread whose coming to one of the others is not there would seem to wait on.

use crate::capture::{Capture, Loss, LossKind, Nanos, Sentence, Span, Timestamp};

/// So long is each stretch of which a loss is told.
const STRETCH: Nanos = Nanos(100_000_000);
/// Times in a damaged file may be anything.
const MOST: usize = 36_000;

/// Tells of losses, as many as there are events, in what follows the time up to which all CPUs' events are there.
pub(super) fn doubt_what_follows(
    capture: &mut Capture,
    complete: Timestamp,
    notes: &mut Vec<Sentence>,
) {
    let Some(span) = capture.span else { return };
    let Some(rest) = Span::new(complete.max(span.start), span.end.max(complete)).intersect(span)
    else {
        return;
    };
    let mut start = rest.start;
    while start < rest.end && capture.losses.len() < MOST {
        let stretch = Span::new(start, start.plus(STRETCH).min(rest.end));
        let time = Some(stretch.end);
        let (kind, count) = (LossKind::BrokenOff, events(capture, stretch).max(1));
        capture.losses.push(Loss { time, kind, count, note: String::new() });
        start = start.plus(STRETCH);
    }
    let length = rest.duration().as_millis_f64() / 1e3;
    let note = format!(
        "the file breaks off before perf had written what all CPUs did: of its last {length:.3} s, events of some of them may be missing"
    );
    notes.push(note.into());
}

/// Switches and wakeups in a stretch: what is not there is mostly the same.
fn events(capture: &Capture, span: Span) -> u64 {
    fn inside<T>(rows: &[T], span: Span, time: impl Fn(&T) -> Timestamp) -> usize {
        let before = |end| rows.partition_point(|row| time(row) <= end);
        before(span.end).saturating_sub(before(span.start))
    }
    let switches = inside(&capture.switches, span, |row| row.time);
    (switches + inside(&capture.wakeups, span, |row| row.time)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Context;
    use crate::capture::{ThreadId, Wakeup, WakeupKind};

    #[test]
    fn what_follows_is_told_as_lost_by_as_much_as_is_there() {
        let woken = |time: u64| Wakeup {
            time: Timestamp(time * 1_000_000),
            waker: None,
            wakee: ThreadId::from_index(0),
            context: Context::Task,
            kind: WakeupKind::Waking,
            stack: None,
        };
        let ms = |ms: u64| Timestamp(ms * 1_000_000);
        let mut capture = Capture {
            wakeups: [100, 250, 260, 290, 420].map(woken).to_vec(),
            span: Some(Span::new(ms(100), ms(420))),
            ..Capture::default()
        };
        let mut notes = Vec::new();
        doubt_what_follows(&mut capture, ms(200), &mut notes);
        let told: Vec<_> = capture.losses.iter().map(|loss| (loss.time, loss.count)).collect();
        assert_eq!(told, [(Some(ms(300)), 3), (Some(ms(400)), 1), (Some(ms(420)), 1)]);
        assert!(notes[0].contains("its last 0.220 s"), "{:?}", notes[0]);
        assert_eq!(capture.lost_events(), 0);

        capture.losses.clear();
        doubt_what_follows(&mut capture, ms(420), &mut notes);
        assert!(capture.losses.is_empty() && notes.len() == 1);
    }
}
