//! Which threads belong together, where a text gives thread numbers only.
//!
//! Threads of one process share its `mmap_lock`. So two threads belong together if both took their own address space's lock at the
//! same address, or if one, letting go of it, woke the other, which waited for its own; or if one woke the other from a futex. (A futex
//! in memory that processes share would join these: databases of many processes use semaphores or latches of their own for that.)

use rustc_hash::FxHashMap;

use crate::capture::{Capture, Context, Mode, StackId, ThreadId};

/// Functions in which a thread takes the lock of its own address space, by system call or page fault. What takes others' (readers of
/// `/proc`, ptrace, khugepaged) is none of them.
const OWN: &[&str] = &[
    "vm_mmap_pgoff",
    "ksys_mmap_pgoff",
    "__vm_munmap",
    "vms_complete_munmap_vmas",
    "do_vmi_align_munmap",
    "do_vmi_munmap",
    "__do_munmap",
    "dup_mmap",
    "vm_munmap",
    "__do_sys_munmap",
    "__x64_sys_munmap",
    "__do_sys_brk",
    "__x64_sys_brk",
    "do_mprotect_pkey",
    "do_madvise",
    "do_mremap",
    "__do_sys_mremap",
    "do_mlock",
    "__mm_populate",
    "apply_mlockall_flags",
    "lock_mm_and_find_vma",
    "do_user_addr_fault",
    "exc_page_fault",
    "__do_page_fault",
    "do_page_fault",
];

/// Marks the kernel's own threads: they begin in `ret_from_fork` and have no user frames.
pub(super) fn mark_kernel_threads(capture: &mut Capture) {
    let mut known: FxHashMap<StackId, bool> = FxHashMap::default();
    for index in 0..capture.switches.len() {
        let row = capture.switches[index];
        if let (Some(thread), Some(stack)) = (row.out, row.stack)
            && *known.entry(stack).or_insert_with(|| is_kernel_thread(capture, stack))
        {
            capture.threads.mark_kernel(thread);
        }
    }
}

fn is_kernel_thread(capture: &Capture, stack: StackId) -> bool {
    let mut names = names(capture, stack).collect::<Vec<_>>().into_iter().rev();
    names.next().is_some_and(|name| name.starts_with("ret_from_fork"))
        && names.any(|name| name == "kthread")
}

/// Puts threads that share an address space into one process.
pub(super) fn join(capture: &mut Capture) {
    let spaces = Spaces::new(capture);
    let mut pairs = Vec::new();
    let mut first: FxHashMap<u64, ThreadId> = FxHashMap::default();
    let mut locks: Vec<(ThreadId, u64)> = spaces.locks.into_iter().collect();
    locks.sort_unstable();
    for (thread, lock) in locks {
        pairs.push((*first.entry(lock).or_insert(thread), thread));
    }
    pairs.extend(spaces.woken);
    for (a, b) in pairs {
        capture.threads.join(a, b);
    }
}

#[derive(Default)]
struct Spaces {
    /// The lock of a thread's own address space; 0 if it had several (it ran another program).
    locks: FxHashMap<ThreadId, u64>,
    woken: Vec<(ThreadId, ThreadId)>,
}

impl Spaces {
    fn new(capture: &Capture) -> Self {
        let mut own = OwnLock { capture, known: FxHashMap::default() };
        let mut spaces = Self::default();
        for row in &capture.mmap_locks {
            spaces.note(row.thread, row.mm, own.taken(row.stack));
        }
        // A lock lies inside its address space: its address is another key than `mm`, and only one of both is needed.
        if capture.mmap_locks.is_empty() {
            for row in &capture.contention {
                spaces.note(row.thread, row.lock, own.waited_for(row.stack));
            }
        }
        spaces.locks.retain(|_, lock| *lock != 0);
        spaces.woken = woken(capture, &mut own);
        spaces
    }

    fn note(&mut self, thread: ThreadId, lock: u64, own: bool) {
        if own {
            let known = self.locks.entry(thread).or_insert(lock);
            if *known != lock {
                *known = 0;
            }
        }
    }
}

