//! What coldcase says of a capture, as far as truth can be held against it.

use coldcase_analyze::findings::{Findings, Grade, Outcome, Window};

/// The verdict on one capture.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whether it says that nothing froze; otherwise that it cannot tell, where `freezes` is empty.
    pub no_freeze: bool,
    /// Causes of which it says that the capture cannot tell.
    pub cannot_tell: Vec<&'static str>,
    /// In order of time.
    pub freezes: Vec<ToldFreeze>,
}

/// A freeze as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldFreeze {
    /// The process that froze.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: String,
    /// From when to when, in seconds; `None` of a profile without times.
    pub span: Option<(f64, f64)>,
    /// `None` if it cannot tell.
    pub cause: Option<&'static str>,
    pub grade: Grade,
    pub culprit: Option<ToldCulprit>,
    pub threads_blocked: u32,
    /// Summed over these threads.
    pub blocked_ms: f64,
    /// Waiting in ms that ends at a thread, by the thread's number.
    pub blame: Vec<(i32, f64)>,
}

/// Who is named.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldCulprit {
    pub pid: Option<i32>,
    pub tid: Option<i32>,
    pub comm: String,
    pub operation: Option<&'static str>,
    pub bytes: Option<u64>,
}

impl Told {
    /// What of the findings can be right or wrong.
    pub fn of(findings: &Findings) -> Self {
        Self {
            no_freeze: findings.verdict.outcome == Outcome::NoFreeze,
            cannot_tell: findings.verdict.cannot_tell.iter().map(|row| row.cause.word()).collect(),
            freezes: findings.windows.iter().map(ToldFreeze::of).collect(),
        }
    }
}

impl ToldFreeze {
    fn of(window: &Window) -> Self {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let rows = window.blame.iter();
        Self {
            pid: window.freeze.pid,
            comm: window.freeze.comm.clone(),
            span: window.freeze.span.map(|span| (seconds(span.start.0), seconds(span.end.0))),
            cause: window.cause.map(|cause| cause.word()).filter(|word| *word != "unknown"),
            grade: window.grade,
            culprit: window.culprit.as_ref().map(|culprit| ToldCulprit {
                pid: culprit.thread.pid,
                tid: culprit.thread.tid,
                comm: culprit.thread.comm.clone(),
                operation: culprit.operation.map(|operation| operation.word()),
                bytes: culprit.bytes,
            }),
            threads_blocked: window.freeze.threads_blocked,
            blocked_ms: window.freeze.blocked.as_millis_f64(),
            blame: rows
                .filter_map(|row| Some((row.thread.as_ref()?.tid?, row.time.as_millis_f64())))
                .collect(),
        }
    }
}
