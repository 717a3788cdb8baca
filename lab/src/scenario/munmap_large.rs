//! The main thread gives gigabytes of touched memory back with one munmap, which keeps `mmap_lock`
//! while every page is freed.

use crate::mapping::{Mapping, gib};
use crate::{gate, serve, truth};

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 10);
    let cache = Mapping::populated(bytes);
    serve::start_mapping();
    gate::ready();
    truth::span("munmap", &format!("bytes={bytes}"), || drop_cache(cache));
    gate::done()
}

#[inline(never)]
fn drop_cache(cache: Mapping) {
    drop(cache);
}
