//! The tables. What each column means stands in `docs/export.md`, which a test holds against these files.

mod events;
mod findings;
mod stacks;
mod threads;

use std::borrow::Cow;

use coldcase_ingest::capture::{Nanos, ThreadId, Timestamp};

use crate::Source;
use crate::table::Table;

/// All tables, always the same ones in the same order; some have no rows.
#[must_use]
pub fn all(source: Source<'_>) -> Vec<Table<'_>> {
    let Source { findings, records } = source;
    let frames = stacks::Places::of(&records.stacks);
    vec![
        findings::capture(&findings.capture),
        findings::verdict(findings),
        findings::windows(findings),
        findings::blame(findings),
        findings::wait_sites(&findings.wait_sites),
        threads::threads(&records.threads),
        threads::states(&records.states),
        events::waits(&records.waits),
        events::holds(&records.holds),
        events::memory_events(&records.memory_calls),
        events::samples(&records.samples),
        events::profile(&records.profile),
        frames.into_table(),
        stacks::frames(&records.frames),
    ]
}

fn ns(time: Timestamp) -> u64 {
    time.0
}

fn length(time: Nanos) -> u64 {
    time.0
}

fn thread(id: ThreadId) -> u64 {
    id.index() as u64
}

/// Addresses are text: no tool shows a number of this size as an address.
fn address<'a>(address: u64) -> Cow<'a, str> {
    format!("{address:#x}").into()
}
