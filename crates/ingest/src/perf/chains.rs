//! Callchains, interned as they stand in the file, before anybody knows what their addresses mean.
//!
//! Most samples repeat a chain that was seen before, so a chain is hashed once and compared on a hit.
//! Which mapping an address lies in depends on the moment and is looked up later, in order of time.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;

use super::sides::Lane;
use super::space::is_user;
use crate::capture::Seed;

/// Number of a raw callchain, with its lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ChainId(pub u32);

/// One lane's raw callchains by their rows.
#[derive(Default)]
pub(super) struct Chains {
    words: Vec<u64>,
    rows: Vec<Row>,
}

/// Where a chain ends among the words, and whether any of them is an address of user space: in the lowest bit, since
/// this is looked up for each event.
#[derive(Clone, Copy)]
struct Row(usize);

impl Row {
    fn new(end: usize, has_user: bool) -> Self {
        Self(end << 1 | usize::from(has_user))
    }

    fn end(self) -> usize {
        self.0 >> 1
    }

    fn has_user(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Chains {
    /// The words of a chain, innermost first, with perf's context markers among them.
    pub fn words(&self, row: usize) -> &[u64] {
        slice(&self.words, &self.rows, row)
    }

    /// Whether any word of a chain is an address of user space.
    pub fn has_user(&self, row: usize) -> bool {
        self.rows[row].has_user()
    }

    /// Adds chains that have the next rows.
    pub fn append(&mut self, news: &Self) {
        let before = self.words.len();
        self.words.extend_from_slice(&news.words);
        self.rows.extend(news.rows.iter().map(|row| Row::new(before + row.end(), row.has_user())));
    }

    /// The chains from a row on.
    fn since(&self, first: usize) -> Self {
        let before = first.checked_sub(1).map_or(0, |last| self.rows[last].end());
        let rows = self.rows[first..].iter();
        let rows = rows.map(|row| Row::new(row.end() - before, row.has_user()));
        Self { words: self.words[before..].to_vec(), rows: rows.collect() }
    }
}

/// A chain that was seen lately, and where its words are: three tables need not be asked for what one of them tells.
#[derive(Clone, Copy, Default)]
struct Recent {
    /// The lower bits of its hash.
    hash: u32,
    /// Counted from 1; 0 if there was none.
    row: u32,
    start: usize,
    length: usize,
}

/// Gives equal chains one number: that of when it was first seen, whatever the seed.
pub(super) struct Interner {
    lane: Lane,
    /// Chains that are all of one hash can be made by whoever knows the seed, and each would be compared with all before it.
    seed: u64,
    chains: Chains,
    ids: HashTable<u32>,
    /// The chains that were seen last, by the upper bits of their hashes.
    recent: Vec<Recent>,
    /// How many of them have been asked for as news.
    told: usize,
}

impl Interner {
    pub fn new(lane: Lane) -> Self {
        let seed = Seed::default().hash_one(0_u64);
        let (chains, ids, recent) = (Chains::default(), HashTable::new(), Vec::new());
        Self { lane, seed, chains, ids, recent, told: 0 }
    }

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
        self.recent.resize(RECENT, Recent::default());
        let hash = hash(self.seed, chain, &word);
        let place = (hash >> (u64::BITS - RECENT.ilog2())) as usize;
        let Recent { hash: low, row, start, length } = self.recent[place];
        if low == hash as u32
            && let Some(row) = row.checked_sub(1)
            && is_same(&self.chains.words[start..start + length], chain, &word)
        {
            return ChainId(self.lane.tag(row));
        }
        let is_same = |&row: &u32| is_same(self.chains.words(row as usize), chain, &word);
        let known = self.ids.find(hash, is_same).copied();
        let row = known.unwrap_or_else(|| self.add(chain, &word, hash));
        let (end, length) = (self.chains.rows[row as usize].end(), chain.len());
        let start = end - length;
        self.recent[place] =
            Recent { hash: hash as u32, row: row.saturating_add(1), start, length };
        ChainId(self.lane.tag(row))
    }

    fn add<W>(&mut self, chain: &[W], word: &impl Fn(&W) -> u64, hash: u64) -> u32 {
        let Chains { words, rows } = &mut self.chains;
        let seed = self.seed;
        let row = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        words.extend(chain.iter().map(word));
        let has_user = chain.iter().any(|it| is_user(word(it)));
        rows.push(Row::new(words.len(), has_user));
        self.ids.insert_unique(hash, row, |&row| {
            self::hash(seed, slice(words, rows, row as usize), |&word| word)
        });
        row
    }

    /// Chains that are new since this was last asked.
    pub fn news(&mut self) -> Chains {
        let news = self.chains.since(self.told);
        self.told = self.chains.rows.len();
        news
    }
}

fn slice<'a>(words: &'a [u64], rows: &[Row], row: usize) -> &'a [u64] {
    let start = if row == 0 { 0 } else { rows[row - 1].end() };
    &words[start..rows[row].end()]
}

