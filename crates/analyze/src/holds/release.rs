//! What a waker's stack says: who let go of which kind of lock, and in which call.
//!
//! `try_to_wake_up <- wake_up_q <- rwsem_wake <- up_write | up_read | downgrade_write <- site` is a holder's
//! stack. A thread that queues for the lock can issue the wakeup too (`rwsem_cond_wake_waiter` in a
//! `down_*_slowpath`): without an `up_*` or `downgrade_*` in the stack there is no holder
//! (`kernel/locking/rwsem.c`, Linux 5.8 to 6.18).

use coldcase_ingest::capture::{Capture, Mode, StackId, Syscall};

use crate::findings::{Cause, LockMode, Operation};
use crate::names;
use crate::rules::WaitKind;
use crate::sites::operation;

/// How a lock was let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    /// `up_read`: the last reader left; or the end of a downgraded hold.
    Read,
    /// `up_write`.
    Write,
    /// `downgrade_write`: readers may come in, the holder goes on.
    Downgrade,
    /// A mutex, a semaphore, a futex.
    Other,
}

/// Whether a waker thaws a file system, whose locks are kept from the call that froze it to the one that thaws it (`fs/super.c`).
pub(crate) fn is_thaw(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack).any(|name| matches!(name, "thaw_super_locked" | "thaw_super"))
}

/// The release that a waker's stack shows, if it shows one.
pub(crate) fn of_stack(capture: &Capture, stack: StackId) -> Option<Release> {
    let mut found = None;
    for name in names::kernel(capture, stack) {
        let release = match name {
            "up_read"
            | "__up_read"
            | "mmap_read_unlock"
            | "rwbase_read_unlock"
            | "__rwbase_read_unlock" => Release::Read,
            "up_write" | "__up_write" | "mmap_write_unlock" | "rwbase_write_unlock" => {
                Release::Write
            }
            "downgrade_write"
            | "__downgrade_write"
            | "mmap_write_downgrade"
            | "rwbase_write_downgrade" => Release::Downgrade,
            "mutex_unlock"
            | "__mutex_unlock_slowpath"
            | "rt_mutex_slowunlock"
            | "rt_mutex_unlock"
            | "__up"
            | "up"
            | "percpu_up_write"
            | "futex_wake"
            | "futex_unlock_pi"
            | "futex_wake_op"
            | "do_futex"
            | "futex_requeue"
            | "locks_wake_up_blocks"
            | "__locks_wake_up_blocks" => Release::Other,
            "rwsem_down_write_slowpath" | "rwsem_down_read_slowpath" => return None,
            _ => continue,
        };
        found = Some(release);
        break;
    }
    found
}

/// What the wakee must have waited for, if its own stack is not in the capture: a semaphore that a memory
/// operation let go. `execve` has another besides, `exec_update_lock` (`setup_new_exec`, `fs/exec.c`).
pub(crate) fn released_lock(capture: &Capture, stack: StackId) -> Option<WaitKind> {
    match of_stack(capture, stack)? {
        Release::Other => return None,
        Release::Read | Release::Write | Release::Downgrade => {}
    }
    let operation = operation::of_stack(capture, stack)?;
    let ambiguous = matches!(operation, Operation::Syscall(Syscall::Execve | Syscall::Execveat));
    (operation::is_memory(operation) && !ambiguous).then_some(WaitKind::Harm(Cause::MmapLock, None))
}

/// Whether a waker's stack lets go of a futex.
pub(crate) fn wakes_futex(capture: &Capture, stack: StackId) -> bool {
    const FUNCTIONS: &[&str] = &["do_futex", "futex_wake", "futex_wake_op", "futex_unlock_pi"];
    names::kernel(capture, stack).any(|name| FUNCTIONS.contains(&name))
}

/// Whether a thread waits in the futex system call (`kernel/futex/`).
pub(crate) fn waits_at_futex(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack).any(|name| name == "do_futex")
}

