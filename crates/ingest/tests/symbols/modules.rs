//! Loadable kernel modules of Debian's kernel 6.12 by their own files, packed as Debian ships them, against the names that
//! `perf script` gives the same addresses by the kernel's own list of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use coldcase_ingest::capture::{BuildId, Capture, Location, Mode, Symbol, WhyNoSymbol};
use coldcase_ingest::symbols::{SymbolReport, resolve};
use coldcase_ingest::{ReadOptions, read};

use crate::fixture::from;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/symbols/modules").join(name)
}

fn capture() -> Capture {
    read(&data("capture.data.zst"), ReadOptions::default(), &mut |_, _| {}).unwrap()
}

/// `ffffffffc032c0f0 add_transaction_credits [jbd2]`.
fn by_perf() -> BTreeMap<u64, (String, String)> {
    let text = std::fs::read_to_string(data("names.txt")).unwrap();
    let name = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [address, name, module] = words[..] else { panic!("{line}") };
        (u64::from_str_radix(address, 16).unwrap(), (name.to_owned(), module.to_owned()))
    };
    text.lines().map(name).collect()
}

/// The names, or why there are none, of kernel frames at these addresses.
fn names(capture: &Capture) -> BTreeMap<u64, Symbol> {
    let kernel = capture.frames.iter().filter(|(_, frame)| frame.mode == Mode::Kernel);
    let named = kernel.filter_map(|(_, frame)| match frame.location {
        Location::Address(address) => Some((address, frame.symbol.clone())),
        _ => None,
    });
    named.collect()
}

fn warned(report: &SymbolReport, text: &str) -> bool {
    report.warnings.iter().any(|warning| warning.contains(text))
}

#[test]
fn functions_of_modules_are_named_by_their_packed_files() {
    let mut capture = capture();
    let report = resolve(&mut capture, &from(&data("")));
    let (ours, theirs) = (names(&capture), by_perf());
    assert!(theirs.len() > 30, "{theirs:?}");
    for (address, (name, module)) in &theirs {
        let Symbol::Known(calls) = &ours[address] else { panic!("{address:x} {name} {module}") };
        assert_eq!((calls.len(), &calls[0].function), (1, name), "{address:x} {module}");
    }
    assert!(report.kernel.source.contains("jbd2.ko.xz"), "{:?}", report.kernel.source);
    let count = |module: &str| {
        theirs.values().filter(|(_, of)| of.trim_matches(['[', ']']) == module).count()
    };
    let expected = [("jbd2".to_owned(), count("jbd2")), ("loop".to_owned(), count("loop"))];
    assert_eq!(report.kernel.modules, expected);
    assert!(warned(&report, "no build id to check it by"), "{:?}", report.warnings);
}

#[test]
fn a_module_of_another_build_is_refused_aloud() {
    let mut capture = capture();
    let path = capture.modules.iter().find(|(_, module)| module.path.ends_with("jbd2.ko.xz"));
    let path = path.unwrap().1.path.clone();
    capture.modules.identify(&path, &BuildId([7; 20].into()));
    let report = resolve(&mut capture, &from(&data("")));
    assert!(warned(&report, "92dd8c9e6a1f5385c9c553bbfd6838368dd84f1b"), "{:?}", report.warnings);
    let ours = names(&capture);
    for (address, (_, module)) in by_perf() {
        let refused = ours[&address] == Symbol::Unknown(WhyNoSymbol::BuildIdMismatch);
        assert_eq!(refused, module == "[jbd2]", "{address:x}");
    }
}
