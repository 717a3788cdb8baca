//! One address's functions: what DWARF says, completed by the symbol table.

use super::demangle;
use super::dwarf::{self, Lines};
use crate::capture::Call;

/// The functions at an address, innermost first. What DWARF leaves open, the symbol table fills in.
pub(super) fn calls(lines: Option<&Lines<'_>>, symbol: Option<&str>, address: u64) -> Vec<Call> {
    let mut places = lines.map_or_else(Vec::new, |lines| lines.places(address));
    if places.is_empty() {
        places.push(dwarf::Place::default());
    }
    let outermost = places.len() - 1;
    let calls = places.into_iter().enumerate().filter_map(|(depth, place)| {
        let by_table = symbol.filter(|_| depth == outermost).map(demangle::demangle);
        let function = better_name(place.function, place.qualified, by_table)?;
        Some(Call { function, file: place.file, line: place.line })
    });
    calls.collect()
}

/// DWARF's name; the symbol table's where DWARF has none, or only the last part of the same name.
fn better_name(dwarf: Option<String>, qualified: bool, table: Option<String>) -> Option<String> {
    let (Some(dwarf), Some(table)) = (&dwarf, &table) else { return dwarf.or(table) };
    let base = dwarf.split('<').next().unwrap_or(dwarf);
    let base = if base.starts_with("{closure") { "{closure" } else { base };
    // Functions of the same code are folded into one, so the table may name quite another one.
    let same = !base.is_empty() && table.contains("::") && table.contains(base);
    Some(if !qualified && same { table.clone() } else { dwarf.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(dwarf: &str, qualified: bool, table: &str) -> String {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        better_name(text(dwarf), qualified, text(table)).unwrap()
    }

    #[test]
    fn bare_names_of_line_tables_are_completed() {
        let table = "hashbrown::raw::RawTable<T,A>::reserve_rehash";
        assert_eq!(name("reserve_rehash<(u64, u64), Global>", false, table), table);
        assert_eq!(
            name("{closure#0}<(), Env>", false, "db::start::{{closure}}"),
            "db::start::{{closure}}"
        );
    }

    #[test]
    fn dwarf_wins_where_the_table_says_no_more_or_something_else() {
        assert_eq!(name("db::grow", true, "db::other::grow"), "db::grow");
        assert_eq!(name("grow", false, "core::ptr::drop_in_place"), "grow", "folded functions");
        assert_eq!(name("mmap64", false, "mmap"), "mmap64");
        assert_eq!(name("", false, "_start"), "_start");
    }
}
