//! The trace's clock, the wall's, and the time since boot.

use std::time::{SystemTime, UNIX_EPOCH};

use coldcase_ingest::bundle::ClockNote;
use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds: what perf stamps its events with (`-k CLOCK_MONOTONIC`). No setting of the wall's clock
/// moves it.
pub fn monotonic() -> u64 {
    read(ClockId::Monotonic)
}

/// All clocks at one moment.
pub fn all() -> ClockNote {
    ClockNote { monotonic_ns: monotonic(), wall_ns: wall(), boot_ns: read(ClockId::Boottime) }
}

/// Since 1970-01-01 UTC, in nanoseconds.
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}
