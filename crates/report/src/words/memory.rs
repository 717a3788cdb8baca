//! What is said of memory calls as a whole.

use coldcase_analyze::findings::{Culprit, MemoryEvent, Operation};
use coldcase_ingest::capture::Syscall;

use crate::{names, units};

/// Below the table of memory calls: what it does not show.
pub(crate) fn calls_left_out(further: usize, everyday: &[&MemoryEvent]) -> String {
    /// More names tell nothing.
    const NAMES: usize = 4;
    let mut who: Vec<&str> = Vec::new();
    for event in everyday {
        if !who.contains(&event.thread.comm.as_str()) {
            who.push(&event.thread.comm);
        }
    }
    let more = if who.len() > NAMES { ", ..." } else { "" };
    let who: Vec<String> = who.iter().take(NAMES).map(|comm| names::name(comm)).collect();
    let calls = |count: usize| units::counted(count as u64, "call", "calls");
    let parts = [
        (further > 0).then(|| format!("{} further down the list", calls(further))),
        (!everyday.is_empty()).then(|| {
            let who = who.join(", ");
            format!(
                "{} of other processes ({who}{more}), each below 10 MB and 1 ms",
                calls(everyday.len())
            )
        }),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!("Not shown, but in the JSON: {}.", parts.join("; "))
    }
}

/// Why nobody knows how many bytes a culprit's call was about, if it is one that has a size.
pub(crate) fn why_no_size(culprit: &Culprit) -> Option<&'static str> {
    let Some(Operation::Syscall(syscall)) = culprit.operation else { return None };
    if culprit.bytes.is_some() || !syscall.has_size() {
        return None;
    }
    Some(match culprit.start {
        Some(_) if syscall == Syscall::Brk => "no earlier brk in the capture",
        Some(_) => "its arguments are not in the capture",
        None => "the call's start is not in the capture",
    })
}
