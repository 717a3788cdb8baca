//! A thread gives gigabytes back with `madvise(MADV_DONTNEED)`. Since kernel 6.17 that takes the
//! VMA's lock only, so that nobody waits but the thread itself.

use crate::mapping::{Mapping, gib};
use crate::{gate, process, serve, truth};

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 8);
    let arena = Mapping::populated(bytes);
    serve::start_mapping();
    serve::spawn("trimmer", move || {
        gate::ready();
        truth::span("madvise", &format!("bytes={bytes}"), || trim(&arena));
        std::mem::forget(arena);
        gate::done()
    });
    process::rest_forever()
}

#[inline(never)]
fn trim(arena: &Mapping) {
    arena.advise(libc::MADV_DONTNEED);
}
