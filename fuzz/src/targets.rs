//! What is fuzzed: each target takes bytes and must return, whatever they are.
//!
//! A panic, an overflow, a promise of the report that is broken (see `inert`), a hang or too much memory is a finding. Built
//! twice: for cargo-fuzz, and into a plain test of the workspace that replays seeds and past crashes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use coldcase_analyze::findings::Findings;
use coldcase_analyze::rules::Rules;
use coldcase_analyze::{Chapters, Options, analyze};
use coldcase_ingest::capture::{
    BuildId, Capture, Format, LoadedModule, Location, Mode, Module, ModuleKind, Nanos,
};
use coldcase_ingest::symbols::{SymbolSources, resolve};
use coldcase_ingest::{ReadOptions, beside, read, read_bytes, read_in_chapters};
use coldcase_report::{HtmlContext, Input};

use crate::events;
use crate::inert;
use crate::outputs;
use crate::perf_file::{self, Moment, PerfFile};

/// A target: its name, which is also that of its folder of seeds and crashes, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("perf_data", perf_data),
    ("perf_unwind", perf_unwind),
    ("perf_compressed", perf_compressed),
    ("tracepoint_format", tracepoint_format),
    ("tracepoint_shape", tracepoint_shape),
    ("perf_script", |data| text(data, Format::PerfScript)),
    ("timehist", |data| text(data, Format::Timehist)),
    ("ftrace", |data| text(data, Format::Ftrace)),
    ("offcpu_blocks", |data| text(data, Format::OffCpuBlocks)),
    ("bpftrace", |data| text(data, Format::Bpftrace)),
    ("folded", |data| text(data, Format::Folded)),
    ("kernel_log", |data| text(data, Format::KernelLog)),
    ("strace", |data| text(data, Format::Strace)),
    ("perf_trace", |data| text(data, Format::PerfTrace)),
    ("memory_syscalls", |data| text(data, Format::MemorySyscalls)),
    ("log_beside", log_beside),
    ("slices", slices),
    ("unpack", unpack),
    ("kallsyms", kallsyms),
    ("object", object),
    ("split", split),
    ("jit_map", jit_map),
    ("jit_dump", jit_dump),
    ("rules", rules),
    ("pipeline", pipeline),
    ("pipeline_events", pipeline_events),
    ("chapters", chapters),
    ("export", outputs::export),
    ("redact", outputs::redact),
    ("diff", outputs::diff),
];

/// Between the parts of an input that stands for several files.
pub const BORDER: &[u8] = b"\n%%%%\n";

/// Runs the target of a name.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.expect("a target of this name").1(data);
}

fn bytes(data: &[u8], format: Option<Format>) -> Option<Capture> {
    read_bytes(data, ReadOptions { format, ..ReadOptions::default() }, &mut |_, _| {}).ok()
}

/// The reader of perf.data, pipes included.
pub fn perf_data(data: &[u8]) {
    bytes(data, Some(Format::PerfData));
}

/// The same with the programs that stacks recorded as bytes are unwound with.
pub fn perf_unwind(data: &[u8]) {
    let symfs = root().join("crates/ingest/tests/data/perf/symfs");
    let sources = SymbolSources { symfs: vec![symfs], ..SymbolSources::default() };
    let options = ReadOptions { programs: Some(&sources), ..ReadOptions::default() };
    let _ = read_bytes(data, options, &mut |_, _| {});
}

/// Records out of a `PERF_RECORD_COMPRESSED`: cut in two, and after a byte of luck damaged.
pub fn perf_compressed(data: &[u8]) {
    let Some((&luck, records)) = data.split_first() else { return };
    let Ok(mut packed) = zstd::encode_all(records, 1) else { return };
    if luck & 1 == 1 {
        let at = usize::from(luck >> 1) * packed.len() / 128;
        packed[at] ^= luck;
    }
    let mut file = PerfFile::new();
    let (front, back) = packed.split_at(packed.len() / 2);
    for part in [front, back].iter().flat_map(|half| half.chunks(60_000)) {
        file.record(81, 0, part);
    }
    perf_data(&file.bytes());
}

