//! This test's own program: Rust names, and addresses as the kernel maps them.

use std::fs;
use std::path::Path;

use coldcase_ingest::capture::{BuildId, Module, ModuleKind};
use coldcase_ingest::symbols::resolve;
use object::read::Object;

use crate::fixture::{calls, capture_of, from};

const LINE: u32 = line!() + 3;

#[inline(never)]
fn a_function_to_be_found() -> u32 {
    std::hint::black_box(line!())
}

#[test]
fn a_rust_function_of_this_process_has_its_name_and_line() {
    assert_eq!(a_function_to_be_found(), LINE + 1);
    let path = std::env::current_exe().unwrap().canonicalize().unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let build_id = file.build_id().unwrap().map(|id| BuildId(id.into()));
    let offset = file_offset(&path, a_function_to_be_found as fn() -> u32 as usize as u64);
    let module =
        Module { path: path.to_str().unwrap().to_owned(), kind: ModuleKind::User, build_id };
    let mut capture = capture_of(module, &[offset, offset + 1]);
    resolve(&mut capture, &from(path.parent().unwrap()));
    for calls in calls(&capture) {
        // Optimised, what it calls is inlined at its beginning.
        let own = calls.last().unwrap();
        assert_eq!(own.function, "symbols::own_binary::a_function_to_be_found");
        assert!(own.file.as_deref().unwrap().ends_with("own_binary.rs"));
        assert!((LINE..=LINE + 1).contains(&own.line.unwrap()), "{:?}", own.line);
    }
}

/// Where in the file a mapped address lies, as perf computes it.
fn file_offset(path: &Path, address: u64) -> u64 {
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| line.ends_with(path.to_str().unwrap()));
    let mut offsets = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let offset = hex(words.nth(1)?);
        (hex(start)..hex(end)).contains(&address).then(|| address - hex(start) + offset)
    });
    offsets.next().unwrap()
}
