//! One thread's life, packed.
//!
//! ```text
//! |------ blocked ------|-- runnable --|------- running -------|   then the next stretch begins
//! ```
//!
//! Captures have three slices for each context switch, and what a report takes time for is memory that is touched for
//! the first time. Nearly all slices come in stretches like this one, in which one begins where the one before it ended: a
//! stretch takes some 14 bytes.

use coldcase_ingest::capture::{Nanos, Row, Span, StackId, Table, Timestamp};

use crate::thread_state::{Doing, Slice, WaitId};

/// What a thread did, in order of time and without overlap.
#[derive(Clone, Default)]
pub(crate) struct Life {
    /// In blocks of few, since there are many threads, and many of them do little.
    stretches: Table<Stretch, 128>,
    /// How many slices they have, those of which nothing is known among them.
    count: usize,
    end: Timestamp,
    /// Places of the stretches with a slice from [`LONG`] on in which the thread did not run.
    long: Vec<u32>,
}

/// Who asks for slices that may make a freeze need not look at all the others.
const LONG: Nanos = Nanos(10_000_000);

/// The last moment that can be told, in the year 2116 of the Unix clock; later ones come from damage.
const LATEST: u64 = u64::MAX >> 2;

/// Up to three slices, one behind the other. The last of them ends where the next stretch begins.
#[derive(Clone, Copy)]
struct Stretch {
    begin: Timestamp,
    kind: Kind,
    /// The stack or the wait that belongs to the first slice.
    of: u32,
    then: Then,
    /// How long the slices took that others follow in the stretch.
    lengths: [Nanos; 2],
}

/// What the first slice of a stretch is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing is known of it.
    Unknown,
    Running,
    Runnable,
    Blocked,
}

/// What follows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Running,
    /// As [`Doing::Runnable`] without a stack.
    Runnable,
    RunnableAndRunning,
}

impl Row for Stretch {
    type Columns = [u64; 5];

    fn columns(&self) -> Self::Columns {
        let [first, second] = self.lengths;
        let kinds = self.kind as u64 | (self.then as u64) << 2;
        [self.begin.0, kinds, self.of.into(), first.0, second.0]
    }

    fn of_columns([begin, kinds, of, first, second]: Self::Columns) -> Self {
        Self {
            begin: Timestamp(begin),
            kind: match kinds & 3 {
                0 => Kind::Unknown,
                1 => Kind::Running,
                2 => Kind::Runnable,
                _ => Kind::Blocked,
            },
            of: u32::try_from(of).unwrap_or(u32::MAX),
            then: match kinds >> 2 {
                0 => Then::Nothing,
                1 => Then::Running,
                2 => Then::Runnable,
                _ => Then::RunnableAndRunning,
            },
            lengths: [Nanos(first), Nanos(second)],
        }
    }
}

impl Stretch {
    /// A stretch of one slice so far.
    fn new(begin: Timestamp, doing: Option<Doing>) -> Self {
        let (kind, of) = match doing {
            None => (Kind::Unknown, 0),
            Some(Doing::Running) => (Kind::Running, 0),
            Some(Doing::Runnable(stack)) => (Kind::Runnable, StackId::number_of(stack)),
            Some(Doing::Blocked(wait)) => (Kind::Blocked, wait.0.into()),
        };
        let of = u32::try_from(of).unwrap_or(u32::MAX);
        Self { begin, kind, of, then: Then::Nothing, lengths: [Nanos::ZERO; 2] }
    }

    /// Adds a slice that begins at a time, if there is room for it.
    fn add(&mut self, time: Timestamp, doing: Doing) -> bool {
        let [first, second] = &mut self.lengths;
        self.then = match (self.then, doing) {
            (Then::Nothing, Doing::Running) => Then::Running,
            (Then::Nothing, Doing::Runnable(None)) => Then::Runnable,
            (Then::Runnable, Doing::Running) => {
                *second = time.since(self.begin.plus(*first));
                self.then = Then::RunnableAndRunning;
                return true;
            }
            _ => return false,
        };
        *first = time.since(self.begin);
        true
    }