/// The description of a tracepoint, and raw bytes that are decoded by it.
pub fn tracepoint_format(data: &[u8]) {
    let mut parts = pieces(data);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let raw = parts.next().unwrap_or_default();
    let system = perf_file::TRACEPOINTS
        .iter()
        .find(|tracepoint| text.contains(&format!("name: {}\n", tracepoint.1)));
    let mut file = PerfFile::new();
    file.tracing =
        Some(perf_file::tracing_data(&[(system.map_or("sched", |known| known.0), text)]));
    for event in 0..4 {
        file.attrs[event].config = 300;
    }
    let at = Moment { time: 1, pid: 1, tid: 1, cpu: 0 };
    for (event, raw) in raw.chunks(100).enumerate() {
        let body = perf_file::sample_body(event % 4, at, 0, &[], raw);
        file.record(9, 0, &body);
    }
    perf_data(&file.bytes());
}

/// Raw bytes of tracepoints whose descriptions were lost: the first byte gives their length.
pub fn tracepoint_shape(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let mut file = PerfFile::new();
    file.tracing = None;
    for (number, raw) in rest.chunks(usize::from(length).max(1)).enumerate() {
        let at = Moment { time: number as u64, pid: 1, tid: 1, cpu: 0 };
        for event in [number % 4, 0] {
            file.record(9, 0, &perf_file::sample_body(event, at, 0, &[], raw));
        }
    }
    perf_data(&file.bytes());
}

/// A text of one format.
pub fn text(data: &[u8], format: Format) {
    bytes(data, Some(format));
}

/// A capture and a log of system calls beside it, told apart by [`BORDER`].
pub fn log_beside(data: &[u8]) {
    let mut parts = pieces(data);
    let (capture, log) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (Some(mut capture), Some(log)) = (bytes(capture, None), bytes(log, None)) else { return };
    if beside::is_log(&log) {
        let offset = (log.threads.len() % 2 == 0).then_some(-1_000_000_007);
        let _ = beside::add_log(&mut capture, &log, offset);
        whole(capture);
    }
}

/// A folder of profiles: name and content of each behind a [`BORDER`].
pub fn slices(data: &[u8]) {
    let scratch = Scratch::new("slices");
    let mut parts = pieces(data);
    let mut number = 0;
    while let (Some(name), Some(content)) = (parts.next(), parts.next()) {
        number += 1;
        let name: String = String::from_utf8_lossy(name)
            .chars()
            .filter(|c| c.is_ascii_graphic() && *c != '/')
            .take(60)
            .collect();
        if number > 20 || name.is_empty() || name == "." || name == ".." || name == "data" {
            return;
        }
        let _ = fs::write(scratch.0.join(name), content);
    }
    let every = (number % 2 == 1).then_some(Nanos::from_millis(1000));
    let options = ReadOptions { every, ..ReadOptions::default() };
    if let Ok(capture) = read(&scratch.0, options, &mut |_, _| {}) {
        whole(capture);
    }
}

/// A file that may be packed.
pub fn unpack(data: &[u8]) {
    let scratch = Scratch::new("unpack");
    let path = scratch.file("capture", data);
    let _ = read(&path, ReadOptions::default(), &mut |_, _| {});
}

/// Symbols of the kernel: kallsyms, System.map, or an image.
pub fn kallsyms(data: &[u8]) {
    let scratch = Scratch::new("kallsyms");
    let path = scratch.file("kallsyms", data);
    let sources = SymbolSources { kallsyms: Some(path), ..SymbolSources::default() };
    for reference in [None, Some(("_text".to_owned(), 0xffff_ffff_8100_0000))] {
        let mut capture = Capture::default();
        capture.origin.kernel_reference = reference;
        for address in KERNEL.iter().flat_map(|&(address, _)| [address, address + 0x11]) {
            capture.frames.intern(Mode::Kernel, Location::Address(address));
        }
        resolve(&mut capture, &sources);
    }
}

/// A program or a debug file: ELF, DWARF and unwind tables.
pub fn object(data: &[u8]) {
    let scratch = Scratch::new("object");
    scratch.file("server", data);
    let sources = SymbolSources { symfs: vec![scratch.0.clone()], ..SymbolSources::default() };
    for build_id in [None, Some(BuildId([0xab; 20].into()))] {
        let mut capture = Capture::default();
        let kind = ModuleKind::User;
        let path = "/bin/server".to_owned();
        let module = capture.modules.intern(Module { path, kind, build_id });
        for offset in (0..0x3000).step_by(0x1d) {
            capture.frames.intern(Mode::User, Location::File { module, offset });
        }
        resolve(&mut capture, &sources);
    }
    let mut capture = Capture::default();
    let kind = ModuleKind::KernelModule;
    let module =
        capture.modules.intern(Module { path: "/server".to_owned(), kind, build_id: None });
    let (address, length) = (0xffff_ffff_c000_0000, 0x3000);
    capture.loaded_modules.push(LoadedModule { module, address, length });
    for inside in (0..length).step_by(0x1d) {
        capture.frames.intern(Mode::Kernel, Location::Address(address + inside));
    }
    resolve(&mut capture, &sources);
}

