//! From one record's bytes to an [`Event`], and the count of everything by name.

use std::collections::BTreeMap;

use linux_perf_event_reader::RecordType;

use super::attrs::{Decoder, EventPlans};
use super::bytes::Bytes;
use super::chains::Interner;
use super::event::{Body, Event, MmapRecord, RawStack, SideRecord, Stood};
use super::header::read_build_id;
use super::off_cpu;
use super::pipe::HEADER_ATTR;
use super::records::Record;
use super::sample::Sample;
use super::side_sink::{Counts, NameTable, SideSink};
use super::sides::{Lane, SideTables};
use super::spins::{Spinning, Spun};
use crate::capture::{
    ActivityKind, BuildId, ContentionPhase, EventCount, MadeCode, Meaning, NameKind, Phase,
    Sentence,
};

/// `PERF_RECORD_*` of perf's own (`tools/lib/perf/include/perf/event.h`, Linux 6.1).
pub(super) const FINISHED_ROUND: u32 = 68;
pub(super) const CPU_MAP: u32 = 74;
const HEADER_BUILD_ID: u32 = 67;

/// `PERF_RECORD_MISC_*` (`include/uapi/linux/perf_event.h`, Linux 6.1).
const CPU_MODE: u16 = 7;
const CPU_MODE_KERNEL: u16 = 1;
const COMM_EXEC: u16 = 1 << 13;
const SWITCH_OUT: u16 = 1 << 13;
const MMAP_BUILD_ID: u16 = 1 << 14;
const SWITCH_OUT_PREEMPT: u16 = 1 << 14;
/// `PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER`: the code is gone; its name still holds for what was seen before.
const KSYMBOL_UNREGISTER: u16 = 1;

/// Decodes records and keeps count.
pub(super) struct Decode {
    lane: Lane,
    plans: EventPlans,
    big_endian: bool,
    chains: Interner,
    spinning: Spinning,
    /// Waits for locks that spin, of which nobody asks anything but their number.
    spun: Option<Spun>,
    /// Where among the events a round began.
    round: usize,
    names: NameTable,
    /// What events refer to that was not handed on yet, and how much of it there has been.
    news: SideTables,
    counts: Counts,
    other: BTreeMap<u32, u64>,
    unknown_ids: u64,
    unreadable: u64,
}

impl Decode {
    /// Decodes for a lane. All `spins` are made events of, or as few as need be.
    pub fn new(lane: Lane, plans: EventPlans, big_endian: bool, spins: bool) -> Self {
        Self {
            lane,
            plans,
            big_endian,
            chains: Interner::new(lane),
            spinning: Spinning::default(),
            spun: (!spins).then(Spun::default),
            round: 0,
            names: NameTable::default(),
            news: SideTables::default(),
            counts: Counts::new(lane),
            other: BTreeMap::new(),
            unknown_ids: 0,
            unreadable: 0,
        }
    }

    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The byte order of the file.
    pub fn big_endian(&self) -> bool {
        self.big_endian
    }

    /// With what another lane has counted.
    pub fn with_counts_of(mut self, other: Self) -> Self {
        for (plan, others) in self.plans.plans.iter_mut().zip(&other.plans.plans) {
            plan.count.count += others.count.count;
            plan.unreadable += others.unreadable;
        }
        for (kind, count) in other.other {
            *self.other.entry(kind).or_default() += count;
        }
        self.unknown_ids += other.unknown_ids;
        self.unreadable += other.unreadable;
        self
    }

    /// What events refer to that is new since this was last asked.
    pub fn news(&mut self) -> SideTables {
        SideTables { chains: self.chains.news(), ..std::mem::take(&mut self.news) }
    }

    /// Decodes a record, and adds what it tells to the events, unless it is only counted.
    pub fn record(&mut self, record: &Record<'_>, events: &mut Vec<Event>) {
        if RecordType(record.kind) == RecordType::SAMPLE {
            let event = self.sample(record);
            if !event.is_some_and(|event| self.ends_a_spin(&event, events)) {
                events.extend(event);
            }
            return;
        }
        *self.other.entry(record.kind).or_default() += 1;
        if record.kind == HEADER_BUILD_ID
            && let Some((path, id)) = read_build_id(record.misc, record.body)
        {
            let path = String::from_utf8_lossy(path).into_owned();
            self.news.build_ids.push((path, BuildId(id.into())));
        }
        if record.kind >= HEADER_ATTR {
            return;
        }
        let event = self.other_record(record);
        if event.is_none() && is_read(RecordType(record.kind)) {
            self.unreadable += 1;
        }
        events.extend(event);
    }

    /// Another part of the file begins. Which lane takes it is left to chance, so nothing may hang on those before it.
    pub fn begin_part(&mut self) {
        self.round = 0;
        self.spinning = Spinning::default();
        if let Some(spun) = &mut self.spun {
            *spun = Spun::default();
        }
    }

    /// Events from a place on belong to another round than those before.
    pub fn begin_round(&mut self, place: usize) {
        self.round = place;
    }

