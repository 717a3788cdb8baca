//! Waits for one lock, by `lock:contention_begin` and `contention_end`: matched by thread and address, since the
//! end has no flags. One of them can hold several sleeps (a woken writer can lose the lock to a thief).

use std::num::NonZeroU32;

use coldcase_ingest::capture::{
    Capture, ContentionFlags, ContentionPhase, LockContention, Span, StackId, ThreadId, Timestamp,
};

use crate::names;

/// One thread's waiting for one lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contention {
    pub lock: u64,
    /// How the lock was wanted; `None` if it began before the recording.
    pub flags: Option<ContentionFlags>,
    pub stack: Option<StackId>,
}

/// The events of one thread's waiting for one lock, of which there are millions.
#[derive(Clone, Copy)]
struct Events {
    /// `None` if it began before the recording.
    begin: Option<Row>,
    /// `None` if it had not ended when the recording did.
    end: Option<Row>,
}

/// Number of a row of [`Capture::contention`], from 1, so that none takes no more room.
#[derive(Clone, Copy)]
struct Row(NonZeroU32);

impl Row {
    fn from_index(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    fn of(self, capture: &Capture) -> &LockContention {
        &capture.contention[self.0.get() as usize - 1]
    }
}

impl Events {
    /// The first that is known of it.
    fn first(self, capture: &Capture) -> Option<&LockContention> {
        self.begin.or(self.end).map(|row| row.of(capture))
    }

    fn flags(self, capture: &Capture) -> Option<ContentionFlags> {
        match self.begin?.of(capture).phase {
            ContentionPhase::Begin(flags) => Some(flags),
            ContentionPhase::End { .. } => None,
        }
    }

    fn is_of(self, lock: u64, capture: &Capture) -> bool {
        self.first(capture).is_some_and(|row| row.lock == lock)
    }
}

/// All contentions, by thread and in order of time; not those of a thread before the first in which it may have slept,
/// since no sleep is theirs. Nearly all are of locks that spin, and most threads have no others.
pub(crate) struct Contentions<'a> {
    by_thread: Vec<Vec<Events>>,
    capture: &'a Capture,
}

impl<'a> Contentions<'a> {
    pub fn new(capture: &'a Capture) -> Self {
        let mut by_thread: Vec<Vec<Events>> = vec![Vec::new(); capture.threads.len()];
        let mut spun = vec![false; capture.threads.len()];
        for (index, row) in capture.contention.iter().enumerate() {
            let list = &mut by_thread[row.thread.index()];
            let spun = &mut spun[row.thread.index()];
            let number = Some(Row::from_index(index));
            if let ContentionPhase::Begin(flags) = row.phase {
                if list.is_empty() && flags.spins() {
                    *spun = true;
                } else {
                    list.push(Events { begin: number, end: None });
                }
                continue;
            }
            let first = list.is_empty() && !*spun;
            let open = list.iter_mut().rev().take(4).find(|known| known.is_of(row.lock, capture));
            match open {
                Some(open) if open.end.is_none() => open.end = number,
                Some(_) => {}
                // The first event of a thread can end a wait that was under way when the recording
                // began; but spinlocks' begins are often filtered out, and their ends are not.
                None if first && is_sleeping(capture, row.stack) => {
                    list.push(Events { begin: None, end: number });
                }
                None => {}
            }
        }
        Self { by_thread, capture }
    }

    /// To ask for the sleeps of each thread in order of time.
    pub fn cursors(&self) -> Cursors<'_> {
        let of_thread = self.by_thread.iter().map(|list| (&list[..], 0)).collect();
        Cursors { of_thread, capture: self.capture, span: self.capture.whole() }
    }
}

/// How far each thread's contentions have been looked through.
pub(crate) struct Cursors<'a> {
    of_thread: Vec<(&'a [Events], usize)>,
    capture: &'a Capture,
    span: Span,
}

impl Cursors<'_> {
    /// The contention that a thread's sleep belongs to; later sleeps of a thread must be asked for later. The begin
    /// comes before the sleep; the end, some instructions after the switch-in.
    pub fn of_sleep(&mut self, thread: ThreadId, sleep: Span) -> Option<Contention> {
        let (capture, span) = (self.capture, self.span);
        let (list, after) = &mut self.of_thread[thread.index()];
        if list.is_empty() {
            return None;
        }
        let time =
            |row: Option<Row>, unknown: Timestamp| row.map_or(unknown, |row| row.of(capture).time);
        let begins_before = |known: &&Events| time(known.begin, span.start) <= sleep.start;
        *after += list[*after..].iter().take_while(begins_before).count();
        let sleeps = |known: &Events| !known.flags(capture).is_some_and(ContentionFlags::spins);
        let found = list[..*after]
            .iter()
            .rev()
            .take(4)
            .find(|known| sleeps(known) && time(known.end, span.end) >= sleep.end)?;
        let LockContention { lock, stack, .. } = *found.first(capture)?;
        Some(Contention { lock, flags: found.flags(capture), stack })
    }
}

/// Whether an end of contention is that of a lock that sleeps.
fn is_sleeping(capture: &Capture, stack: Option<StackId>) -> bool {
    const SLOW_PATHS: &[&str] =
        &["rwsem_down_", "__mutex_lock", "rwbase_", "percpu_rwsem_wait", "__down", "rt_mutex_slow"];
    let Some(stack) = stack else { return false };
    names::kernel(capture, stack).any(|name| SLOW_PATHS.iter().any(|path| name.starts_with(path)))
}
