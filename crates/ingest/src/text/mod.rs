//! Captures that are text, recognised by what their lines look like.
//!
//! ```text
//! bytes --plain--> text as the tool wrote it --detect--> its format --a file of its own--> Capture
//! ```
//!
//! A line that cannot be read is counted with its place and its reason, and the others are read (see `lines`). Names are
//! interned by their bytes, so that what repeats costs a look-up (see `builder`).

mod blocks;
mod bpftrace;
mod builder;
mod events;
mod fields;
mod folded;
mod foreign;
mod frames;
mod ftrace;
mod header;
mod kernel_log;
mod lines;
mod log;
mod number;
mod perf_script;
mod plain;
mod processes;
mod profile;
mod progress;
mod timehist;

use crate::capture::{Capture, Format, Sentence};
use crate::error::Problem;
use lines::Lines;
use progress::Progress;

/// So many lines at the front decide what a text is.
const LOOKED_AT: usize = 400;

/// Reads a text of this format, or of the one that it looks like.
pub(crate) fn read(
    bytes: &[u8],
    format: Option<Format>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, Problem> {
    let (text, note) = plain::plain(bytes);
    if format.is_none()
        && let Some(what) = foreign::no_text(bytes)
    {
        return Err(Problem::UnknownFormat(what.to_owned()));
    }
    let progress = &mut Progress::new(progress, text.len());
    let mut capture = match format.unwrap_or_else(|| detect(&text)) {
        Format::PerfScript => perf_script::read(&text, progress),
        Format::Timehist => timehist::read(&text, progress),
        Format::Ftrace => ftrace::read(&text, progress),
        Format::OffCpuBlocks => blocks::read(&text, progress),
        Format::Bpftrace => bpftrace::read(&text, progress),
        Format::Strace => log::read_strace(&text, progress),
        Format::PerfTrace => log::read_perf_trace(&text, progress),
        Format::MemorySyscalls => log::read_memory_syscalls(&text, progress),
        Format::KernelLog => kernel_log::read(&text, progress),
        Format::Folded | Format::PerfData | Format::PerfPipe => {
            folded::read(&text, progress, || what_it_is(bytes))
        }
    }?;
    capture.warnings.extend(note.map(Sentence::from));
    Ok(capture)
}

/// Whether a text looks like one of a format.
type Recognise = fn(&[u8]) -> bool;

/// What a text is, by its first lines; folded stacks if no other format claims it.
fn detect(text: &[u8]) -> Format {
    let any = |is: fn(&[u8]) -> bool| Lines::new(text).take(LOOKED_AT).any(|line| is(line.bytes));
    let formats: [(Recognise, Format); 11] = [
        (log::is_memory_syscalls, Format::MemorySyscalls),
        (timehist::is_head, Format::Timehist),
        (ftrace::is_head, Format::Ftrace),
        (perf_script::is_event, Format::PerfScript),
        (log::is_strace, Format::Strace),
        (log::is_perf_trace, Format::PerfTrace),
        (kernel_log::is_report, Format::KernelLog),
        (bpftrace::is_entry, Format::Bpftrace),
        (blocks::is_head, Format::OffCpuBlocks),
        (blocks::is_thread, Format::OffCpuBlocks),
        (blocks::is_time, Format::OffCpuBlocks),
    ];
    match formats.iter().find(|(is, _)| any(*is)) {
        Some((_, format)) => *format,
        // A machine's boot can fill thousands of lines before its first report.
        None if kernel_log::holds_report(text) => Format::KernelLog,
        None => Format::Folded,
    }
}

/// What a file is that no reader knows, as far as its first bytes tell.
fn what_it_is(bytes: &[u8]) -> String {
    if let Some(what) = foreign::name(bytes) {
        return what.to_owned();
    }
    if perf_script::lacks_times(bytes) {
        return "it is the text of perf script without times; print it with them (perf script without -F)".to_owned();
    }
    "it is neither a perf.data (which begins with PERFILE2) nor folded stacks (lines of \
     `comm;frame;frame... microseconds`) nor any other text that coldcase reads (docs/formats.md lists them)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named_for_what_they_are() {
        let perfetto = [&b"\x0a\x03\x10\x01\x20"[..]; 4].concat();
        let pprof = b"\x0a\x04\x08\x01\x10\x02\x12\x02\x08\x01\x1a\x02\x08\x01\x22\x02\x08\x01\x32\0\x32\x03cpu\x48\x05";
        let core: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0";
        for (bytes, word) in [
            (&b"hello world\nthis is a log\nof something\n"[..], "neither"),
            (&b"\x7fELF\x02\x01"[..], "program"),
            (core, "core dump"),
            (&b"a 1 [000] sched:sched_switch: prev_comm=a\n"[..], "without -F"),
            (&b"\x17\x08\x44tracing6\0\0\0"[..], "trace-cmd report"),
            (&b"LPKSHHRH\0\n[1.5] INFO: task a:1 blocked for more than 5 seconds.\n"[..], "journalctl"),
            (&b"\xd4\xc3\xb2\xa1\x02\0\x04\0"[..], "packets"),
            (&b"BZh91AY&SY"[..], "bunzip2"),
            (&b"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\n\"a\": 1\n}"[..], "speedscope"),
            (&b"{\"meta\":{\"preprocessedProfileVersion\":49},\"threads\":[]}"[..], "samply"),
            (&b"{\"traceEvents\":[]}"[..], "Chrome"),
            (&b"{\"type\": \"attached_probes\", \"data\": {\"probes\": 3}}\n"[..], "-f json"),
            (&b"<?xml version=\"1.0\"?>\n<svg width=\"1\">\n"[..], "picture"),
            (&b"# To display\n#\n# Overhead  Command\n"[..], "perf script"),
            (&b"# To display the perf.data header info, please use --header/--header-only options.\n#\n"[..], "perf report"),
            (&b"# To display the perf.data header info\n\n0x568 [0x50]: PERF_RECORD_MMAP -1/0: x\n"[..], "perf report -D"),
            (&b"{\n\t\"linux-perf-json-version\": 1,\n"[..], "perf data convert"),
            (&b" Percent |\tSource code & Disassembly of libc.so.6 for sched:sched_switch\n"[..], "perf annotate"),
            (&b"# started on Mon\n\n Performance counter stats for 'system wide':\n"[..], "perf stat"),
            (&b"  Task                  |   Runtime ms  | Switches | Avg delay ms    | Max delay ms\n"[..], "perf sched"),
            (&b"  *A0       48595.313858 secs A0 => migration/0:18\n"[..], "perf sched"),
            (&b"\nRuntime summary\n     comm  parent   sched-in\n\nTotal number of unique tasks: 23\nTotal number of context switches: 999\n"[..], "perf sched"),
            (&b"                Name   acquired  contended     avg wait   total wait\n"[..], "perf lock"),
            (&b" contended   total wait     max wait     avg wait         type   caller\n"[..], "perf lock"),
            (&b"\n Summary of events:\n\n coldcase-lab (30890), 36 events, 0.0%\n"[..], "perf trace -s"),
            (&b"% time     seconds  usecs/call     calls    errors syscall\n"[..], "strace -c"),
            (&b"                               Caller  Avg Wait    Count   Max Wait   Total Wait\n"[..], "klockstat"),
            (&b"ERROR: memlock\nAttaching 1 probe...\n\n\n"[..], "recipe"),
            (&b"[New LWP 12]\n\nThread 1 (Thread 0x7f7c (LWP 11) \"a\"):\n#0  0x1 in read ()\n"[..], "debugger"),
            (&b"PID 11 - process\nTID 11:\n#0  0x00007f read\n"[..], "debugger"),
            (
                &b"# tracer: nop\n#\n# nop latency trace v1.1.5 on 6.18.44\n    perf-8840    1d.h2.    0us : sched_waking: comm=a pid=1\n"[..],
                "latency-format",
            ),
            (&b"Total number of events: 12\nsum 15\n"[..], "neither"),
            (&b"[    0.000000] Linux version 6.1.0\n[    0.1] x\n"[..], "without a report"),
            (&perfetto, "Perfetto"),
            (&pprof[..], "pprof"),
        ] {
            let problem = read(bytes, None, &mut |_, _| {}).unwrap_err().to_string();
            assert!(problem.contains(word), "{problem}");
        }
    }
}
