//! One thread's life as a row of slices, packed.
//!
//! Captures have three slices for each context switch, and what a report takes time for is memory that is touched for
//! the first time. As a slice begins where the one before it ended, one of them takes 12 bytes instead of 24.

use coldcase_ingest::capture::{Nanos, Span, StackId, Timestamp};

use crate::states::{Doing, Slice, WaitId};

/// What a thread did, in order of time and without overlap.
#[derive(Clone, Default)]
pub(crate) struct Life {
    /// When each slice began, in the upper bits, and its kind.
    begins: Vec<u64>,
    /// The stack or the wait that belongs to it.
    of: Vec<u32>,
    /// From when to when anything is known of it. Most threads of a machine live before a span or after it, and this tells without a
    /// look at the slices.
    start: Timestamp,
    end: Timestamp,
    /// Places of the slices from [`LONG`] on, in which the thread did not run.
    long: Vec<u32>,
}

/// Who asks for slices that may make a freeze need not look at all the others.
const LONG: Nanos = Nanos(10_000_000);

/// Kinds of slices, and stretches of which nothing is known.
const UNKNOWN: u64 = 0;
const RUNNING: u64 = 1;
const RUNNABLE: u64 = 2;
const BLOCKED: u64 = 3;
const KIND: u64 = 3;
/// The last moment that can be told, in the year 2116 of the Unix clock; later ones come from damage.
const LATEST: u64 = u64::MAX >> 2;

impl Life {
    /// A life in which so much may happen. Room that is not used is never touched, and costs nothing.
    pub fn with_capacity(slices: usize) -> Self {
        Self {
            begins: Vec::with_capacity(slices),
            of: Vec::with_capacity(slices),
            start: Timestamp(0),
            end: Timestamp(0),
            long: Vec::new(),
        }
    }

    /// Adds what the thread did next, as far as it is not known yet, and says what was added.
    pub fn push(&mut self, span: Span, doing: Doing) -> Option<Span> {
        let end = Timestamp(span.end.0.min(LATEST));
        let start = if self.begins.is_empty() { span.start } else { span.start.max(self.end) };
        if start >= end {
            return None;
        }
        if self.begins.is_empty() {
            self.start = start;
        } else if start > self.end {
            self.begin(self.end, UNKNOWN, 0);
        }
        match doing {
            Doing::Running => self.begin(start, RUNNING, 0),
            Doing::Runnable(stack) => self.begin(start, RUNNABLE, number(stack)),
            Doing::Blocked(wait) => self.begin(start, BLOCKED, wait.0),
        }
        if doing != Doing::Running && end.since(start) >= LONG {
            self.long.push(u32::try_from(self.begins.len() - 1).unwrap_or(u32::MAX));
        }
        self.end = end;
        Some(Span { start, end })
    }

    fn begin(&mut self, time: Timestamp, kind: u64, of: u32) {
        self.begins.push(time.0 << 2 | kind);
        self.of.push(of);
    }

    pub fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    /// How many slices it has, those of which nothing is known among them.
    pub fn len(&self) -> usize {
        self.begins.len()
    }

    /// All of it, in order of time.
    pub fn iter(&self) -> impl Iterator<Item = Slice> {
        self.from(0)
    }

    /// What ended later than a moment.
    pub fn after(&self, time: Timestamp) -> impl Iterator<Item = Slice> {
        let is_over = self.end <= time;
        let begun = if is_over {
            self.begins.len()
        } else {
            self.begins.partition_point(|begin| begin >> 2 <= time.0)
        };
        // The last that had begun goes on until the next begins.
        let goes_on = begun < self.begins.len() || self.end > time;
        self.from(if goes_on { begun.saturating_sub(1) } else { begun })
    }

    /// What began earlier than a moment, the latest first.
    pub fn before(&self, time: Timestamp) -> impl Iterator<Item = Slice> {
        let begun = self.begins.partition_point(|begin| begin >> 2 < time.0);
        (0..begun).rev().filter_map(|place| self.slice(place))
    }

    /// How long the thread ran in a span.
    pub fn ran(&self, span: Span) -> Nanos {
        self.time_of(RUNNING, span)
    }

    /// How long the thread was ready and had no CPU, in a span.
    pub fn ready(&self, span: Span) -> Nanos {
        self.time_of(RUNNABLE, span)
    }

