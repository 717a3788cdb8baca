//! A thread unmaps gigabytes while it keeps a std `Mutex`. The workers wait for the mutex, not for
//! `mmap_lock`: what they wait for is the futex, and what it waits for is the munmap.

use std::sync::Mutex;

use crate::mapping::{Mapping, gib};
use crate::{gate, process, serve, truth};

static CACHE: Mutex<Option<Mapping>> = Mutex::new(None);

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 8);
    *CACHE.lock().expect("nobody panics while holding it") = Some(Mapping::populated(bytes));
    serve::start(lookup_request);
    serve::spawn("evictor", move || {
        gate::ready();
        let detail = format!("lock=Mutex bytes={bytes}");
        evict(&detail);
        gate::done()
    });
    process::rest_forever()
}

#[inline(never)]
fn lookup_request() -> usize {
    let cache = CACHE.lock().expect("nobody panics while holding it");
    cache.as_ref().map_or(0, |cache| usize::from(cache.read_page(1)))
}

#[inline(never)]
fn evict(detail: &str) {
    let mut cache = CACHE.lock().expect("nobody panics while holding it");
    truth::span("lock_held", detail, || clear(&mut cache));
}

#[inline(never)]
fn clear(cache: &mut Option<Mapping>) {
    *cache = None;
}
