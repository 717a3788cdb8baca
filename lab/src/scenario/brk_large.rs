//! The heap grows by gigabytes at once under `mlockall(MCL_FUTURE)`: the brk fills every page while
//! it keeps `mmap_lock` for reading.

use crate::mapping::gib;
use crate::{gate, serve, truth};

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 3);
    // SAFETY: changes only how later mappings of this process are made.
    let result = unsafe { libc::mlockall(libc::MCL_FUTURE) };
    assert_eq!(result, 0, "mlockall needs root: {}", std::io::Error::last_os_error());
    serve::start_mapping();
    gate::ready();
    truth::span("brk", &format!("bytes={bytes}"), || grow_heap(bytes));
    gate::done()
}

#[inline(never)]
fn grow_heap(bytes: usize) {
    // SAFETY: glibc's malloc copes with somebody else moving the break.
    let old = unsafe { libc::sbrk(bytes as libc::intptr_t) };
    assert_ne!(old as isize, -1, "sbrk: {}", std::io::Error::last_os_error());
}
