//! What was found and all that was reconstructed, in the formats of other tools.
//!
//! Values in, bytes out: nothing here opens a file. `docs/export.md` is the description for those who read the results.

mod csv;
mod error;
mod firefox;
mod folded;
mod labels;
mod parquet;
mod perfetto;
mod speedscope;
mod table;
mod tables;

use coldcase_analyze::findings::Findings;
use coldcase_analyze::records::Records;

pub use csv::write_csv;
pub use error::ExportError;
pub use firefox::write_firefox;
pub use folded::write_folded;
pub use parquet::write_parquet;
pub use perfetto::write_perfetto;
pub use speedscope::write_speedscope;
pub use table::{Column, Table, Values};
pub use tables::all as tables;

/// What an export is made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The answer.
    pub findings: &'a Findings,
    /// The rows behind it.
    pub records: &'a Records,
}
