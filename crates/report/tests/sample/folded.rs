//! A folded profile: sums without times, a culprit by its absence only.

use coldcase_analyze::details::Details;
use coldcase_analyze::findings::*;
use coldcase_ingest::capture::{Nanos, Syscall};

pub fn findings() -> Findings {
    let mut findings = super::incident::findings();
    findings.capture = CaptureSummary {
        format: "folded".to_owned(),
        kernel: None,
        arch: None,
        hostname: None,
        cpus: None,
        command: Vec::new(),
        span: None,
        wall_clock: None,
        incident: None,
        events: vec![("stacks".to_owned(), 7)],
        lost_events: 0,
        warnings: vec!["A folded profile has no times: sums are lower bounds.".into()],
        symbols: SymbolCounts {
            kernel_resolved: 24,
            kernel_total: 24,
            user_resolved: 19,
            user_total: 19,
        },
    };
    findings.verdict.window = Some(0);
    findings.verdict.container = None;
    findings.windows = vec![window()];
    for site in &mut findings.wait_sites {
        site.waits = None;
        site.longest = None;
    }
    findings.memory_events = Vec::new();
    findings.timeline = None;
    findings.details = Details::default();
    findings
}

fn window() -> Window {
    Window {
        cause: Some(Cause::MmapLock),
        grade: Grade::Circumstantial,
        reasons: Vec::new(),
        evidence: vec!["ingest stands in mmap and never waits for mmap_lock.".into()],
        freeze: Freeze {
            pid: None,
            comm: "serve".to_owned(),
            span: None,
            open_start: false,
            open_end: false,
            threads_blocked: 6,
            processes: 1,
            strangers: false,
            awaited_by: 0,
            paused: false,
            cpus: Vec::new(),
            range: None,
            blocked: Nanos(7_021_400_000),
        },
        lock: Some(Lock { kind: Cause::MmapLock, mode: None, address: None }),
        culprit: Some(Culprit {
            thread: ThreadName { pid: None, tid: None, comm: "ingest".to_owned() },
            operation: Some(Operation::Syscall(Syscall::Mmap)),
            bytes: None,
            flags: Vec::new(),
            start: None,
            duration: None,
            held: None,
            activity: Vec::new(),
            kernel_stack: Vec::new(),
            user_stack: Vec::new(),
        }),
        blame: Vec::new(),
        chain: Vec::new(),
        deadlock: Vec::new(),
        starved_end: None,
        without_culprit: None,
        remedies: Vec::new(),
    }
}
