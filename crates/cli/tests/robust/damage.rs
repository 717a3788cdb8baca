//! Every capture of the project, cut and damaged: what can be read is, and nothing else happens.

use std::fs;

use coldcase_ingest::{ReadOptions, read_bytes};

use crate::random::Random;
use crate::root;
use crate::seeds::{shortened, unpacked};
use crate::targets::pipeline;

/// Enough of a capture's records that threads wait in them.
const RECORDS: usize = 30_000;
const CUTS: usize = 10;
const DAMAGES: usize = 10;

/// Captures of all scenarios, whole.
fn captures() -> Vec<(String, Vec<u8>)> {
    let mut folders: Vec<_> =
        fs::read_dir(root().join("fixtures")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let captures = folders.iter().map(|folder| folder.join("capture.data.zst"));
    let captures = captures.filter(|path| path.is_file());
    captures.map(|path| (path.display().to_string(), unpacked(&path))).collect()
}

#[test]
fn captures_cut_anywhere_are_analysed() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (_, whole) in captures() {
        let short = shortened(&whole, RECORDS);
        for _ in 0..CUTS {
            pipeline(&short[..random.below(short.len())]);
        }
    }
}

#[test]
fn captures_with_flipped_bits_are_analysed() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (_, whole) in captures() {
        let short = shortened(&whole, RECORDS);
        for round in 0..DAMAGES {
            let mut bytes = short.clone();
            for _ in 0..1 << round {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            pipeline(&bytes);
        }
    }
}

#[test]
fn of_a_capture_cut_at_nine_tenths_all_before_the_cut_is_there() {
    let mut seen = 0;
    for (name, whole) in captures() {
        let cut = &whole[..whole.len() / 10 * 9];
        let number = |at: usize| u64::from_le_bytes(*cut[at..].first_chunk().unwrap()) as usize;
        let (start, end) = (number(40), number(40) + number(48));
        let mut expected = [0_u64; 256];
        let mut at = start;
        while at + 8 <= cut.len().min(end) {
            let size = usize::from(u16::from_le_bytes(*cut[at + 6..].first_chunk().unwrap()));
            if at + size <= cut.len().min(end) {
                expected[usize::from(cut[at])] += 1;
            }
            at += size;
        }
        let capture = read_bytes(cut, ReadOptions::default(), &mut |_, _| {}).unwrap();
        // Samples are counted by their event's name, all others by their kind.
        let is_sample = |name: &str| !name.starts_with("PERF_RECORD");
        let count = |samples: bool| -> u64 {
            let events = capture.events.iter();
            events.filter(|event| is_sample(&event.name) == samples).map(|event| event.count).sum()
        };
        // Ends of rounds are not counted.
        let total: u64 = expected.iter().sum::<u64>() - expected[68];
        assert_eq!((count(true), count(false)), (expected[9], total - expected[9]), "{name}");
        assert!(capture.warnings.iter().any(|note| note.contains("cut at byte")), "{name}");
        seen += expected[9];
    }
    assert!(seen > 100_000, "{seen} samples");
}
