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
    /// Whether the recording covered every thread of the machine.
    pub system_wide: Option<bool>,
    /// A kernel symbol (`_text`, say) with its address while recording: what tells by how much an address
    /// space that is laid out at random differs from a list of symbols of another boot.
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