    /// Whether an event ends a wait for a lock that spins, which the event before it began. Both are then counted and left
    /// out: on busy machines these are a third of all events.
    #[inline]
    fn ends_a_spin(&mut self, event: &Event, events: &mut Vec<Event>) -> bool {
        let Body::Contention { lock, phase: ContentionPhase::End { .. } } = event.body else {
            return false;
        };
        let (Some(spun), Some([.., begin])) = (&mut self.spun, events.get(self.round..)) else {
            return false;
        };
        let times = [begin.time, event.time];
        let is_its_end = matches!(begin.body, Body::Contention { lock: of, phase: ContentionPhase::Begin(flags) }
            if of == lock && flags.spins() && begin.tid == event.tid);
        let is_one = is_its_end && spun.is_known(event.tid);
        if is_one {
            events.pop();
            times.into_iter().for_each(|time| self.news.spins.count(time));
        }
        is_one
    }

    #[inline]
    fn sample(&mut self, record: &Record<'_>) -> Option<Event> {
        let Some(index) = self.plans.of_sample(record.body) else {
            self.unknown_ids += 1;
            return None;
        };
        let plan = &mut self.plans.plans[index];
        plan.count.count += 1;
        if matches!(plan.decoder, Decoder::Unknown) {
            return None;
        }
        let Some(mut sample) = plan.layout.read(record.body) else {
            plan.unreadable += 1;
            return None;
        };
        let mut sink =
            SideSink { news: &mut self.news, counts: &mut self.counts, names: &mut self.names };
        let mut tid = sample.tid;
        let body = match &plan.decoder {
            Decoder::Tracepoint(tracepoint) => {
                let raw = sample.raw.unwrap_or_default();
                tid = tid.or_else(|| tracepoint.current(raw));
                tracepoint.decode(raw, &mut sink)
            }
            Decoder::OnCpu => Some(Body::Sample),
            Decoder::PageFault => Some(Body::Activity {
                kind: ActivityKind::PageFault,
                phase: Phase::Moment,
                value: sample.addr.unwrap_or(0),
            }),
            Decoder::OffCpu => off_cpu::read(&sample, self.big_endian).map(|(of, nanoseconds)| {
                (sample, tid) = (of, of.tid);
                Body::OffCpu { nanoseconds }
            }),
            Decoder::Unknown => None,
        };
        let (Some(body), Some(tid), Some(time)) = (body, tid, sample.time) else {
            plan.unreadable += 1;
            return None;
        };
        let stack = match body {
            Body::Contention { lock, phase } if self.spinning.take(tid, lock, phase) => {
                Stood::UNKNOWN
            }
            _ => self.stack(&sample, matches!(body, Body::Sample)),
        };
        Some(Event { time, pid: sample.pid, tid, cpu: sample.cpu, stack, body })
    }

    fn stack(&mut self, sample: &Sample<'_>, is_interrupted: bool) -> Stood {
        let chains = &mut self.chains;
        let chain = sample.callchain.map(|chain| chains.intern(chain, self.big_endian));
        if let Some(dump) = sample.dump.and_then(|dump| dump.keep(chain)) {
            self.news.dumps.push(Some(dump));
            return Stood::at(RawStack::Dump(self.counts.dumps.next()));
        }
        // Without callchains the interrupted address is all there is; a tracepoint's own tells nothing.
        let single = |ip| chains.intern_words(&[ip]);
        let alone = sample.ip.filter(|_| is_interrupted && chain.is_none()).map(single);
        let chain = chain.or(alone);
        chain.map_or(Stood::UNKNOWN, |chain| Stood::at(RawStack::Chain(chain)))
    }

    fn other_record(&mut self, record: &Record<'_>) -> Option<Event> {
        let layout = *self.plans.trailer(record.body)?;
        let time = layout.trailing_time(record.body).unwrap_or(0);
        let mut bytes = Bytes::new(record.body, self.big_endian);
        let side = match RecordType(record.kind) {
            RecordType::COMM => SideRecord::Comm {
                pid: bytes.i32()?,
                tid: bytes.i32()?,
                name: text(&mut bytes)?,
                exec: record.misc & COMM_EXEC != 0,
            },
            RecordType::FORK => {
                let (pid, parent_pid) = (bytes.i32()?, bytes.i32()?);
                SideRecord::Fork { pid, tid: bytes.i32()?, parent_pid, parent_tid: bytes.i32()? }
            }
            RecordType::EXIT => {
                bytes.u64()?;
                SideRecord::Exit { tid: bytes.i32()? }
            }
            RecordType::MMAP => SideRecord::Mmap(read_mmap(&mut bytes, record.misc, false)?),
            RecordType::MMAP2 => SideRecord::Mmap(read_mmap(&mut bytes, record.misc, true)?),
            RecordType::KSYMBOL => {
                let (address, length) = (bytes.u64()?, u64::from(bytes.u32()?));
                let (_kind, flags) = (bytes.u16()?, bytes.u16()?);
                if flags & KSYMBOL_UNREGISTER != 0 {
                    return None;
                }
                SideRecord::Made(MadeCode { address, length, name: text(&mut bytes)? })
            }
            RecordType::LOST => {
                bytes.u64()?;
                SideRecord::Lost { count: bytes.u64()?, samples: false }
            }
            RecordType::LOST_SAMPLES => SideRecord::Lost { count: bytes.u64()?, samples: true },
            RecordType::THROTTLE => SideRecord::Throttle,
            RecordType::SWITCH | RecordType::SWITCH_CPU_WIDE => {
                let (pid, tid) = layout.trailing_thread(record.body)?;
                let other = if RecordType(record.kind) == RecordType::SWITCH_CPU_WIDE {
                    bytes.u32()?;
                    bytes.i32()
                } else {
                    None
                };
                let leaves = record.misc & SWITCH_OUT != 0;
                let preempted = record.misc & SWITCH_OUT_PREEMPT != 0;
                let body = Body::SwitchRecord { leaves, other, preempted };
                let cpu = layout.trailing_cpu(record.body);
                return Some(Event { time, pid, tid, cpu, stack: Stood::UNKNOWN, body });
            }
            _ => return None,
        };
        self.news.records.push(side);
        let body = Body::Record(self.counts.records.next());
        Some(Event { time, pid: 0, tid: -1, cpu: None, stack: Stood::UNKNOWN, body })
    }

