//! About the capture: what was read, what was lost, what has names.

use coldcase_analyze::findings::CaptureSummary;
use coldcase_ingest::capture::Nanos;

use super::{Pair, texts};
use crate::{names, units};

/// What the verdict rests on.
pub(crate) struct About {
    pub facts: Vec<Pair>,
    pub events: Vec<Pair>,
    pub warnings: Vec<String>,
}

pub(super) fn about(capture: &CaptureSummary) -> About {
    About {
        facts: facts(capture),
        events: capture
            .events
            .iter()
            .map(|(name, count)| Pair { left: names::function(name), right: units::count(*count) })
            .collect(),
        warnings: texts(&capture.warnings),
    }
}

fn facts(capture: &CaptureSummary) -> Vec<Pair> {
    let counts = capture.symbols;
    let optional = |text: &Option<String>| text.as_deref().map(names::name);
    let facts = [
        ("Format", Some(names::name(&capture.format))),
        ("Host", optional(&capture.hostname)),
        ("Kernel", optional(&capture.kernel)),
        ("Architecture", optional(&capture.arch)),
        ("CPUs", capture.cpus.map(|count| units::count(u64::from(count)))),
        (
            "Covers",
            capture.span.map(|span| {
                format!("{} ({} s to {} s)", units::duration(span.duration()), span.start, span.end)
            }),
        ),
        ("Events lost", Some(units::count(capture.lost_events))),
        ("Kernel symbols", resolved(counts.kernel_resolved, counts.kernel_total)),
        ("User symbols", resolved(counts.user_resolved, counts.user_total)),
        ("Recorded with", command(&capture.command)),
    ];
    facts
        .into_iter()
        .filter_map(|(left, right)| Some(Pair { left: left.to_owned(), right: right? }))
        .collect()
}

fn resolved(named: u64, total: u64) -> Option<String> {
    let share = units::share(Nanos(named), Nanos(total));
    (total > 0).then(|| {
        format!("{} of {} frames have names ({share})", units::count(named), units::count(total))
    })
}

fn command(arguments: &[String]) -> Option<String> {
    (!arguments.is_empty()).then(|| names::text(&arguments.join(" ")))
}
