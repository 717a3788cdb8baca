//! Six threads `serve-0`..`serve-5` that stand for a server's workers: each request maps, touches,
//! advises and unmaps a small region and then rests for some milliseconds. They are the witnesses:
//! a request that took longer than it should is logged by the thread that waited.

use std::hint::black_box;
use std::time::Duration;

use crate::clock;
use crate::mapping::Mapping;
use crate::truth;

pub const THREADS: usize = 6;
const REGION: usize = 64 << 10;
const SLOW: Duration = Duration::from_millis(20);

/// Workers that use memory as a server's do.
pub fn start_mapping() {
    start(map_request);
}

/// Workers that answer requests with `request`, each thread for ever. A request gives back how many
/// bytes it worked on: one that gave nothing back could end in a jump to its last call, and would
/// then be missing in callchains.
pub fn start(request: fn() -> usize) {
    for index in 0..THREADS {
        spawn(&format!("serve-{index}"), move || serve(index, request));
    }
}

/// One more thread of the server, beside its workers.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .expect("a few threads can always be started");
}

/// Computes on a CPU until `duration` is over, without a system call.
pub fn compute(duration: Duration) -> u64 {
    let end = clock::now() + duration;
    let mut sum = 1u64;
    while clock::now() < end {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
    sum
}

fn serve(index: usize, request: fn() -> usize) {
    // Different rests keep the threads from marching in step, which no real server's threads do.
    let rest = Duration::from_millis(7 + 2 * index as u64);
    loop {
        let begin = clock::now();
        black_box(request());
        let end = clock::now();
        if end - begin > SLOW {
            let ms = (end - begin).as_secs_f64() * 1e3;
            truth::write_at(
                end,
                format_args!("slow_request begin={:.9} ms={ms:.3}", begin.as_secs_f64()),
            );
        }
        std::thread::sleep(rest);
    }
}

#[inline(never)]
pub fn map_request() -> usize {
    let mut region = Mapping::new(REGION);
    region.touch();
    region.use_small_pages();
    drop(region);
    black_box(REGION)
}
