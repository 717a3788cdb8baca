//! Waits summed up: millions of them are of some thousand threads, stacks and sites, so most questions need not go over
//! all of them again.

use std::sync::OnceLock;

use coldcase_ingest::capture::{Capture, Nanos, Span, StackId, ThreadId};
use rustc_hash::FxHashMap;

use crate::sites::{Site, Sites};
use crate::states::{ThreadStates, Wait, WaitId};

/// Waits by thread, stack and site.
pub(crate) struct Sums {
    /// By their last wait.
    groups: Vec<Group>,
    /// The same by thread, each with its place among them; put together when it is first asked for.
    by_thread: OnceLock<Vec<(ThreadId, u32)>>,
}

/// One thread's waits with one stack at one site: those that took time, or those that took none.
pub(crate) struct Group {
    pub thread: ThreadId,
    pub stack: Option<StackId>,
    pub site: Site,
    pub blocked: Nanos,
    pub waits: u64,
    pub longest: Nanos,
    last: WaitId,
}

impl Sums {
    pub fn new(states: &ThreadStates, sites: &Sites) -> Self {
        Self::of(sites, states.waits().map(|(id, wait)| (id, wait, wait.span.duration(), 1)))
    }

    /// The time of all waits in a span, the end of a part of a recording. A wait that goes on in the next part is counted there.
    pub fn within(states: &ThreadStates, sites: &Sites, span: Span, goes_on: bool) -> Self {
        let waits = states.waits().filter(|(_, wait)| wait.span.end >= span.start);
        let parts = waits.map(|(id, wait)| {
            let ends = !(wait.open_end && goes_on);
            (id, wait, wait.span.overlap(span), u64::from(ends))
        });
        Self::of(sites, parts)
    }

    /// Of waits with the time and the number that they count for.
    fn of<'w>(sites: &Sites, waits: impl Iterator<Item = (WaitId, &'w Wait, Nanos, u64)>) -> Self {
        let mut places: FxHashMap<(u64, u64), usize> = FxHashMap::default();
        let mut groups: Vec<Group> = Vec::new();
        for (id, wait, length, count) in waits {
            // As two numbers, since each part that is hashed for itself takes as long as one of them.
            let stack = wait.stack.map_or(0, |stack| stack.index() as u64 + 1);
            let key = (
                (wait.thread.index() as u64) << 32 | stack,
                u64::from(sites.number_of(id)) << 1 | u64::from(length == Nanos::ZERO),
            );
            let place = *places.entry(key).or_insert_with(|| {
                groups.push(Group {
                    thread: wait.thread,
                    stack: wait.stack,
                    site: *sites.of(id),
                    blocked: Nanos::ZERO,
                    waits: 0,
                    longest: Nanos::ZERO,
                    last: id,
                });
                groups.len() - 1
            });
            let group = &mut groups[place];
            group.blocked += length;
            group.waits += count;
            group.longest = group.longest.max(wait.span.duration());
            group.last = id;
        }
        groups.sort_unstable_by_key(|group| group.last);
        Self { groups, by_thread: OnceLock::new() }
    }

    /// All groups, by their last wait: what waits of one name differ in, the last one tells.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    /// The groups of one thread's waits that took time.
    pub fn of_thread(&self, thread: ThreadId) -> impl Iterator<Item = &Group> {
        let by_thread = self.by_thread.get_or_init(|| {
            let took_time = |(group, _): &(&Group, u32)| group.blocked > Nanos::ZERO;
            let numbered = self.groups.iter().zip(0..).filter(took_time);
            let mut places: Vec<_> = numbered.map(|(group, at)| (group.thread, at)).collect();
            places.sort_unstable();
            places
        });
        let from = by_thread.partition_point(|&(other, _)| other < thread);
        let own = by_thread[from..].iter().take_while(move |(other, _)| *other == thread);
        own.map(|&(_, at)| &self.groups[at as usize])
    }

    /// How many waits that took time each thread had, of those that count.
    pub fn of_threads(&self, capture: &Capture, counts: impl Fn(&Site) -> bool) -> Vec<u64> {
        let mut of_threads = vec![0; capture.threads.len()];
        let groups = self.groups.iter().filter(|group| group.blocked > Nanos::ZERO);
        for group in groups.filter(|group| counts(&group.site)) {
            of_threads[group.thread.index()] += group.waits;
        }
        of_threads
    }
}
