//! Names in loadable kernel modules by the modules' own files (`.ko`), where the kernel's list does not know them: a `System.map`,
//! a `vmlinux`, a list of another boot.
//!
//! A module's file has sections without addresses. The kernel lays those with code one behind the other, in the order of the
//! file, without those that are dropped after the start; the address that `/proc/modules` and so perf give is where the first
//! begins (`layout_sections`, `kernel/module/main.c`, Linux 6.12).

use std::collections::BTreeMap;
use std::path::PathBuf;

use object::elf::{SHF_ALLOC, SHF_EXECINSTR};
use object::read::{Object, ObjectSection};
use object::{SectionFlags, SectionIndex};
use rustc_hash::FxHashMap;

use super::address_table::AddressTable;
use super::places::Places;
use super::search::FoundFile;
use super::{SymbolSources, binary, elf_symbols};
use crate::capture::{Call, Capture, FrameId, LoadedModule, Module, Sentence, Symbol, WhyNoSymbol};

/// A module whose file has names for frames.
pub(super) struct Named {
    /// As `lsmod` shows it.
    pub name: String,
    /// How many frames were named.
    pub frames: usize,
    /// The file.
    pub file: PathBuf,
}

/// Names those of these frames (with their kernel addresses) that lie in modules whose files are found.
pub(super) fn name(
    capture: &mut Capture,
    sources: &SymbolSources,
    frames: &[(FrameId, u64)],
    warnings: &mut Vec<Sentence>,
) -> Vec<Named> {
    let mut by_module = BTreeMap::<usize, Vec<(FrameId, u64)>>::new();
    for &(frame, address) in frames {
        let around = |loaded: &LoadedModule| {
            address.checked_sub(loaded.address).is_some_and(|inside| inside < loaded.length)
        };
        // A module can be unloaded and another one be loaded there: the later one counts.
        if let Some(number) = capture.loaded_modules.iter().rposition(around) {
            by_module.entry(number).or_default().push((frame, address));
        }
    }
    if by_module.is_empty() {
        return Vec::new();
    }
    // What is wrong with a folder is said where programs are looked for.
    let places = Places::open(sources, &mut Vec::new());
    let of_module = |(number, frames): (usize, Vec<(FrameId, u64)>)| {
        let loaded = capture.loaded_modules[number];
        name_one(capture, &places, loaded, &frames, warnings)
    };
    by_module.into_iter().filter_map(of_module).collect()
}

fn name_one(
    capture: &mut Capture,
    places: &Places,
    loaded: LoadedModule,
    frames: &[(FrameId, u64)],
    warnings: &mut Vec<Sentence>,
) -> Option<Named> {
    let module = capture.modules.get(loaded.module);
    let found = places.locate(module);
    let about = Sentence::from("symbols of ").path(&module.path).words(": ");
    if let Some(reason) = found.reason {
        warnings.extend(found.refused.iter().map(|why| about.clone().sentence(why)));
        if reason != WhyNoSymbol::FileNotFound {
            let unknown = |&(frame, _)| (frame, Symbol::Unknown(reason));
            let unknown: Vec<_> = frames.iter().map(unknown).collect();
            unknown.into_iter().for_each(|(frame, why)| capture.frames.set_symbol(frame, why));
        }
        return None;
    }
    let file = found.files.iter().find(|file| file.summary.code)?;
    if found.unchecked {
        let from = about.words("taken from ").path(file.shown.display());
        warnings.push(from.words(", but the capture has no build id to check it by"));
    }
    let name = short_name(module);
    let symbols = functions(file, loaded.address, frames)?;
    let frames = symbols.len();
    for (frame, function) in symbols {
        let call = Call { function, ..Call::default() };
        capture.frames.set_symbol(frame, Symbol::Known(vec![call]));
    }
    (frames > 0).then(|| Named { name, frames, file: file.shown.clone() })
}

/// The functions at these addresses of a module that begins there.
fn functions(
    file: &FoundFile,
    start: u64,
    frames: &[(FrameId, u64)],
) -> Option<Vec<(FrameId, String)>> {
    let parsed = binary::parse(&file.bytes).ok()?;
    let table = table(parsed);
    let functions = frames.iter().filter_map(|&(frame, address)| {
        let inside = address.checked_sub(start)?;
        Some((frame, (*table.find(table.probe(inside))?).to_owned()))
    });
    Some(functions.collect())
}

/// The functions of a module by the distance from its first byte.
fn table(file: object::File<'_>) -> AddressTable<&str> {
    let places = sections(&file);
    elf_symbols::table_of_placed(&[file], |section| places.get(&section).copied())
}

/// Where sections with code lie, counted from the first.
fn sections(file: &object::File<'_>) -> FxHashMap<SectionIndex, u64> {
    let mut places = FxHashMap::default();
    let mut end = 0_u64;
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let is_code = sh_flags.contains(SHF_ALLOC) && sh_flags.contains(SHF_EXECINSTR);
        if !is_code || section.name().is_ok_and(|name| name.starts_with(".init")) {
            continue;
        }
        let Some(start) = end.checked_next_multiple_of(section.align().max(1)) else { break };
        places.insert(section.index(), start);
        end = start.saturating_add(section.size());
    }
    places
}

/// `ext4` of `/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko.xz` and of `[ext4]`.
fn short_name(module: &Module) -> String {
    let base = module.path.rsplit('/').next().unwrap_or_default();
    let base = base.trim_matches(['[', ']']);
    base.split_once(".ko").map_or(base, |(name, _)| name).replace('-', "_")
}
