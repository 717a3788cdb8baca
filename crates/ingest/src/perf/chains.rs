//! Callchains, interned as they stand in the file, before anybody knows what their addresses mean.
//!
//! Most samples repeat a chain that was seen before, so a chain is hashed once and compared on a hit.
//! Which mapping an address lies in depends on the moment and is looked up later, in order of time.

use hashbrown::HashTable;

use super::space::is_user;

/// Index of a raw callchain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ChainId(pub u32);

/// Raw callchains by their numbers.
#[derive(Default)]
pub(super) struct Chains {
    words: Vec<u64>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Row {
    end: usize,
    has_user: bool,
}

impl Chains {
    /// The words of a chain, innermost first, with perf's context markers among them.
    pub fn words(&self, id: ChainId) -> &[u64] {
        slice(&self.words, &self.rows, id.0)
    }

    /// Whether any word of a chain is an address of user space.
    pub fn has_user(&self, id: ChainId) -> bool {
        self.rows[id.0 as usize].has_user
    }

    /// Adds chains that have the next numbers.
    pub fn append(&mut self, news: &Self) {
        let before = self.words.len();
        self.words.extend_from_slice(&news.words);
        self.rows.extend(news.rows.iter().map(|row| Row { end: before + row.end, ..*row }));
    }

    /// The chains from a number on.
    fn since(&self, first: usize) -> Self {
        let before = first.checked_sub(1).map_or(0, |last| self.rows[last].end);
        let rows = self.rows[first..].iter().map(|row| Row { end: row.end - before, ..*row });
        Self { words: self.words[before..].to_vec(), rows: rows.collect() }
    }
}

/// Gives equal chains one number.
#[derive(Default)]
pub(super) struct Interner {
    chains: Chains,
    ids: HashTable<u32>,
    /// How many of them have been asked for as news.
    told: usize,
}

impl Interner {
    /// The id of a chain of eight-byte words in the file's byte order.
    pub fn intern(&mut self, chain: &[u8], big_endian: bool) -> ChainId {
        let words = chain.as_chunks::<8>().0;
        if big_endian {
            self.intern_all(words, |&word| u64::from_be_bytes(word))
        } else {
            self.intern_all(words, |&word| u64::from_le_bytes(word))
        }
    }

    /// The id of a chain.
    pub fn intern_words(&mut self, chain: &[u64]) -> ChainId {
        self.intern_all(chain, |&word| word)
    }

    fn intern_all<W>(&mut self, chain: &[W], word: impl Fn(&W) -> u64) -> ChainId {
        let hash = hash(chain, &word);
        let Chains { words, rows } = &mut self.chains;
        let is_same = |&id: &u32| {
            let known = slice(words, rows, id);
            // All of them at once, as the processor compares several at a time.
            known.len() == chain.len()
                && known.iter().zip(chain).fold(0, |rest, (a, b)| rest | (a ^ word(b))) == 0
        };
        if let Some(&id) = self.ids.find(hash, is_same) {
            return ChainId(id);
        }
        let id = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        words.extend(chain.iter().map(&word));
        let has_user = chain.iter().any(|it| is_user(word(it)));
        rows.push(Row { end: words.len(), has_user });
        self.ids.insert_unique(hash, id, |&id| self::hash(slice(words, rows, id), |&word| word));
        ChainId(id)
    }

    /// Chains that are new since this was last asked.
    pub fn news(&mut self) -> Chains {
        let news = self.chains.since(self.told);
        self.told = self.chains.rows.len();
        news
    }
}

fn slice<'a>(words: &'a [u64], rows: &[Row], id: u32) -> &'a [u64] {
    let index = id as usize;
    let start = if index == 0 { 0 } else { rows[index - 1].end };
    &words[start..rows[index].end]
}

/// Four sums side by side, none of which waits for another; a third of all time went into hashing one word after
/// the other. The multiplier is that of rustc-hash.
fn hash<W>(chain: &[W], word: impl Fn(&W) -> u64) -> u64 {
    const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
    let add = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    let (fours, rest) = chain.as_chunks::<4>();
    let mut sums = [chain.len() as u64, 1, 2, 3];
    for four in fours {
        for (sum, it) in sums.iter_mut().zip(four) {
            *sum = add(*sum, word(it));
        }
    }
    for (sum, it) in sums.iter_mut().zip(rest) {
        *sum = add(*sum, word(it));
    }
    let all = sums.into_iter().fold(0, add);
    all ^ all >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_chains_share_an_id_and_different_ones_do_not() {
        let mut table = Interner::default();
        let mut told = Chains::default();
        let chains: Vec<Vec<u64>> =
            (0..1000).map(|n| (0..n % 40).map(|m| m * n).collect()).collect();
        let first: Vec<_> = chains.iter().map(|chain| table.intern_words(chain)).collect();
        let second: Vec<_> = chains.iter().map(|chain| table.intern_words(chain)).collect();
        assert_eq!(first, second);
        told.append(&table.news());
        let late = table.intern_words(&[9, 9]);
        told.append(&table.news());
        assert_eq!(told.words(late), [9, 9]);
        for (chain, &id) in chains.iter().zip(&first) {
            assert_eq!(told.words(id), chain);
        }
    }
}
