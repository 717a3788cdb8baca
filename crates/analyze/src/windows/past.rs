//! How long threads were away in earlier chapters of a recording, which are not kept: what is usual for a thread is not what it did
//! last alone.

use coldcase_ingest::capture::ThreadId;

use crate::findings::Cause;
use crate::model::Model;
use crate::windows::habits::{Lengths, one_tenth_below};

/// By thread number.
#[derive(Default)]
pub(crate) struct Past(Vec<PastOfThread>);

/// What one thread did.
#[derive(Default)]
pub(crate) struct PastOfThread {
    waits: Vec<(Option<Cause>, Spread)>,
    pub rounds: Spread,
}

/// How many lengths there were of about each length, by [`bucket`].
#[derive(Clone, Default)]
pub(crate) struct Spread(Vec<(u16, u32)>);

impl Past {
    /// What threads did in one chapter, without what counts with an earlier one.
    pub fn of_part(model: &Model<'_>) -> Self {
        let from = model.counted_span().start;
        let threads = model.capture.threads.iter();
        let of_threads = threads.map(|(id, _)| {
            let Lengths { waits, rounds } = Lengths::of(model, id, from);
            let waits = waits.into_iter().map(|(key, lengths)| (key, Spread::of(&lengths)));
            PastOfThread { waits: waits.collect(), rounds: Spread::of(&rounds) }
        });
        Self(of_threads.collect())
    }

    /// Adds what threads did afterwards.
    pub fn add(&mut self, now: Self) {
        self.0.resize_with(now.0.len(), PastOfThread::default);
        for (past, now) in self.0.iter_mut().zip(now.0) {
            past.rounds.add(now.rounds);
            for (key, spread) in now.waits {
                match past.waits.iter_mut().find(|(known, _)| *known == key) {
                    Some((_, known)) => known.add(spread),
                    None => past.waits.push((key, spread)),
                }
            }
        }
    }

    /// What a thread did; `None` if nothing is known of it.
    pub fn of(&self, thread: ThreadId) -> Option<&PastOfThread> {
        self.0.get(thread.index())
    }
}

impl PastOfThread {
    /// Its waits of one kind.
    pub fn waits(&self, key: Option<Cause>) -> Option<&Spread> {
        self.waits.iter().find_map(|(known, spread)| (*known == key).then_some(spread))
    }

    /// Kinds of waits that it had.
    pub fn kinds(&self) -> impl Iterator<Item = Option<Cause>> {
        self.waits.iter().map(|&(key, _)| key)
    }
}

impl Spread {
    pub fn of(lengths: &[u64]) -> Self {
        let mut buckets: Vec<u16> = lengths.iter().map(|&length| bucket(length)).collect();
        buckets.sort_unstable();
        let same = buckets.chunk_by(|one, next| one == next);
        let rows = same.map(|all| (all[0], u32::try_from(all.len()).unwrap_or(u32::MAX)));
        Self(rows.collect())
    }

    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
        self.0.dedup_by(|next, known| {
            let is_same = next.0 == known.0;
            if is_same {
                known.1 = known.1.saturating_add(next.1);
            }
            is_same
        });
        self.0.shrink_to_fit();
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are, and the longest but one tenth: a sixteenth too long at most.
    pub fn usual(&self) -> (usize, u64) {
        let count: usize = self.0.iter().map(|&(_, count)| count as usize).sum();
        let at = one_tenth_below(count);
        let mut before = 0;
        let mut buckets = self.0.iter();
        let found = buckets.find(|&&(_, count)| {
            before += count as usize;
            before > at
        });
        (count, found.map_or(0, |&(bucket, _)| longest_of(bucket)))
    }
}

/// So many bits of a length tell its bucket, behind the highest one.
const BITS: u32 = 4;

/// Lengths of one bucket differ by a sixteenth at most.
fn bucket(length: u64) -> u16 {
    let above = (u64::BITS - length.leading_zeros()).saturating_sub(BITS + 1);
    ((above as u16) << BITS) + (length >> above) as u16
}

fn longest_of(bucket: u16) -> u64 {
    let above = (bucket >> BITS).saturating_sub(1);
    let first = u64::from(bucket - (above << BITS)) << above;
    first + ((1 << above) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_one_bucket_differ_by_a_sixteenth() {
        let mut last = 0;
        for length in (0..5000).chain((13..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + power / 3]
        })) {
            let longest = longest_of(bucket(length));
            assert!(longest >= length && longest - length <= length / 16, "{length} {longest}");
            assert!(bucket(length) >= last || length < 5000);
            last = bucket(length);
        }
        assert_eq!(longest_of(bucket(u64::MAX)), u64::MAX);
    }

    #[test]
    fn the_longest_but_one_tenth_is_that_of_all_that_were_added() {
        let mut spread = Spread::default();
        assert_eq!(spread.usual(), (0, 0));
        spread.add(Spread::of(&[5, 5, 5, 5, 5, 5, 5]));
        spread.add(Spread::of(&[7, 3, 1000]));
        assert_eq!(spread.usual(), (10, 7));
    }
}
