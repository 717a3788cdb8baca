//! A kernel's image (`vmlinux`): its symbols as a list like `/proc/kallsyms`, at the addresses that it was
//! linked for.

use object::read::{Object, ObjectSection, ObjectSymbol};
use object::{SectionKind, SymbolKind};

use super::binary::{self, Summary};
use super::kallsyms::{Kallsyms, KallsymsError};

/// Whether these bytes are an image and no list.
pub(super) fn is_image(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x7fELF")
}

/// An image's build id.
pub(super) fn build_id(bytes: &[u8]) -> Option<Vec<u8>> {
    Summary::of(bytes).ok()?.build_id
}

/// The symbols of an image; the error is for a person.
pub(super) fn symbols(bytes: &[u8]) -> Result<Kallsyms, String> {
    let file = binary::parse(bytes)?;
    let mut list = Kallsyms::default();
    for symbol in file.symbols() {
        let Some(section) = symbol.section_index() else { continue };
        let is_code =
            file.section_by_index(section).is_ok_and(|section| section.kind() == SectionKind::Text);
        let kind = match symbol.kind() {
            SymbolKind::Text if symbol.is_weak() => b'w',
            // Labels of assembler code have no type of their own.
            SymbolKind::Text | SymbolKind::Unknown if is_code => {
                if symbol.is_global() {
                    b'T'
                } else {
                    b't'
                }
            }
            SymbolKind::Data | SymbolKind::Unknown => b'd',
            _ => continue,
        };
        if let Ok(name) = symbol.name()
            && !name.is_empty()
        {
            list.add(symbol.address(), kind, name);
        }
    }
    match list.text_symbols() {
        0 => Err(KallsymsError::NoSymbols.to_string()),
        _ => Ok(list),
    }
}
