//! A monitor outside the server reads its `/proc/PID/smaps`. Each read() walks the page tables of
//! the VMAs that it prints while it holds the server's `mmap_lock` for reading: for a mapping of
//! many gigabytes that is long. The holder is in another process.

use std::time::Duration;

use crate::mapping::{Mapping, gib};
use crate::truth::{self, note};
use crate::{gate, process, serve};

const SMALL_VMAS_BYTES: usize = 4000 * 4096;
const READS: usize = 3;
const REST: Duration = Duration::from_millis(300);

pub fn run(arguments: &[String]) {
    let bytes = gib(arguments.first(), 12);
    let server = process::start_server(|| serve_with(bytes));
    process::rename(c"smaps-monitor");
    gate::ready();
    for _ in 0..READS {
        truth::span("smaps_read", &format!("server={server}"), || read_smaps(server));
        std::thread::sleep(REST);
    }
    gate::done()
}

fn serve_with(bytes: usize) {
    let data = Mapping::populated(bytes);
    let mut small = Mapping::new(SMALL_VMAS_BYTES);
    small.touch();
    small.split_into_vmas();
    serve::start_mapping();
    std::mem::forget((data, small));
}

#[inline(never)]
fn read_smaps(server: i32) {
    let smaps = std::fs::read(format!("/proc/{server}/smaps")).expect("the server lives");
    note!("smaps_bytes {}", smaps.len());
}
