//! Tables in the manner of Swiss tables: 2^k buckets of `s` bytes, and a control byte for each and for a group more, in one allocation.
//! They grow when 7/8 of the old 2^(k-1) buckets are full.
//!
//! - hashbrown (Rust's `HashMap`, 0.14 to 0.17): buckets, then 2^k + group control bytes (`hashbrown/src/raw/mod.rs`,
//!   `TableLayout::calculate_layout_for`, `bucket_mask_to_capacity`).
//! - Abseil (`absl::flat_hash_map`, `flat_hash_set`; 2020 to 2024): 2^k + group - 1 control bytes, then buckets, of which the last
//!   stands for the end and is not there; since 2023 the room that is left is counted before them (`absl/container/internal/raw_hash_set.h`,
//!   `RawHashSetLayout`, `CapacityToGrowth`).

use super::{PAGE, mapped};
use crate::findings::{Container, ContainerKind, NextStep};

/// How tables of one library lie in memory.
pub(super) struct Library {
    kind: ContainerKind,
    /// Part of the names of its functions.
    pub names: &'static [&'static str],
    /// Bytes of a table of so many buckets of such a size, with groups so wide; all that may be.
    sizes: fn(u64, u64, u64) -> [u64; 2],
}

pub(super) const LIBRARIES: [Library; 2] = [
    Library {
        kind: ContainerKind::Hashbrown,
        names: &["hashbrown"],
        sizes: |buckets, size, group| {
            [(buckets * size).next_multiple_of(group) + buckets + group; 2]
        },
    },
    Library {
        kind: ContainerKind::FlatHashMap,
        names: &["raw_hash_set", "absl::flat_hash_", "FlatHashMapPolicy", "FlatHashSetPolicy"],
        sizes: |buckets, size, group| {
            let counted = |room: u64| {
                (room + buckets + group - 1).next_multiple_of(WORD) + (buckets - 1) * size
            };
            [counted(0), counted(WORD)]
        },
    },
];

/// Control bytes beyond one a bucket: the width of a group on x86-64 and arm64.
const GROUPS: [u64; 2] = [16, 8];
const WORD: u64 = 8;
const LARGEST_ENTRY: u64 = 4096;

impl Library {
    /// The table that a mapping of so many bytes holds, if the size fits one.
    pub fn table(&self, bytes: u64) -> Option<Container> {
        let fits: Vec<(u64, u64)> = (10..48)
            .map(|exponent| 1 << exponent)
            .filter_map(|buckets| Some((buckets, self.entry_size(bytes, buckets)?)))
            // Entries are padded to their alignment, so sizes beyond a word come in half words.
            .filter(|(_, size)| *size <= WORD || size % 4 == 0)
            .collect();
        let &(buckets, size) = fits.iter().min_by_key(|(_, size)| *size)?;
        let full = places(buckets / 2);
        let next_bytes = self
            .layouts(2 * buckets, size)
            .zip(self.layouts(buckets, size))
            .find(|layout| layout.1 == bytes);
        Some(Container {
            kind: self.kind,
            bytes,
            entries: Some(full),
            entry_bytes: Some(size),
            buckets: Some(buckets),
            trigger_insert: Some(full + 1),
            next: next_bytes
                .map(|(bytes, _)| NextStep { insert: Some(places(buckets) + 1), bytes }),
        })
    }

    /// Bytes per entry, if a table of so many buckets takes exactly these bytes.
    fn entry_size(&self, bytes: u64, buckets: u64) -> Option<u64> {
        let approximate = bytes.checked_sub(buckets)? / (buckets - 1);
        (approximate.saturating_sub(1)..=approximate).find(|&size| {
            (1..=LARGEST_ENTRY).contains(&size)
                && self.layouts(buckets, size).any(|layout| layout == bytes)
        })
    }

    /// The sizes that a table may have in memory: as it is, in whole pages, and in whole pages with malloc's header.
    fn layouts(&self, buckets: u64, size: u64) -> impl Iterator<Item = u64> {
        let whole = GROUPS.into_iter().flat_map(move |group| (self.sizes)(buckets, size, group));
        whole.flat_map(|whole| [whole, whole.next_multiple_of(PAGE), mapped(whole)])
    }
}

/// Entries that a table of so many buckets takes before it grows.
fn places(buckets: u64) -> u64 {
    buckets / 8 * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incidents_table_is_recognised_and_its_next_step_foretold() {
        let [hashbrown, _] = LIBRARIES;
        let container = hashbrown.table(0xc800_1000).unwrap();
        assert_eq!(container.buckets, Some(134_217_728));
        assert_eq!(container.entry_bytes, Some(24));
        assert_eq!(container.trigger_insert, Some(58_720_257));
        let next = container.next.unwrap();
        assert_eq!(next.insert, Some(117_440_513));
        assert_eq!(next.bytes, 6_710_890_496);
        assert_eq!(hashbrown.table(next.bytes).unwrap().trigger_insert, next.insert);
    }

    #[test]
    fn other_sizes_are_not() {
        for bytes in [0xc800_2000, 3 << 30, 1 << 20] {
            for library in LIBRARIES {
                assert_eq!(library.table(bytes), None, "{bytes:#x}");
            }
        }
        assert_eq!(LIBRARIES[0].table(0xc800_0000), None);
    }

    /// A program's own words (Abseil 20220623): `capacity 8388607 -> 16777215 at size 7340033 slot 16`, with an mmap of 285,216,768
    /// bytes; and likewise of a slot of 48 bytes.
    #[test]
    fn measured_tables_of_abseil_are_recognised_and_the_next_ones_foretold() {
        let [_, abseil] = LIBRARIES;
        let measured = [
            (142_610_432, 16, 8_388_608, 3_670_017, 285_216_768),
            (285_216_768, 16, 16_777_216, 7_340_033, 570_429_440),
            (205_520_896, 48, 4_194_304, 1_835_009, 411_041_792),
        ];
        for (bytes, slot, buckets, insert, next) in measured {
            let container = abseil.table(bytes).unwrap();
            let told = (container.entry_bytes, container.buckets, container.trigger_insert);
            assert_eq!(told, (Some(slot), Some(buckets), Some(insert)), "{bytes}");
            assert_eq!(container.next.unwrap().bytes, next, "{bytes}");
        }
    }
}
