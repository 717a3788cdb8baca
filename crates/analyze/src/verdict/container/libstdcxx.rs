//! The buckets of C++'s `std::unordered_map` and its kin in libstdc++: an array of pointers whose length is a prime.
//!
//! It grows when an element is to have no bucket of its own (`max_load_factor` is 1 unless it was set), to the next
//! prime of a list that is at least twice as long (`_Prime_rehash_policy::_M_need_rehash` and `_M_next_bkt`,
//! `libstdc++-v3/src/c++11/hashtable_c++0x.cc`, gcc 12). All elements are then put into new buckets, in one go.

use super::mapped;
use crate::findings::{Container, ContainerKind, NextStep};

/// The lengths that a table goes through that was never told how large it will be, from the first whose buckets take
/// more than a mebibyte.
const LENGTHS: &[u64] = &[
    172_933,
    351_061,
    712_697,
    1_447_153,
    2_938_679,
    5_967_347,
    12_117_689,
    24_607_243,
    49_969_847,
    101_473_717,
    206_062_531,
    418_451_333,
    849_749_479,
    1_725_587_117,
    3_504_151_727,
    8_589_934_583,
];
const POINTER: u64 = 8;

/// The table whose buckets take so many bytes in memory.
pub(super) fn table(bytes: u64) -> Option<Container> {
    let steps = || LENGTHS.windows(2).map(|pair| (pair[0], pair[1]));
    let (old, new) = steps().find(|(_, new)| mapped(new * POINTER) == bytes)?;
    let next = steps().find(|(before, _)| *before == new);
    Some(Container {
        kind: ContainerKind::UnorderedMap,
        bytes,
        entries: Some(old),
        entry_bytes: None,
        buckets: Some(new),
        trigger_insert: Some(old + 1),
        next: next
            .map(|(full, new)| NextStep { insert: Some(full + 1), bytes: mapped(new * POINTER) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program's own words: `REHASH buckets 24607243 size 12117690`, and its mmap of 196,861,952 bytes.
    #[test]
    fn a_measured_rehash_is_recognised_and_the_next_one_foretold() {
        let container = table(196_861_952).unwrap();
        assert_eq!(container.buckets, Some(24_607_243));
        assert_eq!(container.trigger_insert, Some(12_117_690));
        let next = container.next.unwrap();
        assert_eq!(next.insert, Some(24_607_244));
        assert_eq!(table(next.bytes).unwrap().buckets, Some(49_969_847));
    }

    #[test]
    fn other_sizes_are_not() {
        for bytes in [196_857_856, 196_866_048, 256 << 20, (128 << 20) + 4096] {
            assert_eq!(table(bytes), None, "{bytes}");
        }
    }
}
