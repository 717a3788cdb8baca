//! Waits for locks that spin, which are nine tenths of all events of contention on a busy machine.
//!
//! No thread sleeps for such a lock, so nothing is asked of these events but how many there were. They are left out up
//! to the first wait of a thread for a lock that lets it sleep: what comes later may belong to either.

use crate::capture::{ContentionPhase, ThreadId};

/// What each thread waited for so far, by its number.
#[derive(Default)]
pub(super) struct Spins(Vec<Waited>);

#[derive(Clone, Copy)]
enum Waited {
    Never,
    Spinning,
    MaybeAsleep,
}

impl Spins {
    /// Whether an event is one of those that are left out.
    pub fn take(&mut self, thread: ThreadId, phase: ContentionPhase) -> bool {
        let index = thread.index();
        if self.0.len() <= index {
            self.0.resize(index + 1, Waited::Never);
        }
        let waited = &mut self.0[index];
        match (*waited, phase) {
            (Waited::MaybeAsleep, _) => return false,
            (_, ContentionPhase::Begin(flags)) if flags.spins() => *waited = Waited::Spinning,
            (Waited::Spinning, ContentionPhase::End { .. }) => {}
            // An end without a begin may be that of a sleep that began before the recording.
            _ => *waited = Waited::MaybeAsleep,
        }
        matches!(waited, Waited::Spinning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ContentionFlags;

    #[test]
    fn who_may_have_slept_has_all_events_from_then_on() {
        let begin = |spin, mutex| {
            ContentionPhase::Begin(ContentionFlags { spin, mutex, ..ContentionFlags::default() })
        };
        let end = ContentionPhase::End { result: 0 };
        let left_out = |phases: &[ContentionPhase]| -> Vec<bool> {
            let mut spins = Spins::default();
            phases.iter().map(|&phase| spins.take(ThreadId::from_index(3), phase)).collect()
        };
        let spins = begin(true, false);
        assert_eq!(left_out(&[spins, end, spins, end]), [true; 4]);
        let mixed = [spins, end, begin(false, true), end, spins, end];
        assert_eq!(left_out(&mixed), [true, true, false, false, false, false]);
        assert_eq!(left_out(&[end, spins, end]), [false; 3]);
        assert_eq!(left_out(&[begin(true, true), end]), [false; 2], "a mutex, watched at first");
    }
}
