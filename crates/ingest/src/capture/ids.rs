//! Index types: each names the table that it points into, so that they cannot be mixed up.

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// The row's number in its table.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a row by its number; tables stay below 2^32 rows.
            #[must_use]
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
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
