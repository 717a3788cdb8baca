//! `mmap_lock` holds from the lock's own events, and which process each lock belongs to.

use coldcase_ingest::capture::{
    Capture, MmapLock, MmapLockPhase, Nanos, ProcessId, SeededMap, Span, StackId, ThreadId,
    Timestamp,
};
use rustc_hash::FxHashMap;

use crate::findings::{LockMode, Operation};
use crate::sites::operation;
use crate::states::Wait;

/// One time that a thread held an `mmap_lock`, by `mmap_lock:mmap_lock_acquire_returned` and
/// `mmap_lock_released`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MmapHold {
    pub thread: ThreadId,
    pub span: Span,
    /// It began before the recording did.
    pub open_start: bool,
    /// How it was taken; a later downgrade does not change this.
    pub mode: LockMode,
    /// When a writer let readers in.
    downgraded: Option<Timestamp>,
    pub stack: Option<StackId>,
}

/// Address spaces, as the `mmap_lock` events name them.
pub(crate) struct AddressSpaces {
    owner: SeededMap<u64, ProcessId>,
    holds: FxHashMap<ProcessId, Vec<MmapHold>>,
    /// When each thread asked for or got which lock.
    asked: FxHashMap<ThreadId, Vec<(Timestamp, u64)>>,
}

impl AddressSpaces {
    pub fn new(capture: &Capture) -> Self {
        let owner = owners(capture);
        let mut spaces = Self { owner, holds: FxHashMap::default(), asked: FxHashMap::default() };
        let mut open: SeededMap<(ThreadId, u64), MmapHold> = SeededMap::default();
        for row in &capture.mmap_locks {
            spaces.asked.entry(row.thread).or_default().push((row.time, row.mm));
            spaces.follow(row, &mut open, capture.span);
        }
        let end = capture.span.map_or(Timestamp(0), |span| span.end);
        for ((_, mm), hold) in open {
            spaces.keep(mm, hold, end);
        }
        for holds in spaces.holds.values_mut() {
            holds.sort_by_key(|hold| (hold.span.start, hold.span.end, hold.thread));
            drop_contradicted(holds);
        }
        spaces
    }

    fn follow(
        &mut self,
        row: &MmapLock,
        open: &mut SeededMap<(ThreadId, u64), MmapHold>,
        capture: Option<Span>,
    ) {
        let (thread, key) = (row.thread, (row.thread, row.mm));
        let mode = if row.write { LockMode::Write } else { LockMode::Read };
        match row.phase {
            MmapLockPhase::Acquired { success: true } => {
                let span = Span::new(row.time, row.time);
                let (open_start, downgraded, stack) = (false, None, row.stack);
                let hold = MmapHold { thread, span, open_start, mode, downgraded, stack };
                // An acquisition by somebody who has the lock is a downgrade: the same hold goes on.
                let known = open.entry(key).or_insert(hold);
                if known.span.start < row.time {
                    known.downgraded = Some(row.time);
                }
            }
            MmapLockPhase::Released => {
                let start = capture.map_or(row.time, |span| span.start);
                let span = Span::new(start, row.time);
                let (open_start, downgraded, stack) = (true, None, row.stack);
                let unknown = MmapHold { thread, span, open_start, mode, downgraded, stack };
                let hold = open.remove(&key).unwrap_or(unknown);
                self.keep(row.mm, hold, row.time);
            }
            MmapLockPhase::Start | MmapLockPhase::Acquired { success: false } => {}
        }
    }

    fn keep(&mut self, mm: u64, hold: MmapHold, end: Timestamp) {
        let Some(&owner) = self.owner.get(&mm) else { return };
        let hold = MmapHold { span: Span::new(hold.span.start, end), ..hold };
        self.holds.entry(owner).or_default().push(hold);
    }

    /// All holds of a process's `mmap_lock`, by their beginning; foreign holders included.
    pub fn holds(&self, process: ProcessId) -> &[MmapHold] {
        self.holds.get(&process).map_or(&[], Vec::as_slice)
    }

    /// Whose lock a thread waited for: the first that it got after the wait, or asked for before.
    pub fn waited_for(&self, wait: &Wait) -> Option<ProcessId> {
        let asked = self.asked.get(&wait.thread)?;
        let after = asked.partition_point(|(time, _)| *time < wait.span.end);
        let mm = asked.get(after).or_else(|| asked[..after].last())?.1;
        self.owner.get(&mm).copied()
    }
}

/// Drops holds during which somebody else got the lock: their release was lost, or their beginning, and who had
/// the lock in between is unknown.
fn drop_contradicted(holds: &mut Vec<MmapHold>) {
    /// Clocks of two CPUs differ by less.
    const SKEW: Nanos = Nanos(10_000);
    let mut contradicted = vec![false; holds.len()];
    let mut active: Vec<usize> = Vec::new();
    for (index, next) in holds.iter().enumerate() {
        let taken = next.span.start;
        active.retain(|&earlier| holds[earlier].span.end > taken.plus(SKEW));
        for &earlier in &active {
            let hold = &holds[earlier];
            let alone = hold.mode == LockMode::Write
                && hold.downgraded.is_none_or(|downgraded| downgraded > taken.plus(SKEW));
            contradicted[earlier] |= alone || next.mode == LockMode::Write;
        }
        active.push(index);
    }
    let mut contradicted = contradicted.into_iter();
    holds.retain(|_| contradicted.next() != Some(true));
}

/// The process of each address space: the one that takes its lock most often, other than to look into
/// somebody else's memory.
fn owners(capture: &Capture) -> SeededMap<u64, ProcessId> {
    let mut counts: SeededMap<(u64, ProcessId), u64> = SeededMap::default();
    for row in &capture.mmap_locks {
        let stack = row.stack.and_then(|stack| operation::of_stack(capture, stack));
        let weight = if stack == Some(Operation::ProcRead) { 0 } else { 1 };
        let process = capture.threads.get(row.thread).process;
        *counts.entry((row.mm, process)).or_default() += weight;
    }
    let mut best: SeededMap<u64, (u64, std::cmp::Reverse<ProcessId>)> = SeededMap::default();
    for ((mm, process), count) in counts {
        let candidate = (count, std::cmp::Reverse(process));
        let known = best.entry(mm).or_insert(candidate);
        *known = candidate.max(*known);
    }
    best.into_iter().map(|(mm, (_, process))| (mm, process.0)).collect()
}
