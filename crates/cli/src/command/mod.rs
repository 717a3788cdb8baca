//! One file for each command.

pub mod check;
pub mod diff;
pub mod export;
pub mod inspect;
mod inspect_names;
pub mod recipe;
pub mod report;
pub mod trap;
pub mod unredact;
