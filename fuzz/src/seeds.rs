//! What fuzzing begins with: the project's real captures and texts, cut small, and built ones.

use std::fs;
use std::path::Path;

use crate::perf_file::{self, Moment, PerfFile};
use crate::targets::{BORDER, KERNEL, RULED};

/// So much of a text, up to the end of a line, and so many bytes of a capture's records.
const TEXT: usize = 6_000;
const RECORDS: usize = 12_000;

/// Texts among the fixtures' formats, and the targets that they are seeds of.
const TEXTS: &[(&str, &str)] = &[
    ("perf_script", "fixtures/formats/together/script.txt.zst"),
    ("perf_script", "crates/ingest/tests/data/perf/script/default.txt.zst"),
    ("perf_script", "crates/ingest/tests/data/perf/script/addresses.txt.zst"),
    ("perf_script", "crates/ingest/tests/data/perf/script/no-comm.txt.zst"),
    ("timehist", "fixtures/formats/together/timehist.txt.zst"),
    ("ftrace", "fixtures/formats/together/ftrace.txt.zst"),
    ("ftrace", "fixtures/formats/together/trace-cmd.txt.zst"),
    ("offcpu_blocks", "fixtures/formats/together/offcputime.txt.zst"),
    ("offcpu_blocks", "fixtures/formats/bcc/offcputime.txt"),
    ("offcpu_blocks", "fixtures/formats/bcc/offwaketime.txt"),
    ("offcpu_blocks", "fixtures/formats/bcc/wakeuptime.txt"),
    ("bpftrace", "fixtures/formats/together/offcpu-map.txt"),
    ("folded", "fixtures/formats/together/offcputime.folded"),
    ("folded", "fixtures/formats/bcc/offwaketime.folded"),
    ("folded", "fixtures/formats/bcc/wakeuptime.folded"),
    ("kernel_log", "fixtures/formats/hung-task.txt"),
    ("strace", "fixtures/formats/beside/strace.log.zst"),
    ("perf_trace", "fixtures/formats/beside/perf-trace.log.zst"),
    ("memory_syscalls", "fixtures/formats/together/memory-syscalls.log"),
];

/// Captures by every shape that perf writes.
const CAPTURES: &[&str] = &[
    "crates/ingest/tests/data/perf/big-endian.data.zst",
    "crates/ingest/tests/data/perf/compressed.data.zst",
    "crates/ingest/tests/data/perf/inject.data.zst",
    "crates/ingest/tests/data/perf/layouts.data.zst",
    "crates/ingest/tests/data/perf/pipe.data.zst",
    "crates/ingest/tests/data/perf/pipe-compressed.data.zst",
    "crates/ingest/tests/data/perf/sampled.data.zst",
    "crates/ingest/tests/data/perf/switch.data.zst",
    "crates/ingest/tests/data/perf/dwarf.data.zst",
    "fixtures/hashmap-resize/capture.data.zst",
    "fixtures/disk-fsync/capture.data.zst",
];

/// Targets that take a capture of any format.
const WHOLE: [&str; 3] = ["pipeline", "export", "redact"];

