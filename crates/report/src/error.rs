//! What can go wrong when a report is made.

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A picture could not be painted.
    #[error("cannot paint {picture}: {reason}")]
    Paint {
        /// The picture's file name.
        picture: &'static str,
        /// What the painter said.
        reason: String,
    },
    /// A picture could not be written as PNG.
    #[error("cannot encode {picture} as PNG")]
    Encode {
        /// The picture's file name.
        picture: &'static str,
        /// What the encoder said.
        #[source]
        source: png::EncodingError,
    },
    /// The page's template failed.
    #[error("cannot fill in the page's template")]
    Template(#[from] askama::Error),
}
