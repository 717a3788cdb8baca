//! Split DWARF: debug information that a compiler left in files of its own (`-gsplit-dwarf`), one for each unit (`.dwo`), or
//! all in one (`.dwp`, made by `dwp` and `llvm-dwp`).
//!
//! Such a file has no build id. Instead each unit has a number, which the program names: a file of another build lacks it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use addr2line::SplitDwarfLoad;
use gimli::{
    DebugCuIndex, Dwarf, DwarfPackage, DwarfPackageSections, DwarfSections, EndianSlice,
    RunTimeEndian, SectionId,
};
use object::read::{Object, ObjectSection};

use super::binary;
use super::dwarf::{self, Bytes, LARGEST_EXPANDED};
use super::places::Places;
use crate::capture::{Module, Sentence};

/// Files of single units may have so many bytes together; units beyond have the names of the symbol table.
const LARGEST_TOGETHER: usize = 1 << 30;

/// A unit whose debug information lies elsewhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Wanted {
    /// The unit's number.
    pub id: u64,
    /// The folder that the compiler ran in.
    pub folder: String,
    /// The file, from there.
    pub name: String,
}

/// Files with split debug information.
#[derive(Default)]
pub(super) struct SplitFiles {
    package: Option<File>,
    units: Vec<File>,
    /// Files that were turned down and what was not found, for a person.
    pub notes: Vec<Sentence>,
}

struct File {
    shown: PathBuf,
    bytes: Vec<u8>,
}

/// A unit's sections and their byte order.
type UnitSections<'a> = (DwarfSections<Cow<'a, [u8]>>, RunTimeEndian);

/// What they hold, decompressed.
pub(super) struct SplitSections<'a> {
    package: Option<(DwarfPackageSections<Cow<'a, [u8]>>, RunTimeEndian)>,
    units: Vec<UnitSections<'a>>,
}

/// The same by the units' numbers.
pub(super) struct Split<'a> {
    package: Option<DwarfPackage<Bytes<'a>>>,
    units: BTreeMap<u64, &'a UnitSections<'a>>,
}

impl Wanted {
    /// What a lookup asks for.
    pub fn of(load: &SplitDwarfLoad<Bytes<'_>>) -> Self {
        let text = |bytes: Option<Bytes<'_>>| {
            bytes.map_or(String::new(), |bytes| bytes.to_string_lossy().into_owned())
        };
        Self { id: load.dwo_id.0, folder: text(load.comp_dir), name: text(load.path) }
    }
}

impl SplitFiles {
    /// Looks for these units of a program: in its package, then in files of their own.
    pub fn find(places: &Places, module: &Module, wanted: Vec<Wanted>) -> Self {
        let mut found = Self::default();
        let wanted: BTreeSet<Wanted> = wanted.into_iter().collect();
        let mut single: Vec<&Wanted> = wanted.iter().collect();
        for (shown, bytes) in places.packages(module) {
            let units = units_of_package(&bytes, &single);
            if units.is_empty() {
                found.refuse(&shown, "has none of the program's units: it is from another build");
                continue;
            }
            single.retain(|unit| !units.contains(&unit.id));
            found.package = Some(File { shown, bytes });
            break;
        }
        let mut left = LARGEST_TOGETHER;
        single.retain(|unit| !found.add_unit(places, module, unit, &mut left));
        if let Some(first) = single.first() {
            let (missing, all) = (single.len(), wanted.len());
            let note =
                format!("debug information of {missing} of {all} units is missing, such as ");
            found.notes.push(Sentence::from(note).path(&first.name).words(
                " (or all of them in a .dwp beside the program): their functions have the names of the symbol table",
            ));
        }
        found
    }

    /// The files, as the user would write them.
    pub fn shown(&self) -> impl Iterator<Item = PathBuf> {
        self.package.iter().chain(&self.units).map(|file| file.shown.clone())
    }

