//! What holds for every capture, tried on every fixture: whole, cut, and with bits flipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its fixture has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use coldcase_analyze::findings::Findings;
use coldcase_analyze::rules::Rules;
use coldcase_analyze::{Options, analyze};
use coldcase_ingest::capture::{Capture, Meaning, Nanos};
use coldcase_ingest::symbols::{self, SymbolSources};
use coldcase_ingest::{Problem, ReadOptions, read_bytes};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// Every fixture's name with its capture's bytes, unpacked.
fn captures() -> Vec<(String, Vec<u8>)> {
    let mut captures: Vec<(String, Vec<u8>)> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let packed = fs::read(path.join("capture.data.zst")).ok();
            let plain = packed.map(|bytes| zstd::decode_all(&bytes[..]).unwrap());
            Some((name, plain.or_else(|| fs::read(path.join("capture.folded")).ok())?))
        })
        .collect();
    captures.sort();
    assert!(captures.len() >= 10, "the fixtures are not there");
    captures
}

fn read(bytes: &[u8]) -> Result<Capture, Problem> {
    read_bytes(bytes, ReadOptions::default(), &mut |_, _| {})
}

fn options() -> Options {
    Options {
        process: None,
        window: None,
        min_freeze: Nanos::from_millis(50),
        rules: Rules::built_in(),
    }
}

fn named(mut capture: Capture) -> Capture {
    let sources = SymbolSources {
        kallsyms: Some(folder().join("kallsyms.zst")),
        symfs: vec![folder().join("symfs")],
        ..SymbolSources::default()
    };
    symbols::resolve(&mut capture, &sources);
    capture
}

fn assert_sound(name: &str, findings: &Findings) {
    for window in &findings.windows {
        let blamed: Nanos = window.blame.iter().map(|row| row.time).sum();
        assert_eq!(blamed, window.freeze.blocked, "{name}: blame does not add up to the waiting");
        assert!(window.blame.iter().all(|row| row.thread.is_none() || !row.unknown), "{name}");
    }
    assert!(
        findings.windows.windows(2).all(|pair| pair[0].freeze.span.map(|span| span.start)
            <= pair[1].freeze.span.map(|span| span.start)),
        "{name}: windows are not in order of time"
    );
    for lane in findings.timeline.iter().flat_map(|timeline| &timeline.lanes) {
        assert!(
            lane.segments.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start),
            "{name}: {} does two things at once",
            lane.thread.comm
        );
    }
}

#[test]
fn blame_adds_up_to_the_nanosecond() {
    let mut windows = 0;
    for (name, bytes) in captures() {
        let capture = named(read(&bytes).unwrap());
        let findings = analyze(&capture, &options());
        assert_sound(&name, &findings);
        windows += findings.windows.len();
    }
    assert!(windows >= 10, "hardly any freeze was found");
}

#[test]
fn without_names_for_addresses_nothing_is_invented() {
    for (name, bytes) in captures().into_iter().filter(|(name, _)| !name.starts_with("folded")) {
        let findings = analyze(&read(&bytes).unwrap(), &options());
        assert_sound(&name, &findings);
        assert!(
            findings.windows.iter().all(|window| window.culprit.as_ref().is_none_or(|culprit| {
                culprit.thread.comm != "serve-0" && culprit.thread.comm != "serve-5"
            })),
            "{name}: a victim is named as the culprit"
        );
    }
}

/// All that a recording can do without.
const EXTRAS: &[Meaning] = &[
    Meaning::Contention,
    Meaning::MmapLock,
    Meaning::MemorySyscalls,
    Meaning::OtherSyscalls,
    Meaning::Samples,
    Meaning::Signals,
];
const WAKINGS: &[Meaning] = &[Meaning::Waking, Meaning::Wakeup];

/// What is taken out of a capture, to see what is said of the rest.
const POORER: &[(&str, &[&[Meaning]])] = &[
    ("without lock events", &[&[Meaning::Contention, Meaning::MmapLock]]),
    ("without calls", &[&[Meaning::MemorySyscalls, Meaning::OtherSyscalls]]),
    ("without wakings", &[WAKINGS]),
    ("without samples", &[&[Meaning::Samples]]),
    ("switches and wakings", &[EXTRAS]),
    ("switches", &[EXTRAS, WAKINGS]),
];

fn without(mut capture: Capture, meanings: &[Meaning]) -> Capture {
    capture.events.retain(|event| event.meaning.is_none_or(|meaning| !meanings.contains(&meaning)));
    for meaning in meanings {
        match meaning {
            Meaning::Contention => capture.contention.clear(),
            Meaning::MmapLock => capture.mmap_locks.clear(),
            Meaning::MemorySyscalls => capture.syscalls.clear(),
            Meaning::Samples => capture.samples.clear(),
            Meaning::Waking => capture.wakeups.clear(),
            Meaning::Signals => capture.activities.clear(),
            _ => {}
        }
    }
    capture
}

#[test]
fn with_poorer_recordings_grades_fall_and_culprits_stay() {
    for (name, bytes) in captures().into_iter().filter(|(name, _)| !name.starts_with("folded")) {
        let capture = named(read(&bytes).unwrap());
        let truth = culprits(&analyze(&capture, &options()));
        for (what, meanings) in POORER {
            let poorer = analyze(&without(capture.clone(), &meanings.concat()), &options());
            assert_sound(&name, &poorer);
            for culprit in culprits(&poorer) {
                assert!(
                    truth.contains(&culprit),
                    "{name} {what}: {culprit:?} is named, not {truth:?}"
                );
            }
        }
    }
}

fn culprits(findings: &Findings) -> Vec<Option<i32>> {
    let culprits = findings.windows.iter().filter_map(|window| window.culprit.as_ref());
    culprits.map(|culprit| culprit.thread.tid).collect()
}

/// Numbers that look random and are the same on every run (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn a_cut_capture_is_read_up_to_the_cut() {
    let mut random = Random(88_172_645_463_325_252);
    for (name, bytes) in captures() {
        for _ in 0..12 {
            let cut = 1 + random.below(bytes.len() - 1);
            if let Ok(capture) = read(&bytes[..cut]) {
                assert!(
                    !capture.warnings.is_empty() || name.starts_with("folded"),
                    "{name}: nobody is told of the cut at byte {cut}"
                );
                assert_sound(&name, &analyze(&capture, &options()));
            }
        }
    }
}

#[test]
fn flipped_bits_never_bring_the_reader_down() {
    let mut random = Random(1_181_783_497_276_652_981);
    for (name, bytes) in captures() {
        for round in 0..12 {
            let mut damaged = bytes.clone();
            // The header and the index decide most, so half of the damage goes there.
            let (from, length) = match round % 3 {
                0 => (0, 4096.min(bytes.len())),
                1 => (bytes.len() - bytes.len() / 10, bytes.len() / 10),
                _ => (0, bytes.len()),
            };
            for _ in 0..1 + random.below(200) {
                damaged[from + random.below(length)] ^= 1 << random.below(8);
            }
            if let Ok(capture) = read(&damaged) {
                assert_sound(&name, &analyze(&capture, &options()));
            }
        }
    }
}
