//! Files that break off: a copy that was cut, or a recorder that was killed.
//!
//! If a file ends in the midst of a round (`emptied.rs`), its last stretch has the events of some CPUs only, and a thread whose
//! coming to one of the others is not there would seem to wait on.

use crate::capture::{Capture, Sentence, Span, Timestamp};

/// Says from when on events may be missing, which are complete up to a time.
pub(super) fn doubt_what_follows(
    capture: &mut Capture,
    complete: Timestamp,
    notes: &mut Vec<Sentence>,
) {
    let Some(span) = capture.span.filter(|span| complete < span.end) else { return };
    let rest = Span::new(complete.max(span.start), span.end);
    capture.breaks_off = Some(rest.start);
    let length = rest.duration().as_millis_f64() / 1e3;
    let note = format!(
        "the file breaks off before perf had written what all CPUs did: of its last {length:.3} s, events of some of them may be missing"
    );
    notes.push(note.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_doubted_if_there_is_any() {
        let ms = |ms: u64| Timestamp(ms * 1_000_000);
        let span = Some(Span::new(ms(100), ms(420)));
        let told = |complete| {
            let (mut capture, mut notes) = (Capture { span, ..Capture::default() }, Vec::new());
            doubt_what_follows(&mut capture, complete, &mut notes);
            (capture.breaks_off, notes.first().map(ToString::to_string))
        };
        let (from, note) = told(ms(200));
        assert_eq!(from, Some(ms(200)));
        assert!(note.is_some_and(|note| note.contains("its last 0.220 s")));
        assert_eq!(told(ms(0)).0, Some(ms(100)));
        assert_eq!(told(ms(420)), (None, None));
    }
}
