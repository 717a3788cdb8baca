//! Disks and file systems: ruled out by how little was waited for them, with what the disks did meanwhile where
//! that was recorded.

use coldcase_ingest::capture::{ActivityKind, Meaning};

use super::{Case, Suspect, recorded, stacks_missing};
use crate::findings::Cause;

pub(super) const PAGE_FAULT_IO: Suspect = Suspect {
    cause: Cause::PageFaultIo,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::PageFaultIo),
};

pub(super) const DISK_IO: Suspect =
    Suspect { cause: Cause::DiskIo, missing: stacks_missing, against: few_requests };

pub(super) const FS_JOURNAL: Suspect = Suspect {
    cause: Cause::FsJournal,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::FsJournal),
};

fn few_requests(case: &Case<'_, '_>) -> Option<String> {
    let waiting = case.little_waiting(Cause::DiskIo)?;
    if !recorded(case.model, &[Meaning::BlockIo]) {
        return Some(waiting);
    }
    let (count, time) = case.doings(ActivityKind::BlockIo, true);
    let busy = time.as_millis_f64();
    Some(format!("{waiting}; all disks worked on {count} requests for {busy:.1} ms"))
}
