//! Names of kernel addresses, by the list of symbols that fits the capture.

use std::collections::BTreeMap;

use super::calls::calls;
use super::kernel_list::{KernelList, Names};
use super::report::KernelReport;
use super::{SymbolSources, binary, count, dwarf, kernel_modules};
use crate::capture::{Call, Capture, FrameId, Location, Mode, Sentence, Symbol, WhyNoSymbol};

/// Names the kernel's frames.
pub(super) fn resolve(
    capture: &mut Capture,
    sources: &SymbolSources,
    list: &mut KernelList,
    warnings: &mut Vec<Sentence>,
) -> KernelReport {
    name_made_code(capture);
    let frames = unnamed(capture);
    let mut report = KernelReport::default();
    if frames.is_empty() {
        report.source = "no kernel address needs a name".into();
    } else if let Some(names) = list.of(capture, sources, warnings) {
        report.modules = set_symbols(capture, names, &frames);
        report.source = names.source.clone();
    } else {
        report.source =
            "no symbols of the captured kernel; give a copy of its /proc/kallsyms".into();
        report.is_missing = true;
        for (id, _) in frames {
            capture.frames.set_symbol(id, Symbol::Unknown(WhyNoSymbol::NoKernelSymbols));
        }
    }
    name_in_modules(capture, sources, &mut report, warnings);
    report.frames = count(capture, Mode::Kernel);
    report
}

/// Names code that the kernel announced when it made it: a list of symbols from another moment may have
/// something else there.
fn name_made_code(capture: &mut Capture) {
    let mut made = capture.made_code.clone();
    made.sort_by_key(|code| code.address);
    for (id, address) in unnamed(capture) {
        let before = made.partition_point(|code| code.address <= address);
        let code = before.checked_sub(1).and_then(|at| made.get(at));
        if let Some(code) = code.filter(|code| address - code.address < code.length) {
            let call = Call { function: code.name.clone(), ..Call::default() };
            capture.frames.set_symbol(id, Symbol::Known(vec![call]));
        }
    }
}

/// Names what the list does not know by the modules' own files.
fn name_in_modules(
    capture: &mut Capture,
    sources: &SymbolSources,
    report: &mut KernelReport,
    warnings: &mut Vec<Sentence>,
) {
    let frames = unnamed(capture);
    let named = kernel_modules::name(capture, sources, &frames, warnings);
    if named.is_empty() {
        return;
    }
    let files = named.iter().map(|named| Sentence::default().path(named.file.display()));
    let files = Sentence::list(&files.collect::<Vec<_>>());
    let source = std::mem::take(&mut report.source);
    report.source = source.words("; of loadable modules ").sentence(&files);
    report.modules.extend(named.into_iter().map(|named| (named.name, named.frames)));
    report.modules.sort();
}

fn unnamed(capture: &Capture) -> Vec<(FrameId, u64)> {
    let frames = capture.frames.iter().filter(|(_, frame)| frame.mode == Mode::Kernel);
    frames
        .filter_map(|(id, frame)| match (&frame.symbol, frame.location) {
            (Symbol::Unknown(_), Location::Address(address)) => Some((id, address)),
            _ => None,
        })
        .collect()
}

/// Names the frames and counts those in loadable modules.
fn set_symbols(
    capture: &mut Capture,
    names: &Names,
    frames: &[(FrameId, u64)],
) -> Vec<(String, usize)> {
    let mut modules = BTreeMap::<&str, usize>::new();
    let image = names.image.as_ref();
    let parsed = image.and_then(|(bytes, slide)| Some((binary::parse(bytes).ok()?, *slide)));
    let sections = parsed.as_ref().map(|(file, slide)| (dwarf::Sections::load(file, None), *slide));
    let lines = sections
        .as_ref()
        .and_then(|(sections, slide)| Some((sections.units()?.lines(None)?, *slide)));
    for &(id, address) in frames {
        let symbol = match names.table.function(address) {
            None => Symbol::Unknown(WhyNoSymbol::NoSymbol),
            Some(function) => {
                if let Some(module) = function.module {
                    *modules.entry(module).or_default() += 1;
                }
                let slide = lines.as_ref().map_or(0, |(_, slide)| *slide);
                let linked = names.table.probe(address).wrapping_sub(slide);
                let lines = lines.as_ref().map(|(lines, _)| lines);
                Symbol::Known(calls(lines, Some(function.name), linked))
            }
        };
        capture.frames.set_symbol(id, symbol);
    }
    modules.into_iter().map(|(name, frames)| (name.to_owned(), frames)).collect()
}
