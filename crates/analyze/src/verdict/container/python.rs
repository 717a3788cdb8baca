//! CPython's `dict`: 2^k slots of an index of 4 bytes each, behind a header, and room for two thirds as many entries.
//!
//! It grows when that room is taken, to twice as many slots (`insertion_resize`, `GROWTH_RATE`, `USABLE_FRACTION`,
//! `new_keys_object` in `Objects/dictobject.c`, CPython 3.6 to 3.13), and puts all entries into the new slots under the
//! interpreter lock. An entry is a hash, a key and a value; of a dict that has only text for keys it is a key and a
//! value since 3.11.

use super::{SMALLEST, mapped};
use crate::findings::{Container, ContainerKind, NextStep};

const INDEX: u64 = 4;
/// Of general keys, and of text alone.
const ENTRIES: [u64; 2] = [24, 16];
/// Since 3.11, and before.
const HEADERS: [u64; 2] = [32, 40];
/// From 2^32 slots on, an index takes 8 bytes.
const EXPONENTS: std::ops::Range<u32> = 16..32;

/// The dict whose keys take so many bytes in memory.
pub(super) fn dict(bytes: u64) -> Option<Container> {
    let layouts = EXPONENTS.flat_map(|exponent| {
        ENTRIES.into_iter().flat_map(move |entry| {
            HEADERS.into_iter().map(move |header| (1_u64 << exponent, entry, header))
        })
    });
    let size = |slots: u64, entry, header| mapped(header + slots * INDEX + places(slots) * entry);
    let mut fits = layouts.filter(|&(slots, entry, header)| size(slots, entry, header) == bytes);
    let (slots, entry, header) = fits.next().filter(|_| bytes >= SMALLEST)?;
    let full = places(slots / 2);
    Some(Container {
        kind: ContainerKind::PythonDict,
        bytes,
        entries: Some(full),
        entry_bytes: Some(entry),
        buckets: Some(slots),
        trigger_insert: Some(full + 1),
        next: EXPONENTS.contains(&(slots.ilog2() + 1)).then(|| NextStep {
            insert: Some(places(slots) + 1),
            bytes: size(2 * slots, entry, header),
        }),
    })
}

/// Entries that a dict of so many slots takes before it grows.
fn places(slots: u64) -> u64 {
    2 * slots / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPython 3.11's own words: `d[22369621] = None` took 912 ms, `sys.getsizeof` 1,342,177,360 after it; its mmap
    /// asked for 1,342,181,376 bytes.
    #[test]
    fn a_measured_resize_is_recognised_and_the_next_one_foretold() {
        let container = dict(1_342_181_376).unwrap();
        assert_eq!(container.entries, Some(22_369_621));
        assert_eq!(container.trigger_insert, Some(22_369_622));
        assert_eq!(container.entry_bytes, Some(24));
        assert_eq!(container.next.unwrap().insert, Some(44_739_243));
        assert_eq!(dict(container.next.unwrap().bytes).unwrap().entries, Some(44_739_242));
    }

    #[test]
    fn other_sizes_are_not() {
        for bytes in [1_342_177_280, 1_342_185_472, 1 << 30] {
            assert_eq!(dict(bytes), None, "{bytes}");
        }
    }
}
