//! Captures that were made to do harm: by counts and sizes that lie, and by sheer numbers of what is allowed.
//!
//! In debug builds the largest are a twentieth as large; `cargo test --release -p coldcase-cli --test robust` has them whole.

use std::fs;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::measured::{Run, run, run_with};
use crate::perf_file::{self, Moment, PerfFile, record, sample_body};
use crate::targets::KERNEL;

/// A number of rows or bytes for this kind of build.
fn sized(full: usize) -> usize {
    if cfg!(debug_assertions) { full / 20 } else { full }
}

/// Numbers of so many threads.
fn threads(full: usize) -> std::ops::Range<i32> {
    10..10 + i32::try_from(sized(full)).unwrap()
}

const START: u64 = 1_000_000_000;

fn at(time: u64, tid: i32) -> Moment {
    Moment { time: START + time, pid: tid, tid, cpu: 0 }
}

/// The moment at which a thread's turn comes, if each has so many nanoseconds.
fn turn(tid: i32, each: u64) -> u64 {
    u64::from(tid.unsigned_abs()) * each
}

/// Some switches and wakings of two threads that any capture should have.
fn healthy() -> PerfFile {
    let mut file = PerfFile::new();
    for step in 0..100 {
        let now = step * 1_000_000;
        file.switch(at(now, 7), &[0xffff_ffff_8100_0010], 1, 8);
        file.waking(at(now + 400_000, 8), &[], 7);
        file.switch(at(now + 500_000, 8), &[], 0, 7);
    }
    file
}

/// Whether all of [`healthy`] was read: its 300 samples.
fn has_all(run: &Run) {
    let findings: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let events = &findings["capture"]["events"];
    assert!(events["sched:sched_switch"].as_u64() >= Some(200), "{events}: {}", run.stderr);
    assert!(events["sched:sched_waking"].as_u64() >= Some(100), "{events}: {}", run.stderr);
}

fn report(bytes: &[u8]) -> Run {
    report_named("capture", bytes)
}

fn report_named(name: &str, bytes: &[u8]) -> Run {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    report_in(folder.path(), name)
}

/// All that is made of a capture: JSON on standard output, and the page. `--nocapture` shows the figures of
/// docs/robustness.md.
#[expect(clippy::print_stderr, reason = "figures for who asks for them")]
fn report_in(folder: &Path, name: &str) -> Run {
    let run = run(folder, &["report", name, "--json", "-", "-o", "page.html"]);
    run.ended_well(name);
    eprintln!(
        "{}: exit {:?}, {} MB for {} MB, {:.1} s",
        std::thread::current().name().unwrap_or_default(),
        run.code,
        run.peak >> 20,
        fs::metadata(folder.join(name)).unwrap().len() >> 20,
        run.took.as_secs_f64(),
    );
    run
}

#[test]
fn sections_and_records_that_claim_more_than_there_is() {
    let whole = healthy().bytes();
    // The records, the attributes and an index entry, each said to have 4 GB and 2^63 bytes.
    for place in [48, 32, 40, 24] {
        for size in [4_u64 << 30, 1 << 63, u64::MAX] {
            let mut bytes = whole.clone();
            bytes[place..place + 8].copy_from_slice(&size.to_le_bytes());
            report(&bytes).within(bytes.len() as u64, 4);
        }
    }
    // Data behind its record: tracing data, AUX area, a compressed block.
    let kinds: [(u32, &[u8]); 3] =
        [(66, &[0xff; 4]), (71, &(4_u64 << 30).to_le_bytes()), (83, &(4_u64 << 30).to_le_bytes())];
    for (kind, size) in kinds {
        let mut file = healthy();
        file.record(kind, 0, &[size, &[0; 36]].concat());
        has_all(report(&file.bytes()).within(file.records.len() as u64, 4));
    }
}

#[test]
fn callchains_and_raw_data_without_an_end() {
    for depth in [1 << 60, u64::MAX, 1 << 32, 9000] {
        let mut file = healthy();
        file.record(9, 2, &sample_body(0, at(0, 7), depth, &[1, 2, 3], &[0; 64]));
        has_all(report(&file.bytes()).says("shorter than their description"));
    }
}

#[test]
fn a_million_attributes_and_tables_of_ids_that_cover_the_whole_file() {
    let mut file = healthy();
    let mut attr = file.attrs[0].clone();
    attr.ids.clear();
    attr.ids_at = Some((0, u64::MAX >> 1));
    let length = file.bytes().len() as u64;
    attr.ids_at = Some((104, length - 104));
    file.attrs.resize(sized(1_000_000), attr);
    let bytes = file.bytes();
    report(&bytes).within(bytes.len() as u64, 8);
}

#[test]
fn packed_files_that_expand_without_an_end() {
    let zeros = vec![0; sized(1 << 30)];
    let zstd = zstd::encode_all(&zeros[..], 3).unwrap();
    let run = report_named("bomb.zst", &zstd);
    assert_eq!(run.code, Some(3), "{}", run.stderr);
    run.within(zstd.len() as u64, 2000);
    // With a true capture at its front, that is read.
    let bomb = [&healthy().bytes()[..], &zeros].concat();
    let packed = zstd::encode_all(&bomb[..], 3).unwrap();
    has_all(report(&packed).within(packed.len() as u64, 2000));
}

