//! Rows of tables in order of time, though some events come late.

use crate::capture::{
    Activity, LockContention, MmapLock, ResidentSize, Row, Sample, Switch, SyscallEvent, Table,
    Timestamp, Wakeup,
};

/// A row of a table that is sorted by time.
pub(super) trait Timed {
    fn time(&self) -> Timestamp;
}

macro_rules! timed {
    ($($row:ty),*) => {
        $(impl Timed for $row {
            fn time(&self) -> Timestamp {
                self.time
            }
        })*
    };
}

impl Timed for Timestamp {
    fn time(&self) -> Timestamp {
        *self
    }
}

timed!(Activity, LockContention, MmapLock, ResidentSize, Sample, Switch, SyscallEvent, Wakeup);

/// A table of such rows, packed or not.
pub(super) trait Timeline<R> {
    fn last_time(&self) -> Option<Timestamp>;

    fn len(&self) -> usize;

    fn push(&mut self, row: R);

    fn insert(&mut self, place: usize, row: R);

    /// The place behind the rows of a time and before.
    fn place_after(&self, time: Timestamp) -> usize;
}

impl<R: Timed> Timeline<R> for Vec<R> {
    fn last_time(&self) -> Option<Timestamp> {
        self.last().map(R::time)
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, row: R) {
        self.push(row);
    }

    fn insert(&mut self, place: usize, row: R) {
        self.insert(place, row);
    }

    fn place_after(&self, time: Timestamp) -> usize {
        self.partition_point(|known| known.time() <= time)
    }
}

impl<R: Timed + Row> Timeline<R> for Table<R> {
    fn last_time(&self) -> Option<Timestamp> {
        self.last().map(|last| last.time())
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, row: R) {
        self.push(row);
    }

    fn insert(&mut self, place: usize, row: R) {
        self.insert(place, row);
    }

    fn place_after(&self, time: Timestamp) -> usize {
        self.partition_point(|known| known.time() <= time)
    }
}

/// Puts rows where they belong. A busy machine's recording has some late events in a million, each for a few rows; to
/// sort all of them at the end takes a twentieth of the time of a report.
pub(super) struct InOrder {
    /// So many rows may still be moved, lest a damaged file be moved again and again.
    moves: usize,
    /// Whether that did not suffice.
    pub gave_up: bool,
}

impl Default for InOrder {
    fn default() -> Self {
        Self { moves: 1 << 22, gave_up: false }
    }
}

impl InOrder {
    /// Adds a row behind those of its time and before.
    pub fn push<R: Timed>(&mut self, rows: &mut impl Timeline<R>, row: R) {
        let is_late = rows.last_time().is_some_and(|last| last > row.time());
        if is_late && !self.gave_up {
            self.settle(rows, row);
        } else {
            rows.push(row);
        }
    }

    /// Puts a row where it belongs.
    #[cold]
    fn settle<R: Timed>(&mut self, rows: &mut impl Timeline<R>, row: R) {
        let place = rows.place_after(row.time());
        match self.moves.checked_sub(rows.len() + 1 - place) {
            Some(left) => {
                self.moves = left;
                rows.insert(place, row);
            }
            None => {
                self.gave_up = true;
                rows.push(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Row(u64, usize);

    impl Timed for Row {
        fn time(&self) -> Timestamp {
            Timestamp(self.0)
        }
    }

    #[test]
    fn late_rows_come_behind_those_of_their_time_until_they_are_too_many() {
        let times = [5, 7, 7, 9, 7, 5, 12, 1, 9];
        let mut sorted: Vec<Row> =
            times.iter().zip(0..).map(|(&time, place)| Row(time, place)).collect();
        let given = sorted.clone();
        sorted.sort_by_key(|row| row.0);
        for (moves, suffices) in [(100, true), (6, false)] {
            let mut in_order = InOrder { moves, gave_up: false };
            let mut rows = Vec::new();
            given.iter().for_each(|&row| in_order.push(&mut rows, row));
            assert_eq!(in_order.gave_up, !suffices);
            assert_eq!(rows == sorted, suffices);
            rows.sort_by_key(|row| row.0);
            assert_eq!(rows, sorted);
        }
    }
}