/// A seed: its target and its bytes.
pub type Seed = (&'static str, Vec<u8>);

/// All seeds, from the files below the project's root.
pub fn seeds(root: &Path) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for &(target, path) in TEXTS {
        let text = lines(&unpacked(&root.join(path)), TEXT);
        seeds.extend(WHOLE.map(|whole| (whole, text.clone())));
        seeds.push(("diff", [&text, BORDER, RULED.as_bytes()].concat()));
        seeds.push((target, text));
    }
    for path in CAPTURES {
        let capture = shortened(&unpacked(&root.join(path)), RECORDS);
        seeds.push(("perf_data", capture.clone()));
        seeds.push(("diff", [&capture, BORDER, RULED.as_bytes()].concat()));
        seeds.extend(WHOLE.map(|whole| (whole, capture.clone())));
    }
    let dwarf = unpacked(&root.join("crates/ingest/tests/data/perf/dwarf.data.zst"));
    seeds.push(("perf_unwind", shortened(&dwarf, 4 * RECORDS)));
    seeds.push(("log_beside", beside(root)));
    seeds.push(("slices", folder(root)));
    for name in ["plain.data.gz", "plain.data.xz", "plain.data.zst"] {
        let packed = fs::read(root.join("crates/ingest/tests/data/perf").join(name));
        seeds.push(("unpack", packed.expect("test data")));
    }
    seeds.push(("kallsyms", kernel_list()));
    seeds.push(("kallsyms", lines(&unpacked(&root.join("fixtures/kallsyms.zst")), TEXT)));
    let program = fs::read(root.join("crates/ingest/tests/data/perf/symfs/deep"));
    let program = program.expect("test data");
    seeds.extend([("kallsyms", program.clone()), ("object", program)]);
    seeds.extend(dumps(root).map(|dump| ("jit_dump", dump)));
    let package = fs::read(root.join("crates/ingest/tests/data/symbols/split/server.dwp"));
    seeds.push(("split", package.expect("test data")));
    seeds.push(("jit_map", b"7f00 20 LazyCompile:~old\n7f40 8 Builtin: x y\n7f00 10 new\n".into()));
    let rules = fs::read(root.join("crates/analyze/src/rules/rules.txt")).expect("the rules");
    seeds.extend(rules.chunks(2_000).map(|part| ("rules", lines(part, 2_000))));
    seeds.extend(WHOLE.map(|whole| (whole, RULED.into())));
    seeds.extend(built());
    seeds
}

/// Seeds that no recording gives.
fn built() -> Vec<Seed> {
    let at = |time| Moment { time, pid: 100, tid: 101, cpu: 0 };
    let chain: Vec<u64> = KERNEL.iter().take(8).map(|(address, _)| address + 1).collect();
    let mut file = PerfFile::new();
    file.comm(at(0), b"</script><script>alert(1)</script>")
        .comm(at(0), b"\x1b[2J\xe2\x80\xaecod|x");
    file.fork(at(1), 100).map(at(1), 0x1000, 0x1000, b"/bin/server");
    for step in 1..40 {
        file.waking(at(step * 1_000_000), &chain, 102).switch(at(step * 1_000_100), &chain, 2, 102);
        file.switch(Moment { tid: 102, ..at(step * 1_500_000) }, &chain, 1, 101).round();
    }
    let records = file.records.clone();
    let mut lost = file.clone();
    lost.tracing = None;
    let format = perf_file::format_text(0, &perf_file::TRACEPOINTS[0]);
    let contention = perf_file::format_text(5, &perf_file::TRACEPOINTS[5]);
    let raw: Vec<u8> = (0..200).collect();
    // A mapping that waits long behind a lock, and the others behind it.
    let events: Vec<u8> = (0..60_u8)
        .flat_map(|n| {
            [[0, n % 5, 8 + n, 200, 18, 2, 0, 0], [12, 7, n % 5, 3, 10, 0, 0, 0]].concat()
        })
        .collect();
    let rounds = events.chunks(64).flat_map(|some| [some, &[22, 0, 0, 0, 0, 0, 0, 0]].concat());
    let rounds: Vec<u8> = [9].into_iter().chain(rounds).collect();
    let kinds: Vec<u8> = (0..48).flat_map(|n| [n, n % 7, n * 5, 9, 20, n, n, 0]).collect();
    vec![
        ("perf_data", file.bytes()),
        ("perf_data", lost.bytes()),
        ("pipeline", file.bytes()),
        ("export", file.bytes()),
        ("redact", file.bytes()),
        ("diff", [&file.bytes(), BORDER, &lost.bytes()].concat()),
        ("perf_compressed", [&[0][..], &records].concat()),
        ("perf_compressed", [&[77][..], &records].concat()),
        ("tracepoint_format", [format.as_bytes(), BORDER, &raw].concat()),
        ("tracepoint_format", [contention.as_bytes(), BORDER, &raw].concat()),
        ("tracepoint_shape", [&[68][..], &records].concat()),
        ("pipeline_events", events),
        ("pipeline_events", kinds),
        ("chapters", rounds),
    ]
}

