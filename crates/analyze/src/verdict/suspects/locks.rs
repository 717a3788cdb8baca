//! Locks of the kernel and of programs: ruled out by how little was waited for them.

use super::{Suspect, stacks_missing};
use crate::findings::Cause;

pub(super) const MMAP_LOCK: Suspect = Suspect {
    cause: Cause::MmapLock,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::MmapLock),
};

pub(super) const VMA_LOCK: Suspect = Suspect {
    cause: Cause::VmaLock,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::VmaLock),
};

pub(super) const RWSEM: Suspect = Suspect {
    cause: Cause::Rwsem,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::Rwsem),
};

pub(super) const MUTEX: Suspect = Suspect {
    cause: Cause::Mutex,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::Mutex),
};

pub(super) const FUTEX: Suspect = Suspect {
    cause: Cause::Futex,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::Futex),
};
