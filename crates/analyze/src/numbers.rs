//! Numbers for millions of things: small ones, as a rule.

/// Numbers by their places: of two bytes each, until one comes that needs more.
#[derive(Default)]
pub(crate) struct Numbers {
    low: Vec<u16>,
    /// Their upper halves, where there are any.
    high: Vec<u16>,
}

impl Numbers {
    fn push(&mut self, number: u32) {
        self.low.push(0);
        self.set(self.low.len() - 1, number);
    }

    #[inline]
    pub fn get(&self, place: usize) -> u32 {
        let high = self.high.get(place).copied().unwrap_or(0);
        u32::from(self.low[place]) | u32::from(high) << u16::BITS
    }

    pub fn set(&mut self, place: usize, number: u32) {
        self.low[place] = number as u16;
        let high = (number >> u16::BITS) as u16;
        if high > 0 || !self.high.is_empty() {
            self.high.resize(self.low.len(), 0);
            self.high[place] = high;
        }
    }
}

impl FromIterator<u32> for Numbers {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let iter = numbers.into_iter();
        let mut numbers = Self::default();
        numbers.low.reserve_exact(iter.size_hint().0);
        iter.for_each(|number| numbers.push(number));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_kept_beside_small_ones_in_whatever_way_they_come() {
        let all = |numbers: &Numbers| -> Vec<u32> {
            (0..numbers.low.len()).map(|place| numbers.get(place)).collect()
        };
        let mixed = [0, 1, u32::from(u16::MAX), 1 << 16, u32::MAX, 11];
        assert_eq!(all(&mixed.into_iter().collect()), mixed);
        let mut set: Numbers = (0..10).collect();
        set.set(3, 77);
        set.set(4, u32::MAX);
        set.set(5, 78);
        assert_eq!(all(&set), [0, 1, 2, 77, u32::MAX, 78, 6, 7, 8, 9]);
    }
}