/// Whether a waker's stack lets go of a futex, and says by a function of the program that it is a lock's, and hands out no
/// work: glibc (`nptl/`, 2.2 and later), Rust's standard library (`library/std/src/sys/sync/`) and parking_lot. An interrupt
/// has the stack of whom it interrupts.
pub(crate) fn unlocks(capture: &Capture, stack: StackId) -> bool {
    const FUNCTIONS: [&str; 11] = [
        "__lll_lock_wake",
        "__lll_lock_wake_private",
        "___pthread_mutex_unlock",
        "__pthread_mutex_unlock",
        "__pthread_mutex_unlock_usercnt",
        "___pthread_rwlock_unlock",
        "__pthread_rwlock_unlock",
        "std::sys::sync::mutex::futex::Mutex::wake",
        "std::sys::sync::rwlock::futex::RwLock::wake_writer_or_readers",
        "parking_lot::raw_mutex::RawMutex::unlock_slow",
        "parking_lot::raw_rwlock::RawRwLock::unlock_shared_slow",
    ];
    wakes_futex(capture, stack)
        && names::user(capture, stack).any(|name| FUNCTIONS.contains(&&*names::of_program(name)))
}

/// Whether a waker's stack ends a one-time initialisation: `__pthread_once_slow` (`nptl/pthread_once.c`), `__cxa_guard_release` and
/// `__cxa_guard_abort` (`libsupc++/guard.cc`), Rust's `Once` (`library/std/src/sys/sync/once/futex.rs`). The initialiser stands in such
/// a function all along, and may let others on otherwise: only the innermost counts, but for those that make the system call.
pub(crate) fn ends_initialisation(capture: &Capture, stack: StackId) -> bool {
    const FUNCTIONS: [&str; 5] = [
        "__pthread_once_slow",
        "__cxa_guard_release",
        "__cxa_guard_abort",
        "std::sys::sync::once::futex::Once::call",
        "<std::sys::sync::once::futex::CompletionGuard as core::ops::drop::Drop>::drop",
    ];
    let frames = capture.stacks.frames(stack).iter().map(|&id| capture.frames.get(id));
    let user = frames.filter(|frame| frame.mode == Mode::User).map(|frame| frame.function());
    let mut waking = user.skip_while(|name| name.is_some_and(names::calls_futex));
    wakes_futex(capture, stack)
        && waking
            .next()
            .flatten()
            .is_some_and(|name| FUNCTIONS.contains(&&*names::of_program(name)))
}

/// Whether a waker's stack tells somebody in a poll or at a socket that something has come: `fs/select.c`, `fs/eventpoll.c`,
/// `net/core/sock.c`.
pub(crate) fn tells_a_poller(capture: &Capture, stack: StackId) -> bool {
    const FUNCTIONS: [&str; 3] = ["pollwake", "ep_poll_callback", "sock_def_readable"];
    names::kernel(capture, stack).any(|name| FUNCTIONS.contains(&name))
}

/// How the lock had been taken that was let go like this: what unmaps takes it for writing and ends as a
/// reader (`vms_complete_munmap_vmas`, `mm/vma.c`, Linux 6.18; `__do_munmap` since 4.20). What fills new memory has
/// let go before, and took it as a reader (`__mm_populate`, `mm/gup.c`).
pub(crate) fn taken_as(
    capture: &Capture,
    release: Release,
    operation: Option<Operation>,
    stack: Option<StackId>,
) -> Option<LockMode> {
    let fills = stack
        .is_some_and(|stack| names::kernel(capture, stack).any(|name| name == "__mm_populate"));
    match (release, operation) {
        (Release::Write | Release::Downgrade, _) => Some(LockMode::Write),
        (Release::Read, _) if fills => Some(LockMode::Read),
        (
            Release::Read,
            Some(Operation::Syscall(Syscall::Munmap | Syscall::Brk | Syscall::Mremap)),
        ) => Some(LockMode::Write),
        (Release::Read, _) => Some(LockMode::Read),
        (Release::Other, _) => None,
    }
}
