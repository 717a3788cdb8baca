//! Debug files in the places where distributions, debuginfod and perf put them.

use std::fs;

use coldcase_ingest::capture::{Mode, ModuleKind, WhyNoSymbol};
use coldcase_ingest::symbols::{SymbolSources, resolve};

use crate::fixture::{BUILD_ID, Program, calls, capture, capture_of, from, module, reason};

/// Splits the program into itself, stripped and with a link, and its debug file, which is moved to `place`.
fn split(program: &Program, place: &str) {
    let binary = "root/opt/db/bin/server";
    program.run("objcopy", &["--only-keep-debug", binary, "server.debug"]);
    program.run("objcopy", &["--strip-all", "--add-gnu-debuglink=server.debug", binary]);
    let place = program.folder.path().join(place);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::rename(program.folder.path().join("server.debug"), place).unwrap();
}

#[test]
fn a_debug_link_is_followed_to_every_place_that_debuggers_know() {
    for place in [
        "root/opt/db/bin/server.debug",
        "root/opt/db/bin/.debug/server.debug",
        "root/usr/lib/debug/opt/db/bin/server.debug",
    ] {
        for build_id in [Some(BUILD_ID), None] {
            let id = if build_id.is_some() { "" } else { "-Wl,--build-id=none" };
            let arguments: Vec<&str> = [id].into_iter().filter(|word| !word.is_empty()).collect();
            let program = Program::build(&arguments);
            let offsets = program.offsets_in("outer");
            split(&program, place);
            let mut capture = capture(build_id, &offsets);
            resolve(&mut capture, &from(&program.root()));
            let outer = calls(&capture)[0].last().unwrap().clone();
            assert_eq!((outer.function.as_str(), outer.line), ("outer", Some(7)), "{place}");
        }
    }
}

#[test]
fn a_linked_file_with_another_checksum_is_not_used() {
    let program = Program::build(&["-Wl,--build-id=none"]);
    let offsets = program.offsets_in("outer");
    split(&program, "root/opt/db/bin/.debug/server.debug");
    let path = program.root().join("opt/db/bin/.debug/server.debug");
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    let mut capture = capture(None, &offsets);
    resolve(&mut capture, &from(&program.root()));
    assert_eq!(reason(&capture), WhyNoSymbol::NoSymbol);
}

#[test]
fn debuginfods_cache_and_unpacked_archives_of_perf_are_read() {
    for (place, is_symfs) in [
        (format!("debug/{BUILD_ID}/executable"), false),
        (format!("debug/.build-id/ab/{}/elf", &BUILD_ID[2..]), true),
    ] {
        let program = Program::build(&[]);
        let offsets = program.offsets_in("outer");
        let place = program.folder.path().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::rename(program.binary(), place).unwrap();
        let folder = vec![program.folder.path().join("debug")];
        let sources = if is_symfs {
            SymbolSources { symfs: folder, ..SymbolSources::default() }
        } else {
            SymbolSources { debug_folders: folder, ..SymbolSources::default() }
        };
        let mut capture = capture(Some(BUILD_ID), &offsets);
        resolve(&mut capture, &sources);
        assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
    }
}

/// A byte of `outer` behind its call of `leaf`, in the program that was made once with `dwz`.
const BEHIND_THE_CALL: u64 = 0x1035;

#[test]
fn what_packages_share_is_read_from_the_shared_file() {
    let stored = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/symbols/dwz");
    let names = |root: &std::path::Path| {
        let mut capture = capture_of(module("/server", Some(BUILD_ID)), &[BEHIND_THE_CALL]);
        resolve(&mut capture, &from(root));
        let calls = calls(&capture).remove(0).into_iter();
        calls.map(|call| (call.function, call.line)).collect::<Vec<_>>()
    };
    let inlined = [("inner".to_owned(), Some(4)), ("outer".to_owned(), Some(7))];
    assert_eq!(names(&stored), inlined);
    let alone = tempfile::TempDir::new().unwrap();
    fs::copy(stored.join("server"), alone.path().join("server")).unwrap();
    assert_ne!(names(alone.path()), inlined, "the names lie in the shared file");
}