    /// Every event and every kind of record by name, with its count.
    pub fn counts(&self) -> Vec<EventCount> {
        let records = self.other.iter().map(|(&kind, &count)| {
            let meaning = match RecordType(kind) {
                RecordType::SWITCH | RecordType::SWITCH_CPU_WIDE => Some(Meaning::SwitchRecords),
                _ => None,
            };
            EventCount { name: record_name(kind), count, meaning, sampled: false, every: None }
        });
        self.plans.plans.iter().map(|plan| plan.count.clone()).chain(records).collect()
    }

    /// What could not be decoded, for a person.
    pub fn complaints(&self) -> Vec<Sentence> {
        let mut complaints = Vec::new();
        for plan in self.plans.plans.iter().filter(|plan| plan.unreadable > 0) {
            let (count, name) = (plan.unreadable, &plan.count.name);
            let complaint = Sentence::from(format!("{count} records of "));
            let complaint = complaint.name(NameKind::Event, name);
            complaints.push(complaint.words(" are shorter than their description"));
        }
        if self.unknown_ids > 0 {
            let count = self.unknown_ids;
            complaints
                .push(format!("{count} samples belong to no event that the file describes").into());
        }
        if self.unreadable > 0 {
            let count = self.unreadable;
            complaints.push(format!("{count} records are shorter than their kind demands").into());
        }
        complaints
    }
}

fn read_mmap(bytes: &mut Bytes<'_>, misc: u16, second: bool) -> Option<MmapRecord> {
    let (pid, _tid) = (bytes.i32()?, bytes.i32()?);
    let (start, length, file_offset) = (bytes.u64()?, bytes.u64()?, bytes.u64()?);
    let mut build_id = None;
    if second {
        let id = bytes.take(24)?;
        if misc & MMAP_BUILD_ID != 0 {
            build_id = id[4..].get(..usize::from(id[0])).map(<[u8]>::to_vec);
        }
        let (_protection, _flags) = (bytes.u32()?, bytes.u32()?);
    }
    let kernel = misc & CPU_MODE == CPU_MODE_KERNEL;
    let path = text(bytes)?;
    Some(MmapRecord { pid, kernel, start, length, file_offset, path, build_id })
}

fn text(bytes: &mut Bytes<'_>) -> Option<String> {
    bytes.c_string().map(|text| String::from_utf8_lossy(text).into_owned())
}

/// Kinds of record that [`Decode::other_record`] reads.
fn is_read(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::COMM
            | RecordType::FORK
            | RecordType::EXIT
            | RecordType::MMAP
            | RecordType::MMAP2
            | RecordType::LOST
            | RecordType::LOST_SAMPLES
            | RecordType::SWITCH
            | RecordType::SWITCH_CPU_WIDE
    )
}

fn record_name(kind: u32) -> String {
    let name = match kind {
        64 => "HEADER_ATTR",
        65 => "HEADER_EVENT_TYPE",
        66 => "HEADER_TRACING_DATA",
        67 => "HEADER_BUILD_ID",
        69 => "ID_INDEX",
        70 => "AUXTRACE_INFO",
        71 => "AUXTRACE",
        73 => "THREAD_MAP",
        74 => "CPU_MAP",
        78 => "EVENT_UPDATE",
        79 => "TIME_CONV",
        80 => "HEADER_FEATURE",
        81 => "COMPRESSED",
        82 => "FINISHED_INIT",
        83 => "COMPRESSED2",
        84 => "BPF_METADATA",
        _ if RecordType(kind).is_builtin_type() => {
            return format!("PERF_RECORD_{:?}", RecordType(kind));
        }
        _ => return format!("PERF_RECORD {kind}"),
    };
    format!("PERF_RECORD_{name}")
}
