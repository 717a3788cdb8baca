//! Names for addresses, from real programs: some built here by the C compiler, and this test itself.

mod fixture;
mod hostile;
mod kernel;
mod located;
mod own_binary;
mod program;
