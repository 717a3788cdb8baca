//! Builds small perf.data files, true ones and lying ones, a record at a time.
//!
//! ```text
//! header | ids and attribute of each event | records | index: where each section lies | descriptions of tracepoints
//! ```
//!
//! (`tools/perf/Documentation/perf.data-file-format.txt`, Linux 6.18.) Little-endian. Every field that a test lies
//! about is public; all others are what perf writes.

/// A tracepoint: its system and name, its fields as `TYPE NAME[LENGTH]/SIZE` with `s` behind the size if signed, and its
/// `print fmt`.
pub type Tracepoint = (&'static str, &'static str, &'static [&'static str], &'static str);

/// What coldcase decodes, one of each kind (`include/trace/events`, Linux 6.1).
pub const TRACEPOINTS: &[Tracepoint] = &[
    (
        "sched",
        "sched_switch",
        &[
            "char prev_comm[16]/16",
            "pid_t prev_pid/4s",
            "int prev_prio/4s",
            "long prev_state/8s",
            "char next_comm[16]/16",
            "pid_t next_pid/4s",
            "int next_prio/4s",
        ],
        "\"%s%s\", __print_flags(REC->prev_state & 0xff, \"|\", { 0x1, \"S\" }, { 0x2, \"D\" }, { 0x4, \"T\" }, \
         { 0x10, \"X\" }, { 0x80, \"I\" }), REC->prev_state & 0x100 ? \"+\" : \"\"",
    ),
    ("sched", "sched_waking", WAKING, ""),
    ("sched", "sched_wakeup", WAKING, ""),
    (
        "sched",
        "sched_process_fork",
        &[
            "char parent_comm[16]/16",
            "pid_t parent_pid/4s",
            "char child_comm[16]/16",
            "pid_t child_pid/4s",
        ],
        "",
    ),
    ("sched", "sched_process_exit", &["char comm[16]/16", "pid_t pid/4s", "int prio/4s"], ""),
    (
        "lock",
        "contention_begin",
        &["void * lock_addr/8", "unsigned int flags/4"],
        "\"%p\", __print_flags(REC->flags, \"|\", { 0x1, \"SPIN\" }, { 0x2, \"READ\" }, { 0x4, \"WRITE\" }, \
         { 0x20, \"MUTEX\" })",
    ),
    ("lock", "contention_end", &["void * lock_addr/8", "int ret/4s"], ""),
    ("mmap_lock", "mmap_lock_start_locking", &["struct mm_struct * mm/8", "bool write/1"], ""),
    (
        "mmap_lock",
        "mmap_lock_acquire_returned",
        &["struct mm_struct * mm/8", "bool write/1", "bool success/1"],
        "",
    ),
    ("mmap_lock", "mmap_lock_released", &["struct mm_struct * mm/8", "bool write/1"], ""),
    ("syscalls", "sys_enter_mmap", ENTER, ""),
    ("syscalls", "sys_exit_mmap", EXIT, ""),
    ("syscalls", "sys_enter_munmap", ENTER, ""),
    ("syscalls", "sys_exit_munmap", EXIT, ""),
    ("syscalls", "sys_enter_futex", ENTER, ""),
    ("syscalls", "sys_exit_futex", EXIT, ""),
    ("syscalls", "sys_enter_recvfrom", ENTER, ""),
    ("syscalls", "sys_exit_recvfrom", EXIT, ""),
    ("syscalls", "sys_enter_fsync", ENTER, ""),
    ("syscalls", "sys_exit_fsync", EXIT, ""),
    ("exceptions", "page_fault_user", &["unsigned long address/8"], ""),
    ("vmscan", "mm_vmscan_direct_reclaim_begin", &["int order/4s"], ""),
    ("vmscan", "mm_vmscan_direct_reclaim_end", &["unsigned long nr_reclaimed/8"], ""),
    ("compaction", "mm_compaction_begin", &["unsigned long zone_start/8"], ""),
    ("compaction", "mm_compaction_end", &["unsigned long zone_start/8"], ""),
    ("block", "block_rq_issue", &["dev_t dev/4", "sector_t sector/8"], ""),
    ("block", "block_rq_complete", &["dev_t dev/4", "sector_t sector/8"], ""),
    ("signal", "signal_generate", &["int sig/4s", "pid_t pid/4s"], ""),
    ("signal", "signal_deliver", &["int sig/4s"], ""),
    ("kmem", "rss_stat", &["long size/8s"], ""),
];

