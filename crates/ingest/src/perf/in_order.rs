//! Rows of tables in order of time, though some events come late.

use crate::capture::{
    Activity, LockContention, MmapLock, ResidentSize, Sample, Switch, SyscallEvent, Timestamp,
    Wakeup,
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
    pub fn push<R: Timed>(&mut self, rows: &mut Vec<R>, row: R) {
        let is_late = rows.last().is_some_and(|last| last.time() > row.time());
        rows.push(row);
        if is_late && !self.gave_up {
            self.settle(rows);
        }
    }

    /// Puts the last row where it belongs.
    #[cold]
    fn settle<R: Timed>(&mut self, rows: &mut [R]) {
        let Some((row, before)) = rows.split_last() else { return };
        let place = before.partition_point(|known| known.time() <= row.time());
        match self.moves.checked_sub(rows.len() - place) {
            Some(left) => {
                self.moves = left;
                rows[place..].rotate_right(1);
            }
            None => self.gave_up = true,
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
