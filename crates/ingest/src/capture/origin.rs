//! Where a capture comes from.

use std::fmt;

/// The recording's own words about itself; each may be missing.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The input format.
    pub format: Format,
    /// Kernel release (`uname -r`).
    pub kernel: Option<String>,
    /// Machine (`uname -m`).
    pub arch: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// Version of the recording tool.
    pub recorder: Option<String>,
    /// The recording command, one argument an entry.
    pub command: Vec<String>,
    /// CPUs online while recording.
    pub cpus: Option<u32>,
    /// A kernel symbol and its address when the capture was recorded (`_text`, as a rule), by which the
    /// symbols of another boot of the same kernel are moved into place.
    pub kernel_reference: Option<(String, u64)>,
}

/// Input formats.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Format {
    /// `perf.data` with an index at its front.
    #[default]
    PerfData,
    /// `perf.data` written to a pipe.
    PerfPipe,
    /// Folded stacks with microseconds.
    Folded,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerfData => "perf.data",
            Self::PerfPipe => "perf.data (pipe)",
            Self::Folded => "folded",
        })
    }
}
