//! The main thread locks gigabytes in memory with one mlock, which fills every page of them while it
//! keeps `mmap_lock` for reading.

use crate::mapping::{Mapping, gib};
use crate::{gate, serve, truth};

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 3);
    let index = Mapping::new(bytes);
    serve::start_mapping();
    gate::ready();
    truth::span("mlock", &format!("bytes={bytes}"), || keep_in_memory(&index));
    std::mem::forget(index);
    gate::done()
}

#[inline(never)]
fn keep_in_memory(index: &Mapping) {
    index.lock();
}
