//! Names of code that a program made at run time, as it wrote them to `/tmp/perf-PID.map`
//! (`tools/perf/Documentation/jit-interface.txt`, Linux 6.18): lines of `start size name`, in hexadecimal.
//!
//! The list has no times. Where code was made twice in one place, the later line counts, as in perf.

use super::address_table::{AddressTable, Entry};
use super::demangle::demangle;
use super::jit_dump::JitDump;

/// Names by address.
pub(super) struct JitMap<'a> {
    table: AddressTable<&'a str>,
}

impl<'a> JitMap<'a> {
    /// Takes what a dump for `perf inject --jit` has.
    pub fn of_dump(dump: &JitDump<'a>) -> Self {
        Self { table: AddressTable::new(dump.entries(), 0) }
    }

    /// Reads a map; lines that are none are passed over.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let lines = bytes.split(|&byte| byte == b'\n');
        let entries = lines.enumerate().filter_map(|(number, line)| entry(line, number));
        Self { table: AddressTable::new(entries.collect(), 0) }
    }

    /// The function at an address of a stack.
    pub fn function(&self, address: u64) -> Option<String> {
        self.table.find(self.table.probe(address)).map(|name| demangle(name))
    }
}

fn entry(line: &[u8], number: usize) -> Option<Entry<&str>> {
    let mut parts = str::from_utf8(line).ok()?.trim_end().splitn(3, ' ');
    let mut hexadecimal = || u64::from_str_radix(parts.next()?.trim_start_matches("0x"), 16).ok();
    let (start, size) = (hexadecimal()?, hexadecimal()?);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let rank = u32::MAX - u32::try_from(number).unwrap_or(u32::MAX);
    Some(Entry { start, size: Some(size), rank, name: Some(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_lines_for_one_place_counts() {
        let map = JitMap::parse(
            b"7f00 20 LazyCompile:~old\n7f40 8 Builtin: x y\nnonsense\n7f00 10 LazyCompile:*new\n",
        );
        assert_eq!(map.function(0x7f05).as_deref(), Some("LazyCompile:*new"));
        assert_eq!(map.function(0x7f44).as_deref(), Some("Builtin: x y"));
        assert_eq!([map.function(0x7f18), map.function(0x7f50)], [None, None]);
    }
}
