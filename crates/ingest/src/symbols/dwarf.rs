//! DWARF: functions, what was inlined into them, files and lines.

use std::borrow::Cow;
use std::sync::Arc;

use addr2line::{Context, LookupContinuation as _, LookupResult};
use gimli::{Dwarf, DwarfSections, EndianSlice, RunTimeEndian, SectionId};
use object::CompressionFormat;
use object::read::{Object, ObjectSection};

use super::demangle::{demangle, is_mangled};
use super::split::{Split, Wanted};

/// Bytes of a section as they stand in a file, in the file's byte order.
pub(super) type Bytes<'a> = EndianSlice<'a, RunTimeEndian>;

/// All sections of one file may expand to this.
pub(super) const LARGEST_EXPANDED: u64 = 2 << 30;
/// Real sections shrink by a factor of 2 to 10; zlib's limit is 1032. More is an attack.
const LARGEST_RATIO: u64 = 1100;
/// More functions than this at one address are not real, nor is what nests deeper in a function.
const DEEPEST: usize = 256;

/// The DWARF of a file, decompressed.
pub(super) struct Sections<'a> {
    sections: DwarfSections<Cow<'a, [u8]>>,
    /// What `dwz` moved into a file that several share.
    shared: Option<DwarfSections<Cow<'a, [u8]>>>,
    endian: RunTimeEndian,
}

/// The units of a file, to be looked up again and again.
pub(super) struct Units<'a>(Arc<Dwarf<Bytes<'a>>>);

/// Looks addresses up. Keeps what it read of each unit that was asked for, which can be more than the file's bytes.
pub(super) struct Lines<'a> {
    context: Context<Bytes<'a>>,
    split: Option<&'a Split<'a>>,
}

/// One function at an address, as far as DWARF knows.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Demangled.
    pub function: Option<String>,
    /// The name was the linker's, so it says which crate or namespace the function belongs to. Builds with
    /// line tables only give the bare name: `insert`, `new`, `{closure#0}`.
    pub qualified: bool,
    /// Source file.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
}

impl<'a> Sections<'a> {
    /// Takes the DWARF out of a file and of the one that it shares with others. A damaged section counts as
    /// empty.
    pub fn load(file: &object::File<'a>, shared: Option<&object::File<'a>>) -> Self {
        let mut budget = LARGEST_EXPANDED;
        let mut load = |file: &object::File<'a>| sections(file, |id| Some(id.name()), &mut budget);
        let (sections, shared) = (load(file), shared.map(&mut load));
        Self { sections, shared, endian: endian(file) }
    }

    /// The units; `None` if they are made to do harm.
    pub fn units(&self) -> Option<Units<'_>> {
        let shared = self.shared.as_ref();
        let mut dwarf =
            self.sections.borrow_with_sup(shared, |bytes| EndianSlice::new(bytes, self.endian));
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        (!nests_too_deep(&dwarf)).then(|| Units(Arc::new(dwarf)))
    }
}

impl<'a> Units<'a> {
    /// Reads the list of units; `None` if it is damaged. What lies in files of their own is looked up in these.
    pub fn lines(&self, split: Option<&'a Split<'a>>) -> Option<Lines<'a>> {
        Some(Lines { context: Context::from_arc_dwarf(Arc::clone(&self.0)).ok()?, split })
    }
}

/// The byte order of a file.
pub(super) fn endian(file: &object::File<'_>) -> RunTimeEndian {
    if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big }
}

/// Whether functions are inlined into each other deeper than any compiler does it. addr2line follows them by
/// recursion, and would use up the stack.
pub(super) fn nests_too_deep<R: gimli::Reader>(dwarf: &gimli::Dwarf<R>) -> bool {
    let mut units = dwarf.units();
    let mut too_deep = false;
    while let (false, Ok(Some(unit))) = (too_deep, units.next()) {
        // What cannot be read here, addr2line cannot read either.
        too_deep = inlining_of_unit(dwarf, &unit).is_ok_and(|depth| depth > DEEPEST);
    }
    too_deep
}

