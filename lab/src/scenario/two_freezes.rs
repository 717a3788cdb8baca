//! Two freezes of different causes in one capture: a thread unmaps gigabytes, and a second later
//! another keeps a std `Mutex` that every request needs.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::mapping::{Mapping, gib};
use crate::{gate, process, serve, truth};

static TABLE: Mutex<u64> = Mutex::new(1);
const BETWEEN: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_millis(400);

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 8);
    let cache = Mapping::populated(bytes);
    serve::start(mixed_request);
    let (wanted, wanted_here) = mpsc::channel();
    serve::spawn("reporter", move || {
        wanted_here.recv().expect("the evictor lives");
        report();
    });
    serve::spawn("evictor", move || {
        gate::ready();
        truth::span("munmap", &format!("bytes={bytes}"), || evict(cache));
        std::thread::sleep(BETWEEN);
        wanted.send(()).expect("the reporter waits");
        // Not by waiting for the reporter: that would be one more victim of it.
        std::thread::sleep(KEPT * 2);
        gate::done()
    });
    process::rest_forever()
}

#[inline(never)]
fn mixed_request() -> usize {
    let mut table = TABLE.lock().expect("nobody panics while holding it");
    *table = table.wrapping_add(1);
    drop(table);
    serve::map_request()
}

#[inline(never)]
fn evict(cache: Mapping) {
    drop(cache);
}

#[inline(never)]
fn report() {
    let mut table = TABLE.lock().expect("nobody panics while holding it");
    truth::span("lock_held", "lock=Mutex", || *table = summarize());
}

#[inline(never)]
fn summarize() -> u64 {
    serve::compute(KEPT)
}
