//! The flame graphs of a page: one or two, of which the script shows one at a time.

use coldcase_analyze::findings::Findings;
use coldcase_ingest::capture::Nanos;

use crate::chart::flame::{Against, BOXES, Flame, flame};
use crate::{units, words};

/// With less before a freeze there is nothing to compare it with.
const LONG_ENOUGH_BEFORE: Nanos = Nanos(200_000_000);

/// The section of a page that has the flame graphs.
pub(crate) struct FlameSection {
    pub heading: &'static str,
    pub note: String,
    /// Whether the colours always show the difference, or on demand.
    pub difference: bool,
    /// What is compared with, in a legend and after a frame's figures.
    pub other: &'static str,
    pub views: Vec<FlameView>,
}

/// One flame graph.
pub(crate) struct FlameView {
    pub label: &'static str,
    /// What is said of all of it.
    pub whole: String,
    pub flame: Flame,
}

impl FlameSection {
    /// Whether frames say how they differ.
    pub(crate) fn compared(&self) -> bool {
        self.views.iter().any(|view| view.flame.compared)
    }
}

/// `All: 8.91 s off the CPU, summed over threads.`, with more about whose time that is.
pub(crate) fn whole(flame: &Flame, whose: &str) -> String {
    format!("All: {} off the CPU, summed over threads{whose}.", units::duration(flame.total))
}

fn first_label(findings: &Findings) -> &'static str {
    match findings.worst() {
        Some(window) if window.freeze.span.is_some() => "The freeze",
        Some(_) => "Whole profile",
        None if findings.details.off_cpu_all.is_empty() => "Whole capture",
        None => "Held up",
    }
}

/// The flame graph of the freeze and, if there is another, that of the whole capture.
pub(super) fn flames(findings: &Findings) -> Option<FlameSection> {
    let details = &findings.details;
    let freeze = findings.worst().and_then(|window| window.freeze.span);
    let enough = |length: Nanos| length >= LONG_ENOUGH_BEFORE;
    let before = details.off_cpu_before.as_ref().filter(|before| enough(before.length));
    let against = before.zip(freeze).map(|(before, freeze)| Against {
        length: before.length,
        now: freeze.duration(),
        stacks: &before.off_cpu,
    });
    let first = flame(&findings.off_cpu, BOXES, against.as_ref());
    let first = first.map(|flame| FlameView {
        label: first_label(findings),
        whole: whole(&flame, ""),
        flame,
    });
    let second = flame(&details.off_cpu_all, BOXES / 2, None);
    let second = second.map(|flame| FlameView {
        label: "Whole capture",
        whole: whole(&flame, " of all processes; idle time is left out"),
        flame,
    });
    let views: Vec<FlameView> = first.into_iter().chain(second).collect();
    (!views.is_empty()).then(|| FlameSection {
        heading: "Off-CPU flame graph",
        note: words::flame_note(findings).to_owned(),
        difference: false,
        other: "before the freeze",
        views,
    })
}
