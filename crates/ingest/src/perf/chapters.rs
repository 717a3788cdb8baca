//! A recording with more events than should be kept at a time, handed on in chapters.

use crate::capture::{Capture, Incident, Loss, LossKind, Meaning, Span, Timestamp};

/// What becomes of the chapters of a recording with many events.
pub struct Chapters<'c> {
    rows: usize,
    /// How many rows of events the tables may hold until the chapter ends.
    limit: usize,
    take: &'c mut dyn FnMut(&mut Capture) -> Timestamp,
    /// When the chapter began that is read.
    begins: Timestamp,
    incident: Option<Incident>,
    kallsyms: Option<Box<[u8]>>,
}

impl<'c> Chapters<'c> {
    /// A chapter ends when its tables hold so many `rows` of events, and what perf wrote in one go beyond it. The first one may be twice
    /// as long: what is hardly longer than a chapter is not cut.
    ///
    /// `take` is given each chapter but the last one, which is what reading gives: a capture with the rows of events of the
    /// chapter alone, and its span, and with all else that has been read up to then. How often each event was recorded is not
    /// known yet. It says from when on rows belong to the next chapter, too.
    pub fn new(rows: usize, take: &'c mut dyn FnMut(&mut Capture) -> Timestamp) -> Self {
        let limit = rows.saturating_mul(2);
        Self { rows, limit, take, begins: Timestamp(0), incident: None, kallsyms: None }
    }

    /// Whether a chapter has grown long enough to end. Where contention is all there is, switches are drawn from it in the end.
    pub(super) fn is_long(&self, capture: &Capture) -> bool {
        capture.rows() >= self.limit && capture.recorded(Meaning::Switches)
    }

    /// Ends a chapter, whose tables are in order of time.
    pub(super) fn end(&mut self, capture: &mut Capture, is_damaged: bool) {
        if capture.kallsyms.is_none() {
            capture.incident.clone_from(&self.incident);
            capture.kallsyms.clone_from(&self.kallsyms);
        }
        self.begin(capture);
        let end = capture.latest_row();
        capture.span = capture.span.map(|span| Span::new(span.start, end.unwrap_or(span.end)));
        let losses = capture.losses.len();
        if is_damaged {
            let note = "some of the file cannot be read".to_owned();
            capture.losses.push(Loss { time: None, kind: LossKind::Damaged, count: 1, note });
        }
        let from = (self.take)(capture);
        capture.losses.truncate(losses);
        capture.begin_at(from);
        self.begins = from;
        // A chapter that has to keep most of its rows must not end with every round.
        self.limit = self.rows.max(capture.rows().saturating_mul(3) / 2);
    }

    /// Gives the chapter that is read its beginning: what is only counted is so before it is put in order, and may be of the one before.
    pub(super) fn begin(&self, capture: &mut Capture) {
        if let Some(span) = &mut capture.span {
            span.start = span.start.max(self.begins);
        }
    }

    /// Chapters that have what lay beside the recording.
    pub(crate) fn with(self, incident: Option<Incident>, kallsyms: Option<Box<[u8]>>) -> Self {
        Self { incident, kallsyms, ..self }
    }
}
