//! Files as perf's own tools hand them on: what `perf archive` packs, and what `perf inject --jit` writes.

use std::fs;
use std::path::{Path, PathBuf};

use coldcase_ingest::capture::{Capture, Location, Mode, Symbol, WhyNoSymbol};
use coldcase_ingest::symbols::resolve;
use coldcase_ingest::{ReadOptions, read};
use tempfile::TempDir;

use crate::fixture::from;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/symbols").join(name)
}

fn capture(name: &str) -> Capture {
    read(&data(name), ReadOptions::default(), &mut |_, _| {}).unwrap()
}

fn unpacked(archive: &str) -> TempDir {
    let bytes = zstd::decode_all(&fs::read(data(archive)).unwrap()[..]).unwrap();
    let folder = TempDir::new().unwrap();
    tar::Archive::new(&bytes[..]).unpack(folder.path()).unwrap();
    folder
}

/// User frames in files: the file, the byte of it, and the symbol.
fn frames(capture: &Capture) -> Vec<(String, u64, Symbol)> {
    let user = capture.frames.iter().filter(|(_, frame)| frame.mode == Mode::User);
    let frames = user.filter_map(|(_, frame)| match frame.location {
        Location::File { module, offset } => {
            Some((capture.modules.get(module).path.clone(), offset, frame.symbol.clone()))
        }
        _ => None,
    });
    frames.collect()
}

fn function(symbol: &Symbol) -> Option<&str> {
    match symbol {
        Symbol::Known(calls) => calls.first().map(|call| call.function.as_str()),
        Symbol::Unknown(_) => None,
    }
}

#[test]
fn names_come_from_an_unpacked_perf_archive() {
    let mut capture = capture("archive/capture.data.zst");
    let folder = unpacked("archive/perf-archive.tar.zst");
    let report = resolve(&mut capture, &from(folder.path()));
    let frames = frames(&capture);
    assert!(!frames.is_empty());
    // `perf script` calls the only place that was sampled so.
    for (_, _, symbol) in &frames {
        assert_eq!(function(symbol), Some("compute"), "{frames:?} {report:?}");
    }
    assert!(report.modules[0].files[0].starts_with(folder.path().join(".build-id")));
}

#[test]
fn of_a_packed_archive_is_said_how_to_unpack_it() {
    let mut capture = capture("archive/capture.data.zst");
    let report = resolve(&mut capture, &from(&data("archive/perf-archive.tar.zst")));
    assert!(report.warnings.iter().any(|warning| warning.contains("tar xf")), "{report:?}");
    let unknown = Symbol::Unknown(WhyNoSymbol::FileNotFound);
    assert!(frames(&capture).iter().all(|(_, _, symbol)| *symbol == unknown));
}

/// Of Node 20's functions that were sampled, each in a file of its own.
#[test]
fn code_in_the_files_of_perf_inject_has_the_names_that_perf_gives_it() {
    let mut capture = capture("jit/injected.data.zst");
    let folder = unpacked("jit/injected-so.tar.zst");
    resolve(&mut capture, &from(folder.path()));
    let ours = frames(&capture);
    let text =
        zstd::decode_all(&fs::read(data("jit/injected.script.txt.zst")).unwrap()[..]).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut held = 0;
    for line in text.lines().filter(|line| line.contains("/jitted-")) {
        // `80 Function:~outer a.js:3 (/tmp/jitted-29570-58.so)`.
        let (offset, rest) = line.trim().split_once(' ').unwrap();
        let (name, file) = rest.strip_suffix(')').unwrap().rsplit_once(" (").unwrap();
        let offset = u64::from_str_radix(offset, 16).unwrap();
        let frame = ours.iter().find(|(path, at, _)| path == file && *at == offset);
        let (_, _, symbol) = frame.unwrap_or_else(|| panic!("no frame: {line}"));
        assert_eq!(function(symbol), Some(name), "{line}");
        held += 1;
    }
    assert!(held > 100, "{held}");
}
