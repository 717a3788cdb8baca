//! Functions of a program by its symbol tables: names where there is no DWARF.

use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{SectionIndex, SectionKind, SymbolKind};

use super::address_table::{AddressTable, Entry};

/// A function written in assembler often has no size; it is not longer than this.
const LONGEST_WITHOUT_SIZE: u64 = 4096;

/// The functions of a program and of its debug file, together.
pub(super) fn table<'a>(files: &[object::File<'a>]) -> AddressTable<&'a str> {
    table_of_placed(files, |_| Some(0))
}

/// The functions of files whose sections lie so many bytes further on than the file says; those of sections that
/// lie nowhere are left out.
pub(super) fn table_of_placed<'a>(
    files: &[object::File<'a>],
    moved: impl Fn(SectionIndex) -> Option<u64>,
) -> AddressTable<&'a str> {
    let mut sized = Vec::new();
    let mut sizeless = Vec::new();
    let mut borders = Vec::new();
    for file in files {
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            let Some(by) = symbol.section_index().and_then(&moved) else { continue };
            let Some(mut entry) = function(file, &symbol) else { continue };
            entry.start = entry.start.wrapping_add(by);
            if entry.size.is_some() { sized.push(entry) } else { sizeless.push(entry) }
        }
        borders.extend(section_borders(file, &moved));
    }
    let sized = AddressTable::new(sized, LONGEST_WITHOUT_SIZE);
    // A label inside of a function is not a function.
    sizeless.retain(|entry| sized.find(entry.start).is_none());
    let mut entries = sized.into_entries();
    entries.extend(sizeless);
    entries.extend(borders);
    AddressTable::new(entries, LONGEST_WITHOUT_SIZE)
}

fn function<'a>(
    file: &object::File<'a>,
    symbol: &object::Symbol<'a, '_>,
) -> Option<Entry<&'a str>> {
    let section = file.section_by_index(symbol.section_index()?).ok()?;
    let name = symbol.name().ok()?;
    let code = match symbol.kind() {
        SymbolKind::Text => true,
        // Mapping symbols ($x, $d) and local labels name no function.
        SymbolKind::Unknown => section.kind() == SectionKind::Text && !name.starts_with(['$', '.']),
        _ => false,
    };
    let size = Some(symbol.size()).filter(|&size| size > 0);
    (code && !name.is_empty()).then(|| Entry {
        start: symbol.address(),
        size,
        rank: rank(symbol, name),
        name: Some(name),
    })
}

/// Of `__GI___mmap`, `__mmap` and `mmap`, people know the last: few underscores, then short.
fn rank(symbol: &object::Symbol<'_, '_>, name: &str) -> u32 {
    let underscores = name.bytes().take(9).take_while(|&byte| byte == b'_').count();
    let length = name.len().min(9999);
    let local = symbol.is_local();
    u32::try_from(underscores * 100_000 + usize::from(local) * 10_000 + length).unwrap_or(u32::MAX)
}

/// Nothing reaches over the border of a section: without this, the last symbol without a size before a
/// stripped stretch of code would lend its name to it.
fn section_borders<'a>(
    file: &object::File<'a>,
    moved: impl Fn(SectionIndex) -> Option<u64>,
) -> Vec<Entry<&'a str>> {
    let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
    let borders = code.filter_map(|section| {
        let start = section.address().wrapping_add(moved(section.index())?);
        Some([start, start.saturating_add(section.size())])
    });
    borders.flatten().map(|start| Entry { start, size: None, rank: u32::MAX, name: None }).collect()
}
