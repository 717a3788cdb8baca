//! Programs of the captured machine, for unwinding stacks: found and checked as they are for names.

use std::ops::{Deref, Range};
use std::sync::Arc;

use object::read::{Object, ObjectSection};

use super::SymbolSources;
use super::binary::{self, Segments};
use super::places::Places;
use crate::capture::Module;

/// Where programs may be taken from.
pub(crate) struct Programs {
    places: Places,
}

/// A program's file.
pub(crate) struct Program {
    bytes: Arc<Vec<u8>>,
    segments: Segments,
}

/// A section of a program, without copying it; by default an empty one.
#[derive(Default)]
pub(crate) struct Section {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Programs {
    /// Opens the folders that were named. What is wrong with one is said when names are looked up.
    pub fn open(sources: &SymbolSources) -> Self {
        Self { places: Places::open(sources, &mut Vec::new()) }
    }

    /// The file of a module, if it is there and the right one.
    pub fn program(&self, module: &Module) -> Option<Program> {
        let found = self.places.locate(module);
        let file = found.files.into_iter().find(|file| file.summary.code)?;
        let segments = Segments::of(&binary::parse(&file.bytes).ok()?);
        Some(Program { bytes: Arc::new(file.bytes), segments })
    }
}

impl Program {
    /// The address, as the file itself counts them, of its byte 0, by the code among these bytes of it.
    pub fn origin(&self, code: Range<u64>) -> Option<u64> {
        self.segments.origin_of(code)
    }

    /// A section's addresses, as the file itself counts them, and its bytes.
    pub fn section(&self, name: &str) -> Option<(Range<u64>, Section)> {
        let file = binary::parse(&self.bytes).ok()?;
        let section = file.section_by_name(name)?;
        let (offset, size) = section.file_range()?;
        let end = offset.checked_add(size)?;
        let range = usize::try_from(offset).ok()?..usize::try_from(end).ok()?;
        self.bytes.get(range.clone())?;
        let addresses = section.address()..section.address().checked_add(size)?;
        Some((addresses, Section { bytes: Arc::clone(&self.bytes), range }))
    }
}

impl Deref for Section {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}
