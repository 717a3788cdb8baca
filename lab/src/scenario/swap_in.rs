//! The server's memory has gone to swap. Each request touches one page of it, and for a while the
//! swap device gives next to nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::disk::Disk;
use crate::mapping::Mapping;
use crate::truth::note;
use crate::{gate, process, serve};

static TABLE: OnceLock<Mapping> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(0);
const TABLE_BYTES: usize = 256 << 20;
const LEFT_IN_MEMORY: &str = "16777216";
/// Farther than the kernel reads ahead in swap (8 pages).
const STRIDE: usize = 31;
const SLOW_BYTES_PER_SECOND: u32 = 1 << 10;
const SLOW_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [device, group, memory_group] = arguments else {
        panic!("needs MAJOR:MINOR CGROUP MEMORY-CGROUP")
    };
    process::start_server(|| {
        Disk::new(device, group).limit_this_process();
        let memory_group = Cgroup::create(memory_group);
        memory_group.add(std::process::id());
        TABLE.get_or_init(|| swapped_table(&memory_group));
        serve::start(lookup_request);
    });
    process::rename(c"supervisor");
    gate::ready();
    Disk::new(device, group).slow_reads(SLOW_BYTES_PER_SECOND, SLOW_FOR);
    gate::done()
}

fn swapped_table(group: &Cgroup) -> Mapping {
    let mut table = Mapping::new(TABLE_BYTES);
    table.touch();
    // Not by MADV_PAGEOUT, which leaves the pages in the swap cache.
    group.set("memory.limit_in_bytes", LEFT_IN_MEMORY);
    group.set("memory.limit_in_bytes", "-1");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let swapped = status.lines().find(|line| line.starts_with("VmSwap")).unwrap_or("VmSwap ?");
    note!("swapped {}", swapped.split_whitespace().collect::<Vec<_>>().join(" "));
    table
}

#[inline(never)]
fn lookup_request() -> usize {
    let table = TABLE.get().expect("mapped before any thread starts");
    let page = NEXT.fetch_add(STRIDE, Ordering::Relaxed) % table.pages();
    usize::from(table.read_page(page))
}
