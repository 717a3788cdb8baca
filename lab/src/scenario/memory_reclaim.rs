//! The server's memory cgroup is full, but there is swap: each request that needs a page first writes
//! another one out, which takes no time, until for a while the swap device takes no write.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::disk;
use crate::mapping::{Mapping, gib};
use crate::truth::note;
use crate::{gate, process, serve};

static CACHE: OnceLock<Mapping> = OnceLock::new();
static USED: AtomicUsize = AtomicUsize::new(0);
const PAGES_A_REQUEST: usize = 16;
/// 64 MiB, which are full before the recording begins.
const LIMIT: &str = "67108864";
const FULL: usize = 80 << 20;
const STUCK_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [storage, group] = arguments else { panic!("needs STORAGE-FOLDER CGROUP") };
    process::start_server(|| {
        let group = Cgroup::create(group);
        group.set("memory.limit_in_bytes", LIMIT);
        group.add(std::process::id());
        let cache = CACHE.get_or_init(|| Mapping::new(gib(None, 2)));
        USED.store(FULL / 4096, Ordering::Relaxed);
        (0..FULL / 4096).for_each(|page| cache.write_page(page));
        note!("full usage={}", group.get("memory.usage_in_bytes"));
        serve::start(cache_request);
    });
    process::rename(c"storage");
    gate::ready();
    disk::freeze_file_system(storage, STUCK_FOR);
    gate::done()
}

#[inline(never)]
fn cache_request() -> usize {
    let cache = CACHE.get().expect("mapped before any thread starts");
    let first = USED.fetch_add(PAGES_A_REQUEST, Ordering::Relaxed);
    for page in first..first + PAGES_A_REQUEST {
        cache.write_page(page);
    }
    PAGES_A_REQUEST
}
