//! What the fuzz targets share.

pub mod events;
pub mod inert;
pub mod outputs;
pub mod perf_file;
pub mod seeds;
pub mod targets;
