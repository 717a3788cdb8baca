//! Rows of an off-CPU profile.

use coldcase_ingest::capture::Capture;

use super::build::{threads, wanted};
use super::stacks::Stacks;
use super::{ProfileRow, Records};
use crate::options::Options;
use crate::profile::classify;
use crate::rules::WaitKind;

/// All rows of a profile. It has no times, so no stretch of it can be looked at.
pub(crate) fn of_profile(capture: &Capture, options: &Options) -> Records {
    let wanted = wanted(capture, options.process.as_ref());
    let mut stacks = Stacks::new(capture);
    let classified = classify(capture, options);
    let rows = capture.profile.iter().zip(classified);
    let rows = rows.filter(|(row, _)| wanted[row.thread.index()]).map(|(row, at)| ProfileRow {
        thread: row.thread,
        stack: stacks.number(Some(row.stack)),
        off_cpu: row.off_cpu,
        site: at.site,
        cause: match at.kind {
            WaitKind::Harm(cause, _) => Some(cause),
            WaitKind::Idle | WaitKind::Other => None,
        },
        rest: at.kind == WaitKind::Idle,
        waker: row.waker.map(|waker| waker.thread),
        waker_stack: stacks.number(row.waker.map(|waker| waker.stack)),
        slice: row.slice,
    });
    let profile = rows.collect();
    let (frames, stacks) = stacks.finish();
    Records { threads: threads(capture), frames, stacks, profile, ..Records::default() }
}