    /// Its slices, where the last of them ends at a time.
    fn slices(self, end: Timestamp) -> impl DoubleEndedIterator<Item = Slice> {
        let first = match self.kind {
            Kind::Unknown => None,
            Kind::Running => Some(Doing::Running),
            Kind::Runnable => Some(Doing::Runnable(StackId::of_number(self.of.into()))),
            Kind::Blocked => Some(Doing::Blocked(WaitId(self.of))),
        };
        let (second, third) = match self.then {
            Then::Nothing => (None, None),
            Then::Running => (Some(Doing::Running), None),
            Then::Runnable => (Some(Doing::Runnable(None)), None),
            Then::RunnableAndRunning => (Some(Doing::Runnable(None)), Some(Doing::Running)),
        };
        let middle = second.map_or(end, |_| self.begin.plus(self.lengths[0]));
        let last = third.map_or(end, |_| middle.plus(self.lengths[1]));
        let slice = |start, end, doing: Option<Doing>| {
            doing.map(|doing| Slice { span: Span { start, end }, doing })
        };
        let slices = [
            slice(self.begin, middle, first),
            slice(middle, last, second),
            slice(last, end, third),
        ];
        slices.into_iter().flatten()
    }
}

impl Life {
    /// Adds what the thread did next, as far as it is not known yet, and says what was added.
    pub fn push(&mut self, span: Span, doing: Doing) -> Option<Span> {
        let end = Timestamp(span.end.0.min(LATEST));
        let start = if self.is_empty() { span.start } else { span.start.max(self.end) };
        if start >= end {
            return None;
        }
        if !self.is_empty() && start > self.end {
            self.stretches.push(Stretch::new(self.end, None));
            self.count += 1;
        }
        self.count += 1;
        if !self.stretches.last_mut().is_some_and(|last| last.add(start, doing)) {
            self.stretches.push(Stretch::new(start, Some(doing)));
        }
        if doing != Doing::Running && end.since(start) >= LONG {
            let place = u32::try_from(self.stretches.len() - 1).unwrap_or(u32::MAX);
            if self.long.last() != Some(&place) {
                self.long.push(place);
            }
        }
        self.end = end;
        Some(Span { start, end })
    }

    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// How many slices it has, those of which nothing is known among them.
    pub fn len(&self) -> usize {
        self.count
    }

    /// All of it, in order of time.
    pub fn iter(&self) -> impl Iterator<Item = Slice> {
        self.from(0)
    }

    /// What ended later than a moment.
    pub fn after(&self, time: Timestamp) -> impl Iterator<Item = Slice> {
        let begun = if self.end <= time { self.stretches.len() } else { self.begun(time) };
        // The last that had begun goes on until the next begins.
        let slices = self.from(if self.end <= time { begun } else { begun.saturating_sub(1) });
        slices.skip_while(move |slice| slice.span.end <= time)
    }

    /// What began earlier than a moment, the latest first.
    pub fn before(&self, time: Timestamp) -> impl Iterator<Item = Slice> {
        let slices = (0..self.begun(time)).rev().flat_map(|place| self.slices(place).rev());
        slices.skip_while(move |slice| slice.span.start >= time)
    }

    /// How long the thread ran in a span: asked of all threads at once.
    pub fn ran(&self, span: Span) -> Nanos {
        // Most threads of a machine live before a span or after it.
        if self.end <= span.start || self.is_empty() || self.stretches.get(0).begin >= span.end {
            return Nanos::ZERO;
        }
        let slices = self.after(span.start).take_while(|slice| slice.span.start < span.end);
        let runs = slices.filter(|slice| slice.doing == Doing::Running);
        runs.map(|slice| slice.span.overlap(span)).sum()
    }

