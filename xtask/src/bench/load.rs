//! A small service that freezes: what `pop` is a capture of.
//!
//! Eight threads do work of a fraction of a millisecond each, for which they map and unmap memory; after a second, a ninth
//! unmaps gigabytes.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Runs the service.
pub fn freeze() {
    const WORKERS: usize = 8;
    const GIGABYTES: usize = 4;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Of this size, malloc(3) maps memory, and free(3) unmaps it.
                    black_box(vec![1_u8; 256 << 10]);
                    thread::sleep(Duration::from_micros(400));
                }
            });
        }
        let table = black_box(vec![1_u8; GIGABYTES << 30]);
        thread::sleep(Duration::from_secs(1));
        drop(table);
        thread::sleep(Duration::from_secs(1));
        over.store(true, Ordering::Relaxed);
    });
}
