//! One time that a thread was blocked, and how it is kept.

use std::num::NonZeroU32;

use coldcase_ingest::capture::{
    Capture, Nanos, Row, Span, StackId, TaskState, ThreadId, Timestamp, Wakeup,
};

/// Index into [`ThreadStates::waits`](crate::thread_state::ThreadStates::waits).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct WaitId(pub u32);

impl WaitId {
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// One time that a thread was blocked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub thread: ThreadId,
    /// From the switch-out to the waking; or, where no waking is known, to the switch-in.
    pub span: Span,
    /// It began before the recording did.
    pub open_start: bool,
    /// It had not ended when the recording did.
    pub open_end: bool,
    pub state: TaskState,
    pub stack: Option<StackId>,
    /// The wakeup that ended it.
    pub wakeup: Option<WakeupId>,
}

impl Row for Wait {
    type Columns = [u64; 6];

    fn columns(&self) -> Self::Columns {
        let (thread, stack) =
            (ThreadId::number_of(Some(self.thread)), StackId::number_of(self.stack));
        let [open_start, open_end] = [self.open_start, self.open_end].map(u64::from);
        let state = self.state.number() << 2 | open_start << 1 | open_end;
        let wakeup = self.wakeup.map_or(0, |WakeupId(number)| number.get().into());
        // By their ends they are nearly in order, so that these differ by little.
        [self.span.end.0, self.span.duration().0, thread, state, stack, wakeup]
    }

    fn of_columns([end, length, thread, state, stack, wakeup]: Self::Columns) -> Self {
        let end = Timestamp(end);
        Self {
            thread: ThreadId::of_number(thread).unwrap_or(ThreadId::from_index(0)),
            span: Span { start: end.minus(Nanos(length)), end },
            open_start: state & 2 != 0,
            open_end: state & 1 != 0,
            state: TaskState::of_number(state >> 2),
            stack: StackId::of_number(stack),
            wakeup: u32::try_from(wakeup).ok().and_then(NonZeroU32::new).map(WakeupId),
        }
    }
}

/// Index into [`Capture::wakeups`], from 1, so that none takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WakeupId(NonZeroU32);

impl WakeupId {
    pub fn from_index(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The row.
    pub fn of(self, capture: &Capture) -> Wakeup {
        capture.wakeups.get(self.0.get() as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_as_good_as_its_numbers() {
        let span = Span::new(Timestamp(7), Timestamp(u64::MAX));
        let (thread, stack) = (ThreadId::from_index(0), Some(StackId::from_index(0)));
        let wakeups = [None, Some(WakeupId::from_index(0)), Some(WakeupId::from_index(8))];
        for (number, wakeup) in wakeups.into_iter().enumerate() {
            let (open_start, open_end) = (number == 1, number == 2);
            let state = TaskState::of_number(number as u64);
            let wait = Wait { thread, span, open_start, open_end, state, stack, wakeup };
            assert_eq!(format!("{:?}", Wait::of_columns(wait.columns())), format!("{wait:?}"));
        }
    }
}
