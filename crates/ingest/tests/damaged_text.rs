//! Real texts, cut and damaged: nothing brings the reader down, what can be read is, and what cannot is said with its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its fixture has failed")]

mod random;

use std::fs;
use std::path::Path;

use coldcase_ingest::capture::{Capture, LossKind};
use coldcase_ingest::{Problem, ReadOptions, read_bytes};

use random::Random;

const TEXTS: &[&str] = &[
    "together/script.txt.zst",
    "together/timehist.txt.zst",
    "together/ftrace.txt.zst",
    "together/trace-cmd.txt.zst",
    "together/offcputime.txt.zst",
    "together/offcputime.folded",
    "together/offcpu-map.txt",
    "together/memory-syscalls.log",
    "beside/strace.log.zst",
    "beside/perf-trace.log.zst",
    "hung-task.txt",
    "bcc/offwaketime.txt",
    "bcc/wakeuptime.folded",
];

/// The first part of a text: damage to more of it says nothing more.
fn text(name: &str) -> Vec<u8> {
    const ENOUGH: usize = 300_000;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats").join(name);
    let bytes = fs::read(path).unwrap();
    let mut text =
        if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
    text.truncate(ENOUGH);
    text
}

fn read(bytes: &[u8]) -> Result<Capture, Problem> {
    read_bytes(bytes, ReadOptions::default(), &mut |_, _| {})
}

fn rows(capture: &Capture) -> usize {
    capture.switches.len() + capture.wakeups.len() + capture.syscalls.len() + capture.profile.len()
}

#[test]
fn a_text_that_is_cut_is_read_up_to_the_cut() {
    let mut random = Random(88_172_645_463_325_252);
    for name in TEXTS {
        let text = text(name);
        let whole = rows(&read(&text).unwrap());
        for _ in 0..10 {
            let cut = text.len() / 2 + random.below(text.len() / 2);
            let capture = read(&text[..cut]).unwrap();
            assert!(
                rows(&capture) <= whole && rows(&capture) * 10 >= whole,
                "{name} cut at byte {cut}"
            );
        }
    }
}

#[test]
fn lines_of_rubbish_cost_only_themselves() {
    for name in TEXTS {
        let text = text(name);
        let whole = read(&text).unwrap();
        let middle = text.len() / 2 + memchr(&text[text.len() / 2..]);
        // A line of control codes, UTF-16 without a mark, half a number, and a line of two megabytes.
        let long = vec![b'x'; 2 << 20];
        let rubbish =
            [b"\x00\x01\xff\xfe;\x7f 1\n\0a\0b\n12 [00 \n".as_slice(), &long, b"\n"].concat();
        let damaged = [&text[..middle], &rubbish, &text[middle..]].concat();
        let capture = read(&damaged).unwrap();
        // In a block of lines the rubbish stands for a frame or ends it.
        assert!(
            rows(&capture) + 2 >= rows(&whole),
            "{name}: {} of {} rows",
            rows(&capture),
            rows(&whole)
        );
    }
}

/// How far it is to the next line.
fn memchr(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1)
}

#[test]
fn damage_is_said_with_its_line_and_byte() {
    for name in [
        "together/script.txt.zst",
        "together/ftrace.txt.zst",
        "beside/strace.log.zst",
        "together/offcputime.folded",
    ] {
        let text = text(name);
        let end = memchr(&text[text.len() / 2..]) + text.len() / 2;
        let damaged = [&text[..end], b"what is this?\n", &text[end..]].concat();
        let capture = read(&damaged).unwrap();
        let place = format!("at byte {end}");
        assert!(
            capture.warnings.iter().any(|note| note.contains(&place)),
            "{name}: {:?}",
            capture.warnings
        );
        assert!(capture.losses.iter().any(|loss| loss.kind == LossKind::Damaged), "{name}");
    }
}

#[test]
fn flipped_bits_never_bring_the_reader_down() {
    let mut random = Random(1_181_783_497_276_652_981);
    for name in TEXTS {
        for _ in 0..10 {
            let mut text = text(name);
            for _ in 0..1 + random.below(300) {
                let at = random.below(text.len());
                text[at] ^= 1 << random.below(8);
            }
            let _ = read(&text);
        }
    }
}

#[test]
fn what_other_programs_did_to_a_text_is_undone() {
    for name in TEXTS {
        let text = text(name);
        let whole = read(&text).unwrap();
        let string = String::from_utf8_lossy(&text);
        let windows: Vec<u8> = string.replace('\n', "\r\n").into_bytes();
        let utf16: Vec<u8> =
            string.replace('\n', "\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let utf16 = [b"\xff\xfe".as_slice(), &utf16].concat();
        let colours: Vec<u8> = string.replace('\n', "\x1b[0m\n\x1b[32m").into_bytes();
        for (what, bytes) in [("CR LF", windows), ("UTF-16", utf16), ("colours", colours)] {
            let capture = read(&bytes).unwrap();
            assert_eq!(rows(&capture), rows(&whole), "{name} with {what}");
        }
    }
}
