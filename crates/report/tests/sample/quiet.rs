//! A capture in which nothing froze.

use coldcase_analyze::details::Details;
use coldcase_analyze::findings::*;
use coldcase_ingest::capture::Nanos;

pub fn findings() -> Findings {
    Findings {
        capture: super::capture(),
        verdict: Verdict {
            outcome: Outcome::NoFreeze,
            window: None,
            fingerprint: None,
            container: None,
            line: None,
            possible: None,
            ruled_out: vec![RuledOut {
                cause: Cause::MmapLock,
                finding: "the longest wait for mmap_lock took 8.2 ms, below the 50 ms of a freeze"
                    .to_owned(),
            }],
            cannot_tell: Vec::new(),
        },
        windows: Vec::new(),
        wait_sites: vec![SiteTotal {
            site: "mmap_lock (write) in munmap".to_owned(),
            cause: Some(Cause::MmapLock),
            blocked: Nanos(121_000_000),
            waits: Some(44),
            threads: 6,
            longest: Some(Nanos(8_200_000)),
            idle: false,
        }],
        processes: Vec::new(),
        contention: None,
        memory_events: Vec::new(),
        memory_totals: Vec::new(),
        timeline: None,
        off_cpu: Vec::new(),
        details: Details::default(),
    }
}
