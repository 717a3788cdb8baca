//! Who was off its CPU where only the contention of locks was recorded (`perf lock record`, `-e 'lock:*'`).
//!
//! ```text
//! recorded    begin (stack) -------- end        of locks for which threads sleep
//! drawn       leaves (D, stack) ---- comes
//! ```
//!
//! A contention begins where the kernel gives up on getting the lock at once, and ends where the thread has it
//! (`include/trace/events/lock.h`, Linux 5.19 and later). Who watches a mutex's owner has begun one that it spins in; before it sleeps, it
//! begins another (`__mutex_lock_common`, `kernel/locking/mutex.c`).

use rustc_hash::FxHashMap;

use crate::capture::{Capture, ContentionPhase, Switch, TaskState, ThreadId};

/// Draws switches from contention, where nothing else tells who left a CPU.
pub(crate) fn draw_switches(capture: &mut Capture) {
    if !capture.shows_locks_alone() || !capture.switches.is_empty() {
        return;
    }
    let mut open: FxHashMap<ThreadId, u64> = FxHashMap::default();
    let mut switches = Vec::new();
    for row in &capture.contention {
        let (out, into) = match row.phase {
            ContentionPhase::Begin(flags) if flags.spin => continue,
            ContentionPhase::Begin(_) => {
                // Nobody sleeps for two locks at once.
                open.insert(row.thread, row.lock);
                (Some(row.thread), None)
            }
            // Ends are those of locks that spin, too.
            ContentionPhase::End { .. } => {
                if open.get(&row.thread) != Some(&row.lock) {
                    continue;
                }
                open.remove(&row.thread);
                (None, Some(row.thread))
            }
        };
        let stack = row.stack.filter(|_| out.is_some());
        let state = match out {
            Some(_) => TaskState::Uninterruptible,
            None => TaskState::Unknown,
        };
        switches.push(Switch {
            time: row.time,
            cpu: None,
            out,
            into,
            state,
            stack,
            priority: None,
        });
    }
    if switches.is_empty() {
        return;
    }
    capture.switches = switches;
    capture.warn(
        "only waits for locks of the kernel were recorded: whoever waited for anything else is not seen, and was not on a CPU for sure",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{ContentionFlags, EventCount, LockContention, Meaning, Timestamp};

    fn capture(meanings: &[Meaning], rows: &[(u64, i32, u64, Option<ContentionFlags>)]) -> Capture {
        let mut capture = Capture::default();
        let event = |&meaning| EventCount {
            name: format!("{meaning:?}"),
            count: 1,
            meaning: Some(meaning),
            sampled: false,
            every: None,
        };
        capture.events = meanings.iter().map(event).collect();
        for &(time, tid, lock, flags) in rows {
            let phase = flags.map_or(ContentionPhase::End { result: 0 }, ContentionPhase::Begin);
            let thread = capture.threads.of_tid(tid);
            capture.contention.push(LockContention {
                time: Timestamp(time),
                thread,
                lock,
                phase,
                stack: None,
            });
        }
        draw_switches(&mut capture);
        capture
    }

    fn drawn(capture: &Capture) -> Vec<(u64, bool)> {
        capture.switches.iter().map(|row| (row.time.0, row.out.is_some())).collect()
    }

    const WRITE: Option<ContentionFlags> = Some(ContentionFlags { write: true, ..NONE });
    const NONE: ContentionFlags = ContentionFlags {
        spin: false,
        read: false,
        write: false,
        mutex: false,
        percpu: false,
        rt: false,
    };

    #[test]
    fn a_thread_is_away_from_the_begin_of_its_contention_to_its_end() {
        let rows = [(1, 7, 0xa, WRITE), (5, 7, 0xa, None), (6, 7, 0xb, WRITE)];
        let found = capture(&[Meaning::Contention], &rows);
        assert_eq!(drawn(&found), [(1, true), (5, false), (6, true)]);
        assert_eq!(found.warnings.len(), 1);
    }

    #[test]
    fn who_spins_is_not_away() {
        let spin = Some(ContentionFlags { spin: true, ..NONE });
        let watch = Some(ContentionFlags { spin: true, mutex: true, ..NONE });
        let mutex = Some(ContentionFlags { mutex: true, ..NONE });
        let rows = [
            (1, 7, 0xa, spin),
            (2, 7, 0xa, None),
            (3, 7, 0xb, watch),
            (4, 7, 0xb, None),
            (5, 7, 0xb, watch),
            (6, 7, 0xb, mutex),
            // An interrupt's own lock.
            (7, 7, 0xc, None),
            (8, 7, 0xb, None),
        ];
        assert_eq!(drawn(&capture(&[Meaning::Contention], &rows)), [(6, true), (8, false)]);
    }

    #[test]
    fn where_switches_were_recorded_none_are_drawn() {
        let rows = [(1, 7, 0xa, WRITE), (5, 7, 0xa, None)];
        for more in [Meaning::Switches, Meaning::SwitchRecords] {
            assert_eq!(drawn(&capture(&[Meaning::Contention, more], &rows)), []);
        }
    }
}
