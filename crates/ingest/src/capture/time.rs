//! Time on the capture's own clock, in whole nanoseconds.

use std::fmt;

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Nanos(pub u64);

/// A moment on the capture's clock, in nanoseconds since that clock's zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

/// A half-open stretch of time: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// The first nanosecond.
    pub start: Timestamp,
    /// The nanosecond after the last one; never before `start`.
    pub end: Timestamp,
}

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From whole milliseconds.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// In milliseconds, for display.
    #[must_use]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This much of a whole, from 0 to 1; 0 of nothing.
    #[must_use]
    pub fn share_of(self, whole: Self) -> f64 {
        if whole.0 == 0 { 0.0 } else { self.0 as f64 / whole.0 as f64 }
    }
}

impl std::ops::Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |sum, item| sum + item)
    }
}

impl Timestamp {
    /// In seconds, for display.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The time from `earlier` to this; zero where the clock ran backwards.
    #[must_use]
    pub fn since(self, earlier: Self) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved later by `by`.
    #[must_use]
    pub fn plus(self, by: Nanos) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// This moment moved earlier by `by`, at most to the clock's zero.
    #[must_use]
    pub fn minus(self, by: Nanos) -> Self {
        Self(self.0.saturating_sub(by.0))
    }
}

impl fmt::Display for Timestamp {
    /// Seconds with six decimals, as `perf script` prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1000)
    }
}

impl Span {
    /// From `start` to `end`; empty if `end` lies before `start`.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end: end.max(start) }
    }

    /// How long it is.
    #[must_use]
    pub fn duration(self) -> Nanos {
        self.end.since(self.start)
    }

    /// Whether nothing lies in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Whether the moment lies in it.
    #[must_use]
    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// The part that both share, if any.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let span = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (!span.is_empty()).then_some(span)
    }

    /// How much of it `other` covers.
    #[must_use]
    pub fn overlap(self, other: Self) -> Nanos {
        self.intersect(other).map_or(Nanos::ZERO, Self::duration)
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}
