//! The freezes beside the worst, in a line each.

use std::cmp::Reverse;

use coldcase_analyze::findings::{Findings, Window};
use coldcase_ingest::capture::{Nanos, Span};

use super::explain::apart;
use super::{at_least, cause_of, operation_sized, who_froze};
use crate::{names, units};

/// `Also: 237 ms, 1.23 s earlier: evictor, munmap 8.59 GB.` Freezes of one process for one cause that nobody made are one line.
pub(crate) fn others(findings: &Findings) -> Vec<String> {
    /// More stand in the table.
    const SHOWN: usize = 3;
    let Some((worst, span)) = findings.worst().and_then(|worst| Some((worst, worst.freeze.span?)))
    else {
        return Vec::new();
    };
    if let Some(all) = all_alike(findings, worst) {
        return vec![all];
    }
    let index = findings.verdict.window;
    let windows = findings.windows.iter().enumerate();
    let mut others: Vec<(&Window, Span)> = windows
        .filter(|(other, _)| Some(*other) != index)
        .filter_map(|(_, window)| Some((window, window.freeze.span?)))
        .collect();
    others.sort_by_key(|(_, span)| Reverse(span.duration()));
    let mut lines: Vec<String> = others
        .iter()
        .take(SHOWN)
        .map(|(window, other)| line(worst, span, window, *other))
        .collect();
    if others.len() > SHOWN {
        let more = (others.len() - SHOWN) as u64;
        lines.push(format!("And {}.", units::counted(more, "shorter freeze", "shorter freezes")));
    }
    lines
}

fn line(worst: &Window, worst_span: Span, window: &Window, span: Span) -> String {
    let freeze = &window.freeze;
    let length = format!("{}{}", at_least(freeze), units::duration(span.duration()));
    let when = apart(worst_span.start, span.start);
    let whose = if (freeze.pid, &freeze.comm) == (worst.freeze.pid, &worst.freeze.comm) {
        String::new()
    } else {
        format!(", {}", who_froze(freeze))
    };
    let why = window.culprit.as_ref().map_or_else(
        || cause_of(window).to_owned(),
        |culprit| {
            let did = culprit
                .operation
                .map(|call| format!(", {}", operation_sized(call, culprit.bytes, &culprit.flags)));
            format!("{}{}", names::name(&culprit.thread.comm), did.unwrap_or_default())
        },
    );
    format!("Also: {length}, {when}{whose}: {why}.")
}

/// `4 freezes for CPU throttling: 2.20 s of the 2.40 s from the first to the last.`
fn all_alike(findings: &Findings, worst: &Window) -> Option<String> {
    const MANY: usize = 3;
    let key = |window: &Window| (window.cause, window.freeze.pid, window.freeze.comm.clone());
    let alike = |window: &&Window| window.culprit.is_none() && key(window) == key(worst);
    let spans: Vec<Span> =
        findings.windows.iter().filter(alike).filter_map(|window| window.freeze.span).collect();
    let whole = spans.iter().copied().reduce(Span::hull)?;
    (spans.len() >= MANY && spans.len() == findings.windows.len()).then(|| {
        let frozen: Nanos = spans.iter().map(|span| span.duration()).sum();
        format!(
            "{} freezes for {}: {} of the {} from the first to the last.",
            units::count(spans.len() as u64),
            cause_of(worst),
            units::duration(frozen),
            units::duration(whole.duration())
        )
    })
}
