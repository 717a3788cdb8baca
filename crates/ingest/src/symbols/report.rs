//! What symbol resolution found, and what it looked for in vain: for `inspect`, and for the warnings.

use std::path::PathBuf;

use crate::capture::{ModuleId, Sentence, WhyNoSymbol};

/// Where names come from, and which are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymbolReport {
    /// The kernel.
    pub kernel: KernelReport,
    /// User frames of all modules, and those that no mapping covers.
    pub user: Count,
    /// One row for each module that frames point into, by id.
    pub modules: Vec<ModuleReport>,
    /// What a person must know before believing the names.
    pub warnings: Vec<Sentence>,
}

/// How many unique frames have a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// With a name.
    pub resolved: usize,
    /// All of them.
    pub total: usize,
}

/// Names of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelReport {
    /// Unique kernel frames.
    pub frames: Count,
    /// Where the names come from, or why there are none; one sentence.
    pub source: Sentence,
    /// Whether no list of symbols fits.
    pub is_missing: bool,
    /// Loadable modules that frames lie in, with their number of frames, by name.
    pub modules: Vec<(String, usize)>,
}

/// Names of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleReport {
    /// Which module.
    pub module: ModuleId,
    /// As the capture names it.
    pub path: String,
    /// Its unique frames.
    pub frames: Count,
    /// The files that names were taken from: the program, its debug file, or both.
    pub files: Vec<PathBuf>,
    /// Why frames of it have no name; `None` if all have one.
    pub reason: Option<WhyNoSymbol>,
    /// Its build id, as people write it, if the capture has one.
    pub build_id: Option<String>,
    /// For a person: what was looked for and where, which files were turned down and why.
    pub notes: Vec<Sentence>,
}
