//! `/proc/kallsyms` and copies of it: lines of `address type name [module]`.
//!
//! The list gives no sizes, so whatever begins next ends a symbol, data included. It is one kernel's, but
//! not of one boot: the kernel may be laid out anew at each boot (KASLR), and then everything in its image
//! moves by one distance, while loadable modules go elsewhere.

use std::num::NonZeroU32;
use std::ops::Range;
use std::string::FromUtf8Error;

use super::address_table::AddressTable;
use crate::capture::SeededMap;

/// No kernel function is as long as this: a larger distance is a gap in the list.
const LONGEST_FUNCTION: u64 = 1 << 20;

/// Text symbols of one kernel.
#[derive(Default)]
pub(super) struct Kallsyms {
    lines: Vec<Line>,
    names: String,
    modules: Vec<String>,
    module_numbers: SeededMap<String, NonZeroU32>,
}

/// Why a list of symbols is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KallsymsError {
    /// Something else altogether.
    #[error("holds no line of the form `address type name`")]
    NoSymbols,
    /// Read without the right to see addresses.
    #[error("gives every address as zero: it was read without root, under kptr_restrict")]
    AllZero,
    /// The slide is not one that a kernel could have.
    #[error(
        "puts {symbol} at {listed:#x}, the capture at {recorded:#x}: no kernel is moved by a distance that \
         is not a multiple of {step:#x}, so these are another kernel's"
    )]
    OddSlide {
        /// The symbol that both name.
        symbol: String,
        /// Its address in the list.
        listed: u64,
        /// Its address in the capture.
        recorded: u64,
        /// What a slide is a multiple of.
        step: u64,
    },
}

/// Names by address.
pub(super) struct KernelTable {
    table: AddressTable<Name>,
    names: String,
    modules: Vec<String>,
}

/// A function of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KernelFunction<'a> {
    /// Its name.
    pub name: &'a str,
    /// The loadable module that it belongs to, without the brackets.
    pub module: Option<&'a str>,
}

struct Line {
    address: u64,
    kind: u8,
    name: Name,
}

/// A name as a stretch of one long text: a list has more than 100,000 of them, which were a quarter of the memory that
/// the report of a small capture took.
#[derive(Clone, Copy)]
struct Name {
    start: u32,
    end: u32,
    /// The module's number, from 1.
    module: Option<NonZeroU32>,
}

impl Name {
    fn of(self, names: &str) -> &str {
        &names[self.start as usize..self.end as usize]
    }
}

