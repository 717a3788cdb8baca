//! Resident sizes of address spaces, as `kmem:rss_stat` tells them.

use super::{ThreadId, Timestamp};

/// One part of an address space's resident size has changed (`kmem:rss_stat`, since Linux 5.6).
///
/// From Linux 5.6 to 6.1 a thread's page faults are told by 64s (`TASK_RSS_EVENTS_THRESH`, `mm/memory.c`), so sizes
/// lag by up to as many pages for each thread; later each change is told at once.
#[derive(Clone, Copy, Debug)]
pub struct ResidentSize {
    /// When.
    pub time: Timestamp,
    /// Who was current.
    pub thread: ThreadId,
    /// Which address space: a number that the kernel gives it until it ends, and then to another.
    pub space: u32,
    /// Whether it is the current thread's own; not so for who ends, forks or takes memory away from others.
    pub own: bool,
    /// Which part.
    pub part: ResidentPart,
    /// Its size after the change, in bytes.
    pub bytes: u64,
}

/// The parts of a resident size, each counted by itself (`include/linux/mm_types_task.h`, Linux 4.5 to 6.18).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ResidentPart {
    /// `MM_FILEPAGES`: mapped files.
    File,
    /// `MM_ANONPAGES`: heaps, stacks and anonymous mappings.
    Anonymous,
    /// `MM_SWAPENTS`: swapped out, and so not resident.
    Swap,
    /// `MM_SHMEMPAGES`: shared memory.
    Shared,
}

impl ResidentPart {
    /// Every part, in the order of the kernel's numbers.
    pub const ALL: [Self; 4] = [Self::File, Self::Anonymous, Self::Swap, Self::Shared];

    /// The part of the kernel's number.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The part of the kernel's name; Linux 5.6 to 5.11 print its number.
    pub(crate) fn from_text(text: &[u8]) -> Option<Self> {
        match text {
            b"MM_FILEPAGES" | b"0" => Some(Self::File),
            b"MM_ANONPAGES" | b"1" => Some(Self::Anonymous),
            b"MM_SWAPENTS" | b"2" => Some(Self::Swap),
            b"MM_SHMEMPAGES" | b"3" => Some(Self::Shared),
            _ => None,
        }
    }
}
