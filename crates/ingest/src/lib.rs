//! Every capture format becomes one [`Capture`](capture::Capture).

pub mod capture;
pub mod symbols;
