//! No kernel lock at all: a checkpoint computes for a second and a half while it keeps the std
//! `Mutex` that every request needs. The waiters sleep on a futex; the holder is on a CPU and shows
//! in no off-CPU profile.

use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use crate::clock;
use crate::truth::{self, note};
use crate::{gate, serve};

static TABLE: Mutex<[u64; 4096]> = Mutex::new([1; 4096]);
const KEPT: Duration = Duration::from_millis(1500);

pub fn run(_: &[String]) {
    serve::start(update_request);
    let checkpointer = std::thread::Builder::new().name("checkpoint".into()).spawn(|| {
        gate::ready();
        checkpoint();
        gate::done()
    });
    // The main thread waits for the whole of the capture: to wait for the freeze only would make it
    // look like one more victim.
    let _ = checkpointer.expect("one more thread can be started").join();
}

#[inline(never)]
fn update_request() -> usize {
    let mut table = TABLE.lock().expect("nobody panics while holding it");
    for cell in table.iter_mut() {
        *cell = cell.rotate_left(1);
    }
    size_of_val(&*table)
}

#[inline(never)]
fn checkpoint() {
    note!("lock_wanted");
    let table = TABLE.lock().expect("nobody panics while holding it");
    truth::span("lock_held", "lock=Mutex", || checksum(&*table));
}

#[inline(never)]
fn checksum(table: &[u64]) {
    let end = clock::now() + KEPT;
    while clock::now() < end {
        black_box(table.iter().fold(0u64, |sum, cell| sum.wrapping_mul(31).wrapping_add(*cell)));
    }
}
