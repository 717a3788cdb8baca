//! The network, and processes at its other end.

use super::{Suspect, stacks_missing};
use crate::findings::Cause;

pub(super) const NETWORK: Suspect = Suspect {
    cause: Cause::Network,
    missing: stacks_missing,
    against: |case| case.little_waiting(Cause::Network),
};