/// A capture without build ids: the program is found by its path, and by what it says of itself its debug file.
#[test]
fn a_debug_file_is_found_by_the_build_id_of_the_program() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let folder = program.folder.path().join("debug");
    let place = folder.join(format!(".build-id/ab/{}.debug", &BUILD_ID[2..]));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let binary = "root/opt/db/bin/server";
    program.run("objcopy", &["--only-keep-debug", binary, place.to_str().unwrap()]);
    program.run("strip", &[binary]);
    let sources = SymbolSources { debug_folders: vec![folder], ..from(&program.root()) };
    let mut capture = capture(None, &offsets);
    let report = resolve(&mut capture, &sources);
    assert_eq!(calls(&capture)[0].last().unwrap().function, "outer");
    assert_eq!(report.modules[0].files, [program.binary(), place]);
}

#[test]
fn code_that_a_program_made_has_the_names_of_its_map() {
    let folder = tempfile::TempDir::new().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    fs::write(
        folder.path().join("tmp/perf-77.map"),
        "7f0000001000 100 LazyCompile:*serve a.js:1\n",
    )
    .unwrap();
    let mut made = module("/tmp/perf-77.map", None);
    made.kind = ModuleKind::Anonymous;
    let mut capture = capture_of(made, &[0x7f00_0000_1010]);
    resolve(&mut capture, &from(folder.path()));
    assert_eq!(calls(&capture)[0][0].function, "LazyCompile:*serve a.js:1");
    assert!(capture.frames.iter().all(|(_, frame)| frame.mode == Mode::User));
}

/// The process that wrote the stored dump.
const PID: u32 = 26256;

/// `node --perf-prof`: the dump of Node 20, cut behind the records of the functions that were sampled, and what
/// `perf script` makes of the same samples after `perf inject --jit`.
#[test]
fn code_of_a_dump_has_the_names_that_perf_inject_gives_it() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/symbols/jit");
    let text = fs::read_to_string(data.join("names.txt")).unwrap();
    let known: Vec<(u64, &str)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(address, name)| (u64::from_str_radix(address, 16).unwrap(), name))
        .collect();
    assert!(known.len() > 20);
    let folder = tempfile::TempDir::new().unwrap();
    let dump = zstd::decode_all(&fs::read(data.join("jit-PID.dump.zst")).unwrap()[..]).unwrap();
    let capture_with = |pid: u32| {
        fs::write(folder.path().join(format!("jit-{pid}.dump")), &dump).unwrap();
        let mut made = module(&format!("/tmp/perf-{pid}.map"), None);
        made.kind = ModuleKind::Anonymous;
        let addresses: Vec<u64> = known.iter().map(|&(address, _)| address).collect();
        let mut capture = capture_of(made, &addresses);
        let report = resolve(&mut capture, &from(folder.path()));
        (capture, report)
    };
    let (capture, report) = capture_with(PID);
    let names: Vec<String> =
        calls(&capture).into_iter().map(|mut c| c.remove(0).function).collect();
    let expected: Vec<&str> = known.iter().map(|&(_, name)| name).collect();
    assert_eq!(names, expected);
    assert_eq!(report.modules[0].files.len(), 1);

    let (capture, report) = capture_with(77);
    assert_eq!(reason(&capture), WhyNoSymbol::NoFile);
    let said = format!("jit-77.dump was written by process {PID}");
    assert!(report.warnings.iter().any(|warning| warning.contains(&said)), "{report:?}");

    for cut in (0..2000.min(dump.len())).step_by(7) {
        fs::write(folder.path().join("jit-1.dump"), &dump[..cut]).unwrap();
        let mut made = module("/tmp/perf-1.map", None);
        made.kind = ModuleKind::Anonymous;
        resolve(&mut capture_of(made, &[known[0].0]), &from(folder.path()));
    }
}