/// Split debug information of a program, packed and as a unit's own file.
pub fn split(data: &[u8]) {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let stored = || fs::read(root().join("crates/ingest/tests/data/symbols/split/server"));
    let scratch = Scratch::new("split");
    scratch.file("server", PROGRAM.get_or_init(|| stored().expect("test data")));
    let sources = SymbolSources { symfs: vec![scratch.0.clone()], ..SymbolSources::default() };
    for name in ["server.dwp", "server.dwo"] {
        scratch.file(name, data);
        let mut capture = Capture::default();
        let kind = ModuleKind::User;
        let module = Module { path: "/server".to_owned(), kind, build_id: None };
        let module = capture.modules.intern(module);
        for offset in 0x1000..0x1040 {
            capture.frames.intern(Mode::User, Location::File { module, offset });
        }
        resolve(&mut capture, &sources);
        let _ = fs::remove_file(scratch.0.join(name));
    }
}

/// `perf-PID.map`.
pub fn jit_map(data: &[u8]) {
    made_code("perf-7.map", data);
}

/// `jit-PID.dump`.
pub fn jit_dump(data: &[u8]) {
    made_code("jit-7.dump", data);
}

fn made_code(name: &str, data: &[u8]) {
    let scratch = Scratch::new("made_code");
    scratch.file(name, data);
    let sources = SymbolSources { symfs: vec![scratch.0.clone()], ..SymbolSources::default() };
    let mut capture = Capture::default();
    let kind = ModuleKind::Anonymous;
    let path = "/tmp/perf-7.map".to_owned();
    let module = capture.modules.intern(Module { path, kind, build_id: None });
    for offset in (0..64).map(|bit| 0x7f00_u64 << (bit % 48) | bit) {
        capture.frames.intern(Mode::User, Location::File { module, offset });
    }
    resolve(&mut capture, &sources);
}

/// A table of rules, and a capture that it is applied to.
pub fn rules(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(rules) = Rules::built_in().extended(text) else { return };
    static CAPTURE: OnceLock<Option<Capture>> = OnceLock::new();
    let capture = CAPTURE.get_or_init(|| bytes(RULED.as_bytes(), Some(Format::Folded)));
    if let Some(capture) = capture {
        let _ = analyze(capture, &Options { rules, ..Options::default() });
    }
}

/// A profile in which somebody waits.
pub const RULED: &str = "\
server;main;handle;entry_SYSCALL_64_after_hwframe;do_syscall_64;__x64_sys_munmap;__vm_munmap;down_write_killable;\
rwsem_down_write_slowpath;schedule;__schedule 900000
server;main;poll;do_syscall_64;__x64_sys_poll;do_sys_poll;schedule_hrtimeout_range;schedule;__schedule 500000
server;main;lock;futex;do_syscall_64;futex_wait_queue;schedule 70000
";

/// A capture of any format, to all that is made of it.
pub fn pipeline(data: &[u8]) {
    if let Some(capture) = named(data) {
        whole(capture);
    }
}

/// A capture of any format, with names.
pub fn named(data: &[u8]) -> Option<Capture> {
    let mut capture = bytes(data, None)?;
    resolve(&mut capture, kernel_names());
    Some(capture)
}

/// A perf.data that is built of events which the bytes choose, to all that is made of it.
pub fn pipeline_events(data: &[u8]) {
    pipeline(&events::file(data));
}

/// The same in chapters of so many rows as the first byte says.
pub fn chapters(data: &[u8]) {
    let Some((&rows, choices)) = data.split_first() else { return };
    let scratch = Scratch::new("chapters");
    let path = scratch.file("capture", &events::file(choices));
    let options = Options::default();
    let mut chapters = Chapters::new(&options);
    let mut take = |capture: &mut Capture| {
        resolve(capture, kernel_names());
        chapters.take(capture)
    };
    let in_chapters = coldcase_ingest::Chapters::new(usize::from(rows).max(1), &mut take);
    let reading = ReadOptions::default();
    if let Ok(mut capture) = read_in_chapters(&path, reading, in_chapters, &mut |_, _| {}) {
        resolve(&mut capture, kernel_names());
        reports(&chapters.finish(&capture));
    }
}

