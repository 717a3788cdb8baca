//! Neighbours that are too short to be seen, merged into one stretch.

use coldcase_ingest::capture::{Nanos, Span};

/// Stretches of a lane that are being merged, each of some kind.
#[derive(Debug)]
pub struct Short<K> {
    span: Option<Span>,
    times: Vec<(K, Nanos)>,
}

impl<K> Default for Short<K> {
    fn default() -> Self {
        Self { span: None, times: Vec::new() }
    }
}

impl<K: Copy + Ord> Short<K> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.span.is_none()
    }

    /// Whether they are as long as `least` together, or what follows is too far away to belong to them.
    #[must_use]
    pub fn ends_before(&self, next: Span, least: Nanos) -> bool {
        self.span
            .is_some_and(|span| span.duration() >= least || next.start.since(span.end) >= least)
    }

    /// Adds one that follows them.
    pub fn add(&mut self, span: Span, kind: K) {
        self.span = Some(self.span.map_or(span, |known| known.hull(span)));
        let length = span.duration();
        match self.times.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, time)) => *time += length,
            None => self.times.push((kind, length)),
        }
    }

    /// From the first to the last of them, with the kind that took most of their time, of several the least one; none are
    /// left. `None` if there were none.
    pub fn take(&mut self) -> Option<(Span, K)> {
        let span = self.span.take()?;
        let longest = self.times.iter().map(|(_, time)| *time).max();
        let kind = self.times.iter().filter(|row| Some(row.1) == longest).map(|row| row.0).min();
        self.times.clear();
        Some((span, kind?))
    }
}
