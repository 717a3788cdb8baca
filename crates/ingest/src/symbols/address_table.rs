//! Which symbol covers an address, for lists that give starts and sometimes sizes.
//!
//! A symbol without a size ends where the next one begins. Several symbols can begin at one address; the
//! one with the lowest rank is kept.

/// One symbol of a list.
pub(super) struct Entry<N> {
    /// Its first byte.
    pub start: u64,
    /// Its size, where the list gives one.
    pub size: Option<u64>,
    /// Which of several at one address is kept: the lowest.
    pub rank: u32,
    /// Its name; `None` for something that is no code and only ends what lies before it.
    pub name: Option<N>,
}

/// Symbols by address.
pub(super) struct AddressTable<N> {
    rows: Vec<Row<N>>,
}

struct Row<N> {
    start: u64,
    end: u64,
    name: Option<N>,
}

/// How far back a lookup goes past symbols that end before the address: functions hardly ever nest.
const NESTING: usize = 8;

impl<N> AddressTable<N> {
    /// Sorts the entries; one without a size and far from its next neighbour ends after `longest` bytes.
    pub fn new(mut entries: Vec<Entry<N>>, longest: u64) -> Self {
        entries.sort_by_key(|entry| (entry.start, entry.rank));
        entries.dedup_by_key(|entry| entry.start);
        let mut rows = Vec::with_capacity(entries.len());
        let mut entries = entries.into_iter().peekable();
        while let Some(entry) = entries.next() {
            let end = match entry.size {
                Some(size) => entry.start.saturating_add(size),
                None => end_of(entry.start, entries.peek().map(|next| next.start), longest),
            };
            rows.push(Row { start: entry.start, end, name: entry.name });
        }
        Self { rows }
    }

    /// Symbols without sizes, by their first bytes and in order of them; `None` for something that is no code.
    pub fn of_starts(symbols: impl Iterator<Item = (u64, Option<N>)>, longest: u64) -> Self {
        let mut rows = Vec::new();
        let mut symbols = symbols.peekable();
        while let Some((start, name)) = symbols.next() {
            let end = end_of(start, symbols.peek().map(|&(next, _)| next), longest);
            // What is no code has ended what lies before it.
            if name.is_some() {
                rows.push(Row { start, end, name });
            }
        }
        Self { rows }
    }

    /// The entries that were kept, each with its end.
    pub fn into_entries(self) -> Vec<Entry<N>> {
        let entries = self.rows.into_iter().map(|row| Entry {
            start: row.start,
            size: Some(row.end - row.start),
            rank: 0,
            name: row.name,
        });
        entries.collect()
    }

    /// Whether a named symbol begins exactly here.
    pub fn starts_at(&self, address: u64) -> bool {
        self.rows
            .binary_search_by_key(&address, |row| row.start)
            .is_ok_and(|index| self.rows[index].name.is_some())
    }

    /// The name of the innermost symbol that covers the address.
    pub fn find(&self, address: u64) -> Option<&N> {
        let after = self.rows.partition_point(|row| row.start <= address);
        let candidates = self.rows[..after].iter().rev().take(NESTING);
        candidates.into_iter().find(|row| address < row.end)?.name.as_ref()
    }

    /// The byte to look up for an entry of a stack: see "Return addresses" in the module's documentation.
    pub fn probe(&self, address: u64) -> u64 {
        if self.starts_at(address) { address } else { address.saturating_sub(1) }
    }
}

/// Where a symbol without a size ends.
fn end_of(start: u64, next: Option<u64>, longest: u64) -> u64 {
    let limit = start.saturating_add(longest);
    // Nothing bounds the last one; perf, too, gives it the rest of its page and one more.
    next.unwrap_or((start | 0xfff).saturating_add(0x1001)).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(start: u64, size: Option<u64>, rank: u32, name: &'static str) -> Entry<&'static str> {
        Entry { start, size, rank, name: Some(name) }
    }

    #[test]
    fn next_symbol_bounds_the_one_before() {
        let bound = Entry { start: 0x300, size: None, rank: 0, name: None };
        let table = AddressTable::new(
            vec![entry(0x200, None, 0, "b"), entry(0x100, None, 0, "a"), bound],
            1 << 20,
        );
        assert_eq!(table.find(0xff), None);
        assert_eq!(table.find(0x1ff), Some(&"a"));
        assert_eq!(table.find(0x200), Some(&"b"));
        assert_eq!(table.find(0x300), None, "covered by something that is no code");
    }

    #[test]
    fn a_size_ends_a_symbol_before_the_next_begins() {
        let table = AddressTable::new(
            vec![entry(0x100, Some(0x10), 0, "a"), entry(0x200, Some(1), 0, "b")],
            1 << 20,
        );
        assert_eq!(table.find(0x10f), Some(&"a"));
        assert_eq!(table.find(0x110), None);
    }

    #[test]
    fn nested_symbols_give_the_innermost_that_covers() {
        let table = AddressTable::new(
            vec![entry(0x100, Some(0x100), 0, "outer"), entry(0x120, Some(8), 0, "in")],
            64,
        );
        assert_eq!(table.find(0x124), Some(&"in"));
        assert_eq!(table.find(0x130), Some(&"outer"));
    }

    #[test]
    fn lowest_rank_wins_at_one_address() {
        let table =
            AddressTable::new(vec![entry(16, None, 2, "weak"), entry(16, None, 1, "global")], 64);
        assert_eq!(table.find(16), Some(&"global"));
    }

    #[test]
    fn the_last_symbol_does_not_go_on_for_ever() {
        let table = AddressTable::new(vec![entry(0x1080, None, 0, "last")], 1 << 20);
        assert_eq!(table.find(0x1fff), Some(&"last"));
        assert_eq!(table.find(0x3000), None);
    }

    #[test]
    fn a_return_address_is_looked_up_one_byte_before() {
        let table = AddressTable::new(
            vec![entry(0x100, None, 0, "a"), entry(0x200, None, 0, "b")],
            1 << 20,
        );
        assert_eq!(table.probe(0x180), 0x17f);
        assert_eq!(table.probe(0x200), 0x200, "interrupted at the first instruction");
        assert_eq!(table.probe(0), 0);
    }
}
