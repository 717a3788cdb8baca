//! Exports of stored captures, read back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod firefox;
mod hostile;
mod parquet;
mod support;
mod tables;
