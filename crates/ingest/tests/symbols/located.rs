//! Which file is used for a module, and which never.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use coldcase_ingest::capture::{ModuleKind, WhyNoSymbol};
use coldcase_ingest::symbols::{SymbolSources, resolve};

use crate::fixture::{
    BUILD_ID, PATH, Program, calls, capture, capture_of, from, module, reason, resolved,
};

const OTHER_ID: &str = "ffffffff00000000ffffffff00000000ffffffff";

/// Moves the program to another place below a fresh folder, and expects it to be found there.
fn assert_found_at(place: &str) {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let folder = program.folder.path().join("symbols");
    let target = folder.join(place);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::rename(program.binary(), &target).unwrap();
    let (capture, report) = resolved(&folder, &offsets);
    assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
    assert_eq!(report.modules[0].files, [target], "{place}");
}

#[test]
fn a_program_is_found_by_path_by_name_and_by_build_id() {
    let rest = &BUILD_ID[2..];
    assert_found_at("opt/db/bin/server");
    assert_found_at("server");
    assert_found_at(&format!(".build-id/ab/{rest}"));
    assert_found_at(&format!(".build-id/ab/{rest}.debug"));
    assert_found_at(BUILD_ID);
    assert_found_at(&format!("{BUILD_ID}.debug"));
    assert_found_at("some/where/renamed-server.bak");
}

#[test]
fn a_compressed_program_is_found_and_read() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let bytes = fs::read(program.binary()).unwrap();
    fs::remove_file(program.binary()).unwrap();
    let compressed = program.root().join("server.zst");
    fs::write(&compressed, zstd::encode_all(&*bytes, 3).unwrap()).unwrap();
    let (capture, report) = resolved(&program.root(), &offsets);
    assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
    assert_eq!(report.modules[0].files, [compressed]);
}

#[test]
fn another_build_is_never_used() {
    let program = Program::build(&[]);
    let mut capture = capture(Some(OTHER_ID), &program.offsets_in("outer"));
    let report = resolve(&mut capture, &from(&program.root()));
    assert_eq!(reason(&capture), WhyNoSymbol::BuildIdMismatch);
    assert_eq!(report.warnings.len(), 1);
    for part in [PATH, "bin/server", BUILD_ID, OTHER_ID] {
        assert!(report.warnings[0].contains(part), "{part} in {:?}", report.warnings);
    }
}

#[test]
fn a_program_without_a_build_id_is_not_the_captured_one() {
    let program = Program::build(&["-Wl,--build-id=none"]);
    let (capture, report) = resolved(&program.root(), &program.offsets_in("outer"));
    assert_eq!(reason(&capture), WhyNoSymbol::BuildIdMismatch);
    assert!(report.warnings[0].contains("has no build id"), "{:?}", report.warnings);
}

#[test]
fn a_capture_without_build_ids_is_named_with_a_warning() {
    let program = Program::build(&[]);
    let mut capture = capture(None, &program.offsets_in("outer"));
    let report = resolve(&mut capture, &from(&program.root()));
    assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
    assert!(report.warnings[0].contains("no build id to check it by"), "{:?}", report.warnings);
}

#[test]
fn nothing_outside_of_the_folder_is_opened() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let folder = program.folder.path().join("symbols");
    fs::create_dir_all(&folder).unwrap();
    symlink(program.binary(), folder.join("server")).unwrap();
    let (capture, report) = resolved(&folder, &offsets);
    assert_eq!(reason(&capture), WhyNoSymbol::FileNotFound);
    assert!(report.modules[0].notes[0].contains("leads out of"), "{report:?}");

    let climbing = module("/../root/opt/db/bin/server", Some(BUILD_ID));
    let mut capture = capture_of(climbing, &offsets);
    fs::remove_file(folder.join("server")).unwrap();
    resolve(&mut capture, &from(&folder));
    assert_eq!(reason(&capture), WhyNoSymbol::FileNotFound);

    // The path of the capture exists on this machine, and still only a path below the folder counts.
    let own_path = module(program.binary().to_str().unwrap(), Some(BUILD_ID));
    let mut capture = capture_of(own_path.clone(), &offsets);
    resolve(&mut capture, &from(&folder));
    assert_eq!(reason(&capture), WhyNoSymbol::FileNotFound);
    let mut capture = capture_of(own_path, &offsets);
    resolve(&mut capture, &from(Path::new("/")));
    assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
}

#[test]
fn links_inside_of_the_folder_are_followed() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    fs::rename(program.binary(), program.root().join("server-1.2")).unwrap();
    symlink("../../../server-1.2", program.binary()).unwrap();
    let (capture, _) = resolved(&program.root(), &offsets);
    assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
}

#[test]
fn perfs_cache_is_read_where_it_is_allowed() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let cache = program.folder.path().join("debug");
    let stored = cache.join(format!("opt/db/bin/server/{BUILD_ID}"));
    fs::create_dir_all(&stored).unwrap();
    fs::create_dir_all(cache.join(".build-id/ab")).unwrap();
    fs::rename(program.binary(), stored.join("elf")).unwrap();
    let link = cache.join(format!(".build-id/ab/{}", &BUILD_ID[2..]));
    symlink(format!("../../opt/db/bin/server/{BUILD_ID}"), link).unwrap();

    let sources = SymbolSources { build_id_cache: Some(cache), ..SymbolSources::default() };
    let mut allowed = capture(Some(BUILD_ID), &offsets);
    resolve(&mut allowed, &sources);
    assert_eq!(calls(&allowed)[0].last().unwrap().function, "outer");

    let mut disabled = capture(Some(BUILD_ID), &offsets);
    resolve(&mut disabled, &SymbolSources::default());
    assert_eq!(reason(&disabled), WhyNoSymbol::FileNotFound);
}

#[test]
fn memory_without_a_file_has_a_reason_of_its_own() {
    let mut anonymous = module("//anon", None);
    anonymous.kind = ModuleKind::Anonymous;
    let mut capture = capture_of(anonymous, &[4096]);
    let report = resolve(&mut capture, &SymbolSources::default());
    assert_eq!(reason(&capture), WhyNoSymbol::NoFile);
    assert_eq!(report.modules[0].reason, Some(WhyNoSymbol::NoFile));
}

#[test]
fn a_folder_that_is_not_there_is_a_warning() {
    let mut capture = capture(Some(BUILD_ID), &[4096]);
    let report = resolve(&mut capture, &from(Path::new("/nonexistent/symbols")));
    assert_eq!(reason(&capture), WhyNoSymbol::FileNotFound);
    assert!(report.warnings[0].contains("/nonexistent/symbols"), "{:?}", report.warnings);
}
