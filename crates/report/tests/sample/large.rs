//! As much as a page ever has to show: two hundred threads over ten seconds that switch every millisecond, some waits of
//! each to look into, ten thousand stacks, and tables that are cut.

use coldcase_analyze::details::WaitView;
use coldcase_analyze::findings::*;
use coldcase_ingest::capture::{Nanos, Span, Timestamp};

use super::incident;

const THREADS: u64 = 200;
const SECONDS: u64 = 10;
const SEGMENT_NS: u64 = 1_000_000;

pub fn findings() -> Findings {
    let mut findings = incident::findings();
    let lanes = (0..THREADS).map(|lane| Lane {
        thread: thread(lane),
        role: if lane < THREADS * 9 / 10 { Role::Victim } else { Role::Bystander },
        segments: (0..SECONDS * 1_000_000_000 / SEGMENT_NS).map(|at| segment(lane, at)).collect(),
    });
    let frozen = ns(4_000_000_000, 6_000_000_000);
    for window in &mut findings.windows {
        window.freeze.span = Some(frozen);
    }
    findings.timeline = Some(Timeline {
        span: ns(0, SECONDS * 1_000_000_000),
        whole: ns(0, SECONDS * 1_000_000_000),
        windows: vec![frozen],
        lanes: lanes.collect(),
    });
    let wait = findings.details.waits[0].clone();
    findings.details.waits = (0..THREADS * 10)
        .map(|at| WaitView {
            lane: usize::try_from(at % THREADS).unwrap_or_default(),
            span: ns(4_000_000_000 + at * 500_000, 5_000_000_000 + at * 500_000),
            waker: Some(thread(at / 10)),
            ..wait.clone()
        })
        .collect();
    findings.off_cpu = (0..10_000).map(stack).collect();
    findings.details.off_cpu_all = findings.off_cpu.clone();
    findings
}

fn ns(start: u64, end: u64) -> Span {
    Span::new(Timestamp(start), Timestamp(end))
}

fn thread(number: u64) -> ThreadName {
    super::thread(4711, 5000 + i32::try_from(number).unwrap_or_default(), "worker")
}

fn segment(lane: u64, at: u64) -> Segment {
    let states = [
        SegmentState::OnCpu,
        SegmentState::Blocked(Cause::MmapLock),
        SegmentState::Idle,
        SegmentState::Runnable,
        SegmentState::Blocked(Cause::DiskIo),
    ];
    Segment {
        span: ns(at * SEGMENT_NS, (at + 1) * SEGMENT_NS),
        state: states[usize::try_from((at / 17 + at + lane) % 5).unwrap_or_default()],
        site: Some("mmap_lock (write) in munmap".into()),
    }
}

fn stack(at: u64) -> FoldedStack {
    let frame =
        |depth: u32| format!("core::module::function_{depth}_{}", at >> (40 - depth).min(13));
    FoldedStack {
        process: Some("vaultdb".to_owned()),
        frames: (0..40).map(|depth| frame(depth).into()).collect(),
        time: Nanos(1_000_000 + at),
    }
}
