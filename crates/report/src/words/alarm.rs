//! What the trap's alarm saw, against the freeze that was found.

use coldcase_analyze::findings::{Findings, Freeze};
use coldcase_ingest::capture::{Incident, Nanos, Span, Timestamp};

use super::around::{around, logged};
use crate::{names, units};

/// `The alarm came 812 ms after the freeze began: no answer for 500ms. Resident memory of vaultdb went from 4.1 GB to 7.5 GB.`,
/// and what was counted and logged meanwhile.
pub(crate) fn alarm(findings: &Findings) -> Option<String> {
    let incident = findings.capture.incident.as_ref()?;
    let freeze = findings.worst().map(|window| &window.freeze);
    let span = freeze.and_then(|freeze| freeze.span);
    let when = incident.alarm.map_or_else(|| "came".to_owned(), |at| came(at, span));
    let saw = match incident.saw.as_str() {
        "" => String::new(),
        saw => format!(": {}", names::text(saw)),
    };
    let mut text = format!("The alarm {when}{saw}.");
    if let Some((freeze, span)) = freeze.zip(span) {
        text.extend(grown(incident, freeze, span));
        text.extend(around(incident, freeze, span));
        text.extend(logged(incident, span));
    }
    Some(text)
}

fn came(at: Timestamp, span: Option<Span>) -> String {
    match span {
        Some(span) if at >= span.start => {
            let since = units::duration(Span::new(span.start, at).duration());
            format!("came {since} after the freeze began ({at} s)")
        }
        _ => format!("came at {at} s"),
    }
}

/// Steps that are smaller than a sixteenth say nothing.
fn grown(incident: &Incident, freeze: &Freeze, span: Span) -> Option<String> {
    /// The trap looks once a second during a capture.
    const AFTER: Nanos = Nanos(2_000_000_000);
    let sizes = || incident.sizes.iter().filter(|size| Some(size.pid) == freeze.pid);
    let before = sizes().take_while(|size| size.time <= span.start).last()?.bytes;
    let end = Timestamp(span.end.0.saturating_add(AFTER.0));
    let most = sizes().filter(|size| size.time >= span.start && size.time <= end);
    let most = most.map(|size| size.bytes).max()?;
    (before.abs_diff(most) > before / 16).then(|| {
        let (name, before, most) =
            (names::name(&freeze.comm), units::size(before), units::size(most));
        format!(" Resident memory of {name} went from {before} to {most}.")
    })
}
