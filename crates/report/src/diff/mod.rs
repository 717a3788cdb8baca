//! A comparison of two captures as what people and programs read.

mod html;
mod json;
mod text;
mod view;

use coldcase_analyze::compare::Comparison;
use coldcase_analyze::findings::Findings;

pub use html::diff_html;
pub use json::diff_json;
pub use text::{diff_markdown, diff_terminal};

/// Two captures and how they compare.
#[derive(Clone, Copy, Debug)]
pub struct Diff<'a> {
    /// The capture before.
    pub before: &'a Findings,
    /// The capture after.
    pub after: &'a Findings,
    /// How they compare.
    pub comparison: &'a Comparison,
}