    /// Slices of some length and more in which the thread did not run.
    pub fn long(&self, least: Nanos) -> impl Iterator<Item = Slice> {
        let all = (least < LONG).then(|| self.iter());
        let long = self.long.iter().filter(move |_| least >= LONG);
        let long = long.flat_map(|&place| self.slices(place as usize));
        let slices = all.into_iter().flatten().chain(long);
        slices.filter(move |slice| slice.doing != Doing::Running && slice.span.duration() >= least)
    }

    /// How many stretches had begun at a moment.
    fn begun(&self, time: Timestamp) -> usize {
        self.stretches.partition_point(|stretch| stretch.begin <= time)
    }

    /// All slices from a stretch on.
    fn from(&self, first: usize) -> impl Iterator<Item = Slice> {
        let mut stretches = self.stretches.iter_from(first);
        let mut next = stretches.next();
        let slices = std::iter::from_fn(move || {
            let stretch = std::mem::replace(&mut next, stretches.next())?;
            Some(stretch.slices(next.map_or(self.end, |next| next.begin)))
        });
        slices.flatten()
    }

    /// The slices of one stretch.
    fn slices(&self, place: usize) -> impl DoubleEndedIterator<Item = Slice> {
        let next = self.stretches.iter_from(place + 1).next();
        self.stretches.get(place).slices(next.map_or(self.end, |next| next.begin))
    }
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
        let ran = |from, to| life.ran(span(from, to)).0;
        assert_eq!(
            [(0, 5), (0, 6), (6, 9), (9, 50), (10, 30), (50, 60)].map(|(a, b)| ran(a, b)),
            [0, 1, 3, 1, 0, 0]
        );
        assert_eq!(told(&mut life.long(Nanos(10))), all[1..]);
        assert_eq!(told(&mut life.long(LONG)), all[3..]);
    }

    #[test]
    fn a_life_tells_what_it_was_told_of_any_moment() {
        let wait = |number: u64| Doing::Blocked(WaitId(u32::try_from(number).unwrap()));
        let mut life = Life::default();
        let mut told: Vec<Slice> = Vec::new();
        let mut at = 3;
        // Some 300 stretches of all kinds, with gaps between some of them.
        for number in 0..900_u64 {
            let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let doing = match dice % 6 {
                0 | 1 => Doing::Running,
                2 => Doing::Runnable(Some(StackId::from_index(5))),
                3 => Doing::Runnable(None),
                _ => wait(number),
            };
            let start = if dice % 11 == 0 { at + 2 } else { at };
            let length = if dice % 7 == 0 { 11_000_000 } else { 1 + dice % 5 };
            at = start + length;
            life.push(span(start, at), doing);
            told.push(Slice { span: span(start, at), doing });
        }
        let same = |slices: &mut dyn Iterator<Item = Slice>, expected: Vec<&Slice>| {
            let text = |slice: &Slice| format!("{slice:?}");
            let slices: Vec<String> = slices.map(|slice| text(&slice)).collect();
            assert_eq!(slices, expected.into_iter().map(text).collect::<Vec<_>>());
        };
        same(&mut life.iter(), told.iter().collect());
        for least in [LONG, Nanos(3)] {
            let is_long = |it: &&Slice| it.doing != Doing::Running && it.span.duration() >= least;
            same(&mut life.long(least), told.iter().filter(is_long).collect());
        }
        for slice in told.iter().step_by(17) {
            for time in [slice.span.start, slice.span.start.plus(Nanos(1)), slice.span.end] {
                let after = told.iter().filter(|it| it.span.end > time).collect();
                same(&mut life.after(time), after);
                let before = told.iter().rev().filter(|it| it.span.start < time).collect();
                same(&mut life.before(time), before);
                let some = Span::new(time, time.plus(Nanos(30_000_000)));
                let runs = told.iter().filter(|it| it.doing == Doing::Running);
                let ran: Nanos = runs.map(|it| it.span.overlap(some)).sum();
                assert_eq!(life.ran(some), ran);
            }
        }
    }
}
