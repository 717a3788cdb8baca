//! Waits for locks that spin, which are nine tenths of all events of contention on a busy machine.
//!
//! No thread sleeps for such a lock, so nothing is asked of these events but how many there were. They are left out up
//! to the first wait of a thread for a lock that lets it sleep: what comes later may belong to either.

use crate::capture::{ContentionPhase, Span, ThreadId, Timestamp};

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

/// Locks for which threads spin, by the lowest bits of the threads' numbers: each with its thread, as far as they were seen
/// to begin. Nobody asks where they stood, so their callchains need not be looked up, which took a twentieth of a report's
/// time.
pub(super) struct Spinning([(i32, u64); 64]);

impl Default for Spinning {
    fn default() -> Self {
        Self([(-1, 0); 64])
    }
}

impl Spinning {
    /// Whether an event is the beginning of such a wait, or the end of one that began.
    pub fn take(&mut self, tid: i32, lock: u64, phase: ContentionPhase) -> bool {
        let last = &mut self.0[tid.cast_unsigned() as usize % 64];
        match phase {
            ContentionPhase::Begin(flags) if flags.spins() => {
                *last = (tid, lock);
                true
            }
            ContentionPhase::Begin(_) => false,
            ContentionPhase::End { .. } => {
                let is_known = *last == (tid, lock);
                if is_known {
                    *last = (-1, 0);
                }
                is_known
            }
        }
    }
}

/// Waits for locks that spin of which no event is made. The first of each thread is one, which tells of the thread.
pub(super) struct Spun([i32; 256]);

impl Default for Spun {
    fn default() -> Self {
        Self([-1; 256])
    }
}

impl Spun {
    /// Whether a thread was asked for lately.
    pub fn is_known(&mut self, tid: i32) -> bool {
        let last = &mut self.0[tid.cast_unsigned() as usize % 256];
        std::mem::replace(last, tid) == tid
    }
}

/// When threads spun of whose waits no event is made: the first and the last of some events that came close to each other,
/// in nanoseconds, and how many they were.
#[derive(Default)]
pub(super) struct SpunTimes(Vec<(u64, u64, u64)>);

impl SpunTimes {
    /// Counts an event.
    pub fn count(&mut self, time: u64) {
        const CLOSE: u64 = 100_000;
        match self.0.last_mut() {
            Some((first, last, count))
                if time.checked_sub(*first).is_some_and(|since| since < CLOSE) =>
            {
                *last = time.max(*last);
                *count += 1;
            }
            _ => self.0.push((time, time, 1)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Span, u64)> {
        self.0
            .iter()
            .map(|&(first, last, count)| (Span::new(Timestamp(first), Timestamp(last)), count))
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

    #[test]
    fn where_threads_spin_is_not_asked_and_where_they_may_sleep_is() {
        let begin = |spin| ContentionPhase::Begin(ContentionFlags { spin, ..Default::default() });
        let end = ContentionPhase::End { result: 0 };
        let mut spinning = Spinning::default();
        let events = [
            (1, 7, begin(true), true),
            (1, 7, end, true),
            (1, 7, end, false),
            (1, 8, begin(false), false),
            (1, 8, end, false),
            (1, 7, begin(true), true),
            (2, 7, end, false),
            (1, 9, end, false),
            // Another thread takes its place.
            (65, 9, begin(true), true),
            (1, 7, end, false),
        ];
        for (number, (tid, lock, phase, known)) in events.into_iter().enumerate() {
            assert_eq!(spinning.take(tid, lock, phase), known, "event {number}");
        }
    }
}
