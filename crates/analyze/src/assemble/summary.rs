//! What was read, in figures.

use coldcase_ingest::capture::{Capture, Mode, Symbol};

use crate::findings::{CaptureSummary, SymbolCounts};

/// What was read, in figures.
pub(super) fn of(capture: &Capture) -> CaptureSummary {
    let origin = &capture.origin;
    let mut events: Vec<(String, u64)> =
        capture.events.iter().map(|event| (event.name.clone(), event.count)).collect();
    events.sort();
    CaptureSummary {
        format: origin.format.to_string(),
        kernel: origin.kernel.clone(),
        arch: origin.arch.clone(),
        hostname: origin.hostname.clone(),
        cpus: origin.cpus,
        command: origin.command.clone(),
        span: capture.span,
        wall_clock: origin.wall_clock,
        incident: capture.incident.clone(),
        events,
        lost_events: capture.lost_events(),
        warnings: capture.warnings.clone(),
        symbols: symbols(capture),
    }
}

fn symbols(capture: &Capture) -> SymbolCounts {
    let mut counts = SymbolCounts::default();
    for (_, frame) in capture.frames.iter() {
        let known = u64::from(matches!(frame.symbol, Symbol::Known(_)));
        match frame.mode {
            Mode::Kernel => {
                counts.kernel_total += 1;
                counts.kernel_resolved += known;
            }
            Mode::User => {
                counts.user_total += 1;
                counts.user_resolved += known;
            }
        }
    }
    counts
}
