//! Findings as JSON, schema `coldcase.findings/1`: the keys are a promise to those who call coldcase.
//!
//! The form has types of its own ([`dto`]), so that the analysis can change without changing the promise.
//! Names stand here as the capture has them: JSON quotes what it must, and programs compare names.

mod convert;
mod dto;

use coldcase_analyze::findings::Findings;

/// Findings as JSON, indented, with a line feed at the end.
#[must_use]
pub fn json(findings: &Findings) -> String {
    let document = dto::Document::from(findings);
    let mut text = serde_json::to_string_pretty(&document)
        .expect("plain structs with string keys always serialise");
    text.push('\n');
    text
}
