//! What the names of a program look like, whatever form its debug information has.

use std::fs;

use coldcase_ingest::capture::{Call, WhyNoSymbol};

use crate::fixture::{Program, calls, reason, resolved};

/// The inlined function comes first with its own line, then the function with the line of the call.
fn assert_inlined(calls: &[Vec<Call>]) {
    assert!(calls.iter().all(|calls| calls.last().unwrap().function == "outer"), "{calls:#?}");
    let inlined = calls.iter().find(|calls| calls.len() == 2 && calls[0].line == Some(4));
    let [inner, outer] = &inlined.expect("inlined calls")[..] else { panic!() };
    assert_eq!((inner.function.as_str(), outer.line), ("inner", Some(7)));
    assert!(inner.file.as_deref().unwrap().ends_with("server.c"));
}

#[test]
fn inlined_functions_have_their_lines() {
    for arguments in [&["-gdwarf-5"][..], &["-gdwarf-4"], &["-gdwarf-5", "-no-pie"]] {
        let program = Program::build(arguments);
        let offsets = program.offsets_in("outer");
        let (capture, report) = resolved(&program.root(), &offsets);
        assert_inlined(&calls(&capture));
        assert_eq!(report.user.resolved, offsets.len());
        assert_eq!(report.modules[0].files, [program.binary()]);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    }
}

#[test]
fn compressed_debug_sections_are_read() {
    for format in ["zlib", "zlib-gnu", "zstd"] {
        let program = Program::build(&[]);
        let binary = program.binary();
        let option = format!("--compress-debug-sections={format}");
        program.run("objcopy", &[&option, binary.to_str().unwrap()]);
        let (capture, _) = resolved(&program.root(), &program.offsets_in("outer"));
        assert_inlined(&calls(&capture));
    }
}

#[test]
fn without_debug_information_the_symbol_table_names_functions() {
    let program = Program::build(&["-s"]);
    let stripped = fs::read(program.binary()).unwrap();
    let program = Program::build(&["-g0"]);
    let offsets = program.offsets_in("outer");
    let (capture, _) = resolved(&program.root(), &offsets);
    let outer = Call { function: "outer".to_owned(), file: None, line: None };
    assert!(calls(&capture).iter().all(|calls| *calls == [outer.clone()]));

    fs::write(program.binary(), stripped).unwrap();
    let (capture, report) = resolved(&program.root(), &offsets);
    assert_eq!(reason(&capture), WhyNoSymbol::NoSymbol);
    assert_eq!(report.modules[0].reason, Some(WhyNoSymbol::NoSymbol));
}

#[test]
fn a_stripped_program_and_its_debug_file_complete_each_other() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let debug =
        program.root().join(format!(".build-id/ab/{}.debug", &crate::fixture::BUILD_ID[2..]));
    fs::create_dir_all(debug.parent().unwrap()).unwrap();
    let (binary, debug) = (program.binary(), debug.to_str().unwrap().to_owned());
    program.run("objcopy", &["--only-keep-debug", binary.to_str().unwrap(), &debug]);
    program.run("strip", &[binary.to_str().unwrap()]);
    let (capture, report) = resolved(&program.root(), &offsets);
    assert_inlined(&calls(&capture));
    assert_eq!(report.modules[0].files, [binary.clone(), debug.into()]);

    // The debug file's own headers no longer say where the bytes of the program lie.
    fs::remove_file(binary).unwrap();
    let (capture, report) = resolved(&program.root(), &offsets);
    assert_eq!(reason(&capture), WhyNoSymbol::FileNotFound);
    assert!(report.modules[0].notes[0].contains("only the debug file"), "{report:?}");
}

#[test]
fn offsets_outside_of_the_code_have_no_name() {
    let program = Program::build(&[]);
    let (capture, _) = resolved(&program.root(), &[0, 1, 64, 1 << 20, u64::MAX - 1, u64::MAX]);
    assert_eq!(reason(&capture), WhyNoSymbol::NoSymbol);
}

#[test]
fn two_runs_agree() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let (first, second) =
        (resolved(&program.root(), &offsets), resolved(&program.root(), &offsets));
    assert_eq!(first.1, second.1);
    assert_eq!(calls(&first.0), calls(&second.0));
}
