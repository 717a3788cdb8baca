//! What can go wrong on the way out.

/// Why an export could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The other end does not take the bytes.
    #[error("cannot write: {0}")]
    Io(#[from] std::io::Error),
    /// The JSON writer gave up.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The CSV writer gave up.
    #[error("cannot write CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// The Parquet writer gave up.
    #[error("cannot write Parquet: {0}")]
    Parquet(String),
}