const WAKING: &[&str] = &["char comm[16]/16", "pid_t pid/4s", "int prio/4s", "int target_cpu/4s"];
const ENTER: &[&str] = &[
    "int __syscall_nr/4s",
    "unsigned long a/8",
    "unsigned long b/8",
    "unsigned long c/8",
    "unsigned long d/8",
];
const EXIT: &[&str] = &["int __syscall_nr/4s", "long ret/8s"];

/// The number of a tracepoint, as it stands in attributes and raw records.
pub fn tracepoint_id(index: usize) -> u32 {
    300 + u32::try_from(index).unwrap_or(0)
}

/// Fields of a sample: identifier, thread, time, CPU, callchain, raw bytes.
const SAMPLE_TYPE: u64 = 1 << 16 | 1 << 1 | 1 << 2 | 1 << 7 | 1 << 5 | 1 << 10;
/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;
const SAMPLE: u32 = 9;

/// An event's description.
#[derive(Clone)]
pub struct Attr {
    /// `PERF_TYPE_*`.
    pub kind: u32,
    /// Which event of it.
    pub config: u64,
    /// `PERF_SAMPLE_*`.
    pub sample_type: u64,
    /// The ids of its records.
    pub ids: Vec<u64>,
    /// Where its ids are said to lie, if not where they do: offset and size in bytes.
    pub ids_at: Option<(u64, u64)>,
}

/// Who was where when.
#[derive(Clone, Copy, Default)]
pub struct Moment {
    /// Nanoseconds.
    pub time: u64,
    /// The process.
    pub pid: i32,
    /// The thread.
    pub tid: i32,
    /// The CPU.
    pub cpu: u32,
}

/// A perf.data under construction.
#[derive(Clone)]
pub struct PerfFile {
    /// The events, in order.
    pub attrs: Vec<Attr>,
    /// The records.
    pub records: Vec<u8>,
    /// The section that describes tracepoints; `None` leaves it out, as in a file that was cut.
    pub tracing: Option<Vec<u8>>,
}

impl PerfFile {
    /// A file without records, with all of [`TRACEPOINTS`].
    pub fn new() -> Self {
        let formats: Vec<(&str, String)> = TRACEPOINTS
            .iter()
            .enumerate()
            .map(|(index, tracepoint)| (tracepoint.0, format_text(index, tracepoint)))
            .collect();
        let attrs = (0..TRACEPOINTS.len()).map(|index| Attr {
            kind: TRACEPOINT,
            config: u64::from(tracepoint_id(index)),
            sample_type: SAMPLE_TYPE,
            ids: vec![event_id(index)],
            ids_at: None,
        });
        let tracing = Some(tracing_data(&formats));
        Self { attrs: attrs.collect(), records: Vec::new(), tracing }
    }

    /// Any record.
    pub fn record(&mut self, kind: u32, misc: u16, body: &[u8]) -> &mut Self {
        self.records.extend(record(kind, misc, body));
        self
    }

    /// A sample of the event with this index; `raw` without the common fields.
    pub fn sample(&mut self, event: usize, at: Moment, chain: &[u64], raw: &[u8]) -> &mut Self {
        let common = [&common_fields(event, at.tid), raw].concat();
        let body = sample_body(event, at, chain.len() as u64, chain, &common);
        self.record(SAMPLE, 2, &body)
    }

    /// `sched_switch` from `at.tid` to another thread.
    pub fn switch(&mut self, at: Moment, chain: &[u64], state: u64, into: i32) -> &mut Self {
        let raw = [
            &comm(at.tid)[..],
            &at.tid.to_le_bytes(),
            &120_i32.to_le_bytes(),
            &state.to_le_bytes(),
            &comm(into),
            &into.to_le_bytes(),
            &120_i32.to_le_bytes(),
        ];
        self.sample(0, at, chain, &raw.concat())
    }