/// Wakings between threads of one address space.
fn woken(capture: &Capture, own: &mut OwnLock<'_>) -> Vec<(ThreadId, ThreadId)> {
    let mut pairs = Vec::new();
    let mut switches = capture.switches.iter().peekable();
    let mut stands: FxHashMap<ThreadId, Option<StackId>> = FxHashMap::default();
    for wakeup in capture.wakeups.iter().filter(|row| row.context == Context::Task) {
        while let Some(switch) = switches.next_if(|switch| switch.time <= wakeup.time) {
            if let Some(thread) = switch.out {
                stands.insert(thread, switch.stack);
            }
        }
        let waited = stands.get(&wakeup.wakee).copied().flatten();
        let lock = own.waited_for(wakeup.stack) && own.waited_for(waited);
        let futex =
            || in_futex(capture, wakeup.stack, "futex_wake") && in_futex(capture, waited, "futex_");
        if let Some(waker) = wakeup.waker
            && (lock || futex())
        {
            pairs.push((waker, wakeup.wakee));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

fn in_futex(capture: &Capture, stack: Option<StackId>, function: &str) -> bool {
    stack.is_some_and(|stack| names(capture, stack).any(|name| name.starts_with(function)))
}

/// Whether a stack takes, waits for or lets go of the lock of its own address space.
struct OwnLock<'a> {
    capture: &'a Capture,
    known: FxHashMap<(StackId, bool), bool>,
}

impl OwnLock<'_> {
    /// In an event of `mmap_lock:*`. Without a stack it is taken for its own: who reads others' address spaces has one of its own too,
    /// and counts for none then.
    fn taken(&mut self, stack: Option<StackId>) -> bool {
        stack.is_none() || self.ask(stack, false)
    }

    /// In a switch, a waking or a contention: the lock's own functions come first.
    fn waited_for(&mut self, stack: Option<StackId>) -> bool {
        self.ask(stack, true)
    }

    fn ask(&mut self, stack: Option<StackId>, through_rwsem: bool) -> bool {
        let Some(stack) = stack else { return false };
        let capture = self.capture;
        *self.known.entry((stack, through_rwsem)).or_insert_with(|| {
            let mut rwsem = false;
            let caller = names(capture, stack).skip_while(|name| match is_rwsem(name) {
                true => {
                    rwsem = true;
                    true
                }
                false => !rwsem && !OWN.contains(name),
            });
            let own = caller.into_iter().next().is_some_and(|name| OWN.contains(&name));
            own && (rwsem || !through_rwsem)
        })
    }
}

fn is_rwsem(name: &str) -> bool {
    ["rwsem_", "__rwsem_", "down_", "__down_", "up_", "__up_", "downgrade_write", "call_rwsem"]
        .iter()
        .any(|known| name.starts_with(known))
}

/// Names of the kernel's frames, innermost first.
fn names(capture: &Capture, stack: StackId) -> impl Iterator<Item = &str> {
    let frames = capture.stacks.frames(stack).iter().map(|&id| capture.frames.get(id));
    let kernel = frames.take_while(|frame| frame.mode == Mode::Kernel);
    kernel.filter_map(|frame| frame.function())
}

#[cfg(test)]
mod tests {
    use super::super::builder::Builder;
    use super::super::frames::Chains;
    use super::*;
    use crate::capture::Format;

    #[test]
    fn only_the_lock_of_ones_own_space_counts() {
        let mut out = Builder::new(Format::PerfScript);
        let mut chains = Chains::default();
        let mut stack = |names: &[&str]| {
            let text: String =
                names.iter().map(|name| format!("\t{name} ([kernel.kallsyms])\n")).collect();
            chains.stack(text.leak().as_bytes(), &mut out)
        };
        let waits = stack(&[
            "__schedule",
            "rwsem_down_write_slowpath",
            "down_write_killable",
            "vm_mmap_pgoff",
        ]);
        let other = stack(&[
            "__schedule",
            "rwsem_down_write_slowpath",
            "down_write",
            "unlink_anon_vmas",
            "vm_mmap_pgoff",
        ]);
        let reader =
            stack(&["rwsem_down_read_slowpath", "down_read_killable", "m_start", "seq_read"]);
        let takes = stack(&["__mmap_lock_do_trace_released", "__vm_munmap"]);
        let capture = out.capture;
        let mut own = OwnLock { capture: &capture, known: FxHashMap::default() };
        assert!(own.waited_for(waits));
        assert!(!own.waited_for(other));
        assert!(!own.waited_for(reader) && !own.taken(reader));
        assert!(own.taken(takes) && !own.waited_for(takes) && own.taken(None));
    }
}
