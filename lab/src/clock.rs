//! Time as the capture counts it: CLOCK_MONOTONIC, which `perf record -k CLOCK_MONOTONIC` uses too.
//! `Instant` reads the same clock but does not give its value away, and the value is what a log
//! must share with a capture.

use std::time::Duration;

pub fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec, and this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
