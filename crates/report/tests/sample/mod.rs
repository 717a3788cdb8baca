//! Findings made by hand: what the formats are tested on, and what the example renders.

// Each test binary uses a part of it.
#![allow(dead_code, missing_docs)]

pub mod details;
pub mod folded;
pub mod hostile;
pub mod incident;
pub mod large;
pub mod quiet;
pub mod unexplained;

use coldcase_analyze::findings::{CaptureSummary, Findings, FrameView, SymbolCounts, ThreadName};
use coldcase_ingest::capture::{
    Incident, Nanos, ProcessSize, Span, Timestamp, WallClock, WhyNoSymbol,
};

/// One of each kind.
pub fn all() -> [Findings; 5] {
    [
        incident::findings(),
        quiet::findings(),
        folded::findings(),
        hostile::findings(),
        unexplained::findings(),
    ]
}

pub const MS: u64 = 1_000_000;

pub fn at(ms: u64) -> Timestamp {
    Timestamp(8_642_000 * MS + ms * MS)
}

pub fn span(start_ms: u64, end_ms: u64) -> Span {
    Span::new(at(start_ms), at(end_ms))
}

pub fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

pub fn thread(pid: i32, tid: i32, comm: &str) -> ThreadName {
    ThreadName { pid: Some(pid), tid: Some(tid), comm: comm.to_owned() }
}

pub fn kernel(function: &str) -> FrameView {
    FrameView {
        function: Some(function.to_owned()),
        file: None,
        line: None,
        inlined: false,
        module: Some("[kernel]".to_owned()),
        offset: None,
        why: None,
    }
}

pub fn user(function: &str, file: &str, line: u32, inlined: bool) -> FrameView {
    FrameView {
        function: Some(function.to_owned()),
        file: Some(file.to_owned()),
        line: Some(line),
        inlined,
        module: Some("/opt/vaultdb/bin/vaultdb".to_owned()),
        offset: Some(0x1a_4f20),
        why: None,
    }
}

pub fn unresolved(module: &str, offset: u64, why: WhyNoSymbol) -> FrameView {
    FrameView {
        function: None,
        file: None,
        line: None,
        inlined: false,
        module: Some(module.to_owned()),
        offset: Some(offset),
        why: Some(why),
    }
}

pub fn capture() -> CaptureSummary {
    CaptureSummary {
        format: "perf.data".to_owned(),
        kernel: Some("6.18.0-3-amd64".to_owned()),
        arch: Some("x86_64".to_owned()),
        hostname: Some("db-07".to_owned()),
        cpus: Some(8),
        command: ["perf", "record", "-a", "-g", "-k", "mono", "-e", "sched:sched_switch"]
            .map(str::to_owned)
            .to_vec(),
        span: Some(span(0, 3_200)),
        // 2026-11-20, a second before `at(0)`.
        wall_clock: Some(WallClock {
            clock_ns: 8_641_000_000_000,
            wall_ns: 1_795_183_353_250_000_000,
        }),
        incident: Some(Incident {
            alarm: Some(at(1_608)),
            saw: "no answer for 500ms".to_owned(),
            well_again: Some(at(2_400)),
            sizes: [(1_000, 4_100_000_000), (2_000, 7_400_000_000)]
                .map(|(millis, bytes)| ProcessSize {
                    time: at(millis),
                    pid: 4711,
                    comm: "vaultdb".to_owned(),
                    bytes,
                })
                .to_vec(),
            ..Incident::default()
        }),
        events: vec![
            ("lock:contention_begin".to_owned(), 5_812),
            ("lock:contention_end".to_owned(), 5_812),
            ("sched:sched_switch".to_owned(), 48_219),
            ("sched:sched_waking".to_owned(), 46_004),
            ("syscalls:sys_enter_mmap".to_owned(), 1_204),
            ("syscalls:sys_exit_mmap".to_owned(), 1_204),
        ],
        lost_events: 0,
        warnings: Vec::new(),
        symbols: SymbolCounts {
            kernel_resolved: 612,
            kernel_total: 629,
            user_resolved: 147,
            user_total: 164,
        },
    }
}

/// A small generator, so that pictures have some life and every run has the same.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}
