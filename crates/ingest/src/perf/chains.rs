//! Callchains, interned as they stand in the file, before anybody knows what their addresses mean.
//!
//! Most samples repeat a chain that was seen before, so a chain is hashed once and compared on a hit.
//! Which mapping an address lies in depends on the moment and is looked up later, in order of time.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// Index of a raw callchain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct ChainId(pub u32);

/// Unique raw callchains.
#[derive(Default)]
pub(super) struct ChainTable {
    words: Vec<u64>,
    ends: Vec<usize>,
    ids: HashTable<u32>,
    buffer: Vec<u64>,
}

impl ChainTable {
    /// The id of a chain of eight-byte words in the file's byte order.
    pub fn intern(&mut self, chain: &[u8], big_endian: bool) -> ChainId {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend(chain.as_chunks::<8>().0.iter().map(|&word| {
            if big_endian { u64::from_be_bytes(word) } else { u64::from_le_bytes(word) }
        }));
        let id = self.intern_words(&buffer);
        self.buffer = buffer;
        id
    }

    /// The id of a chain.
    pub fn intern_words(&mut self, chain: &[u64]) -> ChainId {
        let hash = hash(chain);
        if let Some(&id) = self.ids.find(hash, |&id| self.chain(ChainId(id)) == chain) {
            return ChainId(id);
        }
        let id = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.words.extend_from_slice(chain);
        self.ends.push(self.words.len());
        let (words, ends) = (&self.words, &self.ends);
        self.ids.insert_unique(hash, id, |&id| self::hash(slice(words, ends, id)));
        ChainId(id)
    }

    /// The words of a chain, innermost first, with perf's context markers among them.
    pub fn chain(&self, id: ChainId) -> &[u64] {
        slice(&self.words, &self.ends, id.0)
    }
}

fn slice<'a>(words: &'a [u64], ends: &[usize], id: u32) -> &'a [u64] {
    let index = id as usize;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &words[start..ends[index]]
}

fn hash(chain: &[u64]) -> u64 {
    let mut hasher = FxHasher::default();
    for &word in chain {
        hasher.write_u64(word);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_chains_share_an_id_and_different_ones_do_not() {
        let mut table = ChainTable::default();
        let chains: Vec<Vec<u64>> = (0..1000).map(|n| (0..n % 40).map(|m| m * n).collect()).collect();
        let first: Vec<_> = chains.iter().map(|chain| table.intern_words(chain)).collect();
        let second: Vec<_> = chains.iter().map(|chain| table.intern_words(chain)).collect();
        assert_eq!(first, second);
        for (chain, &id) in chains.iter().zip(&first) {
            assert_eq!(table.chain(id), chain);
        }
    }
}
