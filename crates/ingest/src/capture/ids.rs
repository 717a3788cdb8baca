//! Index types: each names the table that it points into, so that they cannot be mixed up.

use std::num::{NonZeroU16, NonZeroU32};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(NonZeroU32);

        impl $name {
            /// The row's number in its table.
            #[must_use]
            pub fn index(self) -> usize {
                self.0.get() as usize - 1
            }

            /// The id of a row by its number; tables stay below 2^32 - 1 rows. Counted from 1 inside, so that an id
            /// that may be missing takes no more room.
            #[must_use]
            pub fn from_index(index: usize) -> Self {
                Self(NonZeroU32::MIN.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
            }
        }
    };
}

index!(
    /// A thread's whole life. The kernel reuses tids; this is never reused.
    ThreadId
);
index!(
    /// A process's whole life.
    ProcessId
);
index!(
    /// A unique frame.
    FrameId
);
index!(
    /// A unique stack.
    StackId
);
index!(
    /// A file that code was mapped from.
    ModuleId
);

/// A CPU. Counted from 1 inside, so that one that may be missing takes no more room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CpuId(NonZeroU16);

impl CpuId {
    /// A CPU by the kernel's number. `None` for numbers that no kernel gives (`NR_CPUS` is 8192 at most, `arch/x86/Kconfig`,
    /// Linux 6.18): they come from damage.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU16::MIN.checked_add(u16::try_from(number).ok()?).map(Self)
    }

    /// The kernel's number.
    #[must_use]
    pub fn number(self) -> u32 {
        u32::from(self.0.get()) - 1
    }

    /// The number as a place in a table.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}
