//! A growing container, recognised by the size of the memory that it asks for.
//!
//! hashbrown (Rust's `HashMap`, 0.14 to 0.17) keeps 2^k buckets of `s` bytes, followed by 2^k + 16 control
//! bytes, in one allocation, and grows when 7/8 of the old 2^(k-1) buckets are full
//! (`hashbrown/src/raw/mod.rs`, `TableLayout::calculate_layout_for`, `bucket_mask_to_capacity`). glibc
//! maps an allocation of 128 KiB and more by itself, with a header of 16 bytes, in whole pages
//! (`sysmalloc_mmap`, glibc 2.36).

use crate::findings::Container;

const PAGE: u64 = 4096;
const MALLOC_HEADER: u64 = 16;
/// Control bytes beyond one a bucket: the width of a group on x86-64 and arm64.
const GROUPS: [u64; 2] = [16, 8];
/// Below this, almost any size fits some table.
const SMALLEST: u64 = 1 << 20;
const LARGEST_ENTRY: u64 = 4096;

/// The hashbrown table that a mapping of so many bytes holds, if the size fits one and only one.
///
/// `hints` that the stack goes through hashbrown; without that, only a size that leaves no doubt counts.
pub(crate) fn hashbrown(bytes: u64, hints: bool) -> Option<Container> {
    if bytes < SMALLEST || !hints {
        return None;
    }
    let fits: Vec<(u32, u64)> = (10..48)
        .filter_map(|exponent| Some((exponent, entry_size(bytes, 1 << exponent)?)))
        // Entries are padded to their alignment, so sizes beyond a word come in half words.
        .filter(|(_, size)| *size <= 8 || size % 4 == 0)
        .collect();
    let &(exponent, size) = fits.iter().min_by_key(|(_, size)| *size)?;
    let buckets = 1_u64 << exponent;
    let full = buckets / 2 / 8 * 7;
    Some(Container {
        kind: "hashbrown",
        entries: Some(full),
        entry_bytes: Some(size),
        buckets: Some(buckets),
        trigger_insert: Some(full + 1),
    })
}

/// Bytes per entry, if a table of so many buckets takes exactly these bytes.
fn entry_size(bytes: u64, buckets: u64) -> Option<u64> {
    let approximate = bytes.checked_sub(buckets)? / buckets;
    (approximate.saturating_sub(1)..=approximate).find(|&size| {
        (1..=LARGEST_ENTRY).contains(&size)
            && GROUPS.iter().any(|group| {
                let table = (buckets * size).next_multiple_of(*group) + buckets + group;
                let mapped = |header: u64| (table + header).next_multiple_of(PAGE);
                bytes == table || bytes == mapped(0) || bytes == mapped(MALLOC_HEADER)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incidents_table_is_recognised() {
        let container = hashbrown(0xc800_1000, true).unwrap();
        assert_eq!(container.buckets, Some(134_217_728));
        assert_eq!(container.entry_bytes, Some(24));
        assert_eq!(container.trigger_insert, Some(58_720_257));
    }

    #[test]
    fn other_sizes_are_not() {
        for bytes in [0xc800_0000, 0xc800_2000, 3 << 30, 1 << 20, 4096, u64::MAX] {
            assert_eq!(hashbrown(bytes, true), None, "{bytes:#x}");
        }
        assert_eq!(hashbrown(0xc800_1000, false), None);
    }
}
