//! One file for each command.

pub mod check;
pub mod inspect;
mod inspect_names;
pub mod report;
pub mod unredact;