/// Dumps of process 7: node's, cut, and one in which code is loaded, replaced and moved.
fn dumps(root: &Path) -> impl Iterator<Item = Vec<u8>> {
    let stored = root.join("crates/ingest/tests/data/symbols/jit/jit-PID.dump.zst");
    let mut real = unpacked(&stored);
    real.truncate(TEXT);
    real[20..24].copy_from_slice(&7_u32.to_le_bytes());
    let mut built = real[..40].to_vec();
    let words =
        |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    for (kind, body) in [
        (0_u64, [words(&[0, 7 << 32 | 7, 0x7f00, 0x7f00, 0x20, 1]), b"old\0".to_vec()].concat()),
        (0, [words(&[1, 7 << 32 | 7, 0x7f00, 0x7f00, 0x10, 2]), b"new\0".to_vec()].concat()),
        (1, words(&[2, 7 << 32 | 7, 0x7f00, 0x7f00, 0xfe00, 0x10, 2])),
    ] {
        built.extend(words(&[kind | (body.len() as u64 + 8) << 32]));
        built.extend(body);
    }
    [real, built].into_iter()
}

/// A capture with a log beside it.
fn beside(root: &Path) -> Vec<u8> {
    let folder = root.join("fixtures/formats/beside");
    let capture = shortened(&unpacked(&folder.join("capture.data.zst")), RECORDS);
    let log = lines(&unpacked(&folder.join("strace.log.zst")), TEXT);
    [&capture, BORDER, &log].concat()
}

/// A folder of profiles, each a second.
fn folder(root: &Path) -> Vec<u8> {
    let text = unpacked(&root.join("fixtures/formats/together/offcputime.folded"));
    let files = ["12:00:01", "12:00:02", "1700000003.folded", "00004"];
    let parts = files.iter().zip(text.chunks(1500));
    let parts = parts.flat_map(|(name, text)| [name.as_bytes(), BORDER, text, BORDER].concat());
    parts.collect()
}

fn kernel_list() -> Vec<u8> {
    let lines = KERNEL.iter().map(|(address, name)| format!("{address:016x} T {name}\n"));
    lines.collect::<String>().into_bytes()
}

/// A file's bytes, unpacked.
pub fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let packed = path.extension().is_some_and(|extension| extension == "zst");
    if packed { zstd::decode_all(&bytes[..]).expect("zstd data") } else { bytes }
}

/// The whole lines among the first bytes.
fn lines(text: &[u8], most: usize) -> Vec<u8> {
    let start = &text[..most.min(text.len())];
    let end = start.iter().rposition(|&byte| byte == b'\n').map_or(start.len(), |at| at + 1);
    start[..end].to_vec()
}

/// A perf.data with the first of its records only, and its index moved up behind them.
pub fn shortened(file: &[u8], most: usize) -> Vec<u8> {
    let big = file.starts_with(b"2ELIFREP");
    let number = |at: usize| {
        let bytes = *file[at..].first_chunk().expect("a header");
        let number = if big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
        usize::try_from(number).expect("a place in the file")
    };
    let stored = |value: usize| {
        let value = value as u64;
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    };
    if number(8) == 16 {
        return file[..most.min(file.len())].to_vec();
    }
    let (start, length) = (number(40), number(48));
    let mut end = start;
    while end < start + most.min(length) {
        let size = *file[end + 6..].first_chunk().expect("a record");
        end += usize::from(if big { u16::from_be_bytes(size) } else { u16::from_le_bytes(size) });
    }
    let mut short = file[..end].to_vec();
    short[48..56].copy_from_slice(&stored(end - start));
    let moved = start + length - end;
    let sections = file[72..104].iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
    let index = start + length;
    for section in 0..sections {
        let entry = index + section * 16;
        short.extend(stored(number(entry) - moved));
        short.extend(&file[entry + 8..entry + 16]);
    }
    short.extend(&file[index + sections * 16..]);
    short
}
