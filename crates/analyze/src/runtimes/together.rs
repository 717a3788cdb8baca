//! Waits that one thread ended for several others which had begun them together.

use coldcase_ingest::capture::{Capture, Context, Span, ThreadId, Wakeup};

use crate::states::{ThreadStates, WaitId};

/// A wait that another thread of the same process ended.
pub(super) struct LetOn {
    pub id: WaitId,
    pub thread: ThreadId,
    pub span: Span,
    pub by: ThreadId,
}

impl LetOn {
    /// A wait of which the beginning was recorded, and who ended it, and how.
    pub fn new<'c>(
        capture: &'c Capture,
        states: &ThreadStates,
        id: WaitId,
    ) -> Option<(Self, &'c Wakeup)> {
        let wait = states.wait(id);
        let row = wait.wakeup?.of(capture);
        let by = row.waker.filter(|&by| by != wait.thread && row.context == Context::Task)?;
        let process = |thread: ThreadId| capture.threads.get(thread).process;
        let is_seen = !wait.open_start && !wait.open_end && process(by) == process(wait.thread);
        is_seen.then_some((Self { id, thread: wait.thread, span: wait.span, by }, row))
    }
}

/// Those that one thread ended one after the other, and which nearly cover each other: what they miss is what it takes to stop
/// threads one after the other, and to let them on.
pub(super) fn groups(mut waits: Vec<LetOn>) -> Vec<Vec<LetOn>> {
    const NEARLY_ALL: f64 = 0.8;
    waits.sort_unstable_by_key(|wait| (wait.by, wait.span.end, wait.id));
    let mut groups: Vec<Vec<LetOn>> = Vec::new();
    for wait in waits {
        let is_next = |last: &LetOn| {
            let longer = last.span.duration().max(wait.span.duration());
            last.by == wait.by && last.span.overlap(wait.span).share_of(longer) >= NEARLY_ALL
        };
        match groups.last_mut() {
            Some(group) if group.last().is_some_and(is_next) => group.push(wait),
            _ => groups.push(vec![wait]),
        }
    }
    groups
}