/// Everything that can be said of a capture.
fn whole(capture: Capture) {
    reports(&analyze(&capture, &Options::default()));
}

/// Every report of findings, each of which must be inert.
pub fn reports(findings: &Findings) {
    let context = HtmlContext {
        title: "capture".to_owned(),
        inputs: inputs(),
        command: vec!["coldcase".to_owned()],
        version: "0".to_owned(),
    };
    inert::html(&coldcase_report::html(findings, &context).expect("a template"));
    inert::json(&coldcase_report::json(findings));
    inert::markdown(&coldcase_report::markdown(findings));
    inert::plain(&coldcase_report::terminal(findings, false));
    inert::plain(&coldcase_report::paragraph(findings));
}

/// The files that a report is said to be made of.
pub fn inputs() -> Vec<Input> {
    vec![Input { name: "capture".to_owned(), bytes: None, hashed: 0, sha256: None }]
}

/// Functions of the kernel that built captures stand in.
pub const KERNEL: &[(u64, &str)] = &[
    (0xffff_ffff_8100_0000, "_text"),
    (0xffff_ffff_8100_1000, "entry_SYSCALL_64_after_hwframe"),
    (0xffff_ffff_8100_2000, "do_syscall_64"),
    (0xffff_ffff_8100_3000, "schedule"),
    (0xffff_ffff_8100_4000, "__schedule"),
    (0xffff_ffff_8100_5000, "rwsem_down_write_slowpath"),
    (0xffff_ffff_8100_6000, "rwsem_down_read_slowpath"),
    (0xffff_ffff_8100_7000, "down_write_killable"),
    (0xffff_ffff_8100_8000, "down_read"),
    (0xffff_ffff_8100_9000, "__x64_sys_munmap"),
    (0xffff_ffff_8100_a000, "__vm_munmap"),
    (0xffff_ffff_8100_b000, "vm_mmap_pgoff"),
    (0xffff_ffff_8100_c000, "__x64_sys_mmap"),
    (0xffff_ffff_8100_d000, "do_user_addr_fault"),
    (0xffff_ffff_8100_e000, "asm_exc_page_fault"),
    (0xffff_ffff_8100_f000, "futex_wait_queue"),
    (0xffff_ffff_8101_0000, "futex_wake"),
    (0xffff_ffff_8101_1000, "__x64_sys_futex"),
    (0xffff_ffff_8101_2000, "io_schedule"),
    (0xffff_ffff_8101_3000, "folio_wait_bit_common"),
    (0xffff_ffff_8101_4000, "do_epoll_wait"),
    (0xffff_ffff_8101_5000, "__x64_sys_epoll_wait"),
    (0xffff_ffff_8101_6000, "up_write"),
    (0xffff_ffff_8101_7000, "rwsem_wake"),
    (0xffff_ffff_8101_8000, "__mutex_lock"),
    (0xffff_ffff_8101_9000, "tcp_recvmsg"),
    (0xffff_ffff_8101_a000, "jbd2_log_wait_commit"),
    (0xffff_ffff_8101_b000, "throttle_cfs_rq_work"),
    (0xffff_ffff_8101_c000, "shrink_node"),
    (0xffff_ffff_8101_d000, "do_exit"),
];

/// A list of these functions, in a file that stays.
fn kernel_names() -> &'static SymbolSources {
    static SOURCES: OnceLock<(Scratch, SymbolSources)> = OnceLock::new();
    let (_, sources) = SOURCES.get_or_init(|| {
        let scratch = Scratch::new("names");
        let lines: Vec<String> =
            KERNEL.iter().map(|(address, name)| format!("{address:016x} T {name}\n")).collect();
        let kallsyms = Some(scratch.file("kallsyms", lines.concat().as_bytes()));
        (scratch, SymbolSources { kallsyms, ..SymbolSources::default() })
    });
    sources
}

/// The parts of an input between [`BORDER`]s.
pub fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let all = rest?;
        let border = all.windows(BORDER.len()).position(|window| window == BORDER);
        rest = border.map(|at| &all[at + BORDER.len()..]);
        Some(&all[..border.unwrap_or(all.len())])
    })
}

/// The root of the project.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut roots = here.ancestors();
    let root = roots.find(|folder| folder.join("ARCHITECTURE.md").is_file());
    root.unwrap_or(here).to_owned()
}

/// A folder in memory, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = base.join(format!("coldcase-fuzz-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a scratch folder");
        Self(folder)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).expect("a scratch file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
