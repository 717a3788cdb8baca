//! Damage that looks random and is the same on every run.

/// xorshift (Marsaglia 2003).
pub struct Random(pub u64);

impl Random {
    /// A number from 0 up to, but not including, `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
