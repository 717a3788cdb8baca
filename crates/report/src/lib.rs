//! [`Findings`] as what people and programs read.
//!
//! One function per format, each from values to text or bytes: no files are opened, nothing is printed, and
//! no clock is read, so the same findings give the same bytes. Everything that comes out of a capture is
//! taken for hostile: see [`json`] for the one format that keeps names as they are.

mod chart;
mod diff;
mod document;
mod error;
mod html;
mod json;
mod markdown;
mod names;
mod pictures;
mod terminal;
mod units;
mod words;

use coldcase_analyze::findings::{Findings, Window};
pub use diff::{Diff, diff_html, diff_json, diff_markdown, diff_terminal};
pub use error::ReportError;
pub use html::{HtmlContext, Input, html};
pub use json::json;
pub use markdown::{escape as escape_markdown, markdown};
pub use pictures::pictures;
pub use terminal::terminal;

/// The verdict in two sentences: what froze, and who did it.
#[must_use]
pub fn summary(findings: &Findings) -> String {
    words::findings_summary(findings)
}

/// What froze and for how long, with the grade: `db froze for 8.79 s [Strong evidence]`.
#[must_use]
pub fn headline(findings: &Findings) -> String {
    let headline = words::headline(findings);
    let grade = findings.worst().map(|worst| words::grade_label(worst.grade));
    grade.map_or(headline.clone(), |grade| format!("{headline} [{grade}]"))
}

/// All that matters in one paragraph, for a chat: what froze, who did it, what to change, and the fingerprint.
#[must_use]
pub fn paragraph(findings: &Findings) -> String {
    words::paragraph(findings)
}

/// One freeze in two sentences.
#[must_use]
pub fn window_summary(window: &Window) -> String {
    words::window_summary(window)
}
