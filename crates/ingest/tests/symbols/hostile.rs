//! Damaged and hostile files cost names, nothing else.

use std::fs;

use coldcase_ingest::capture::{Symbol, WhyNoSymbol};

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
