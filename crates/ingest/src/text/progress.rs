//! Tells the caller from time to time how far reading has come.

/// Bytes read of bytes in all.
pub(super) struct Progress<'a> {
    tell: &'a mut dyn FnMut(u64, u64),
    total: u64,
    told: usize,
}

impl<'a> Progress<'a> {
    pub fn new(tell: &'a mut dyn FnMut(u64, u64), total: usize) -> Self {
        Self { tell, total: total as u64, told: 0 }
    }

    /// So many bytes have been read.
    pub fn reached(&mut self, offset: usize) {
        const TELL_EVERY: usize = 1 << 22;
        if offset > self.told + TELL_EVERY {
            self.told = offset;
            (self.tell)(offset as u64, self.total);
        }
    }
}
