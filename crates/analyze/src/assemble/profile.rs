//! The answer to a profile.

use coldcase_ingest::capture::Capture;

use super::summary;
use crate::details::Details;
use crate::findings::{Cause, Findings, Verdict, Window};
use crate::model::Part;
use crate::options::Options;
use crate::sites::brackets::Brackets;
use crate::sites::memory;
use crate::verdict::remedies::{self, Around};
use crate::verdict::resident::ResidentSizes;
use crate::verdict::suspects;
use crate::{fingerprint, profile};

/// What a profile says, whose sums have no times or those of a row of files.
pub(super) fn findings(capture: &Capture, options: &Options) -> Findings {
    let mut profile = profile::judge(capture, options);
    if let Some(window) = &mut profile.window {
        let page_faults = profile.sites.iter().any(|site| {
            site.cause == Some(Cause::MmapLock) && site.site.ends_with("in page_fault")
        });
        let kernel = capture.origin.kernel.as_deref();
        window.remedies =
            remedies::of(window, &Around { kernel, page_faults, ..Around::default() });
    }
    let windows: Vec<Window> = profile.window.into_iter().collect();
    let cannot_tell = suspects::nothing_to_judge_by(capture).cannot_tell.into_iter();
    let known = windows.first().and_then(|window| window.cause);
    let outcome = super::outcome(windows.first(), profile.can_deny);
    let brackets = Brackets::new(capture);
    let mut totals = memory::Totals::default();
    totals.add(capture, &brackets, Part::default());
    Findings {
        capture: summary::of(capture),
        verdict: Verdict {
            outcome,
            window: (!windows.is_empty()).then_some(0),
            fingerprint: windows
                .first()
                .map(|window| fingerprint::of(window, None, &profile.sites)),
            container: None,
            possible: None,
            line: None,
            ruled_out: Vec::new(),
            cannot_tell: cannot_tell.filter(|other| Some(other.cause) != known).collect(),
        },
        windows,
        wait_sites: profile.sites,
        processes: profile.processes,
        contention: None,
        memory_events: memory::most_important(memory::events(
            capture,
            &brackets,
            Part::default(),
            &ResidentSizes::new(capture),
            &[],
        )),
        memory_totals: totals.rows(),
        timeline: None,
        off_cpu: profile.off_cpu,
        details: Details::default(),
    }
}
