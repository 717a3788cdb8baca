//! The heap of a Java VM, which HotSpot enlarges in a pause.
//!
//! Where a collection leaves too little room, the VM's own thread maps the next part of the range that is reserved for the heap upon it
//! (`os::pd_commit_memory`, `src/hotspot/os/linux/os_linux.cpp`, JDK 8 to 21), and with `-XX:+AlwaysPreTouch` each of its pages is written
//! to before the program goes on. What is given back is mapped likewise, but with MAP_NORESERVE (`os::pd_uncommit_memory`).

use crate::findings::{Container, ContainerKind};
use crate::sites::brackets::Bracket;
use crate::sites::memory;

/// To touch less takes no longer than anybody notices; cards and marks of a heap that grows are mapped in smaller parts, too.
const SMALLEST: u64 = 32 << 20;

/// Whether a call of the VM's thread gives memory to a part of what it has reserved.
pub(super) fn commits(call: &Bracket) -> bool {
    let flags = memory::flags(call);
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    has("MAP_FIXED") && has("MAP_ANONYMOUS") && !has("MAP_NORESERVE")
}

/// A step of so many bytes; the next one hangs on what the program keeps.
pub(super) fn step(bytes: u64) -> Option<Container> {
    (bytes >= SMALLEST).then_some(Container {
        kind: ContainerKind::JavaHeap,
        bytes,
        entries: None,
        entry_bytes: None,
        buckets: None,
        trigger_insert: None,
        next: None,
    })
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::SyscallPhase;

    use crate::analyze;
    use crate::script::{self, SLEEPS};

    /// JDK 17's own words: `Expand the heap. requested expansion amount: 1056964608B`, in a pause of 2.2 s; its mmap had the flags 0x32,
    /// and those that give memory back 0x4032.
    #[test]
    fn the_largest_step_in_a_pause_is_told_and_what_is_given_back_is_none() {
        let grown = |flags: u64| {
            let mut threads = vec![('m', "VM Thread")];
            threads.extend(('a'..='d').map(|letter| (letter, "serve")));
            let waits = ('a'..='d').map(|t| format!("101ms {t}>m S FUTEX"));
            let ends = ('a'..='d').map(|t| format!("501ms m!{t} WAKES,501ms ->{t}"));
            let calls = "110ms m(mmap,111ms m)mmap,112ms m(mmap,113ms m)mmap".to_owned();
            let sleeps = ('a'..='d').map(|t| format!("502ms {t}>m S {SLEEPS}"));
            let events: Vec<String> = waits.chain([calls]).chain(ends).chain(sleeps).collect();
            let mut capture = script::with_habits(&threads, &events.join(","));
            let sizes = [1_056_964_608, 16_515_072];
            let enters = capture.syscalls.iter_mut().filter_map(|row| match &mut row.phase {
                SyscallPhase::Enter { args } => Some(args),
                SyscallPhase::Exit { .. } => None,
            });
            for (args, bytes) in enters.zip(sizes) {
                *args = [0x7_0000_0000, bytes, 3, flags, u64::MAX, 0];
            }
            analyze(&capture, &script::options()).verdict.container
        };
        let container = grown(0x32).unwrap();
        assert_eq!(
            (container.kind, container.bytes),
            (super::ContainerKind::JavaHeap, 1_056_964_608)
        );
        assert_eq!(grown(0x4032), None);
    }
}