#[test]
fn compressed_records_that_expand_without_an_end() {
    // Zeros, in which no record begins, and records without a body: 64 KiB of zstd hold up to a gigabyte of them.
    let empty = record(68, 0, &[]).repeat(sized(1 << 26));
    for (plain, said) in [(vec![0; sized(1 << 29)], "no record begins"), (empty, "unpacks to more")]
    {
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        let mut file = healthy();
        for part in packed.chunks(60_000) {
            file.record(81, 0, part);
        }
        has_all(report(&file.bytes()).within(file.records.len() as u64, 4).says(said));
    }
}

/// A multiplication by a number that everybody knows can be taken back: all these addresses, and all chains of the number and
/// one of them, would have the same place in a table that is hashed with it alone (rustc-hash 2).
#[test]
fn addresses_and_chains_that_were_made_to_collide() {
    const KNOWN: u64 = 0xf135_7aea_2e62_a9c5;
    // Newton's way to its inverse: each step doubles the bits that are right.
    let inverse =
        (0..6).fold(KNOWN, |x, _| x.wrapping_mul(2_u64.wrapping_sub(KNOWN.wrapping_mul(x))));
    assert_eq!(KNOWN.wrapping_mul(inverse), 1);
    let mut file = healthy();
    for number in 0..sized(400_000) as u64 {
        let address = (number << 25).rotate_right(26).wrapping_mul(inverse);
        let at = at(number * 1000, 7);
        file.switch(at, &[KNOWN, address.wrapping_sub(KNOWN), address], 1, 8);
    }
    let run = report(&file.bytes());
    run.within(file.records.len() as u64, 20);
    assert!(run.took < Duration::from_secs(20), "{:?}", run.took);
}

#[test]
fn endless_rounds() {
    let mut file = healthy();
    file.records.extend(record(68, 0, &[]).repeat(sized(5_000_000)));
    has_all(report(&file.bytes()).within(file.records.len() as u64, 4));
}

#[test]
fn times_that_run_backwards_and_overflow() {
    let mut file = healthy();
    for step in 0..500_u64 {
        let times = [u64::MAX - step, START - step, 1, u64::MAX / 2 + step, 0];
        for time in times {
            let at = Moment { time, pid: 7, tid: 7, cpu: 0 };
            file.switch(at, &[0xffff_ffff_8100_0010], 2, 8).waking(at, &[], 8).round();
        }
    }
    has_all(report(&file.bytes()).says("out of order"));
}

#[test]
fn a_thread_number_that_is_reused_a_million_times() {
    let mut file = healthy();
    for life in 0..sized(1_000_000) as u64 {
        let now = at(life * 20_000_000, 9);
        file.fork(now, 7).exit(Moment { time: now.time + 1000, ..now });
    }
    has_all(report(&file.bytes()).within(file.records.len() as u64, 20));
}

#[test]
fn a_million_threads_and_as_many_names() {
    let mut file = healthy();
    for tid in threads(1_000_000) {
        let now = at(turn(tid, 1000), tid);
        file.switch(now, &[0xffff_ffff_8100_0010], 1, tid + 1);
        file.comm(now, format!("thread {tid}").as_bytes());
    }
    has_all(report(&file.bytes()).within(file.records.len() as u64, 20));
}

#[test]
fn mappings_that_overflow_or_never_end() {
    let mut file = healthy();
    for (start, length) in [(u64::MAX - 10, u64::MAX), (0, u64::MAX), (u64::MAX, 1), (5, 0)] {
        file.map(at(0, 7), start, length, b"/bin/server");
    }
    for index in 0..sized(1_000_000) as u64 {
        file.map(at(index, 7), index << 13, 0x1000, b"/bin/server");
    }
    has_all(report(&file.bytes()).within(file.records.len() as u64, 8));
}

#[test]
fn children_that_inherit_all_mappings() {
    let mut file = healthy();
    for index in 0..sized(100_000) as u64 {
        file.map(at(index, 7), index << 13, 0x1000, b"/bin/server");
    }
    for child in threads(100_000) {
        file.fork(at(1 << 30, child), 7);
    }
    has_all(report(&file.bytes()).within(file.records.len() as u64, 20));
}

#[test]
fn descriptions_of_tracepoints_without_an_end() {
    let size = sized(200_000_000);
    let field = "\tfield:int x;\toffset:8;\tsize:4;\tsigned:1;\n";
    let head = "name: sched_switch\nID: 300\nformat:\n";
    let texts = [
        format!("{head}{}", field.repeat(size / field.len())),
        format!("{head}print fmt: {}", "__print_flags(".repeat(size / 14)),
        format!("{head}print fmt: {}", "REC->prev_state & ".repeat(size / 18)),
        format!("{head}print fmt: __print_flags(REC->prev_state, {}", "{ 1, ".repeat(size / 5)),
    ];
    for text in texts {
        let mut file = healthy();
        file.tracing = Some(perf_file::tracing_data(&[("sched", text)]));
        let bytes = file.bytes();
        report(&bytes).within(bytes.len() as u64, 8);
    }
}

