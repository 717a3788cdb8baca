//! The JSON form: one struct per object, one field per key, in the order in which they are written.
//!
//! Every key is always written; what is unknown is null. Times are seconds on the capture's clock,
//! durations milliseconds, sizes bytes, addresses hexadecimal strings (they do not fit a JSON number).

use std::collections::BTreeMap;

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub schema: &'static str,
    pub capture: Capture<'a>,
    pub verdict: Verdict<'a>,
    pub windows: Vec<Window<'a>>,
    pub wait_sites: Vec<WaitSite<'a>>,
    pub contention: Option<Contention<'a>>,
    pub memory_events: Vec<MemoryEvent<'a>>,
}

#[derive(Serialize)]
pub(super) struct Capture<'a> {
    pub format: &'a str,
    pub kernel: Option<&'a str>,
    pub arch: Option<&'a str>,
    pub hostname: Option<&'a str>,
    pub cpus: Option<u32>,
    pub command: &'a [String],
    pub start_s: Option<f64>,
    pub duration_s: Option<f64>,
    pub events: BTreeMap<&'a str, u64>,
    pub lost_events: u64,
    pub warnings: Vec<&'a str>,
    pub symbols: Symbols,
    pub alarm: Option<Alarm<'a>>,
}

#[derive(Serialize)]
pub(super) struct Alarm<'a> {
    pub at_s: Option<f64>,
    pub saw: &'a str,
    pub well_again_s: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Symbols {
    pub kernel_resolved: u64,
    pub kernel_total: u64,
    pub user_resolved: u64,
    pub user_total: u64,
}

#[derive(Serialize)]
pub(super) struct Verdict<'a> {
    pub outcome: &'static str,
    #[serde(flatten)]
    pub window: Window<'a>,
    pub fingerprint: Option<&'a str>,
    pub container: Option<Container>,
    pub ruled_out: Vec<RuledOut<'a>>,
    pub cannot_tell: Vec<CannotTell<'a>>,
}

#[derive(Serialize)]
pub(super) struct Window<'a> {
    pub cause: Option<&'static str>,
    pub grade: &'static str,
    pub summary: String,
    pub freeze: Option<Freeze<'a>>,
    pub lock: Option<Lock>,
    pub culprit: Option<Culprit<'a>>,
    pub evidence: Vec<&'a str>,
    pub blame: Vec<Blame<'a>>,
    pub chain: Vec<Link<'a>>,
    pub without_culprit: Option<WithoutCulprit>,
    pub remedies: Vec<Remedy<'a>>,
}

#[derive(Serialize)]
pub(super) struct WithoutCulprit {
    pub longest_ms: f64,
    pub recovered_ms: f64,
}

#[derive(Serialize)]
pub(super) struct Freeze<'a> {
    pub process: Process<'a>,
    pub start_s: Option<f64>,
    pub end_s: Option<f64>,
    pub start_utc: Option<String>,
    pub duration_ms: Option<f64>,
    pub threads_blocked: u32,
    pub blocked_ms: f64,
    pub processes: u32,
    pub kept_cpus: &'a [u32],
    pub open_start: bool,
    pub open_end: bool,
}

#[derive(Serialize)]
pub(super) struct Process<'a> {
    pub pid: Option<i32>,
    pub comm: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Lock {
    pub kind: &'static str,
    pub mode: Option<&'static str>,
    pub address: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Thread<'a> {
    pub pid: Option<i32>,
    pub tid: Option<i32>,
    pub comm: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Culprit<'a> {
    #[serde(flatten)]
    pub thread: Thread<'a>,
    pub operation: Option<&'static str>,
    pub bytes: Option<u64>,
    pub flags: &'a [String],
    pub start_s: Option<f64>,
    pub duration_ms: Option<f64>,
    pub held_ms: Option<f64>,
    pub kernel_stack: Vec<Frame<'a>>,
    pub user_stack: Vec<Frame<'a>>,
    pub activity: Vec<Activity<'a>>,
}

#[derive(Serialize)]
pub(super) struct Frame<'a> {
    pub function: Option<&'a str>,
    pub file: Option<&'a str>,
    pub line: Option<u32>,
    pub inlined: bool,
    pub module: Option<&'a str>,
    pub offset: Option<String>,
    pub why: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Activity<'a> {
    pub what: &'a str,
    pub time_ms: f64,
}

#[derive(Serialize)]
pub(super) struct Blame<'a> {
    pub thread: Option<Thread<'a>>,
    pub doing: &'a str,
    pub blocked_ms: f64,
    pub unknown: bool,
}

#[derive(Serialize)]
pub(super) struct Link<'a> {
    pub waiter: Thread<'a>,
    pub site: &'a str,
    pub start_s: f64,
    pub end_s: f64,
    pub duration_ms: f64,
    pub waker: Option<Thread<'a>>,
    pub how: &'a str,
}

#[derive(Serialize)]
pub(super) struct Container {
    pub kind: &'static str,
    pub bytes: u64,
    pub entries: Option<u64>,
    pub entry_bytes: Option<u64>,
    pub buckets: Option<u64>,
    pub trigger_insert: Option<u64>,
    pub next: Option<NextStep>,
}

#[derive(Serialize)]
pub(super) struct NextStep {
    pub insert: Option<u64>,
    pub bytes: u64,
}

#[derive(Serialize)]
pub(super) struct RuledOut<'a> {
    pub cause: &'static str,
    pub finding: &'a str,
}

#[derive(Serialize)]
pub(super) struct CannotTell<'a> {
    pub cause: &'static str,
    pub missing: &'a str,
}

#[derive(Serialize)]
pub(super) struct Remedy<'a> {
    pub action: &'a str,
    pub cost: &'a str,
}

#[derive(Serialize)]
pub(super) struct WaitSite<'a> {
    pub site: &'a str,
    pub cause: Option<&'static str>,
    pub blocked_ms: f64,
    pub waits: Option<u64>,
    pub threads: u64,
    pub longest_ms: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct Contention<'a> {
    pub process: Process<'a>,
    #[serde(flatten)]
    pub site: WaitSite<'a>,
}

#[derive(Serialize)]
pub(super) struct MemoryEvent<'a> {
    pub start_s: Option<f64>,
    pub duration_ms: Option<f64>,
    #[serde(flatten)]
    pub thread: Thread<'a>,
    pub operation: &'static str,
    pub bytes: Option<u64>,
    pub flags: &'a [String],
    pub overlap_ms: f64,
    pub rss_step_bytes: Option<i64>,
}