    /// `sched_waking` of a thread by `at.tid`.
    pub fn waking(&mut self, at: Moment, chain: &[u64], wakee: i32) -> &mut Self {
        let raw = [&comm(wakee)[..], &wakee.to_le_bytes(), &120_i32.to_le_bytes(), &[0; 4]];
        self.sample(1, at, chain, &raw.concat())
    }

    /// `PERF_RECORD_COMM`.
    pub fn comm(&mut self, at: Moment, name: &[u8]) -> &mut Self {
        let body = [&at.pid.to_le_bytes(), &at.tid.to_le_bytes(), &padded(name)[..], &trailer(at)];
        self.record(3, 0, &body.concat())
    }

    /// `PERF_RECORD_FORK` of `at.tid` by thread 1.
    pub fn fork(&mut self, at: Moment, parent: i32) -> &mut Self {
        let numbers = [at.pid, parent, at.tid, parent].map(i32::to_le_bytes).concat();
        self.record(7, 0, &[&numbers[..], &at.time.to_le_bytes(), &trailer(at)].concat())
    }

    /// `PERF_RECORD_EXIT` of `at.tid`.
    pub fn exit(&mut self, at: Moment) -> &mut Self {
        let numbers = [at.pid, 1, at.tid, 1].map(i32::to_le_bytes).concat();
        self.record(4, 0, &[&numbers[..], &at.time.to_le_bytes(), &trailer(at)].concat())
    }

    /// `PERF_RECORD_MMAP2`.
    pub fn map(&mut self, at: Moment, start: u64, length: u64, path: &[u8]) -> &mut Self {
        let body = [
            &at.pid.to_le_bytes()[..],
            &at.tid.to_le_bytes(),
            &start.to_le_bytes(),
            &length.to_le_bytes(),
            &0_u64.to_le_bytes(),
            &[0; 24],
            &[5, 0, 0, 0, 2, 0, 0, 0],
            &padded(path),
            &trailer(at),
        ];
        self.record(10, 2, &body.concat())
    }

    /// `PERF_RECORD_FINISHED_ROUND`.
    pub fn round(&mut self) -> &mut Self {
        self.record(68, 0, &[])
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        const HEADER: u64 = 104;
        const ATTR: u64 = 128;
        let mut ids = Vec::new();
        let mut attrs = Vec::new();
        for attr in &self.attrs {
            let at = HEADER + ids.len() as u64;
            ids.extend(attr.ids.iter().flat_map(|id| id.to_le_bytes()));
            let place = attr.ids_at.unwrap_or((at, attr.ids.len() as u64 * 8));
            let mut bytes = [0; ATTR as usize];
            bytes[..4].copy_from_slice(&attr.kind.to_le_bytes());
            bytes[4..8].copy_from_slice(&(ATTR as u32).to_le_bytes());
            bytes[8..16].copy_from_slice(&attr.config.to_le_bytes());
            bytes[16..24].copy_from_slice(&1_u64.to_le_bytes());
            bytes[24..32].copy_from_slice(&attr.sample_type.to_le_bytes());
            // sample_id_all
            bytes[40..48].copy_from_slice(&(1_u64 << 18).to_le_bytes());
            attrs.extend(bytes);
            attrs.extend(place.0.to_le_bytes());
            attrs.extend(place.1.to_le_bytes());
        }
        let attrs_at = HEADER + ids.len() as u64;
        let data_at = attrs_at + attrs.len() as u64;
        let index_at = data_at + self.records.len() as u64;
        let mut features = [0_u64; 4];
        let mut index = Vec::new();
        if let Some(tracing) = &self.tracing {
            // HEADER_TRACING_DATA is the first bit but one.
            features[0] = 1 << 1;
            index.extend((index_at + 16).to_le_bytes());
            index.extend((tracing.len() as u64).to_le_bytes());
            index.extend(tracing);
        }
        let mut file = b"PERFILE2".to_vec();
        let numbers = [
            HEADER,
            ATTR + 16,
            attrs_at,
            attrs.len() as u64,
            data_at,
            self.records.len() as u64,
            0,
            0,
            features[0],
            features[1],
            features[2],
            features[3],
        ];
        file.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        file.extend(ids);
        file.extend(attrs);
        file.extend(&self.records);
        file.extend(index);
        file
    }
}

