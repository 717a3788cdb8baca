//! Names for addresses, from real programs: some built here by the C compiler, and this test itself.

// clippy.toml allows it in test functions, but not in what they share.
#![allow(clippy::unwrap_used)]

mod debug_files;
mod fixture;
mod hostile;
mod kernel;
mod kernel_image;
mod located;
mod modules;
mod own_binary;
mod packed;
mod program;
mod split;