impl Kallsyms {
    /// Reads the list; lines that are none are passed over.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, KallsymsError> {
        /// Few are shorter.
        const LINE: usize = 32;
        let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
        let text = String::from_utf8(bytes).unwrap_or_else(lossy);
        let mut symbols = Self { lines: Vec::with_capacity(text.len() / LINE), ..Self::default() };
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
            symbols.push(&text, start..end);
            start = end + 1;
        }
        // Names stay where they are.
        symbols.names = text;
        if symbols.text_symbols() == 0 {
            return Err(KallsymsError::NoSymbols);
        }
        let mut texts = symbols.lines.iter().filter(|line| line.is_text());
        if texts.all(|line| line.address == 0) {
            return Err(KallsymsError::AllZero);
        }
        // Here, because lists are read while the capture is.
        symbols.lines.sort_by_key(|line| line.address);
        Ok(symbols)
    }

    /// Number of text symbols.
    pub fn text_symbols(&self) -> usize {
        self.lines.iter().filter(|line| line.is_text()).count()
    }

    /// The address of a symbol by its name.
    pub fn address_of(&self, name: &str) -> Option<u64> {
        let mut lines = self.lines.iter().filter(|line| line.is_text());
        lines.find(|line| line.name.of(&self.names) == name).map(|line| line.address)
    }

    /// Moves the kernel's image to where the capture has it, and returns by how much. Modules of another
    /// boot are dropped: they were somewhere else.
    pub fn relocate(
        &mut self,
        symbol: &str,
        recorded: u64,
        step: u64,
    ) -> Result<u64, KallsymsError> {
        let Some(listed) = self.address_of(symbol) else { return Ok(0) };
        if listed == 0 {
            return Err(KallsymsError::AllZero);
        }
        let slide = recorded.wrapping_sub(listed);
        if !slide.is_multiple_of(step) {
            let symbol = symbol.to_owned();
            return Err(KallsymsError::OddSlide { symbol, listed, recorded, step });
        }
        if slide != 0 {
            self.lines.retain(|line| line.name.module.is_none());
            for line in &mut self.lines {
                line.address = line.address.wrapping_add(slide);
            }
        }
        Ok(slide)
    }

    /// For lookups.
    pub fn into_table(self) -> KernelTable {
        let Self { mut lines, names, modules, .. } = self;
        if !lines.is_sorted_by_key(|line| line.address) {
            lines.sort_by_key(|line| line.address);
        }
        let known = lines.partition_point(|line| line.address == 0);
        let symbols = lines[known..].chunk_by(|a, b| a.address == b.address).map(|same| {
            let line = match same {
                [line] => line,
                several => several
                    .iter()
                    .min_by_key(|line| rank(line.kind, line.name.of(&names)))
                    .expect("chunks have lines"),
            };
            let is_code = line.is_text() && !is_padding(line.name.of(&names));
            (line.address, is_code.then_some(line.name))
        });
        let table = AddressTable::of_starts(symbols, LONGEST_FUNCTION);
        KernelTable { table, names, modules }
    }

    fn push(&mut self, text: &str, line: Range<usize>) -> Option<()> {
        let mut at = line.start;
        let mut word = || {
            let rest = &text.as_bytes()[at..line.end];
            let from = at + rest.iter().position(|byte| !byte.is_ascii_whitespace())?;
            let rest = &text.as_bytes()[from..line.end];
            let length = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            at = from + length;
            Some(from..at)
        };
        let address = u64::from_str_radix(&text[word()?], 16).ok()?;
        let &[kind] = &text.as_bytes()[word()?] else { return None };
        let name = word()?;
        self.add_place(address, kind, name, word().map(|module| &text[module]));
        Some(())
    }

    /// Adds a symbol; `kind` is the letter that `nm` shows for it.
    pub fn add(&mut self, address: u64, kind: u8, name: &str) {
        let start = self.names.len();
        self.names.push_str(name);
        self.add_place(address, kind, start..self.names.len(), None);
    }

    fn add_place(&mut self, address: u64, kind: u8, name: Range<usize>, module: Option<&str>) {
        // No kernel has names of 4 GiB.
        let (Ok(start), Ok(end)) = (u32::try_from(name.start), u32::try_from(name.end)) else {
            return;
        };
        let module = module.map(|module| self.module(module.trim_matches(['[', ']'])));
        self.lines.push(Line { address, kind, name: Name { start, end, module } });
    }

    fn module(&mut self, name: &str) -> NonZeroU32 {
        if let Some(&number) = self.module_numbers.get(name) {
            return number;
        }
        let before = u32::try_from(self.modules.len()).unwrap_or(u32::MAX);
        self.modules.push(name.to_owned());
        *self
            .module_numbers
            .entry(name.to_owned())
            .or_insert(NonZeroU32::MIN.saturating_add(before))
    }
}

impl Line {
    fn is_text(&self) -> bool {
        matches!(self.kind, b't' | b'T' | b'w' | b'W' | b'i')
    }
}

impl KernelTable {
    /// The byte to look up for an entry of a stack.
    pub fn probe(&self, address: u64) -> u64 {
        self.table.probe(address)
    }

    /// The function of a kernel entry of a stack.
    pub fn function(&self, address: u64) -> Option<KernelFunction<'_>> {
        let name = self.table.find(self.table.probe(address))?;
        let module = name.module.map(|module| self.modules[module.get() as usize - 1].as_str());
        Some(KernelFunction { name: name.of(&self.names), module })
    }
}

/// Bytes in front of a function (`CONFIG_PREFIX_SYMBOLS`, kCFI): no code runs there, and a call that never
/// returns can end the function before them, so that its return address points at them.
fn is_padding(name: &str) -> bool {
    name.starts_with("__pfx_") || name.starts_with("__cfi_")
}

/// Which of several names of one address is shown: the lowest. Borders of text sections are not functions,
/// and of a system call's names the one that its entry table uses is the one people know.
fn rank(kind: u8, name: &str) -> u32 {
    const OTHER_NAMES: [&str; 4] = ["__ia32_", "__do_sys_", "__se_sys_", "__pi_"];
    let border = ["_text", "_stext", "_etext", "_sinittext", "_einittext"].contains(&name)
        || name.ends_with("_text_start")
        || name.ends_with("_text_end");
    let other =
        OTHER_NAMES.iter().any(|prefix| name.starts_with(prefix)) || name.contains("compat_");
    let binding = match kind {
        b'T' => 0,
        b't' | b'i' => 1,
        b'w' | b'W' => 2,
        _ => 3,
    };
    let underscores = name.bytes().take(9).take_while(|&byte| byte == b'_').count();
    let underscores = u32::try_from(underscores).unwrap_or(u32::MAX);
    u32::from(border) * 1000
        + u32::from(is_padding(name)) * 500
        + u32::from(other) * 100
        + binding * 10
        + underscores
}

#[cfg(test)]
#[path = "kallsyms_tests.rs"]
mod tests;
