//! Names for addresses.
//!
//! Comes in: a [`Capture`] whose frames are places (a byte of a file, an address in the kernel), and the
//! files and folders that a person named. Goes out: each unique frame with its function, what was inlined
//! into it, and the source line, or with a precise reason for having none.
//!
//! - No file is opened outside the folders in [`SymbolSources`], whatever path the capture holds.
//! - A file is used only if its build id is the capture's. Where the capture has none, a file found by its
//!   path is used, unless return addresses show that it is another build's (`return_addresses.rs`), and the report
//!   says that it could not be checked.
//! - Nothing is executed, nothing is downloaded, and no environment variable is read.
//!
//! # Return addresses
//! All but the innermost entry of a stack are return addresses: they point behind the call, which may
//! already be the next line, or even the next function. So the byte before the address is looked up. An
//! address that is exactly a function's first byte is looked up as it is: it was interrupted there, or a
//! trampoline (`__restore_rt`, ftrace) put it there. What this gets wrong is an instruction that was
//! interrupted at the first byte of a line: it shows the line before.

mod address_table;
mod binary;
mod build_id;
mod calls;
mod debug_link;
pub(crate) mod demangle;
mod dwarf;
mod elf_symbols;
mod file_names;
mod folder;
mod jit_dump;
mod jit_map;
mod kallsyms;
mod kernel;
mod kernel_image;
mod kernel_list;
mod kernel_modules;
mod offsets;
mod places;
mod plausible;
mod programs;
mod read;
mod report;
mod return_addresses;
mod search;
mod split;
mod user;

use std::path::PathBuf;

use self::kernel_list::KernelList;
use crate::capture::{Capture, Mode, Symbol};

pub(crate) use programs::{Program, Programs, Section};
pub use report::{Count, KernelReport, ModuleReport, SymbolReport};

/// Where names may be taken from. All of it is the caller's choice.
#[derive(Clone, Debug, Default)]
pub struct SymbolSources {
    /// The captured kernel's symbols: a copy of its `/proc/kallsyms`, its `System.map` or its `vmlinux`, plain
    /// or compressed.
    pub kallsyms: Option<PathBuf>,
    /// Folders with the captured machine's binaries and debug files, by path, by name or by build id.
    pub symfs: Vec<PathBuf>,
    /// perf's build-id cache (`~/.debug`); `None` leaves it alone.
    pub build_id_cache: Option<PathBuf>,
    /// Folders of this machine in which files are looked for by build id alone: `/usr/lib/debug`, and
    /// debuginfod's cache.
    pub debug_folders: Vec<PathBuf>,
    /// Whether this machine's own kernel may be asked, should its build id be the captured one.
    pub running_kernel: bool,
}

/// Names every frame of the capture that has no name yet, and says where the names come from.
///
/// Changes nothing but the frames' symbols; the report's warnings are the caller's to pass on.
pub fn resolve(capture: &mut Capture, sources: &SymbolSources) -> SymbolReport {
    Namer::start(sources).name(capture)
}

/// Gives names while a capture is read: the kernel's symbols are read meanwhile, and once for all of its chapters.
pub struct Namer<'s> {
    sources: &'s SymbolSources,
    kernel: KernelList,
}

impl<'s> Namer<'s> {
    /// Begins to read the list of the kernel's symbols that a person named.
    #[must_use]
    pub fn start(sources: &'s SymbolSources) -> Self {
        Self { sources, kernel: KernelList::start(sources) }
    }

    /// Names what has no name yet, as [`resolve`] does.
    pub fn name(&mut self, capture: &mut Capture) -> SymbolReport {
        let mut report = SymbolReport::default();
        report.kernel =
            kernel::resolve(capture, self.sources, &mut self.kernel, &mut report.warnings);
        report.modules = user::resolve(capture, self.sources, &mut report.warnings);
        report.user = count(capture, Mode::User);
        report
    }
}

/// How many frames of a mode have a name.
fn count(capture: &Capture, mode: Mode) -> Count {
    let mut count = Count::default();
    for (_, frame) in capture.frames.iter().filter(|(_, frame)| frame.mode == mode) {
        count.total += 1;
        count.resolved += usize::from(matches!(frame.symbol, Symbol::Known(_)));
    }
    count
}
