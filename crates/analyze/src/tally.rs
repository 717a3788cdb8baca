//! Time summed by what it was for.

use std::cmp::Reverse;

use coldcase_ingest::capture::Nanos;

/// Sums of time by key.
pub(crate) struct Tally<K>(Vec<(K, Nanos)>);

impl<K: Ord + Clone> Tally<K> {
    /// The key with the largest sum; of equal ones, the lesser key.
    pub fn largest(&self) -> Option<(K, Nanos)> {
        let largest = self.0.iter().max_by_key(|(key, time)| (*time, Reverse(key)))?;
        Some(largest.clone())
    }

    /// Every key with its sum, the largest first; of equal ones, the lesser key.
    pub fn sorted(mut self) -> Vec<(K, Nanos)> {
        self.0.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.0
    }
}

impl<K: PartialEq> FromIterator<(K, Nanos)> for Tally<K> {
    fn from_iter<I: IntoIterator<Item = (K, Nanos)>>(times: I) -> Self {
        let mut sums: Vec<(K, Nanos)> = Vec::new();
        for (key, time) in times {
            match sums.iter_mut().find(|(known, _)| *known == key) {
                Some((_, sum)) => *sum += time,
                None => sums.push((key, time)),
            }
        }
        Self(sums)
    }
}
