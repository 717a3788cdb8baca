//! Names for addresses, from real programs: some built here by the C compiler, and this test itself.

// clippy.toml allows it in test functions, but not in what they share.
#![allow(clippy::unwrap_used)]

mod fixture;
mod hostile;
mod kernel;
mod located;
mod own_binary;
mod program;
