//! A backup freezes the file system for a while. The recorder, who writes to a mapped file there,
//! stands still in its page fault with the VMA's lock; the sealer, in mprotect of that VMA, waits for
//! the VMA's lock while it keeps `mmap_lock`; and the workers, who only want memory, wait for
//! `mmap_lock`.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use crate::disk;
use crate::mapping::Mapping;
use crate::{gate, process, serve};

static RECORDS: OnceLock<Mapping> = OnceLock::new();
const RECORDS_BYTES: usize = 16 << 20;
const RECORDER_RESTS: Duration = Duration::from_millis(3);
const SEALER_RESTS: Duration = Duration::from_millis(20);
const FROZEN_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [folder] = arguments else { panic!("needs FOLDER") };
    process::start_server(|| {
        RECORDS.get_or_init(|| {
            let file = disk::cold_file(&Path::new(folder).join("records"), RECORDS_BYTES);
            Mapping::of_file(&file, RECORDS_BYTES)
        });
        serve::start_mapping();
        serve::spawn("recorder", record_for_ever);
        serve::spawn("sealer", seal_for_ever);
    });
    process::rename(c"backup");
    gate::ready();
    disk::freeze_file_system(folder, FROZEN_FOR);
    gate::done()
}

/// Each page is written to once only: the first write to a page asks the file system.
fn record_for_ever() {
    let records = RECORDS.get().expect("mapped before any thread starts");
    for page in (0..records.pages() - 1).cycle() {
        records.write_page(page);
        std::thread::sleep(RECORDER_RESTS);
    }
}

fn seal_for_ever() {
    let records = RECORDS.get().expect("mapped before any thread starts");
    for protection in [libc::PROT_READ, libc::PROT_READ | libc::PROT_WRITE].into_iter().cycle() {
        records.protect_last_page(protection);
        std::thread::sleep(SEALER_RESTS);
    }
}
