//! The incident itself: a `HashMap<u64, [u64; 2]>` that holds 58,720,256 entries is full at 7/8 of
//! 2^26 buckets. The next insert maps 2^27 buckets of 24 bytes with their control bytes, and
//! because of `mlockall(MCL_FUTURE)` the kernel fills all 3,355,447,296 bytes before that mmap
//! returns, holding `mmap_lock`.

use std::collections::HashMap;

use crate::truth::{self, note};
use crate::{gate, serve};

type Table = HashMap<u64, [u64; 2]>;

/// 7/8 of 2^26: the table has no room for one more.
const FULL: u64 = (1 << 26) / 8 * 7;

pub fn run(_: &[String]) {
    let mut table = Table::new();
    for key in 0..FULL {
        table.insert(key, [key, !key]);
    }
    assert_eq!(
        table.capacity(),
        table.len(),
        "the next insert must be the one that grows the table"
    );

    lock_future_memory();
    serve::start_mapping();
    gate::ready();
    let detail = format!("entries_before={FULL} capacity_before={}", table.capacity());
    truth::span("insert", &detail, || insert_one_more(&mut table));
    note!("grown entries={} capacity={}", table.len(), table.capacity());
    std::mem::forget(table);
    gate::done()
}

#[inline(never)]
fn insert_one_more(table: &mut Table) {
    table.insert(FULL, [FULL, !FULL]);
}

/// As servers do that must never wait for a page to be brought in. It makes every later mmap wait
/// for all its pages instead.
fn lock_future_memory() {
    // SAFETY: changes only how later mappings of this process are made.
    let result = unsafe { libc::mlockall(libc::MCL_FUTURE) };
    assert_eq!(result, 0, "mlockall needs root: {}", std::io::Error::last_os_error());
}
