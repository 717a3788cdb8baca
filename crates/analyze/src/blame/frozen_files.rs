//! Writes that wait until a file system is thawed.
//!
//! A freeze (`FIFREEZE`, `fs/super.c` `freeze_super`) takes a lock for writing that no thread keeps: it is a state of the file system, which
//! outlives the one who asked for it (`fsfreeze`, a snapshot, a virtual machine's guest agent). Who thaws it wakes those who wait, and
//! need not be the one who froze it.

use coldcase_ingest::capture::Nanos;

use crate::blame::{Leaf, Root};
use crate::model::Model;
use crate::states::WaitId;

/// The rules' name for such a wait.
const SITE: &str = "frozen file system";

/// Whether a wait is for a file system to be thawed.
pub(crate) fn is_wait(model: &Model<'_>, wait: WaitId) -> bool {
    is_named(model.sites.name(model.sites.of(wait)))
}

/// Whether a site's name is that of such a wait, in whatever call.
pub(crate) fn is_named(site: &str) -> bool {
    site.strip_prefix(SITE).is_some_and(|call| call.is_empty() || call.starts_with(" in "))
}

/// How much of what was waited ends there.
pub(crate) fn waited(model: &Model<'_>, leaves: &[Leaf]) -> Nanos {
    let at_one = leaves.iter().filter(|leaf| match leaf.root {
        Root::Blocked(_, wait) | Root::Own(wait) => is_wait(model, wait),
        _ => false,
    });
    at_one.map(|leaf| leaf.time).sum()
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use crate::findings::{Cause, Findings, Grade};
    use crate::script;

    /// What is found of those who wait for what d lets go of.
    fn behind_d(does: &str) -> Findings {
        analyze(&script::behind_d(does), &script::options())
    }

    const WRITES: &str = "D schedule<percpu_rwsem_wait<__percpu_down_read<vfs_write<ksys_write";
    const THAWS: &str = "__wake_up_common<percpu_up_write<thaw_super_locked<__x64_sys_ioctl";

    #[test]
    fn who_writes_with_a_lock_to_a_frozen_file_system_is_a_victim_too() {
        let findings = behind_d(&format!("102ms d>- {WRITES},500ms x!d {THAWS},500ms ->d"));
        let worst = findings.worst().unwrap();
        assert_eq!((worst.cause, worst.grade), (Some(Cause::Rwsem), Grade::Strong));
        assert!(worst.culprit.is_none(), "{:?}", worst.culprit);
        assert!(
            worst.remedies[0].action.to_string().contains("file system"),
            "{:?}",
            worst.remedies
        );
    }

    #[test]
    fn who_computes_with_the_lock_is_none() {
        let findings = behind_d("102ms .d");
        let worst = findings.worst().unwrap();
        assert_eq!(worst.cause, Some(Cause::Futex));
        assert!(worst.culprit.is_some());
    }
}
