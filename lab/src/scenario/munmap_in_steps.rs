//! What mends `munmap_large`: the same memory given back piece by piece, so that whoever waits for `mmap_lock` gets it in
//! between.

use crate::mapping::{Mapping, gib};
use crate::{gate, serve, truth};

/// A millisecond's work for the kernel, or less.
const STEP: usize = 10 << 20;

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 10);
    let cache = Mapping::populated(bytes);
    serve::start_mapping();
    gate::ready();
    truth::span("munmap_in_steps", &format!("bytes={bytes} step={STEP}"), || drop_cache(cache));
    gate::done()
}

#[inline(never)]
fn drop_cache(cache: Mapping) {
    cache.unmap_in_steps(STEP);
}
