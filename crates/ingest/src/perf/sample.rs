//! The body of a `PERF_RECORD_SAMPLE`, and the trailer of every other record.
//!
//! Which fields a sample has is told by `attr.sample_type`; they come in the order of
//! `perf_output_sample` (`kernel/events/core.c`, Linux 6.1). Only the leading fields up to the raw data
//! and of user space's registers and stack are read.

use linux_perf_event_reader::{ReadFormat, SampleFormat};

use super::bytes::Bytes;
use super::dump::RawDump;
use super::header::Attribute;
use crate::capture::CpuId;

/// Which fields the samples of one event have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SampleLayout {
    format: SampleFormat,
    read_format: u64,
    branches: u64,
    user_registers: u64,
    identifies_all: bool,
    big_endian: bool,
    front: Front,
    is_usual: bool,
}

/// The fields of what `perf record -g` writes of several tracepoints. Nearly all recordings are such, and what is known
/// beforehand need not be asked for with each sample.
const USUAL: SampleFormat = SampleFormat::IDENTIFIER
    .union(SampleFormat::IP)
    .union(SampleFormat::TID)
    .union(SampleFormat::TIME)
    .union(SampleFormat::CPU)
    .union(SampleFormat::PERIOD)
    .union(SampleFormat::CALLCHAIN)
    .union(SampleFormat::RAW);

/// Where the leading fields lie in a sample, in bytes; those whose size is always the same.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Front {
    id: Option<usize>,
    ip: Option<usize>,
    tid: Option<usize>,
    time: Option<usize>,
    addr: Option<usize>,
    cpu: Option<usize>,
    period: Option<usize>,
    length: usize,
}

impl Front {
    fn of(format: SampleFormat) -> Self {
        let mut front = Self::default();
        let mut place = |field| {
            let at = front.length;
            format.contains(field).then(|| {
                front.length += 8;
                at
            })
        };
        let identifier = place(SampleFormat::IDENTIFIER);
        let ip = place(SampleFormat::IP);
        let tid = place(SampleFormat::TID);
        let time = place(SampleFormat::TIME);
        let addr = place(SampleFormat::ADDR);
        let id = place(SampleFormat::ID);
        place(SampleFormat::STREAM_ID);
        let cpu = place(SampleFormat::CPU);
        let period = place(SampleFormat::PERIOD);
        Self { id: identifier.or(id), ip, tid, time, addr, cpu, period, ..front }
    }
}

/// The fields of a sample; 0 or `None` where it has none.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sample<'a> {
    pub ip: Option<u64>,
    pub pid: i32,
    pub tid: Option<i32>,
    pub time: Option<u64>,
    pub addr: Option<u64>,
    pub cpu: Option<CpuId>,
    pub period: Option<u64>,
    /// Callchain: addresses in the file's byte order, eight bytes each.
    pub callchain: Option<&'a [u8]>,
    pub raw: Option<&'a [u8]>,
    /// Registers and stack bytes of user space.
    pub dump: Option<RawDump<'a>>,
}

impl SampleLayout {
    pub fn new(attribute: &Attribute, big_endian: bool) -> Self {
        let attr = &attribute.attr;
        Self {
            format: attr.sample,
            read_format: attr.read_format,
            branches: attr.branches,
            user_registers: attr.user_registers,
            identifies_all: attr.identifies_all(),
            big_endian,
            front: Front::of(attr.sample),
            is_usual: attr.sample == USUAL && !big_endian,
        }
    }

    fn has(&self, field: SampleFormat) -> bool {
        self.format.contains(field)
    }

    /// The id that says which event a sample belongs to, if it can be found without knowing the event.
    pub fn id(&self, body: &[u8]) -> Option<u64> {
        Bytes::new(body.get(self.front.id?..)?, self.big_endian).u64()
    }

