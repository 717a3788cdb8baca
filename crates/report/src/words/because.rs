//! Why a freeze came to be, beyond who did it.

use coldcase_analyze::findings::{Cause, Culprit, Findings, Operation, Window};
use coldcase_ingest::capture::Nanos;

use super::container::container_sentence;
use crate::document::frame_row;
use crate::{names, units};

/// What grew, where in the program the call was made, what took its time, what held up the holder, who had the CPUs; where nobody
/// is to blame, where the threads stood.
pub(crate) fn because(findings: &Findings) -> Option<String> {
    let window = findings.worst()?;
    let call = window.culprit.as_ref().and_then(|culprit| culprit.bytes);
    let container = findings.verdict.container.as_ref();
    let container = container.map(|container| container_sentence(container, call));
    let reasons: Vec<String> = window.reasons.iter().map(|reason| names::text(reason)).collect();
    let reasons = (!reasons.is_empty()).then(|| format!("{}.", reasons.join(". ")));
    let place = window.culprit.as_ref().zip(findings.verdict.line);
    let place = place.and_then(|(culprit, line)| place_of(culprit, line));
    // Of who answered late, the reasons say it.
    let culprit = window.culprit.as_ref().filter(|_| window.cause != Some(Cause::Network));
    let work = culprit.and_then(work_of);
    let sentences: Vec<String> =
        container.into_iter().chain(place).chain(work).chain(reasons).collect();
    if sentences.is_empty() { stood_at(findings, window) } else { Some(sentences.join(" ")) }
}

/// The line of the program at which the culprit was.
fn place_of(culprit: &Culprit, line: usize) -> Option<String> {
    let frame = frame_row(culprit.user_stack.get(line)?);
    let who = names::name(&culprit.thread.comm);
    let did = match culprit.operation {
        Some(Operation::Syscall(_)) => "The call was made".to_owned(),
        Some(Operation::UserLock) => format!("{who} released the lock"),
        _ => format!("{who} was"),
    };
    Some(format!("{did} at {}.", frame.place))
}

/// What the culprit did for most of its time, where samples met it at that.
fn work_of(culprit: &Culprit) -> Option<String> {
    let most = culprit.activity.iter().max_by_key(|share| share.time)?;
    let what = match most.what.strip_prefix("on a CPU: ")? {
        "no callchain" | "other work of the kernel" => return None,
        "the program's own code" => "in the program's own code",
        work => work,
    };
    let whole: Nanos = culprit.activity.iter().map(|share| share.time).sum();
    let share = most.time.share_of(whole);
    let (who, most) = (names::name(&culprit.thread.comm), units::duration(most.time));
    match share {
        ..=0.5 => None,
        ..=0.95 => Some(format!("{who} spent {most} of {} {what}.", units::duration(whole))),
        _ => Some(format!("{who} spent {most} {what}.")),
    }
}

/// The site of most of the waiting, with its call, where the cause has not said it already.
fn stood_at(findings: &Findings, window: &Window) -> Option<String> {
    // What else the process waits for meanwhile may be its rest.
    let mut sites = findings.wait_sites.iter().filter(|site| !site.idle);
    let site = sites.find(|site| site.cause == window.cause)?;
    let said = [Cause::Stopped, Cause::CpuStarvation, Cause::CpuThrottle];
    let told = window.culprit.is_some() || window.cause.is_some_and(|cause| said.contains(&cause));
    let (waited, blocked) = (site.blocked, window.freeze.blocked);
    // Those who rest at such a site, too, wait for longer than those who stood still.
    let part = if waited <= blocked {
        format!(" ({} of {})", units::duration(waited), units::duration(blocked))
    } else {
        String::new()
    };
    (!told).then(|| format!("The threads waited for: {}{part}.", names::function(&site.site)))
}
