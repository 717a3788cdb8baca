//! Off-CPU profiles: sums without the times of single waits.

use super::{Nanos, StackId, ThreadId};

/// Off-CPU time summed over one stack of one command, as `offcputime -f` prints it.
///
/// The sum runs over all threads of that name, and over the whole recording or a slice of it; waits that had not
/// ended are missing, so it is a lower bound.
#[derive(Clone, Copy, Debug)]
pub struct ProfileRow {
    /// The command; one made-up thread stands for all threads of its name.
    pub thread: ThreadId,
    /// Where they stood.
    pub stack: StackId,
    /// Time off-CPU, in nanoseconds.
    pub off_cpu: Nanos,
    /// Who ended these waits, where the format says.
    pub waker: Option<ProfileWaker>,
    /// The part of the recording that the sum is of, by its index in [`Capture::slices`](super::Capture::slices); `None`:
    /// all of it.
    pub slice: Option<u32>,
}

/// Who made a thread runnable, as `offwaketime` and `wakeuptime` tell it.
#[derive(Clone, Copy, Debug)]
pub struct ProfileWaker {
    /// The command; in an interrupt, who happened to be current.
    pub thread: ThreadId,
    /// Where it stood.
    pub stack: StackId,
}
