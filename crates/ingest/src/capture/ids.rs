//! Index types: each names the table that it points into, so that they cannot be mixed up.

use std::num::NonZeroU32;

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
