//! Findings as JSON, schema `coldcase.findings/1`: the keys are a promise to those who call coldcase.
//!
//! The form has types of its own ([`dto`]), so that the analysis can change without changing the promise.
//! Names stand here as the capture has them, since programs compare names; what could steer a terminal that shows the
//! text is written as an escape, which every reader of JSON undoes.

mod convert;
mod dto;

use coldcase_analyze::findings::Findings;
use coldcase_ingest::capture::inert_json;

/// Findings as JSON, indented, with a line feed at the end.
#[must_use]
pub fn json(findings: &Findings) -> String {
    let document = dto::Document::from(findings);
    let text = serde_json::to_string_pretty(&document)
        .expect("plain structs with string keys always serialise");
    inert_json(&text).into_owned() + "\n"
}
