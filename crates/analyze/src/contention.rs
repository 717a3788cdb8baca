//! Waits for one lock, by `lock:contention_begin` and `contention_end`: matched by thread and address, since the
//! end has no flags. One of them can hold several sleeps (a woken writer can lose the lock to a thief).

use coldcase_ingest::capture::{
    Capture, ContentionFlags, ContentionPhase, Span, StackId, ThreadId, Timestamp,
};

use crate::names;

/// One thread's waiting for one lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contention {
    pub lock: u64,
    /// `None` if it began before the recording.
    pub begin: Option<Timestamp>,
    /// `None` if it had not ended when the recording did.
    pub end: Option<Timestamp>,
    pub flags: Option<ContentionFlags>,
    pub stack: Option<StackId>,
}

/// All contentions, by thread and in order of time.
pub(crate) struct Contentions {
    by_thread: Vec<Vec<Contention>>,
    capture: Span,
}

impl Contentions {
    pub fn new(capture: &Capture) -> Self {
        let mut by_thread: Vec<Vec<Contention>> = vec![Vec::new(); capture.threads.len()];
        for row in &capture.contention {
            let list = &mut by_thread[row.thread.index()];
            let (lock, stack) = (row.lock, row.stack);
            match row.phase {
                ContentionPhase::Begin(flags) => {
                    let (begin, flags) = (Some(row.time), Some(flags));
                    list.push(Contention { lock, begin, end: None, flags, stack });
                }
                ContentionPhase::End { .. } => {
                    let first = list.is_empty();
                    let open = list.iter_mut().rev().take(4).find(|known| known.lock == lock);
                    match open {
                        Some(open) if open.end.is_none() => open.end = Some(row.time),
                        Some(_) => {}
                        // The first event of a thread can end a wait that was under way when the recording
                        // began; but spinlocks' begins are often filtered out, and their ends are not.
                        None if first && is_sleeping(capture, stack) => {
                            let (end, flags) = (Some(row.time), None);
                            list.push(Contention { lock, begin: None, end, flags, stack });
                        }
                        None => {}
                    }
                }
            }
        }
        Self { by_thread, capture: capture.whole() }
    }

    /// To ask for the sleeps of each thread in order of time.
    pub fn cursors(&self) -> Cursors<'_> {
        let of_thread = self.by_thread.iter().map(|list| (&list[..], 0)).collect();
        Cursors { of_thread, capture: self.capture }
    }
}

/// How far each thread's contentions have been looked through.
pub(crate) struct Cursors<'a> {
    of_thread: Vec<(&'a [Contention], usize)>,
    capture: Span,
}

impl<'a> Cursors<'a> {
    /// The contention that a thread's sleep belongs to; later sleeps of a thread must be asked for later. The begin
    /// comes before the sleep; the end, some instructions after the switch-in.
    pub fn of_sleep(&mut self, thread: ThreadId, sleep: Span) -> Option<&'a Contention> {
        let capture = self.capture;
        let (list, after) = &mut self.of_thread[thread.index()];
        let begins_before =
            |known: &Contention| known.begin.unwrap_or(capture.start) <= sleep.start;
        *after += list[*after..].iter().take_while(|known| begins_before(known)).count();
        list[..*after].iter().rev().take(4).find(|known| {
            known.end.unwrap_or(capture.end) >= sleep.end
                && !known.flags.is_some_and(|flags| flags.spin && !flags.mutex)
        })
    }
}

/// Whether an end of contention is that of a lock that sleeps.
fn is_sleeping(capture: &Capture, stack: Option<StackId>) -> bool {
    const SLOW_PATHS: &[&str] =
        &["rwsem_down_", "__mutex_lock", "rwbase_", "percpu_rwsem_wait", "__down", "rt_mutex_slow"];
    let Some(stack) = stack else { return false };
    names::kernel(capture, stack).any(|name| SLOW_PATHS.iter().any(|path| name.starts_with(path)))
}