/// A record behind its header; of more than 64 KiB, its size wraps as it would in the file.
pub fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
    let size = (body.len() + 8) as u16;
    [&kind.to_le_bytes()[..], &misc.to_le_bytes(), &size.to_le_bytes(), body].concat()
}

/// The body of a sample whose callchain is said to have `depth` frames.
pub fn sample_body(event: usize, at: Moment, depth: u64, chain: &[u64], raw: &[u8]) -> Vec<u8> {
    let mut body = event_id(event).to_le_bytes().to_vec();
    body.extend(at.pid.to_le_bytes());
    body.extend(at.tid.to_le_bytes());
    body.extend(at.time.to_le_bytes());
    body.extend(at.cpu.to_le_bytes());
    body.extend([0; 4]);
    body.extend(depth.to_le_bytes());
    body.extend(chain.iter().flat_map(|word| word.to_le_bytes()));
    body.extend((raw.len() as u32).to_le_bytes());
    body.extend(raw);
    body.resize(body.len().next_multiple_of(8), 0);
    body
}

/// `common_type`, flags, preemption count, `common_pid`.
fn common_fields(event: usize, tid: i32) -> [u8; 8] {
    let mut fields = [0; 8];
    fields[..2].copy_from_slice(&(tracepoint_id(event) as u16).to_le_bytes());
    fields[4..].copy_from_slice(&tid.to_le_bytes());
    fields
}

fn event_id(index: usize) -> u64 {
    1000 + index as u64
}

/// What ends every record that is no sample: thread, time, CPU, identifier.
fn trailer(at: Moment) -> Vec<u8> {
    let mut bytes = at.pid.to_le_bytes().to_vec();
    bytes.extend(at.tid.to_le_bytes());
    bytes.extend(at.time.to_le_bytes());
    bytes.extend(at.cpu.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(event_id(0).to_le_bytes());
    bytes
}

fn padded(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.resize((text.len() + 1).next_multiple_of(8), 0);
    bytes
}

/// A thread's name of 16 bytes.
pub fn comm(tid: i32) -> [u8; 16] {
    let mut name = [0; 16];
    let text = format!("worker-{tid}");
    let length = text.len().min(15);
    name[..length].copy_from_slice(&text.as_bytes()[..length]);
    name
}

/// A tracepoint's `format` file.
pub fn format_text(index: usize, (_, name, fields, print): &Tracepoint) -> String {
    let mut text = format!("name: {name}\nID: {}\nformat:\n", tracepoint_id(index));
    let common = ["unsigned short common_type/2", "unsigned char common_flags/1"];
    let common =
        common.iter().chain(&["unsigned char common_preempt_count/1", "int common_pid/4s"]);
    let mut offset = 0;
    for field in common.chain(fields.iter()) {
        let (declaration, size) = field.rsplit_once('/').unwrap_or((field, "8"));
        let signed = u8::from(size.ends_with('s'));
        let size = size.trim_end_matches('s');
        text +=
            &format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n");
        offset += size.parse::<usize>().unwrap_or(0);
    }
    text + &format!("\nprint fmt: {print}\n")
}

/// The section that describes tracepoints (`tools/perf/util/trace-event-info.c`, Linux 6.1).
pub fn tracing_data(formats: &[(&str, String)]) -> Vec<u8> {
    let mut data = b"\x17\x08\x44tracing0.6\0\0\x08\0\x10\0\0".to_vec();
    for name in [&b"header_page\0"[..], b"header_event\0"] {
        data.extend(name);
        data.extend(0_u64.to_le_bytes());
    }
    data.extend(0_u32.to_le_bytes());
    data.extend((formats.len() as u32).to_le_bytes());
    for (system, text) in formats {
        data.extend(system.as_bytes());
        data.push(0);
        data.extend(1_u32.to_le_bytes());
        data.extend((text.len() as u64).to_le_bytes());
        data.extend(text.as_bytes());
    }
    data
}
