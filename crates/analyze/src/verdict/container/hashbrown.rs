//! hashbrown's tables (Rust's `HashMap`, 0.14 to 0.17): 2^k buckets of `s` bytes, followed by 2^k + 16 control bytes,
//! in one allocation. They grow when 7/8 of the old 2^(k-1) buckets are full (`hashbrown/src/raw/mod.rs`,
//! `TableLayout::calculate_layout_for`, `bucket_mask_to_capacity`).

use super::{PAGE, mapped};
use crate::findings::{Container, NextStep};

/// Control bytes beyond one a bucket: the width of a group on x86-64 and arm64.
const GROUPS: [u64; 2] = [16, 8];
const LARGEST_ENTRY: u64 = 4096;

/// The hashbrown table that a mapping of so many bytes holds, if the size fits one.
pub(super) fn table(bytes: u64) -> Option<Container> {
    let fits: Vec<(u64, u64)> = (10..48)
        .map(|exponent| 1 << exponent)
        .filter_map(|buckets| Some((buckets, entry_size(bytes, buckets)?)))
        // Entries are padded to their alignment, so sizes beyond a word come in half words.
        .filter(|(_, size)| *size <= 8 || size % 4 == 0)
        .collect();
    let &(buckets, size) = fits.iter().min_by_key(|(_, size)| *size)?;
    let full = places(buckets / 2);
    let next_bytes = layouts(2 * buckets, size)
        .into_iter()
        .zip(layouts(buckets, size))
        .find(|layout| layout.1 == bytes);
    Some(Container {
        kind: "hashbrown",
        bytes,
        entries: Some(full),
        entry_bytes: Some(size),
        buckets: Some(buckets),
        trigger_insert: Some(full + 1),
        next: next_bytes.map(|(bytes, _)| NextStep { insert: Some(places(buckets) + 1), bytes }),
    })
}

/// Entries that a table of so many buckets takes before it grows.
fn places(buckets: u64) -> u64 {
    buckets / 8 * 7
}

/// Bytes per entry, if a table of so many buckets takes exactly these bytes.
fn entry_size(bytes: u64, buckets: u64) -> Option<u64> {
    let approximate = bytes.checked_sub(buckets)? / buckets;
    (approximate.saturating_sub(1)..=approximate).find(|&size| {
        (1..=LARGEST_ENTRY).contains(&size) && layouts(buckets, size).contains(&bytes)
    })
}

/// The sizes that a table may have in memory: as it is, in whole pages, and in whole pages with malloc's header;
/// each for both widths of a group.
fn layouts(buckets: u64, size: u64) -> [u64; 6] {
    let whole = |group: u64| (buckets * size).next_multiple_of(group) + buckets + group;
    let [wide, narrow] = GROUPS.map(whole);
    [
        wide,
        wide.next_multiple_of(PAGE),
        mapped(wide),
        narrow,
        narrow.next_multiple_of(PAGE),
        mapped(narrow),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incidents_table_is_recognised_and_its_next_step_foretold() {
        let container = table(0xc800_1000).unwrap();
        assert_eq!(container.buckets, Some(134_217_728));
        assert_eq!(container.entry_bytes, Some(24));
        assert_eq!(container.trigger_insert, Some(58_720_257));
        let next = container.next.unwrap();
        assert_eq!(next.insert, Some(117_440_513));
        assert_eq!(next.bytes, 6_710_890_496);
        assert_eq!(table(next.bytes).unwrap().trigger_insert, next.insert);
    }

    #[test]
    fn other_sizes_are_not() {
        for bytes in [0xc800_0000, 0xc800_2000, 3 << 30, 1 << 20] {
            assert_eq!(table(bytes), None, "{bytes:#x}");
        }
    }
}
