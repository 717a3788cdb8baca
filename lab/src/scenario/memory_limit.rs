//! The server's memory cgroup is full, and its OOM killer is off: every thread that touches one
//! more page waits inside its page fault until the limit is raised.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::mapping::{Mapping, gib};
use crate::truth::{self, note};
use crate::{gate, process, serve};

/// Mapped at once: the kernel's own memory for a new mapping counts, too, and mmap would fail
/// instead of waiting.
static CACHE: OnceLock<Mapping> = OnceLock::new();
static USED: AtomicUsize = AtomicUsize::new(0);
const PAGES_A_REQUEST: usize = 16;
/// Less than the workers use in a tenth of a second, more than charges that were made in advance.
const ROOM: u64 = 1 << 20;
const FULL_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [group] = arguments else { panic!("needs CGROUP") };
    process::start_server(|| {
        let group = Cgroup::create(group);
        group.set("memory.oom_control", "1");
        group.add(std::process::id());
        CACHE.get_or_init(|| Mapping::new(gib(None, 2)));
        serve::start(cache_request);
    });
    process::rename(c"supervisor");
    let group = Cgroup::create(group);
    gate::ready();
    let used: u64 = group.get("memory.usage_in_bytes").parse().expect("a number of bytes");
    let limit = used + ROOM;
    truth::span("memory_limit", &format!("used={used} limit={limit}"), || {
        group.set("memory.limit_in_bytes", &limit.to_string());
        std::thread::sleep(FULL_FOR);
        note!("oom_control {}", group.get("memory.oom_control"));
        group.set("memory.limit_in_bytes", "-1");
    });
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
