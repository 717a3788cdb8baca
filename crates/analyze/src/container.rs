//! A growing container, recognised by the size of the memory that it asks for.
//!
//! hashbrown (Rust's `HashMap`, 0.14 to 0.17) keeps 2^k buckets of `s` bytes, followed by 2^k + 16 control
//! bytes, in one allocation, and grows when 7/8 of the old 2^(k-1) buckets are full
//! (`hashbrown/src/raw/mod.rs`, `TableLayout::calculate_layout_for`, `bucket_mask_to_capacity`). glibc
//! maps an allocation of 128 KiB and more by itself, with a header of 16 bytes, in whole pages
//! (`sysmalloc_mmap`, glibc 2.36).

use coldcase_ingest::capture::Syscall;

use crate::findings::{Container, Culprit, NextStep, Operation};

const PAGE: u64 = 4096;
const MALLOC_HEADER: u64 = 16;
/// Control bytes beyond one a bucket: the width of a group on x86-64 and arm64.
const GROUPS: [u64; 2] = [16, 8];
/// Below this, almost any size fits some table.
const SMALLEST: u64 = 1 << 20;
const LARGEST_ENTRY: u64 = 4096;

/// The container that a culprit's call enlarged, if its stack goes through one and the size fits.
pub(crate) fn of(culprit: &Culprit) -> Option<Container> {
    let bytes = culprit.bytes.filter(|&bytes| bytes >= SMALLEST)?;
    let names = || {
        let frames = culprit.user_stack.iter();
        frames.flat_map(|frame| [frame.function.as_deref(), frame.file.as_deref()]).flatten()
    };
    let grows = matches!(
        culprit.operation,
        Some(Operation::Syscall(Syscall::Mmap | Syscall::Mremap | Syscall::Brk))
    );
    if !grows {
        None
    } else if names().any(|name| name.contains("hashbrown")) {
        hashbrown(bytes)
    } else if names().any(grows_a_vector) {
        Some(vector(bytes))
    } else {
        None
    }
}

/// The hashbrown table that a mapping of so many bytes holds, if the size fits one.
fn hashbrown(bytes: u64) -> Option<Container> {
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
    let table = |group: u64| (buckets * size).next_multiple_of(group) + buckets + group;
    let mapped = |group, header: u64| (table(group) + header).next_multiple_of(PAGE);
    let [wide, narrow] = GROUPS;
    [
        table(wide),
        mapped(wide, 0),
        mapped(wide, MALLOC_HEADER),
        table(narrow),
        mapped(narrow, 0),
        mapped(narrow, MALLOC_HEADER),
    ]
}

/// Functions that make room in a vector: Rust's `RawVec` (`alloc/src/raw_vec.rs`) and libstdc++'s
/// (`bits/vector.tcc`).
fn grows_a_vector(name: &str) -> bool {
    const GROWS: &[&str] =
        &["raw_vec::", "_M_realloc_insert", "_M_realloc_append", "_M_default_append"];
    GROWS.iter().any(|known| name.contains(known))
}

/// A vector doubles (`grow_amortized`, `_M_check_len`), so the next step is known where the header's page can be
/// told from the contents.
fn vector(bytes: u64) -> Container {
    let contents = bytes - PAGE;
    let next = contents
        .is_multiple_of(SMALLEST)
        .then(|| NextStep { insert: None, bytes: 2 * contents + PAGE });
    Container {
        kind: "vec",
        entries: None,
        entry_bytes: None,
        buckets: None,
        trigger_insert: None,
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incidents_table_is_recognised_and_its_next_step_foretold() {
        let container = hashbrown(0xc800_1000).unwrap();
        assert_eq!(container.buckets, Some(134_217_728));
        assert_eq!(container.entry_bytes, Some(24));
        assert_eq!(container.trigger_insert, Some(58_720_257));
        let next = container.next.unwrap();
        assert_eq!(next.insert, Some(117_440_513));
        assert_eq!(next.bytes, 6_710_890_496);
        assert_eq!(hashbrown(next.bytes).unwrap().trigger_insert, next.insert);
    }

    #[test]
    fn other_sizes_are_not() {
        for bytes in [0xc800_0000, 0xc800_2000, 3 << 30, 1 << 20] {
            assert_eq!(hashbrown(bytes), None, "{bytes:#x}");
        }
    }

    #[test]
    fn a_vectors_next_step_is_twice_its_contents() {
        assert_eq!(vector((1 << 30) + PAGE).next.unwrap().bytes, (2 << 30) + PAGE);
        assert_eq!(vector((1 << 30) + 3 * PAGE).next, None);
    }
}
