//! What the scheduler did: context switches, wakeups, on-CPU samples.

use std::num::NonZeroU8;

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

    /// A small number for each, and for none.
    fn number_of(priority: Option<Self>) -> u64 {
        priority.map_or(0, |priority| u64::from(priority.0.get()))
    }

    /// What has this number, by its lowest eight bits.
    fn of_number(number: u64) -> Option<Self> {
        NonZeroU8::new(number as u8).map(Self)
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

impl Row for Switch {
    type Columns = [u64; 6];

    fn columns(&self) -> Self::Columns {
        let (cpu, stack) = (CpuId::number_of(self.cpu), StackId::number_of(self.stack));
        let [out, into] = [self.out, self.into].map(ThreadId::number_of);
        // Both are small, and mostly the same.
        let how = self.state.number() << 8 | Priority::number_of(self.priority);
        [self.time.0, cpu, out, into, how, stack]
    }

    fn of_columns([time, cpu, out, into, how, stack]: Self::Columns) -> Self {
        Self {
            time: Timestamp(time),
            cpu: CpuId::of_number(cpu),
            out: ThreadId::of_number(out),
            into: ThreadId::of_number(into),
            state: TaskState::of_number(how >> 8),
            stack: StackId::of_number(stack),
            priority: Priority::of_number(how),
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
    fn priorities_are_the_kernels_upside_down() {
        let told = |number| Priority::new(number).map(|p| (p.is_before_others(), p.real_time()));
        assert_eq!(told(49), Some((true, Some(50))));
        assert_eq!(told(0), Some((true, Some(99))));
        assert_eq!(told(-1), Some((true, None)));
        assert_eq!(told(120), Some((false, None)));
        assert_eq!((told(-2), told(140)), (None, None));
    }

    #[test]
    fn rows_are_as_good_as_their_numbers() {
        let same = |one: String, other: String| assert_eq!(one, other);
        let thread = ThreadId::from_index(usize::MAX - 1);
        for state in TaskState::ALL {
            let (time, cpu) = (Timestamp(u64::MAX), CpuId::new(8191));
            let (out, priority) = (Some(thread), Priority::new(state.number().cast_signed()));
            let switch = Switch { time, cpu, out, into: None, state, stack: None, priority };
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
