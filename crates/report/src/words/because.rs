//! Why a freeze came to be, beyond who did it.

use coldcase_analyze::findings::{Cause, Culprit, Findings, Operation, Window};

use super::container::container_sentence;
use crate::document::frame_row;
use crate::{names, units};

/// What grew, where in the program the call was made, what held up the holder, who had the CPUs; where nobody is to blame,
/// where the threads stood.
pub(crate) fn because(findings: &Findings) -> Option<String> {
    let window = findings.worst()?;
    let call = window.culprit.as_ref().and_then(|culprit| culprit.bytes);
    let container = findings.verdict.container.as_ref();
    let container = container.map(|container| container_sentence(container, call));
    let reasons: Vec<String> = window.reasons.iter().map(|reason| names::text(reason)).collect();
    let reasons = (!reasons.is_empty()).then(|| format!("{}.", reasons.join("; ")));
    let place = window.culprit.as_ref().zip(findings.verdict.line);
    let place = place.and_then(|(culprit, line)| place_of(culprit, line));
    let sentences: Vec<String> = container.into_iter().chain(place).chain(reasons).collect();
    if sentences.is_empty() { stood_at(findings, window) } else { Some(sentences.join(" ")) }
}

/// The line of the program at which the culprit was.
fn place_of(culprit: &Culprit, line: usize) -> Option<String> {
    let frame = frame_row(culprit.user_stack.get(line)?);
    let did = match culprit.operation {
        Some(Operation::Syscall(_)) => "The call was made",
        Some(Operation::UserLock) => "It let go of the lock",
        _ => "It was",
    };
    Some(format!("{did} at {}.", frame.place))
}

/// The site of most of the waiting, with its call, where the cause has not said it already.
fn stood_at(findings: &Findings, window: &Window) -> Option<String> {
    let site = findings.wait_sites.iter().find(|site| !site.idle)?;
    let told = window.culprit.is_some() || window.cause == Some(Cause::Stopped);
    (!told).then(|| {
        format!(
            "The threads stood at: {} ({} of {}).",
            names::function(&site.site),
            units::duration(site.blocked),
            units::duration(window.freeze.blocked)
        )
    })
}