    /// Reads what they hold.
    pub fn sections(&self) -> SplitSections<'_> {
        let mut budget = LARGEST_EXPANDED;
        let package = self.package.as_ref().and_then(|file| binary::parse(&file.bytes).ok());
        let package = package.and_then(|file| {
            // All of them: the index says where in each section a unit's part lies, and one that ends before is an error.
            let section = |id: SectionId| {
                let bytes = id.dwo_name().map(|name| dwarf::section(&file, name, &mut budget));
                Ok::<_, gimli::Error>(bytes.unwrap_or_default())
            };
            Some((DwarfPackageSections::load(section).ok()?, dwarf::endian(&file)))
        });
        let units = self.units.iter().filter_map(|file| binary::parse(&file.bytes).ok());
        let units = units.map(|file| {
            (dwarf::sections(&file, SectionId::dwo_name, &mut budget), dwarf::endian(&file))
        });
        SplitSections { package, units: units.collect() }
    }

    /// Looks for a unit's own file; whether there is one.
    fn add_unit(
        &mut self,
        places: &Places,
        module: &Module,
        unit: &Wanted,
        left: &mut usize,
    ) -> bool {
        for (shown, bytes) in places.unit_files(module, unit) {
            if id_of_unit_file(&bytes) != Some(unit.id) {
                self.refuse(&shown, &format!("is not unit {:016x} of the program", unit.id));
            } else if let Some(rest) = left.checked_sub(bytes.len()) {
                *left = rest;
                self.units.push(File { shown, bytes });
                return true;
            }
        }
        false
    }

    fn refuse(&mut self, file: &std::path::Path, why: &str) {
        self.notes.push(Sentence::default().path(file.display()).words(&format!(" {why}")));
    }
}

impl<'a> SplitSections<'a> {
    /// Reads the package's index and the units' heads.
    pub fn split(&'a self) -> Split<'a> {
        let package = self.package.as_ref().and_then(|(sections, endian)| {
            let slice = |bytes: &'a Cow<'a, [u8]>| EndianSlice::new(bytes, *endian);
            sections.borrow(slice, EndianSlice::new(&[], *endian)).ok()
        });
        let units = self.units.iter().filter_map(|unit| Some((first_id(&dwarf_of(unit))?, unit)));
        Split { package, units: units.collect() }
    }
}

impl<'a> Split<'a> {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.package.is_none() && self.units.is_empty()
    }

    /// A unit's debug information, to be read beside the program's.
    pub fn unit(&self, load: &SplitDwarfLoad<Bytes<'a>>) -> Option<Arc<Dwarf<Bytes<'a>>>> {
        let of_package = |package: &DwarfPackage<Bytes<'a>>| {
            package.find_cu(load.dwo_id, &load.parent).ok().flatten()
        };
        let of_file = || {
            let mut dwarf = dwarf_of(self.units.get(&load.dwo_id.0)?);
            dwarf.make_dwo(&load.parent);
            Some(dwarf)
        };
        let dwarf = self.package.as_ref().and_then(of_package).or_else(of_file)?;
        (!dwarf::nests_too_deep(&dwarf)).then(|| Arc::new(dwarf))
    }
}

/// Which of these units a package has.
fn units_of_package(bytes: &[u8], wanted: &[&Wanted]) -> BTreeSet<u64> {
    let of_file = || {
        let file = binary::parse(bytes).ok()?;
        let section = file.section_by_name(SectionId::DebugCuIndex.name())?;
        let index = DebugCuIndex::new(section.data().ok()?, dwarf::endian(&file)).index().ok()?;
        let ids = wanted.iter().map(|unit| unit.id).filter(|&id| index.find(id).is_some());
        Some(ids.collect())
    };
    of_file().unwrap_or_default()
}

fn id_of_unit_file(bytes: &[u8]) -> Option<u64> {
    let file = binary::parse(bytes).ok()?;
    let sections = dwarf::sections(&file, SectionId::dwo_name, &mut { LARGEST_EXPANDED });
    first_id(&dwarf_of(&(sections, dwarf::endian(&file))))
}

fn dwarf_of<'a>((sections, endian): &'a UnitSections<'a>) -> Dwarf<Bytes<'a>> {
    sections.borrow(|bytes| EndianSlice::new(bytes, *endian))
}

/// The number of the unit that a file begins with; nothing else is read of it.
fn first_id(dwarf: &Dwarf<Bytes<'_>>) -> Option<u64> {
    let header = dwarf.units().next().ok()??;
    Some(dwarf.unit(header).ok()?.dwo_id?.0)
}