#[test]
fn more_descriptions_than_events() {
    let formats: Vec<(&str, String)> = (0..sized(1_000_000))
        .map(|id| ("sched", format!("name: e{id}\nID: {}\n", id + 10_000)))
        .collect();
    let mut file = healthy();
    file.tracing = Some(perf_file::tracing_data(&formats));
    let attr = file.attrs[0].clone();
    file.attrs.resize(sized(1_000_000), attr);
    let bytes = file.bytes();
    report(&bytes).within(bytes.len() as u64, 8);
}

#[test]
fn damage_in_every_second_place() {
    let good = record(68, 0, &[]).repeat(8);
    let mut file = healthy();
    for _ in 0..sized(1_000_000) {
        file.records.extend(&good);
        file.records.extend([0; 8]);
    }
    let run = report(&file.bytes());
    has_all(run.within(file.records.len() as u64, 8));
    assert!(run.stderr.lines().count() < 100, "{} lines", run.stderr.lines().count());
}

#[test]
fn a_line_of_a_gigabyte() {
    let folder = TempDir::new().unwrap();
    let size = sized(1 << 30);
    for piece in [&b"a;"[..], b"x", b"1 ", b"\t"] {
        let chunk = piece.repeat((1 << 20) / piece.len());
        let run = run_with(folder.path(), &["report", "-", "--json", "-"], |stdin, _| {
            (0..size >> 20).try_for_each(|_| stdin.write_all(&chunk))
        });
        run.ended_well("a long line").within(size as u64, 3);
        assert_eq!(run.code, Some(3), "{}", run.stderr);
    }
}

#[test]
fn folded_stacks_as_deep_as_a_line_allows() {
    let deep = format!("{} 1000\n", "a;b;".repeat(250_000));
    let mixed = format!("{} 1000\n", "a;b;".repeat(60_000).replace("a;b;a", "c;a"));
    let text = format!("{deep}{mixed}").repeat(sized(100).div_ceil(10));
    report(text.as_bytes()).within(text.len() as u64, 60);
    let rising: String =
        (1..sized(3000)).map(|depth| format!("{}x 5\n", "f;".repeat(depth))).collect();
    report(rising.as_bytes()).within(rising.len() as u64, 60);
}

#[test]
fn names_that_are_never_the_same() {
    let text: String = (0..sized(2_000_000))
        .map(|n| format!("comm{n};main{n};do_syscall_64;schedule {n}\n"))
        .collect();
    report(text.as_bytes()).within(text.len() as u64, 60);
    let text: String = (0..sized(1_000_000))
        .map(|n| {
            format!(
                "comm{n} {n} [000] {n}.000001: sched:sched_switch: prev_comm=comm{n} prev_pid={n} prev_prio=120 \
                 prev_state=D ==> next_comm=x next_pid={} next_prio=120\n\tffff schedule+0x{n:x} ([k])\n\n",
                n + 1
            )
        })
        .collect();
    report(text.as_bytes()).within(text.len() as u64, 20);
}

#[test]
fn everybody_waits_for_one_lock() {
    let folder = TempDir::new().unwrap();
    let list: String =
        KERNEL.iter().map(|(address, name)| format!("{address:016x} T {name}\n")).collect();
    fs::write(folder.path().join("kallsyms"), list).unwrap();
    let stack = |functions: &[usize]| -> Vec<u64> {
        functions.iter().map(|&index| KERNEL[index].0 + 0x11).collect()
    };
    let (reader, holder) = (stack(&[4, 3, 6, 8, 13, 14]), stack(&[17, 22, 10, 9, 2, 1]));
    let mut file = PerfFile::new();
    for tid in threads(30_000) {
        let now = Moment { pid: 10, ..at(turn(tid, 100), tid) };
        file.switch(now, &reader, 2, tid + 1);
    }
    for tid in threads(30_000) {
        let now = Moment { pid: 10, ..at(2_000_000_000 + turn(tid, 100), 9) };
        file.waking(now, &holder, tid);
        file.switch(Moment { time: now.time + 50, ..now }, &[], 0, tid);
    }
    fs::write(folder.path().join("capture"), file.bytes()).unwrap();
    let arguments = ["report", "capture", "--kallsyms", "kallsyms", "--json", "-", "-o", "p.html"];
    let run = run(folder.path(), &arguments);
    run.ended_well("all wait").within(file.records.len() as u64, 30);
    assert!(run.took.as_secs() < 30, "{:?}", run.took);
    assert!(run.stdout.contains("\"mmap_lock\""), "nothing was made of it: {}", run.stderr);
    let page = fs::metadata(folder.path().join("p.html")).unwrap().len();
    assert!(page < 8 << 20, "a page of {page} bytes");
}
