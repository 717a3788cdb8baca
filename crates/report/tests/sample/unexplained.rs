//! A freeze that began before the recording, with too many threads and nobody to blame.

use coldcase_analyze::details::Details;
use coldcase_analyze::findings::*;
use coldcase_ingest::capture::Nanos;

use super::{ms, span, thread};

const PID: i32 = 902;

pub fn findings() -> Findings {
    Findings {
        capture: CaptureSummary {
            lost_events: 12_871,
            warnings: vec![
                "12,871 events were lost, 11,904 of them inside the freeze.".into(),
                "The freeze had begun before the recording: its length is a lower bound.".into(),
            ],
            ..super::capture()
        },
        verdict: Verdict {
            outcome: Outcome::FreezeUnexplained,
            window: Some(0),
            fingerprint: None,
            container: None,
            line: None,
            possible: None,
            ruled_out: Vec::new(),
            cannot_tell: vec![
                CannotTell {
                    cause: Cause::MmapLock,
                    missing: "record lock:contention_begin, and sched:sched_waking with -g".into(),
                },
                CannotTell { cause: Cause::DiskIo, missing: "record block:block_rq_issue".into() },
            ],
        },
        windows: vec![window()],
        wait_sites: Vec::new(),
        processes: Vec::new(),
        contention: None,
        memory_events: Vec::new(),
        memory_totals: Vec::new(),
        timeline: Some(timeline()),
        off_cpu: Vec::new(),
        details: Details::default(),
    }
}

fn window() -> Window {
    Window {
        cause: None,
        grade: Grade::Undetermined,
        reasons: Vec::new(),
        evidence: Vec::new(),
        freeze: Freeze {
            pid: Some(PID),
            comm: "broker".to_owned(),
            span: Some(span(0, 740)),
            open_start: true,
            open_end: false,
            threads_blocked: 64,
            processes: 1,
            strangers: false,
            awaited_by: 0,
            paused: false,
            cpus: Vec::new(),
            range: None,
            blocked: Nanos(47_100_000_000),
        },
        lock: None,
        culprit: None,
        blame: vec![BlameRow {
            thread: None,
            doing: "the capture has no wakeups".to_owned(),
            time: ms(47_100),
            unknown: true,
        }],
        chain: Vec::new(),
        deadlock: Vec::new(),
        starved_end: None,
        without_culprit: None,
        remedies: Vec::new(),
    }
}

fn timeline() -> Timeline {
    let lanes = (0..70_i32).map(|number| {
        let end = 700 + u64::from(number.unsigned_abs()) / 2;
        let role = if number < 64 { Role::Victim } else { Role::Bystander };
        let blocked = Segment {
            span: span(0, end),
            state: SegmentState::Blocked(Cause::Unknown),
            site: None,
        };
        let after = Segment { span: span(end, 900), state: SegmentState::OnCpu, site: None };
        let name = format!("worker-{number}");
        Lane { thread: thread(PID, 910 + number, &name), role, segments: vec![blocked, after] }
    });
    Timeline {
        span: span(0, 900),
        whole: span(0, 900),
        windows: vec![span(0, 740)],
        lanes: lanes.collect(),
    }
}
