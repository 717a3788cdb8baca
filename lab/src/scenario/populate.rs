//! The main thread maps gigabytes with MAP_POPULATE: one system call, on a CPU all along, that
//! keeps `mmap_lock` for reading while it fills every page. Writers queue, and behind the first
//! writer so do readers. A while later it unmaps them: a second, shorter freeze.

use std::time::Duration;

use crate::mapping::{Mapping, gib};
use crate::{gate, serve, truth};

const KEPT: Duration = Duration::from_millis(400);

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 3);
    serve::start_mapping();
    gate::ready();
    let detail = format!("bytes={bytes}");
    let memory = truth::span("populate", &detail, || load_all_at_once(bytes));
    std::thread::sleep(KEPT);
    truth::span("munmap", &detail, || drop(memory));
    gate::done()
}

#[inline(never)]
fn load_all_at_once(bytes: usize) -> Mapping {
    Mapping::populated(bytes)
}
