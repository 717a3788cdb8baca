//! What is missing, and who says so.

use super::Timestamp;

/// Something that was lost, by the recording or by the reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// When, where the capture says.
    pub time: Option<Timestamp>,
    /// What kind of loss.
    pub kind: LossKind,
    /// How many events, or bytes for a damaged stretch.
    pub count: u64,
    /// For a person: what and where.
    pub note: String,
}

/// Kinds of loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossKind {
    /// `PERF_RECORD_LOST`: the ring buffer was full.
    Lost,
    /// `PERF_RECORD_LOST_SAMPLES`.
    LostSamples,
    /// `PERF_RECORD_THROTTLE`: the kernel slowed the sampling down.
    Throttled,
    /// Bytes that could not be read; `count` is in bytes, 0 if unknown.
    Damaged,
}
