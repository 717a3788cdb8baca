//! Split DWARF: debug information in files of its own, and packed.

use std::fs;
use std::path::{Path, PathBuf};

use coldcase_ingest::capture::{Call, Capture};
use coldcase_ingest::symbols::{SymbolReport, resolve};

use crate::fixture::{BUILD_ID, Program, calls, capture, capture_of, from, module, resolved};

/// A byte of `outer` in the stored program, behind its call of `leaf`.
const OUTER: u64 = 0x1006;

/// A program whose debug information lies in one `.dwo`, and that file.
fn build(version: &str) -> (Program, PathBuf) {
    let program = Program::build(&["-gsplit-dwarf", version]);
    let folder = program.binary().parent().unwrap().to_owned();
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let unit = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "dwo"));
    (program, unit.expect("gcc writes a .dwo beside the program"))
}

/// Inlined functions are known only to the split file; the symbol table has the others.
fn inlined(capture: &Capture) -> Option<Vec<Call>> {
    calls(capture).into_iter().find(|calls| calls.len() == 2)
}

fn assert_inlined(capture: &Capture) {
    let calls = inlined(capture).expect("inlined calls");
    let names: Vec<&str> = calls.iter().map(|call| call.function.as_str()).collect();
    assert_eq!((names, calls[0].line, calls[1].line), (vec!["inner", "outer"], Some(4), Some(7)));
}

/// Packs the unit of a program, beside it.
fn pack(program: &Program) -> PathBuf {
    program.run("dwp", &["-e", "root/opt/db/bin/server", "-o", "root/opt/db/bin/server.dwp"]);
    program.binary().with_extension("dwp")
}

fn moved(file: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::rename(file, &to).unwrap();
    to
}

fn outer(program: &Program) -> (Capture, SymbolReport) {
    resolved(&program.root(), &program.offsets_in("outer"))
}

#[test]
fn a_units_own_file_is_found_where_it_was_made_and_beside_the_program() {
    for version in ["-gdwarf-4", "-gdwarf-5"] {
        let (program, unit) = build(version);
        let (capture, report) = outer(&program);
        assert_inlined(&capture);
        assert_eq!(report.modules[0].files, [program.binary(), unit.clone()], "{version}");
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);

        let made = program.folder.path().strip_prefix("/").unwrap();
        let name = unit.strip_prefix(program.folder.path()).unwrap();
        let there = moved(&unit, program.root().join(made).join(name));
        let (capture, report) = outer(&program);
        assert_inlined(&capture);
        assert_eq!(report.modules[0].files[1], there);
    }
}

#[test]
fn a_package_is_found_beside_the_program_and_by_build_id() {
    let (program, unit) = build("-gdwarf-4");
    let package = pack(&program);
    fs::remove_file(unit).unwrap();
    for place in ["opt/db/bin/server.dwp", &format!(".build-id/ab/{}.dwp", &BUILD_ID[2..])] {
        let place = moved(&package, program.root().join(place));
        let (capture, report) = outer(&program);
        assert_inlined(&capture);
        assert_eq!(report.modules[0].files, [program.binary(), place.clone()]);
        moved(&place, package.clone());
    }
}

/// Debian 12's `dwp` cannot pack version 5, and its `llvm-dwp` only what clang makes, so this one was made once.
#[test]
fn a_package_of_version_5_is_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/symbols/split");
    let mut known = capture_of(module("/server", None), &[OUTER]);
    let report = resolve(&mut known, &from(&root));
    assert_inlined(&known);
    assert_eq!(report.modules[0].files, [root.join("server"), root.join("server.dwp")]);
}

#[test]
fn files_of_another_build_are_refused_aloud() {
    let (program, unit) = build("-gdwarf-4");
    // The number of a unit is a hash of what is in it.
    let other = Program::build(&["-gsplit-dwarf", "-gdwarf-4", "-O1"]);
    fs::copy(pack(&other), program.binary().with_extension("dwp")).unwrap();
    fs::copy(other.binary().with_file_name(unit.file_name().unwrap()), &unit).unwrap();
    let (capture, report) = outer(&program);
    assert_eq!(inlined(&capture), None);
    assert!(calls(&capture).iter().all(|calls| calls[0].function == "outer"), "by the table");
    assert_eq!(report.modules[0].files, [program.binary()]);
    for expected in [
        "server.dwp has none of the program's units",
        "server.dwo is not unit",
        "debug information of 1 of 1 units is missing",
    ] {
        assert!(report.warnings.iter().any(|warning| warning.contains(expected)), "{report:?}");
    }
}

#[test]
fn damaged_split_files_cost_names_only() {
    let (program, unit) = build("-gdwarf-4");
    let package = pack(&program);
    let kept = fs::read(&unit).unwrap();
    let offsets = program.offsets_in("outer");
    for (file, whole, other) in
        [(&package, fs::read(&package).unwrap(), &unit), (&unit, kept, &package)]
    {
        fs::remove_file(other).unwrap();
        for step in 1..400 {
            let mut bytes = whole.clone();
            let at = step * 7919 % bytes.len();
            bytes[at] ^= 1 << (step % 8);
            bytes[(at * 31) % whole.len()] = 0xff;
            fs::write(file, if step % 4 == 0 { &bytes[..at] } else { &bytes }).unwrap();
            let mut capture = capture(Some(BUILD_ID), &offsets);
            resolve(&mut capture, &from(&program.root()));
            assert!(calls(&capture).iter().all(|calls| !calls.is_empty()));
        }
    }
}