/// How deep functions of a unit are inlined into each other; stops where that is too deep.
fn inlining_of_unit<R: gimli::Reader>(
    dwarf: &gimli::Dwarf<R>,
    unit: &gimli::UnitHeader<R>,
) -> gimli::Result<usize> {
    let abbreviations = dwarf.abbreviations(unit)?;
    let mut entries = unit.entries_raw(&abbreviations, None)?;
    let mut around: Vec<isize> = Vec::new();
    let mut deepest = 0;
    while !entries.is_empty() && deepest <= DEEPEST {
        let depth = entries.next_depth();
        let Ok(entry) = entries.read_abbreviation() else { break };
        let Some(entry) = entry else { continue };
        if entry.tag() == gimli::DW_TAG_inlined_subroutine && entry.has_children() {
            while around.last().is_some_and(|&outer| outer >= depth) {
                around.pop();
            }
            around.push(depth);
            deepest = deepest.max(around.len());
        }
        if entries.skip_attributes(entry.attributes()).is_err() {
            break;
        }
    }
    Ok(deepest)
}

impl Lines<'_> {
    /// What these addresses need of files of their own. Without these files from then on.
    pub fn wanted(&self, addresses: impl Iterator<Item = u64>) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for address in addresses {
            let mut lookup = self.context.find_frames(address);
            while let LookupResult::Load { load, continuation } = lookup {
                wanted.push(Wanted::of(&load));
                lookup = continuation.resume(None);
            }
        }
        wanted
    }

    /// The functions at an address, innermost first; empty where DWARF does not cover it or is damaged.
    pub fn places(&self, address: u64) -> Vec<Place> {
        let mut places = Vec::new();
        let mut lookup = self.context.find_frames(address);
        let frames = loop {
            lookup = match lookup {
                LookupResult::Output(frames) => break frames,
                LookupResult::Load { load, continuation } => {
                    continuation.resume(self.split.and_then(|split| split.unit(&load)))
                }
            };
        };
        let Ok(mut frames) = frames else { return places };
        while let Ok(Some(frame)) = frames.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let name = name.filter(|name| !name.is_empty());
            let location = frame.location;
            let file = location.as_ref().and_then(|location| location.file);
            places.push(Place {
                qualified: name.as_deref().is_some_and(is_mangled),
                function: name.map(|name| demangle(&name)),
                file: file.map(str::to_owned),
                line: location.and_then(|location| location.line).filter(|&line| line > 0),
            });
            if places.len() == DEEPEST {
                break;
            }
        }
        places
    }
}

/// All sections of a file that lookups need, by the names that they have in it; others and damaged ones are empty.
pub(super) fn sections<'a>(
    file: &object::File<'a>,
    name: impl Fn(SectionId) -> Option<&'static str>,
    budget: &mut u64,
) -> DwarfSections<Cow<'a, [u8]>> {
    let section = |id| {
        Ok::<_, gimli::Error>(match name(id).filter(|_| is_needed(id)) {
            Some(name) => section(file, name, budget),
            None => Cow::default(),
        })
    };
    DwarfSections::load(section).unwrap_or_default()
}

/// A section's bytes, empty if it is damaged or not there. Memory is set aside only for what its compressed bytes can
/// really hold.
pub(super) fn section<'a>(file: &object::File<'a>, name: &str, budget: &mut u64) -> Cow<'a, [u8]> {
    let mut expanded = || {
        let section = file.section_by_name(name)?;
        let range = section.compressed_file_range().ok()?;
        if range.format != CompressionFormat::None {
            let (from, to) = (range.compressed_size, range.uncompressed_size);
            *budget = budget.checked_sub(to).filter(|_| to / LARGEST_RATIO <= from)?;
        }
        section.uncompressed_data().ok()
    };
    expanded().unwrap_or_default()
}

/// Where variables live, types and macros are half of all DWARF, and nobody asks for them.
fn is_needed(id: SectionId) -> bool {
    !matches!(
        id,
        SectionId::DebugLoc
            | SectionId::DebugLocLists
            | SectionId::DebugMacinfo
            | SectionId::DebugMacro
            | SectionId::DebugNames
            | SectionId::DebugTypes
    )
}
