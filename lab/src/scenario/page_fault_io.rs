//! Each request reads one page of a mapped file that is not in memory yet, and for a while the disk
//! gives next to nothing: the threads stand still in page faults, without any lock.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::disk::{self, Disk};
use crate::mapping::Mapping;
use crate::{gate, process, serve};

static TABLE: OnceLock<Mapping> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);
const TABLE_BYTES: usize = 64 << 20;
/// So that no two requests meet in one page, or in neighbouring ones.
const STRIDE: usize = 7;
const SLOW_BYTES_PER_SECOND: u32 = 1 << 10;
const SLOW_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [folder, device, group] = arguments else { panic!("needs FOLDER MAJOR:MINOR CGROUP") };
    process::start_server(|| {
        Disk::new(device, group).limit_this_process();
        TABLE.get_or_init(|| {
            let file = disk::cold_file(&Path::new(folder).join("table"), TABLE_BYTES);
            let table = Mapping::of_file(&file, TABLE_BYTES);
            table.advise(libc::MADV_RANDOM); // no reading ahead
            table
        });
        serve::start(lookup_request);
    });
    process::rename(c"supervisor");
    gate::ready();
    Disk::new(device, group).slow_reads(SLOW_BYTES_PER_SECOND, SLOW_FOR);
    gate::done()
}

#[inline(never)]
fn lookup_request() -> usize {
    let table = TABLE.get().expect("mapped before any thread starts");
    let page = NEXT.fetch_add(STRIDE, Ordering::Relaxed) % table.pages();
    usize::from(table.read_page(page))
}
