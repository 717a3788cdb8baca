//! Names of one program's bytes, in it and in its debug files.

use super::binary::{self, Segments};
use super::calls::calls;
use super::debug_link::shared_file;
use super::dwarf::{Lines, Sections};
use super::elf_symbols;
use super::places::Places;
use super::search::Found;
use super::split::SplitFiles;
use crate::capture::{Module, Symbol, WhyNoSymbol};

/// Lookups keep what they read of each unit. So many addresses, which lie close together and so in few units, are looked up before that
/// is given back: 100,000 in a library of 1 GB would else keep as much again as the file has bytes.
const BATCH: usize = 4000;
/// More batches take longer, since each reads the list of units.
const MOST_BATCHES: usize = 32;

/// Looks bytes of a program up in it and in its debug files. Adds to what was found the files that these refer to.
pub(super) fn name_offsets(
    places: &Places,
    module: &Module,
    found: &mut Found,
    offsets: &[u64],
) -> Vec<Symbol> {
    let files = &found.files;
    let parsed: Vec<_> = files.iter().filter_map(|file| binary::parse(&file.bytes).ok()).collect();
    let code = parsed.iter().map(Segments::of).collect::<Vec<_>>();
    let address = |offset: u64| code.iter().find_map(|segments| segments.address_of(offset));
    let symbols = elf_symbols::table(&parsed);
    let with_debug_info = files.iter().zip(&parsed).find(|(file, _)| file.summary.debug_info);
    let link = with_debug_info.and_then(|(file, _)| shared_file(&file.bytes));
    let shared = link.and_then(|(path, id)| places.shared_file(&path, &id));
    let shared = shared.as_ref().and_then(|bytes| binary::parse(bytes).ok());
    let sections = with_debug_info.map(|(_, file)| Sections::load(file, shared.as_ref()));
    let units = sections.as_ref().and_then(Sections::units);

    let mut named = vec![Symbol::Unknown(WhyNoSymbol::NoSymbol); offsets.len()];
    let mut name = |batch: &[(usize, u64)], lines: Option<&Lines<'_>>| {
        for &(index, probe) in batch {
            let calls = calls(lines, symbols.find(probe).copied(), probe);
            if !calls.is_empty() {
                named[index] = Symbol::Known(calls);
            }
        }
    };
    let probes = offsets.iter().enumerate();
    let mut probes: Vec<(usize, u64)> = probes
        .filter_map(|(index, &offset)| Some((index, symbols.probe(address(offset)?))))
        .collect();
    probes.sort_unstable_by_key(|&(_, probe)| probe);
    let mut wanted = Vec::new();
    let mut waiting = Vec::new();
    for batch in probes.chunks(BATCH.max(probes.len().div_ceil(MOST_BATCHES))) {
        let lines = units.as_ref().and_then(|units| units.lines(None));
        let probes = batch.iter().map(|&(_, probe)| probe);
        let of_batch = lines.as_ref().map(|lines| lines.wanted(probes)).unwrap_or_default();
        if of_batch.is_empty() {
            name(batch, lines.as_ref());
        } else {
            wanted.extend(of_batch);
            waiting.push(batch);
        }
    }
    let split_files = SplitFiles::find(places, module, wanted);
    let split_sections = split_files.sections();
    let split = split_sections.split();
    for batch in waiting {
        let split = (!split.is_empty()).then_some(&split);
        let lines = units.as_ref().and_then(|units| units.lines(split));
        name(batch, lines.as_ref());
    }
    found.beside = split_files.shown().collect();
    found.notes = split_files.notes.clone();
    named
}
