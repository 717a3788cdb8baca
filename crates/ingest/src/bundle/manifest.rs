//! What a bundle says of itself: a JSON that people read too.

use serde::{Deserialize, Serialize};

/// A bundle's first entry. Everything may be missing in one that somebody else wrote.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// [`FORMAT`](super::FORMAT).
    pub format: String,
    /// Version of coldcase that wrote it.
    pub version: String,
    /// What the alarm saw.
    pub alarm: AlarmNote,
    /// How it was recorded.
    pub recording: RecordingNote,
    /// The trace's clock against the wall's.
    pub clocks: ClockNote,
    /// Where it was recorded.
    pub machine: Machine,
    /// What the recording cost.
    pub cost: CostNote,
    /// The processes whose maps and sizes are in the bundle.
    pub processes: Vec<ProcessNote>,
}

/// What the alarm saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AlarmNote {
    /// What was watched, in words.
    pub watched: String,
    /// The processes that were watched, by their ids; empty where only answers were.
    pub watched_pids: Vec<u32>,
    /// What was wrong with it, in words.
    pub saw: String,
    /// When it was raised, on CLOCK_MONOTONIC.
    pub monotonic_ns: Option<u64>,
    /// When all was well again; `None` if that was not seen.
    pub well_again_ns: Option<u64>,
}

/// How it was recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingNote {
    /// Whether a flight recorder ran before the alarm; else the capture begins after it.
    pub flight: bool,
    /// From here on the second recorder's events are in the capture, before it the flight recorder's. CLOCK_MONOTONIC.
    pub joined_at_ns: Option<u64>,
    /// How far the capture reaches back before the alarm.
    pub seconds_before: Option<f64>,
    /// Events that were recorded before the alarm.
    pub events: Vec<String>,
    /// Events that were not, because they would have cost too much.
    pub dropped: Vec<DroppedEvent>,
    /// What a person must know before believing the rest.
    pub notes: Vec<String>,
}

/// Events that the flight recorder did without.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DroppedEvent {
    /// Their names.
    pub name: String,
    /// How many of them came each second.
    pub per_second: f64,
    /// What they would have cost, in percent of one CPU.
    pub percent: f64,
}

/// One moment on several clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockNote {
    /// CLOCK_MONOTONIC, the trace's clock.
    pub monotonic_ns: u64,
    /// Since 1970-01-01 UTC.
    pub wall_ns: u64,
    /// CLOCK_BOOTTIME.
    pub boot_ns: u64,
}

/// Where it was recorded.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Host name.
    pub host: String,
    /// `/proc/version`.
    pub kernel: String,
    /// `/proc/cmdline`.
    pub command_line: String,
    /// CPUs online.
    pub cpus: u32,
    /// `perf --version`.
    pub perf: String,
}

/// What the recording cost since the trap was armed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CostNote {
    /// How long it had been armed, in seconds.
    pub armed_s: f64,
    /// CPU time of the trap itself, of perf, and of the checks, in seconds.
    pub own_cpu_s: f64,
    /// What the events cost those who raise them, in percent of one CPU: rates that were measured times the cost of one.
    pub events_percent: f64,
    /// Resident memory of the trap and of perf, in bytes, without the rings.
    pub memory_bytes: u64,
    /// Memory of the rings, in bytes.
    pub ring_bytes: u64,
    /// What the trap and perf wrote to disk, in bytes.
    pub written_bytes: u64,
}

/// A process whose maps and sizes are in the bundle.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessNote {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its program.
    pub exe: Option<String>,
}
