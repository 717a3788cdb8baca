//! Damaged and hostile files cost names, nothing else.

use std::fs;

use coldcase_ingest::capture::{Module, ModuleKind, Symbol, WhyNoSymbol};
use coldcase_ingest::symbols::resolve;

use crate::fixture::{Program, calls, reason, resolved};

/// Names from these bytes in the place of the program; whatever they are, this returns.
fn names_from(program: &Program, bytes: &[u8], offsets: &[u64]) -> usize {
    fs::write(program.binary(), bytes).unwrap();
    let (capture, _) = resolved(&program.root(), offsets);
    let known = capture.frames.iter().filter(|(_, frame)| matches!(frame.symbol, Symbol::Known(_)));
    known.count()
}

#[test]
fn a_file_cut_anywhere_is_survived() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let bytes = fs::read(program.binary()).unwrap();
    let cuts = (0..256).chain((256..bytes.len()).step_by(101));
    for cut in cuts {
        names_from(&program, &bytes[..cut], &offsets);
    }
    assert_eq!(names_from(&program, &bytes, &offsets), offsets.len());
}

#[test]
fn flipped_bytes_are_survived() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let original = fs::read(program.binary()).unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 8).unwrap()
    };
    for _ in 0..1500 {
        let mut bytes = original.clone();
        for _ in 0..1 + next() % 24 {
            let at = next() % bytes.len();
            bytes[at] = [0, 0xff, 0x7f, 0x80, (next() & 0xff) as u8][next() % 5];
        }
        names_from(&program, &bytes, &offsets);
    }
}

#[test]
fn a_section_that_claims_to_expand_to_gigabytes_is_left_out() {
    let program = Program::build(&[]);
    let binary = program.binary();
    program.run("objcopy", &["--compress-debug-sections=zlib", binary.to_str().unwrap()]);
    let offsets = program.offsets_in("outer");
    let mut bytes = fs::read(&binary).unwrap();
    // Elf64_Chdr: ch_type 1, reserved, ch_size, ch_addralign 1; then the zlib header.
    let headers: Vec<usize> = (0..bytes.len() - 26)
        .filter(|&at| bytes[at..at + 8] == [1, 0, 0, 0, 0, 0, 0, 0] && bytes[at + 24] == 0x78)
        .collect();
    assert!(!headers.is_empty());
    for at in headers {
        bytes[at + 8..at + 16].copy_from_slice(&(1_u64 << 31).to_le_bytes());
    }
    fs::write(&binary, bytes).unwrap();
    let (capture, _) = resolved(&program.root(), &offsets);
    let calls = calls(&capture);
    assert!(calls.iter().all(|calls| calls.len() == 1 && calls[0].function == "outer"));
    assert_eq!(calls[0][0].line, None, "its name is the symbol table's");
}

/// A function `outer` whose DWARF inlines functions into each other `$DEPTH` deep; each is said to be a copy of itself.
const NESTED: &str = "\
    .globl outer, _start
    .text
_start: nop
    .type outer, @function
outer: .fill 64, 1, 0x90
    .size outer, 64
    .section .debug_abbrev, \"\"
    .byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0   # unit: low_pc, high_pc
    .byte 2, 0x2e, 1, 0x11, 1, 0x12, 7, 0, 0   # subprogram
    .byte 3, 0x1d, 1, 0x31, 0x13, 0x11, 1, 0x12, 7, 0, 0   # inlined subroutine: abstract_origin, low_pc, high_pc
    .byte 0
    .section .debug_info, \"\"
start: .long end - after
after: .value 4
    .long 0
    .byte 8
    .byte 1
    .quad outer, 64
    .byte 2
    .quad outer, 64
    .rept $DEPTH
1:  .byte 3
    .long 1b - start
    .quad outer, 64
    .endr
    .fill $DEPTH + 2, 1, 0
end:
";

#[test]
fn dwarf_that_nests_without_an_end_or_refers_to_itself() {
    for depth in ["3", "255", "300", "200000"] {
        let program = Program::build(&[]);
        let source = program.folder.path().join("nested.s");
        fs::write(&source, NESTED.replace("$DEPTH", depth)).unwrap();
        let id = format!("-Wl,--build-id=0x{}", crate::fixture::BUILD_ID);
        let output = program.binary();
        let output = output.to_str().unwrap();
        program.run("gcc", &["-nostdlib", "-static", &id, "-o", output, source.to_str().unwrap()]);
        let offsets = program.offsets_in("outer");
        let (capture, _) = resolved(&program.root(), &offsets);
        assert!(calls(&capture).iter().all(|calls| calls.last().unwrap().function == "outer"));
    }
}

#[test]
fn sections_that_lie_about_their_place_and_size_are_survived() {
    let program = Program::build(&[]);
    let offsets = program.offsets_in("outer");
    let original = fs::read(program.binary()).unwrap();
    let number = |at: usize| u64::from_le_bytes(*original[at..].first_chunk().unwrap());
    // Elf64_Ehdr: e_shoff at 40, e_shnum at 60; Elf64_Shdr: sh_offset at 24, sh_size at 32, sh_entsize at 56.
    let table = usize::try_from(number(40)).unwrap();
    for section in 0..usize::from(original[60]) {
        for field in [24, 32, 56] {
            let at = table + section * 64 + field;
            for lie in [u64::MAX, 1 << 63, number(at).wrapping_add(1), number(at) << 20] {
                let mut bytes = original.clone();
                bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
                names_from(&program, &bytes, &offsets);
            }
        }
    }
}

#[test]
fn lists_of_symbols_over_each_other_and_without_an_end() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = "/tmp/perf-7.map";
    let line = |n: u64| format!("{:x} ffffffffffffffff function {n}\n", 0x7f00 + n % 5000);
    let text: String = (0..200_000).map(line).collect();
    fs::write(folder.path().join("perf-7.map"), text + &"f".repeat(1 << 24)).unwrap();
    let module = Module { kind: ModuleKind::Anonymous, ..crate::fixture::module(path, None) };
    let mut capture = crate::fixture::capture_of(module, &[0x7f00, 0x7fff, u64::MAX, 0]);
    resolve(&mut capture, &crate::fixture::from(folder.path()));
    let known = capture.frames.iter().filter(|(_, frame)| frame.function().is_some());
    assert_eq!(known.count(), 3, "all but address 0 lie in one of them");
}

#[test]
fn other_files_are_unreadable() {
    let program = Program::build(&[]);
    for bytes in [&b""[..], b"#!/bin/sh\n", b"\x28\xb5\x2f\xfd damaged", b"\x7fELF"] {
        fs::write(program.binary(), bytes).unwrap();
        let (capture, report) = resolved(&program.root(), &[4096]);
        assert_eq!(reason(&capture), WhyNoSymbol::Unreadable, "{bytes:?}");
        assert_eq!(report.warnings.len(), 1, "{report:?}");
    }
}
