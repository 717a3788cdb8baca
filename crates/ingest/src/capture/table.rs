//! Tables of events, packed: a recording has millions of rows, and each of them is told by some bits.
//!
//! ```text
//! times    5008 5011 5013 ...    all share their upper bits, which a block keeps once, and differ by three
//! threads    17   18   17 ...    and these by two
//! rows     the bits by which the first row's columns differ, those of the second row, ...
//! ```
//!
//! All rows of a block take equally many bytes, so that each is found by its number. The last rows are kept as they are:
//! most that come late belong there.

use std::fmt;

/// What a table can hold: a row that is as good as some numbers.
pub trait Row: Copy {
    /// An array of numbers, six at most.
    type Columns: AsRef<[u64]> + AsMut<[u64]> + Copy + Default;

    /// Its numbers. Small ones, and such as are near those of the rows around it, take little room.
    fn columns(&self) -> Self::Columns;

    /// The row that has these numbers.
    fn of_columns(columns: Self::Columns) -> Self;
}

/// The most columns that a row may have.
const COLUMNS: usize = 6;

/// Rows by their numbers, packed in blocks of so many.
#[derive(Clone)]
pub struct Table<R: Row, const BLOCK: usize = 1024> {
    blocks: Vec<Block<R>>,
    /// The rows behind those of the blocks.
    last: Vec<R>,
}

impl<R: Row, const BLOCK: usize> Default for Table<R, BLOCK> {
    fn default() -> Self {
        Self { blocks: Vec::new(), last: Vec::new() }
    }
}

impl<R: Row, const BLOCK: usize> Table<R, BLOCK> {
    /// So many rows are kept as they are before the first of them become a block: those that come late do so by a few rows.
    const LAST: usize = BLOCK + 32;

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len() * BLOCK + self.last.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// Adds a row.
    #[inline]
    pub fn push(&mut self, row: R) {
        if self.last.len() == Self::LAST {
            self.pack();
        }
        self.last.push(row);
    }

    #[inline(never)]
    fn pack(&mut self) {
        self.blocks.push(Block::new(&self.last[..BLOCK]));
        self.last.drain(..BLOCK);
    }

    /// A row by its number. As with slices, it must be there.
    #[inline]
    #[must_use]
    pub fn get(&self, number: usize) -> R {
        match self.blocks.get(number / BLOCK) {
            Some(block) => block.get(number % BLOCK),
            None => self.last[number - self.blocks.len() * BLOCK],
        }
    }

    /// The last row.
    #[inline]
    #[must_use]
    pub fn last(&self) -> Option<R> {
        self.last.last().copied()
    }

    /// The last row, to be changed.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut R> {
        self.last.last_mut()
    }

    /// All rows.
    #[must_use]
    pub fn iter(&self) -> Rows<'_, R, BLOCK> {
        self.iter_from(0)
    }

    /// The rows from a number on.
    #[must_use]
    pub fn iter_from(&self, number: usize) -> Rows<'_, R, BLOCK> {
        Rows { table: self, next: number.min(self.len()), end: self.len() }
    }

    /// The number of the first row that is not as asked, where all that are come first.
    pub fn partition_point(&self, mut is_before: impl FnMut(&R) -> bool) -> usize {
        let (mut least, mut most) = (0, self.len());
        while least < most {
            let middle = least.midpoint(most);
            if is_before(&self.get(middle)) {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        least
    }

    /// Puts a row before the one of a number. That is cheap among the last rows, and else takes time for all behind it.
    pub fn insert(&mut self, number: usize, row: R) {
        let packed = self.blocks.len() * BLOCK;
        if number >= packed {
            self.last.insert(number - packed, row);
            return;
        }
        let behind: Vec<R> = self.iter_from(number).collect();
        self.truncate(number);
        self.extend(std::iter::once(row).chain(behind));
    }

    /// Takes away the rows from a number on.
    fn truncate(&mut self, number: usize) {
        let block = number / BLOCK;
        if block < self.blocks.len() {
            let kept = (block * BLOCK..number).map(|number| self.get(number)).collect();
            self.last = kept;
            self.blocks.truncate(block);
        } else {
            self.last.truncate(number - self.blocks.len() * BLOCK);
        }
    }

    /// Takes away all rows.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps the rows that are asked for.
    pub fn retain(&mut self, mut keep: impl FnMut(&R) -> bool) {
        *self = self.iter().filter(|row| keep(row)).collect();
    }

    /// Changes every row.
    pub fn change(&mut self, mut change: impl FnMut(&mut R)) {
        let changed = self.iter().map(|mut row| {
            change(&mut row);
            row
        });
        *self = changed.collect();
    }

    /// Sorts rows; those of one key keep their order.
    pub fn sort_by_key<K: Ord>(&mut self, mut key: impl FnMut(&R) -> K) {
        if !self.iter().is_sorted_by_key(|row| key(&row)) {
            let mut rows: Vec<R> = self.iter().collect();
            rows.sort_by_key(key);
            *self = rows.into_iter().collect();
        }
    }
}

impl<R: Row, const BLOCK: usize> Extend<R> for Table<R, BLOCK> {
    fn extend<I: IntoIterator<Item = R>>(&mut self, rows: I) {
        rows.into_iter().for_each(|row| self.push(row));
    }
}

impl<R: Row, const BLOCK: usize> FromIterator<R> for Table<R, BLOCK> {
    fn from_iter<I: IntoIterator<Item = R>>(rows: I) -> Self {
        let mut table = Self::default();
        table.extend(rows);
        table
    }
}

impl<R: Row + fmt::Debug, const BLOCK: usize> fmt::Debug for Table<R, BLOCK> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a, R: Row, const BLOCK: usize> IntoIterator for &'a Table<R, BLOCK> {
    type Item = R;
    type IntoIter = Rows<'a, R, BLOCK>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Rows of a table, one after the other.
#[derive(Clone)]
pub struct Rows<'a, R: Row, const BLOCK: usize = 1024> {
    table: &'a Table<R, BLOCK>,
    next: usize,
    end: usize,
}

