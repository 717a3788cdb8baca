//! The main thread fills gigabytes with `madvise(MADV_POPULATE_WRITE)`, in huge pages, so that the
//! kernel's `rss_stat` tells of each step and not of a million pages; a while later it unmaps them.
//! It reads its own resident size before and after both.

use std::time::Duration;

use crate::mapping::{Mapping, gib};
use crate::truth::note;
use crate::{gate, process, serve, truth};

const KEPT: Duration = Duration::from_millis(400);

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 3);
    serve::start_mapping();
    let memory = Mapping::new(bytes);
    memory.advise(libc::MADV_HUGEPAGE);
    gate::ready();
    let detail = format!("bytes={bytes}");
    note_resident();
    truth::span("populate", &detail, || fill(&memory));
    note_resident();
    std::thread::sleep(KEPT);
    note_resident();
    truth::span("munmap", &detail, || drop(memory));
    note_resident();
    gate::done()
}

#[inline(never)]
fn fill(memory: &Mapping) {
    memory.advise(libc::MADV_POPULATE_WRITE);
}

/// In bytes: all that is resident, and the anonymous part of it.
fn note_resident() {
    let [resident, anonymous] = process::resident(["Rss:", "Anonymous:"]);
    note!("resident bytes={resident} anonymous={anonymous}");
}
