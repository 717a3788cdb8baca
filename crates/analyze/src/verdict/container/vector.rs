//! Vectors of Rust and C++, which double.

use super::{PAGE, SMALLEST};
use crate::findings::{Container, ContainerKind, NextStep};

/// Functions that make room in a vector: Rust's `RawVec` (`alloc/src/raw_vec.rs`), libstdc++'s (`bits/vector.tcc`) and libc++'s
/// (`libcxx/include/vector`, LLVM 3 to 20).
pub(super) fn grows(name: &str) -> bool {
    const GROWS: &[&str] = &[
        "raw_vec::",
        "_M_realloc_insert",
        "_M_realloc_append",
        "_M_default_append",
        "__push_back_slow_path",
        "__emplace_back_slow_path",
    ];
    GROWS.iter().any(|known| name.contains(known))
}

/// A vector doubles (`grow_amortized`, `_M_check_len`, `__recommend`), so the next step is known where the header's page can be
/// told from the contents.
pub(super) fn of(bytes: u64) -> Container {
    let contents = bytes - PAGE;
    let next = contents
        .is_multiple_of(SMALLEST)
        .then(|| NextStep { insert: None, bytes: 2 * contents + PAGE });
    Container {
        kind: ContainerKind::Vec,
        bytes,
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
    fn a_vectors_next_step_is_twice_its_contents() {
        assert_eq!(of((1 << 30) + PAGE).next.unwrap().bytes, (2 << 30) + PAGE);
        assert_eq!(of((1 << 30) + 3 * PAGE).next, None);
    }
}
