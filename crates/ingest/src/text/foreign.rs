//! What a file is that no reader knows, and the command that helps.

use memchr::memmem;

/// First bytes, and what begins so.
const MAGICS: &[(&[u8], &str)] = &[
    (
        b"\x17\x08\x44tracing",
        "it is a trace.dat of trace-cmd; make it text first: trace-cmd report FILE > FILE.txt",
    ),
    (
        b"LPKSHHRH",
        "it is a systemd journal; make the kernel's log of it: journalctl --file FILE -k > FILE.txt",
    ),
    (
        b"SIMPLEPERF",
        "it is what simpleperf report-sample wrote; give the perf.data that it was made of",
    ),
    (
        b"\xc1\x1f\xfc\xc1",
        "it is a stream of LTTng or another CTF trace, which coldcase does not read; `coldcase recipe` says how to record",
    ),
    (
        b"FLR\0",
        "it is a recording of Java's Flight Recorder, which coldcase does not read: jfr summary FILE shows what is in it",
    ),
    (
        b"go 1.",
        "it is a trace of Go's runtime, which coldcase does not read: go tool trace FILE shows it",
    ),
    (
        b"KDUMP   ",
        "it is a dump of a kernel's memory: crash's `foreach UN bt` shows its blocked tasks",
    ),
    (
        b"BZh",
        "it is packed by bzip2; unpack it first: bunzip2 FILE (what perf archive packed: tar xf FILE -C FOLDER, then --symfs FOLDER)",
    ),
    (b"\x04\x22\x4d\x18", "it is packed by lz4; unpack it first: lz4 -d FILE"),
    (b"PK\x03\x04", "it is a zip archive; unpack it first: unzip FILE"),
    (b"\xd4\xc3\xb2\xa1", PACKETS),
    (b"\xa1\xb2\xc3\xd4", PACKETS),
    (b"\x4d\x3c\xb2\xa1", PACKETS),
    (b"\x0a\x0d\x0d\x0a", PACKETS),
];

/// `tcpdump -w`, and `dumpcap`'s pcapng.
const PACKETS: &str =
    "it is a capture of a network's packets, which does not show what threads wait for";

const REPORT: &str = "it is the text of perf report, which has sums of samples; give the perf.data, or the text of perf script";

const SCHEDULER: &str = "it is a table of sums of perf sched, which has no single waits; give the perf.data that it was made of, or the text of \
     perf sched timehist -wn --state";

const LOCKS: &str = "it is a table of sums of perf lock, which has no single waits; give the perf.data that it was made of";

const BACKTRACES: &str = "it is a debugger's list of what threads stood in at one moment, which has no times; `coldcase recipe` says how to record";

/// Words at the front of a text, and what has them. Of several, the first that is found counts.
const WORDS: &[(&[u8], &str)] = &[
    (
        b"https://www.speedscope.app/file-format-schema.json",
        "it is a profile for speedscope; give the recording that it was made of",
    ),
    (
        b"\"preprocessedProfileVersion\"",
        "it is a profile for the Firefox Profiler, as samply writes it: samples of what ran, not of what waited; give the perf.data if it was made of one",
    ),
    (
        b"\"traceEvents\"",
        "it is a trace in Chrome's format; give the recording that it was made of",
    ),
    (
        b"\"__CURSOR\"",
        "it is a systemd journal as JSON; print it as text: journalctl -k > FILE.txt",
    ),
    (b"\"attached_probes\"", "it is bpftrace's output as JSON; give its text, without -f json"),
    (b"<svg", "it is a picture; give the folded stacks or the recording that it was made of"),
    (
        b"\"linux-perf-json-version\"",
        "it is what perf data convert wrote, which lacks most events' fields; give the perf.data, or the text of perf script",
    ),
    (
        b"]: PERF_RECORD_",
        "it is a dump of a perf.data's records (perf report -D, perf script -D); give the perf.data, or the text of perf script",
    ),
    (b"# Overhead ", REPORT),
    (b"# To display the perf.data header info", REPORT),
    (
        b"Source code & Disassembly of",
        "it is the text of perf annotate, which has sums of samples; give the perf.data, or the text of perf script",
    ),
    (
        b"Performance counter stats for",
        "it is the text of perf stat, which has sums and no threads; `coldcase recipe` says how to record",
    ),
    (b"Runtime ms  | Switches |", SCHEDULER),
    (b" secs A0 => ", SCHEDULER),
    (b"Runtime summary\n", SCHEDULER),
    (b"Name   acquired  contended", LOCKS),
    (b" contended   total wait ", LOCKS),
    (
        b" Summary of events:\n",
        "it is the summary of perf trace -s, which has sums; record perf trace -T, beside perf record of the scheduler (`coldcase recipe`)",
    ),
    (
        b"% time     seconds  usecs/call",
        "it is the summary of strace -c, which has sums; record strace -f -ttt -T, beside perf record of the scheduler (`coldcase recipe`)",
    ),
    (
        b"Avg Wait    Count   Max Wait",
        "it is the text of klockstat, which has sums without threads' stacks; `coldcase recipe` says how to record",
    ),
    (
        b"\nAttaching ",
        "it is what bpftrace printed, and no map is in it whose keys have stacks; `coldcase recipe` has a script that prints one",
    ),
    (b"Thread 1 (Thread 0x", BACKTRACES),
    (b"Thread 1 (LWP ", BACKTRACES),
    (b"\nTID ", BACKTRACES),
    (
        b"Full thread dump ",
        "it is a dump of a Java program's threads, which has no times; `coldcase recipe` says how to record",
    ),
    (
        b"Linux version ",
        "it is a kernel's log without a report of blocked tasks (the hung-task detector's, or echo w > /proc/sysrq-trigger)",
    ),
];