impl<R: Row, const BLOCK: usize> Iterator for Rows<'_, R, BLOCK> {
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        (self.next < self.end).then(|| {
            self.next += 1;
            self.table.get(self.next - 1)
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }

    fn nth(&mut self, count: usize) -> Option<R> {
        self.next = self.next.saturating_add(count).min(self.end);
        self.next()
    }
}

impl<R: Row, const BLOCK: usize> DoubleEndedIterator for Rows<'_, R, BLOCK> {
    fn next_back(&mut self) -> Option<R> {
        (self.next < self.end).then(|| {
            self.end -= 1;
            self.table.get(self.end)
        })
    }
}

impl<R: Row, const BLOCK: usize> ExactSizeIterator for Rows<'_, R, BLOCK> {}

/// Packed rows.
#[derive(Clone)]
struct Block<R: Row> {
    /// The upper bits of each column, which all rows share.
    shared: R::Columns,
    /// The lower bits, by which they differ.
    differ: R::Columns,
    /// The byte of a row from which eight hold the column, and the bit of these in which it begins.
    places: [(u8, u8); COLUMNS],
    /// So many bytes a row has.
    row: usize,
    bytes: Box<[u8]>,
}

/// Behind the first byte of a row, so many can be read.
const WINDOW: usize = 64 + size_of::<u64>();