    /// The time of one kind: asked of all threads at once, so without a look at anything but times.
    fn time_of(&self, kind: u64, span: Span) -> Nanos {
        if self.end <= span.start || self.start >= span.end {
            return Nanos::ZERO;
        }
        let begun = self.begins.partition_point(|begin| begin >> 2 <= span.start.0);
        let begins = &self.begins[begun.saturating_sub(1)..];
        let ends = begins.iter().skip(1).map(|begin| begin >> 2).chain([self.end.0]);
        let slices = begins.iter().zip(ends).take_while(|(begin, _)| **begin >> 2 < span.end.0);
        let times = slices.filter(|(begin, _)| *begin & KIND == kind);
        let times = times.map(|(&begin, end)| {
            end.min(span.end.0).saturating_sub((begin >> 2).max(span.start.0))
        });
        Nanos(times.sum())
    }

    /// Slices of some length and more in which the thread did not run.
    pub fn long(&self, least: Nanos) -> impl Iterator<Item = Slice> {
        let all = (least < LONG).then(|| self.iter());
        let long = self.long.iter().filter(move |_| least >= LONG);
        let long = long.filter_map(|&place| self.slice(place as usize));
        let slices = all.into_iter().flatten().chain(long);
        slices.filter(move |slice| slice.doing != Doing::Running && slice.span.duration() >= least)
    }

    fn from(&self, first: usize) -> impl Iterator<Item = Slice> {
        (first..self.begins.len()).filter_map(|place| self.slice(place))
    }

    /// What the thread did; `None` if that is unknown.
    #[inline]
    fn slice(&self, place: usize) -> Option<Slice> {
        let (begin, of) = (self.begins[place], self.of[place]);
        let doing = match begin & KIND {
            RUNNING => Doing::Running,
            RUNNABLE => Doing::Runnable(stack(of)),
            BLOCKED => Doing::Blocked(WaitId(of)),
            _ => return None,
        };
        let end = self.begins.get(place + 1).map_or(self.end, |next| Timestamp(next >> 2));
        Some(Slice { span: Span { start: Timestamp(begin >> 2), end }, doing })
    }
}

/// Stacks are counted from 1, so that 0 is none.
fn number(stack: Option<StackId>) -> u32 {
    stack.map_or(0, |stack| u32::try_from(stack.index() + 1).unwrap_or(u32::MAX))
}

fn stack(number: u32) -> Option<StackId> {
    Some(StackId::from_index(number.checked_sub(1)? as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64, end: u64) -> Span {
        Span::new(Timestamp(start), Timestamp(end))
    }

    #[test]
    fn what_is_known_already_is_not_told_twice_and_what_is_unknown_not_at_all() {
        let stack = Some(StackId::from_index(0));
        let mut life = Life::default();
        assert_eq!(life.push(span(5, 10), Doing::Running), Some(span(5, 10)));
        assert_eq!(life.push(span(8, 9), Doing::Running), None);
        assert_eq!(life.push(span(8, 20), Doing::Runnable(stack)), Some(span(10, 20)));
        life.push(span(30, 40), Doing::Blocked(WaitId(7)));
        life.push(span(40, u64::MAX), Doing::Runnable(None));
        let told = |slices: &mut dyn Iterator<Item = Slice>| -> Vec<(u64, u64, Doing)> {
            slices.map(|slice| (slice.span.start.0, slice.span.end.0, slice.doing)).collect()
        };
        let all = [
            (5, 10, Doing::Running),
            (10, 20, Doing::Runnable(stack)),
            (30, 40, Doing::Blocked(WaitId(7))),
            (40, LATEST, Doing::Runnable(None)),
        ];
        assert_eq!(told(&mut life.iter()), all);
        for (time, first) in [(0, 0), (9, 0), (10, 1), (20, 2), (39, 2), (40, 3), (LATEST, 4)] {
            assert_eq!(told(&mut life.after(Timestamp(time))), all[first..], "after {time}");
        }
        let spans = [(0, 5), (0, 6), (6, 9), (9, 50), (10, 30), (50, 60)].map(|(a, b)| span(a, b));
        assert_eq!(spans.map(|span| life.ran(span).0), [0, 1, 3, 1, 0, 0]);
        assert_eq!(spans.map(|span| life.ready(span).0), [0, 0, 0, 20, 10, 10]);
        assert_eq!(told(&mut life.long(Nanos(10))), all[1..]);
        assert_eq!(told(&mut life.long(LONG)), all[3..]);
    }
}