/// So many bytes at the front are searched for words.
const FRONT: usize = 64 << 10;

/// What a file is that is no text, or that could be taken for one; such files can hold a kernel's log, too.
pub(super) fn no_text(bytes: &[u8]) -> Option<&'static str> {
    let by_magic = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic));
    let known = by_magic.map(|(_, what)| *what).or_else(|| program(bytes));
    known.or_else(|| bytes.starts_with(b"{").then(|| words(bytes)).flatten())
}

/// What a file is, as far as its first bytes tell, that none of the readers could read.
pub(super) fn name(bytes: &[u8]) -> Option<&'static str> {
    no_text(bytes).or_else(|| protobuf(bytes)).or_else(|| words(bytes))
}

fn words(bytes: &[u8]) -> Option<&'static str> {
    let front = &bytes[..bytes.len().min(FRONT)];
    WORDS.iter().find(|(words, _)| memmem::find(front, words).is_some()).map(|(_, what)| *what)
}

/// ELF: its type stands at byte 16, 4 is a core dump.
fn program(bytes: &[u8]) -> Option<&'static str> {
    bytes.starts_with(b"\x7fELF").then_some(match bytes.get(16..18) {
        Some([4, 0] | [0, 4]) => {
            "it is a core dump, which shows one moment of one process: eu-stack --core FILE prints its threads' stacks"
        }
        _ => "it is a program or library, not a capture",
    })
}

/// Perfetto's traces are packets alone (field 1); pprof's profiles have samples (2), locations (4) and strings (6).
fn protobuf(bytes: &[u8]) -> Option<&'static str> {
    const LOOKED_AT: usize = 10_000;
    /// The wire type of fields that say their length.
    const LENGTH: u64 = 2;
    let (mut rest, mut seen) = (bytes, [0_usize; 16]);
    for _ in 0..LOOKED_AT {
        let Some((tag, after)) = varint(rest) else { break };
        let field = usize::try_from(tag >> 3).ok().filter(|field| (1..16).contains(field))?;
        let (value, after) = varint(after)?;
        seen[field] += 1;
        if tag & 7 == LENGTH {
            let length = usize::try_from(value).ok()?;
            // Only the last field may be cut.
            let Some(after) = after.get(length..) else { break };
            rest = after;
        } else {
            rest = (tag & 7 == 0).then_some(after)?;
        }
    }
    let all: usize = seen.iter().sum();
    if seen[1] == all && all > 2 {
        return Some(
            "it is a trace for Perfetto, which coldcase does not read; give ftrace's text (docs/formats.md), or record with perf",
        );
    }
    (seen[1] > 0 && seen[2] > 0 && seen[4] > 0 && seen[6] > 0).then_some(
        "it is a profile for pprof, which has neither threads nor times; `coldcase recipe` says how to record",
    )
}

/// A number in pieces of seven bits, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
    let (number, rest) = bytes.split_at(length);
    let value = number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, rest))
}
