//! What the scheduler did: context switches, wakeups, on-CPU samples.

use std::num::NonZeroU8;

use super::{CpuId, StackId, ThreadId, Timestamp};

/// A CPU went from one thread to another.
///
/// From `sched:sched_switch`, or from a `PERF_RECORD_SWITCH`, which knows one side only.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    /// When.
    pub time: Timestamp,
    /// On which CPU.
    pub cpu: Option<CpuId>,
    /// The thread that left.
    pub out: Option<ThreadId>,
    /// The thread that came.
    pub into: Option<ThreadId>,
    /// The state in which `out` left.
    pub state: TaskState,
    /// Where `out` stood.
    pub stack: Option<StackId>,
    /// The priority with which `into` came.
    pub priority: Option<Priority>,
}

/// How urgent a thread is to the scheduler (`task_struct.prio`, `include/linux/sched/prio.h`), as it was when it came to a CPU: a
/// thread that others of more urgency wait for inherits theirs. Counted from 1 inside, so that one that may be missing takes no
/// more room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The kernel's number: -1 of deadline threads, 0 to 98 of real-time ones, of which 0 is the most urgent, 99 of none, and 100 to
    /// 139 of all others. `None` for numbers that no kernel gives.
    #[must_use]
    pub fn new(number: i64) -> Option<Self> {
        let counted =
            u8::try_from(number.checked_add(2)?).ok().filter(|&counted| counted <= 141)?;
        NonZeroU8::new(counted).map(Self)
    }

    /// The kernel's number.
    fn number(self) -> i16 {
        i16::from(self.0.get()) - 2
    }

    /// Whether a thread goes before all ordinary ones, whatever these weigh, for as long as it likes.
    #[must_use]
    pub fn is_before_others(self) -> bool {
        self.number() < 100
    }

    /// The real-time priority, from 1 to 99, of which 99 is the most urgent (`man 7 sched`); `None` for a thread of another policy.
    #[must_use]
    pub fn real_time(self) -> Option<u8> {
        u8::try_from(99 - self.number()).ok().filter(|priority| (1..=99).contains(priority))
    }
}

/// The state in which a thread left its CPU (`prev_state` of `sched:sched_switch`, decoded by the flag
/// table of the capture's own `print fmt`, since masks and letters differ between kernels).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskState {
    /// `R+`: taken off the CPU against its will.
    Preempted,
    /// `R`: gave way, but wants to run (`sched_yield`, or a wakeup that came before the switch).
    Runnable,
    /// `S`: interruptible sleep.
    Sleeping,
    /// `D`: uninterruptible sleep. Not always I/O: kernel locks wait like this.
    Uninterruptible,
    /// `T`: stopped by a signal.
    Stopped,
    /// `t`: stopped by a tracer.
    Traced,
    /// `X`, `Z`: ended.
    Dead,
    /// `I`: an idle kernel thread.
    Idle,
    /// `P`: a parked kernel thread.
    Parked,
    /// The capture does not say.
    Unknown,
}

impl TaskState {
    /// Whether the thread wanted to run on: it waits for a CPU, for nothing else.
    #[must_use]
    pub fn is_runnable(self) -> bool {
        matches!(self, Self::Preempted | Self::Runnable)
    }
}

/// In which context the kernel ran when it recorded something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// On behalf of the current thread.
    Task,
    /// A software interrupt: the current thread has nothing to do with it.
    SoftIrq,
    /// A hardware interrupt or an NMI: likewise.
    HardIrq,
}

/// Which event announced a wakeup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WakeupKind {
    /// `sched:sched_waking`: always in the waker's context.
    Waking,
    /// `sched:sched_wakeup`: may run on the target's CPU, so its current thread need not be the waker.
    Wakeup,
    /// `sched:sched_wakeup_new`: a new thread's first.
    New,
}

/// Someone made a thread runnable.
#[derive(Clone, Copy, Debug)]
pub struct Wakeup {
    /// When.
    pub time: Timestamp,
    /// Who was current on the CPU that did it.
    pub waker: Option<ThreadId>,
    /// Who was woken.
    pub wakee: ThreadId,
    /// In which context: in an interrupt, `waker` is a bystander.
    pub context: Context,
    /// By which event we know.
    pub kind: WakeupKind,
    /// Where the waker stood.
    pub stack: Option<StackId>,
}

/// A thread was seen on a CPU.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub time: Timestamp,
    /// On which CPU.
    pub cpu: Option<CpuId>,
    /// Who.
    pub thread: ThreadId,
    /// Where it stood.
    pub stack: Option<StackId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_the_kernels_upside_down() {
        let told = |number| Priority::new(number).map(|p| (p.is_before_others(), p.real_time()));
        assert_eq!(told(49), Some((true, Some(50))));
        assert_eq!(told(0), Some((true, Some(99))));
        assert_eq!(told(-1), Some((true, None)));
        assert_eq!(told(120), Some((false, None)));
        assert_eq!((told(-2), told(140)), (None, None));
    }
}