fn is_same<W>(known: &[u64], chain: &[W], word: impl Fn(&W) -> u64) -> bool {
    // All of them at once, as the processor compares several at a time.
    known.len() == chain.len()
        && known.iter().zip(chain).fold(0, |rest, (a, b)| rest | (a ^ word(b))) == 0
}

/// Some thousand chains make up nearly all of a capture's: they are found in one place, where a table of all takes three.
const RECENT: usize = 1 << 14;

/// A sum of products of two words each, none of which waits for another; a third of all time went into hashing one word
/// after the other. Each product has another key, so that words that change places make another sum.
fn hash<W>(seed: u64, chain: &[W], word: impl Fn(&W) -> u64) -> u64 {
    const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
    let product = |a: u64, b: u64, key: u64| {
        let product = u128::from(a ^ key) * u128::from(b ^ key.rotate_left(32));
        product as u64 ^ (product >> 64) as u64
    };
    let (pairs, rest) = chain.as_chunks::<2>();
    let mut sum = chain.len() as u64;
    let mut key = seed;
    for [a, b] in pairs {
        sum = sum.wrapping_add(product(word(a), word(b), key));
        key = key.wrapping_add(MULTIPLIER);
    }
    sum = rest.iter().fold(sum, |sum, it| sum.wrapping_add(product(word(it), 0, key)));
    let all = sum.wrapping_mul(MULTIPLIER);
    all ^ all >> 32
}

#[cfg(test)]
mod tests {
    use super::super::sides::{SideTables, Sides};
    use super::*;

    /// A product with nothing is nothing, so a first word that is the key makes the second one count for nothing.
    #[test]
    fn chains_of_one_hash_cannot_be_made_without_its_seed() {
        let seeds: Vec<u64> = (0..8).map(|_| Interner::new(Lane::all()[0]).seed).collect();
        let hashes = |seed: u64, key: u64| {
            let hashes = (0..1000).map(|n| hash(seed, &[key, n], |&word| word));
            hashes.collect::<std::collections::BTreeSet<u64>>().len()
        };
        assert_eq!(hashes(seeds[0], seeds[0]), 1);
        for pair in seeds.windows(2) {
            assert_eq!(hashes(pair[0], pair[1]), 1000, "{pair:?}");
        }
    }

    #[test]
    fn equal_chains_share_an_id_and_different_ones_do_not() {
        let [_, lane] = Lane::all();
        let mut table = Interner::new(lane);
        let mut told = Sides::default();
        let chains: Vec<Vec<u64>> =
            (0..1000).map(|n| (0..n % 40).map(|m| m * n).collect()).collect();
        let first: Vec<_> = chains.iter().map(|chain| table.intern_words(chain)).collect();
        let second: Vec<_> = chains.iter().map(|chain| table.intern_words(chain)).collect();
        assert_eq!(first, second);
        told.append(lane, SideTables { chains: table.news(), ..SideTables::default() });
        let late = table.intern_words(&[9, 9]);
        told.append(lane, SideTables { chains: table.news(), ..SideTables::default() });
        assert_eq!(told.chain(late), [9, 9]);
        for (chain, &id) in chains.iter().zip(&first) {
            assert_eq!(told.chain(id), chain);
        }
    }
}