impl<R: Row> Block<R> {
    fn new(rows: &[R]) -> Self {
        const { assert!(size_of::<R::Columns>() <= COLUMNS * size_of::<u64>()) }
        let first = rows.first().map(R::columns).unwrap_or_default();
        let (mut shared, mut differ) = (first, R::Columns::default());
        for row in rows {
            let columns = row.columns();
            let numbers = columns.as_ref().iter().zip(first.as_ref());
            for (differ, (number, first)) in differ.as_mut().iter_mut().zip(numbers) {
                *differ |= number ^ first;
            }
        }
        let mut places = [(0, 0); COLUMNS];
        let (mut byte, mut bit) = (0, 0);
        let columns = shared.as_mut().iter_mut().zip(differ.as_mut());
        for ((shared, differ), place) in columns.zip(&mut places) {
            let bits = u64::BITS - differ.leading_zeros();
            *differ = u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0);
            *shared &= !*differ;
            if bit + bits > u64::BITS {
                (byte, bit) = (byte + bit.div_ceil(8), 0);
            }
            *place = (byte as u8, bit as u8);
            bit += bits;
        }
        let row = (byte + bit.div_ceil(8)) as usize;
        let bytes = vec![0; rows.len() * row + WINDOW].into();
        let mut block = Self { shared, differ, places, row, bytes };
        rows.iter().enumerate().for_each(|(number, row)| block.set(number, row));
        block
    }

    /// Writes a row, of which those before it are written.
    #[inline]
    fn set(&mut self, number: usize, row: &R) {
        let at = number * self.row;
        let window = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<WINDOW>);
        let Some(window) = window else { return };
        let mut write = |byte: u8, word: u64| {
            let byte = usize::from(byte % 64);
            window[byte..byte + size_of::<u64>()].copy_from_slice(&word.to_le_bytes());
        };
        let (mut word, mut at) = (0, 0);
        let columns = row.columns();
        let columns = columns.as_ref().iter().zip(self.differ.as_ref());
        for ((number, differ), &(byte, bit)) in columns.zip(&self.places) {
            if byte != at {
                write(at, word);
                (word, at) = (0, byte);
            }
            word |= (number & differ) << (bit % 64);
        }
        write(at, word);
    }

    #[inline]
    fn get(&self, number: usize) -> R {
        let mut columns = self.shared;
        let row = self.bytes.get(number * self.row..).and_then(<[u8]>::first_chunk::<WINDOW>);
        if let Some(row) = row {
            let numbers = columns.as_mut().iter_mut().zip(self.differ.as_ref());
            for ((number, differ), &(byte, bit)) in numbers.zip(&self.places) {
                let word = row[usize::from(byte % 64)..].first_chunk().copied();
                *number |= word.map_or(0, u64::from_le_bytes) >> (bit % 64) & differ;
            }
        }
        R::of_columns(columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct Pair(u64, u64);

    impl Row for Pair {
        type Columns = [u64; 2];

        fn columns(&self) -> [u64; 2] {
            [self.0, self.1]
        }

        fn of_columns([one, other]: [u64; 2]) -> Self {
            Self(one, other)
        }
    }

    type Pairs = Table<Pair, 8>;

    /// Numbers of all sizes, from none at all to all 64 bits.
    fn pairs(count: u64) -> Vec<Pair> {
        let mix = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let pair = |number: u64| Pair(mix(number) >> (number / 8 % 65).min(63), number / 20);
        (0..count).map(pair).collect()
    }

    #[test]
    fn what_was_put_in_comes_out() {
        for count in [0, 1, 8, 39, 40, 41, 48, 49, 600] {
            let rows = pairs(count);
            let table: Pairs = rows.iter().copied().collect();
            assert_eq!((table.len(), table.last()), (rows.len(), rows.last().copied()));
            assert_eq!(table.iter().collect::<Vec<_>>(), rows);
            assert_eq!(
                table.iter().rev().collect::<Vec<_>>(),
                rows.iter().rev().copied().collect::<Vec<_>>()
            );
            for number in 0..rows.len() {
                assert_eq!(table.get(number), rows[number]);
                assert_eq!(table.iter_from(number).nth(3), rows.get(number + 3).copied());
            }
        }
    }

    #[test]
    fn of_equal_numbers_nothing_is_kept_but_one_of_them() {
        let block = Block::new(&[Pair(u64::MAX, 7); 1000]);
        assert_eq!((block.row, block.bytes.len(), block.get(999)), (0, WINDOW, Pair(u64::MAX, 7)));
        let block = Block::new(&[Pair(u64::MAX, 0), Pair(0, 1), Pair(1, 0)]);
        assert_eq!((block.row, block.get(0), block.get(2)), (9, Pair(u64::MAX, 0), Pair(1, 0)));
        let block = Block::new(&[Pair(1 << 40, 5), Pair((1 << 40) + 200, 6)]);
        assert_eq!((block.row, block.get(1)), (2, Pair((1 << 40) + 200, 6)));
    }

    #[test]
    fn a_row_can_be_put_anywhere() {
        for number in 0..=100 {
            let mut rows = pairs(100);
            let mut table: Pairs = rows.iter().copied().collect();
            rows.insert(number, Pair(1, 1));
            table.insert(number, Pair(1, 1));
            assert_eq!(table.iter().collect::<Vec<_>>(), rows, "{number}");
        }
    }

    #[test]
    fn rows_are_sorted_kept_and_changed_as_those_of_a_list() {
        let mut rows = pairs(100);
        let mut table: Pairs = rows.iter().copied().collect();
        rows.sort_by_key(|row| row.0 % 5);
        table.sort_by_key(|row| row.0 % 5);
        let below = |row: &Pair| row.0 % 5 < 3;
        assert_eq!(table.partition_point(below), rows.partition_point(below));
        rows.retain(|row| row.1 != 2);
        table.retain(|row| row.1 != 2);
        rows.iter_mut().for_each(|row| row.1 += 1);
        table.change(|row| row.1 += 1);
        assert_eq!(table.iter().collect::<Vec<_>>(), rows);
        table.clear();
        assert!(table.is_empty());
    }
}
