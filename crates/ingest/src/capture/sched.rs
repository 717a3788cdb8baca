//! What the scheduler did: context switches, wakeups, on-CPU samples.

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
