//! A decoded record on its way into order: small, and without reference to the file's bytes.

use std::num::NonZeroU32;

use super::chains::ChainId;
use crate::capture::{
    ActivityKind, ContentionPhase, Context, CpuId, MadeCode, MmapLockPhase, Phase, Priority,
    ResidentPart, Syscall, TaskState, WakeupKind,
};

/// A decoded record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    /// Nanoseconds on the capture's clock; 0 for what perf wrote before the recording began.
    pub time: u64,
    /// The current process, as the kernel numbers it; 0 if unknown.
    pub pid: i32,
    /// The current thread; -1 if it was past its end.
    pub tid: i32,
    /// The CPU.
    pub cpu: Option<CpuId>,
    /// Where the current thread stood.
    pub stack: Stood,
    /// What happened.
    pub body: Body,
}

/// A stack before anybody knows what its addresses mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RawStack {
    /// A callchain.
    Chain(ChainId),
    /// Registers and stack bytes, in a table of their own, still to be unwound.
    Dump(u32),
}

/// Where the current thread stood, if that was recorded: a [`RawStack`] in four bytes, since events are moved four times on
/// their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stood(u32);

impl Stood {
    pub const UNKNOWN: Self = Self(u32::MAX);
    /// The highest bit tells what the number counts. A file with so many of either is larger than any disk.
    const DUMP: u32 = 1 << 31;

    pub fn at(stack: RawStack) -> Self {
        match stack {
            RawStack::Chain(ChainId(number)) => Self(number & !Self::DUMP),
            RawStack::Dump(number) => Self(number | Self::DUMP),
        }
    }

    pub fn stack(self) -> Option<RawStack> {
        (self != Self::UNKNOWN).then_some(match self.0 & Self::DUMP {
            0 => RawStack::Chain(ChainId(self.0)),
            _ => RawStack::Dump(self.0 & !Self::DUMP),
        })
    }
}

/// Number of a thread name; counted from 1 inside, so that one that may be missing takes no more room: events are moved
/// four times on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NameId(NonZeroU32);

impl NameId {
    pub fn new(number: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(number))
    }

    pub fn number(self) -> u32 {
        self.0.get() - 1
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    Switch {
        out: Task,
        into: Task,
        state: TaskState,
        priority: Option<Priority>,
    },
    SwitchRecord {
        leaves: bool,
        other: Option<i32>,
        preempted: bool,
    },
    Wakeup {
        wakee: Task,
        context: Context,
        kind: WakeupKind,
    },
    Contention {
        lock: u64,
        phase: ContentionPhase,
    },
    MmapLock {
        mm: u64,
        write: bool,
        phase: MmapLockPhase,
    },
    /// Arguments stand in a table of their own, since few events have any.
    SyscallEnter {
        syscall: Syscall,
        args: u32,
    },
    SyscallExit {
        syscall: Syscall,
        result: i64,
    },
    Sample,
    /// Off its CPU for so long in all, in nanoseconds; the event's time is none.
    OffCpu {
        nanoseconds: u64,
    },
    Activity {
        kind: ActivityKind,
        phase: Phase,
        value: u64,
    },
    Resident {
        space: u32,
        own: bool,
        part: ResidentPart,
        bytes: u64,
    },
    /// Forked by `sched_process_fork`, which does not say into which process.
    Forked {
        child: Task,
    },
    Ended,
    /// A record with names or paths, in a table of its own.
    Record(u32),
}

/// A thread that an event names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub tid: i32,
    pub name: Option<NameId>,
}

/// A record with names or paths.
#[derive(Clone, Debug)]
pub(super) enum SideRecord {
    Comm { pid: i32, tid: i32, name: String, exec: bool },
    Fork { pid: i32, tid: i32, parent_pid: i32, parent_tid: i32 },
    Exit { tid: i32 },
    Mmap(MmapRecord),
    Made(MadeCode),
    Lost { count: u64, samples: bool },
    Throttle,
}

/// A file mapped into memory.
#[derive(Clone, Debug)]
pub(super) struct MmapRecord {
    /// -1 for the kernel.
    pub pid: i32,
    /// Whether the kernel or a process maps it.
    pub kernel: bool,
    pub start: u64,
    pub length: u64,
    /// Offset in the file, in bytes.
    pub file_offset: u64,
    pub path: String,
    pub build_id: Option<Vec<u8>>,
}
