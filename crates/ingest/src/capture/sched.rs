//! What the scheduler did: context switches, wakeups, on-CPU samples.

use super::{CpuId, Row, StackId, ThreadId, Timestamp};

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

impl Row for Switch {
    type Columns = [u64; 6];

    fn columns(&self) -> Self::Columns {
        let (cpu, stack) = (CpuId::number_of(self.cpu), StackId::number_of(self.stack));
        let [out, into] = [self.out, self.into].map(ThreadId::number_of);
        [self.time.0, cpu, out, into, self.state.number(), stack]
    }

    fn of_columns([time, cpu, out, into, state, stack]: Self::Columns) -> Self {
        Self {
            time: Timestamp(time),
            cpu: CpuId::of_number(cpu),
            out: ThreadId::of_number(out),
            into: ThreadId::of_number(into),
            state: TaskState::of_number(state),
            stack: StackId::of_number(stack),
        }
    }
}

impl TaskState {
    /// All of them, each at the place of its number.
    const ALL: [Self; 10] = [
        Self::Preempted,
        Self::Runnable,
        Self::Sleeping,
        Self::Uninterruptible,
        Self::Stopped,
        Self::Traced,
        Self::Dead,
        Self::Idle,
        Self::Parked,
        Self::Unknown,
    ];

    /// A small number for each.
    #[must_use]
    pub fn number(self) -> u64 {
        self as u64
    }

    /// The state of such a number.
    #[must_use]
    pub fn of_number(number: u64) -> Self {
        let known = usize::try_from(number).ok().and_then(|number| Self::ALL.get(number));
        known.copied().unwrap_or(Self::Unknown)
    }

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

impl Row for Wakeup {
    type Columns = [u64; 6];

    fn columns(&self) -> Self::Columns {
        let (waker, wakee) =
            (ThreadId::number_of(self.waker), ThreadId::number_of(Some(self.wakee)));
        let (context, kind) = (self.context as u64, self.kind as u64);
        [self.time.0, waker, wakee, context, kind, StackId::number_of(self.stack)]
    }

    fn of_columns([time, waker, wakee, context, kind, stack]: Self::Columns) -> Self {
        Self {
            time: Timestamp(time),
            waker: ThreadId::of_number(waker),
            wakee: ThreadId::of_number(wakee).unwrap_or(ThreadId::from_index(0)),
            context: match context {
                0 => Context::Task,
                1 => Context::SoftIrq,
                _ => Context::HardIrq,
            },
            kind: match kind {
                0 => WakeupKind::Waking,
                1 => WakeupKind::Wakeup,
                _ => WakeupKind::New,
            },
            stack: StackId::of_number(stack),
        }
    }
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

impl Row for Sample {
    type Columns = [u64; 4];

    fn columns(&self) -> Self::Columns {
        let thread = ThreadId::number_of(Some(self.thread));
        [self.time.0, CpuId::number_of(self.cpu), thread, StackId::number_of(self.stack)]
    }

    fn of_columns([time, cpu, thread, stack]: Self::Columns) -> Self {
        Self {
            time: Timestamp(time),
            cpu: CpuId::of_number(cpu),
            thread: ThreadId::of_number(thread).unwrap_or(ThreadId::from_index(0)),
            stack: StackId::of_number(stack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_good_as_their_numbers() {
        let same = |one: String, other: String| assert_eq!(one, other);
        let thread = ThreadId::from_index(usize::MAX - 1);
        for state in TaskState::ALL {
            let (time, cpu) = (Timestamp(u64::MAX), CpuId::new(8191));
            let switch = Switch { time, cpu, out: Some(thread), into: None, state, stack: None };
            same(format!("{:?}", Switch::of_columns(switch.columns())), format!("{switch:?}"));
        }
        for context in [Context::Task, Context::SoftIrq, Context::HardIrq] {
            for kind in [WakeupKind::Waking, WakeupKind::Wakeup, WakeupKind::New] {
                let (time, stack) = (Timestamp(0), Some(StackId::from_index(0)));
                let wakeup = Wakeup { time, waker: None, wakee: thread, context, kind, stack };
                same(format!("{:?}", Wakeup::of_columns(wakeup.columns())), format!("{wakeup:?}"));
            }
        }
        let sample = Sample { time: Timestamp(3), cpu: CpuId::new(0), thread, stack: None };
        same(format!("{:?}", Sample::of_columns(sample.columns())), format!("{sample:?}"));
    }
}
