//! Waits for known locks that are taken in slices: one wait each, however often the thread looked up.
//!
//! Python's `take_gil` waits 5 ms at a time, and PostgreSQL's `ProcSleep` looks for deadlocks after a second. Of a
//! futex that nobody knows, such a series may be a pool that polls its queue, so these are left as they are.

use rustc_hash::FxHashMap;

use coldcase_ingest::capture::{Nanos, Span, ThreadId};

use crate::sites::Sites;
use crate::thread_state::{Doing, ThreadStates, WaitId};

/// Series of two waits and more, by each of their waits.
pub(crate) struct Series(FxHashMap<WaitId, Row>);

/// Which series a wait is part of.
#[derive(Clone, Copy, Debug)]
struct Row {
    first: WaitId,
    last: WaitId,
    length: Nanos,
}

impl Series {
    pub fn new(
        threads: impl Iterator<Item = ThreadId>,
        states: &ThreadStates,
        sites: &Sites,
    ) -> Self {
        let mut series = Self(FxHashMap::default());
        for thread in threads {
            let mut open: Vec<WaitId> = Vec::new();
            for slice in states.of(thread) {
                let Doing::Blocked(id) = slice.doing else { continue };
                let follows = open.last().is_some_and(|&before| {
                    sites.of(before).by_program && states.taken_up_again(before) == Some(id)
                });
                if !follows {
                    series.add(&open, states);
                    open.clear();
                }
                open.push(id);
            }
            series.add(&open, states);
        }
        series
    }

    fn add(&mut self, waits: &[WaitId], states: &ThreadStates) {
        let [first, .., last] = *waits else { return };
        let span = Span::new(states.wait(first).span.start, states.wait(last).span.end);
        let row = Row { first, last, length: span.duration() };
        self.0.extend(waits.iter().map(|&wait| (wait, row)));
    }

    /// The wait that ended the series of a wait; itself if it stands alone.
    pub fn last(&self, wait: WaitId) -> WaitId {
        self.0.get(&wait).map_or(wait, |row| row.last)
    }

    /// How long a wait was with all its series; `None` if it stands alone.
    pub fn length(&self, wait: WaitId) -> Option<Nanos> {
        self.0.get(&wait).map(|row| row.length)
    }

    /// Whether a wait continues another.
    pub fn continues(&self, wait: WaitId) -> bool {
        self.0.get(&wait).is_some_and(|row| row.first != wait)
    }
}