    /// Reads a sample; `None` if it is shorter than its fields. Inlined, since handing its fields over in memory takes as
    /// long as reading them.
    #[inline(always)]
    pub fn read<'a>(&self, body: &'a [u8]) -> Option<Sample<'a>> {
        if self.is_usual { read_usual(body) } else { self.read_any(body) }
    }

    fn read_any<'a>(&self, body: &'a [u8]) -> Option<Sample<'a>> {
        let (front, rest) = body.split_at_checked(self.front.length)?;
        let at = |place: usize| Bytes::new(&front[place..], self.big_endian);
        let mut sample = Sample {
            ip: self.front.ip.and_then(|place| at(place).u64()),
            time: self.front.time.and_then(|place| at(place).u64()),
            addr: self.front.addr.and_then(|place| at(place).u64()),
            cpu: self.front.cpu.and_then(|place| at(place).u32()).and_then(CpuId::new),
            period: self.front.period.and_then(|place| at(place).u64()),
            ..Sample::default()
        };
        if let Some(place) = self.front.tid {
            sample.pid = at(place).i32()?;
            sample.tid = at(place + 4).i32();
        }
        let mut bytes = Bytes::new(rest, self.big_endian);
        if self.has(SampleFormat::READ) {
            self.skip_read(&mut bytes)?;
        }
        if self.has(SampleFormat::CALLCHAIN) {
            let length = usize::try_from(bytes.u64()?).ok()?.checked_mul(8)?;
            sample.callchain = Some(bytes.take(length)?);
        }
        if self.has(SampleFormat::RAW) {
            let length = usize::try_from(bytes.u32()?).ok()?;
            sample.raw = Some(bytes.take(length)?);
        }
        if self.has(SampleFormat::STACK_USER) {
            // What was cut off here costs the user's part of the stack only.
            sample.dump = self.dump(&mut bytes);
        }
        Some(sample)
    }

    /// Branches, then registers behind their ABI, then the stack, of which only a part may be filled.
    fn dump<'a>(&self, bytes: &mut Bytes<'a>) -> Option<RawDump<'a>> {
        /// `PERF_SAMPLE_BRANCH_HW_INDEX` (Linux 5.7) and `_COUNTERS` (6.8) of `attr.branch_sample_type`.
        const HW_INDEX: u64 = 1 << 17;
        const COUNTERS: u64 = 1 << 19;
        const ABI_64: u64 = 2;
        if self.has(SampleFormat::BRANCH_STACK) {
            let count = usize::try_from(bytes.u64()?).ok()?;
            let words = count.checked_mul(if self.branches & COUNTERS == 0 { 3 } else { 4 })?;
            let words = words.checked_add(usize::from(self.branches & HW_INDEX != 0))?;
            bytes.take(words.checked_mul(8)?)?;
        }
        if !self.has(SampleFormat::REGS_USER) || bytes.u64()? != ABI_64 {
            return None;
        }
        let mask = self.user_registers;
        let registers = bytes.take(mask.count_ones() as usize * 8)?;
        let stack = bytes.block_u64()?;
        let filled = if stack.is_empty() { 0 } else { usize::try_from(bytes.u64()?).ok()? };
        Some(RawDump { mask, registers, stack: &stack[..filled.min(stack.len())] })
    }

    /// Skips a `read_format` value: one counter, or a group of them behind their number.
    fn skip_read(&self, bytes: &mut Bytes<'_>) -> Option<()> {
        /// Linux 6.0 and later.
        const LOST: u64 = 1 << 4;
        let flag = |bits: u64| usize::from(self.read_format & bits != 0);
        let times = flag(ReadFormat::TOTAL_TIME_ENABLED.bits())
            + flag(ReadFormat::TOTAL_TIME_RUNNING.bits());
        let per_value = 1 + flag(ReadFormat::ID.bits()) + flag(LOST);
        let words = if flag(ReadFormat::GROUP.bits()) == 1 {
            let values = usize::try_from(bytes.u64()?).ok()?;
            values.checked_mul(per_value)?.checked_add(times)?
        } else {
            per_value + times
        };
        bytes.take(words.checked_mul(8)?)?;
        Some(())
    }

    /// The time at the end of a record that is no sample (`attr.sample_id_all`).
    pub fn trailing_time(&self, body: &[u8]) -> Option<u64> {
        if !self.has(SampleFormat::TIME) {
            return None;
        }
        let behind = [
            SampleFormat::TIME,
            SampleFormat::ID,
            SampleFormat::STREAM_ID,
            SampleFormat::CPU,
            SampleFormat::IDENTIFIER,
        ];
        self.trailer(body, &behind)?.u64()
    }

    /// Process and thread at the end of a record that is no sample.
    pub fn trailing_thread(&self, body: &[u8]) -> Option<(i32, i32)> {
        if !self.has(SampleFormat::TID) {
            return None;
        }
        let behind = [
            SampleFormat::TID,
            SampleFormat::TIME,
            SampleFormat::ID,
            SampleFormat::STREAM_ID,
            SampleFormat::CPU,
            SampleFormat::IDENTIFIER,
        ];
        let mut trailer = self.trailer(body, &behind)?;
        Some((trailer.i32()?, trailer.i32()?))
    }

    /// The CPU at the end of a record that is no sample.
    pub fn trailing_cpu(&self, body: &[u8]) -> Option<CpuId> {
        if !self.has(SampleFormat::CPU) {
            return None;
        }
        CpuId::new(self.trailer(body, &[SampleFormat::CPU, SampleFormat::IDENTIFIER])?.u32()?)
    }

    /// The id at the very end of a record that is no sample.
    pub fn trailing_id(&self, body: &[u8]) -> Option<u64> {
        if !self.has(SampleFormat::IDENTIFIER) {
            return None;
        }
        self.trailer(body, &[SampleFormat::IDENTIFIER])?.u64()
    }

    fn trailer<'a>(&self, body: &'a [u8], fields: &[SampleFormat]) -> Option<Bytes<'a>> {
        if !self.identifies_all {
            return None;
        }
        let words = fields.iter().filter(|&&field| self.has(field)).count();
        let start = body.len().checked_sub(words * 8)?;
        Some(Bytes::new(&body[start..], self.big_endian))
    }
}

/// Reads a sample with the fields of [`USUAL`], little-endian.
#[inline(always)]
fn read_usual(body: &[u8]) -> Option<Sample<'_>> {
    /// Identifier, address, process and thread, time, CPU, period; then the length of the callchain.
    const FRONT: usize = 6 * 8;
    let (front, rest) = body.split_first_chunk::<FRONT>()?;
    let word = |number: usize| {
        let bytes = front.as_chunks::<8>().0[number];
        u64::from_le_bytes(bytes)
    };
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?.checked_mul(8)?;
    let (callchain, rest) = rest.split_at_checked(length)?;
    let (length, rest) = rest.split_first_chunk()?;
    let raw = rest.get(..u32::from_le_bytes(*length) as usize)?;
    Some(Sample {
        ip: Some(word(1)),
        pid: (word(2) as u32).cast_signed(),
        tid: Some(((word(2) >> 32) as u32).cast_signed()),
        time: Some(word(3)),
        addr: None,
        cpu: CpuId::new(word(4) as u32),
        period: Some(word(5)),
        callchain: Some(callchain),
        raw: Some(raw),
        dump: None,
    })
}
