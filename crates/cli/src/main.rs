//! coldcase.
fn main() {}
