//! The walk over a perf.data's records: headers, sizes, compression.
//!
//! This loop is our own, not linux-perf-data's: it hands out slices without copying them, knows at which
//! byte it is, and goes on behind a damaged stretch. Sizes are checked against what is there.

use std::ops::Range;

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::bytes::Bytes;

/// One record.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    /// Offset of its header in the file, in bytes; of the compressed record that held it, if it was compressed.
    pub offset: usize,
    /// `PERF_RECORD_*`.
    pub kind: u32,
    /// `PERF_RECORD_MISC_*`.
    pub misc: u16,
    /// What follows the header.
    pub body: &'a [u8],
}

/// A stretch that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Damage {
    /// Where it begins, in bytes from the file's start.
    pub offset: usize,
    /// How many bytes were skipped.
    pub bytes: usize,
    /// Why.
    pub reason: &'static str,
}

const HEADER: usize = 8;
/// `PERF_RECORD_HEADER_TRACING_DATA` and `PERF_RECORD_AUXTRACE`: their data stand behind the record, outside
/// its size, the former padded to eight bytes.
const TRACING_DATA: u32 = 66;
const AUXTRACE: u32 = 71;
/// `PERF_RECORD_COMPRESSED` and, since Linux 6.16, `PERF_RECORD_COMPRESSED2`.
const COMPRESSED: u32 = 81;
const COMPRESSED2: u32 = 83;
/// So many headers in a row must fit each other before reading goes on behind damage.
const HEADERS_TO_RESUME: usize = 8;
/// No `PERF_RECORD_*` of any kernel or perf has a larger number.
const LARGEST_KIND: u32 = 128;
/// Records are unpacked to at most so many times what was packed: perf packs ring buffers 3 to 50 times.
const MAX_RATIO: u64 = 1000;

/// Calls `visit` with every record of `file[range]`, in the order of the file, and says what could
/// not be read.
pub(super) fn walk(
    file: &[u8],
    range: Range<usize>,
    big_endian: bool,
    mut visit: impl FnMut(Record<'_>),
) -> Vec<Damage> {
    let mut damage = Vec::new();
    let mut inflater = Inflater::default();
    let Range { start: mut at, end } = range;
    while at < end {
        let Some((record, next)) = read(file, at, end, big_endian) else {
            let resume = find_records(file, at + HEADER, end, big_endian).unwrap_or(end);
            let reason =
                if resume == end { "the last record is cut off" } else { "no record begins here" };
            damage.push(Damage { offset: at, bytes: resume - at, reason });
            at = resume;
            continue;
        };
        at = next;
        match record.kind {
            COMPRESSED | COMPRESSED2 => {
                visit(record);
                if let Err(reason) = inflater.feed(&record, big_endian, &mut visit) {
                    damage.push(Damage { offset: record.offset, bytes: record.body.len(), reason });
                }
            }
            TRACING_DATA | AUXTRACE => {
                let mut body = Bytes::new(record.body, big_endian);
                let size = match record.kind {
                    TRACING_DATA => body.u32().map(|size| u64::from(size).next_multiple_of(8)),
                    _ => body.u64(),
                };
                let size = usize::try_from(size.unwrap_or(0)).unwrap_or(usize::MAX);
                at = at.saturating_add(size).min(end);
                visit(record);
            }
            _ => visit(record),
        }
    }
    damage
}

/// The record at `at`, and where the next one begins; `None` if none can begin there.
fn read(bytes: &[u8], at: usize, end: usize, big_endian: bool) -> Option<(Record<'_>, usize)> {
    let mut header = Bytes::new(bytes.get(at..end)?, big_endian);
    let (kind, misc, size) = (header.u32()?, header.u16()?, usize::from(header.u16()?));
    if size < HEADER {
        return None;
    }
    let body = header.take(size - HEADER)?;
    Some((Record { offset: at, kind, misc, body }, at + size))
}

/// Where, behind a damaged stretch, a believable run of records begins. Records lie at multiples of eight.
fn find_records(file: &[u8], from: usize, end: usize, big_endian: bool) -> Option<usize> {
    (from..end).step_by(8).find(|&start| {
        let mut at = start;
        (0..HEADERS_TO_RESUME).all(|_| match read(file, at, end, big_endian) {
            Some((record, next))
                if (1..LARGEST_KIND).contains(&record.kind) && next % 8 == start % 8 =>
            {
                at = next;
                true
            }
            _ => false,
        })
    })
}

/// One zstd stream runs through all compressed records of a file, and a record can be split between two.
#[derive(Default)]
struct Inflater {
    decoder: Option<Decoder<'static>>,
    /// The beginning of a record that the next bytes complete.
    plain: Vec<u8>,
    packed_bytes: u64,
    plain_bytes: u64,
}

impl Inflater {
    fn feed(
        &mut self,
        record: &Record<'_>,
        big_endian: bool,
        visit: &mut impl FnMut(Record<'_>),
    ) -> Result<(), &'static str> {
        let packed = packed_bytes(record, big_endian).ok_or("a compressed record is cut off")?;
        let mut decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => Decoder::new().map_err(|_| "zstd cannot be started")?,
        };
        let outcome = self.inflate(&mut decoder, packed, |plain| {
            let mut at = 0;
            while let Some((inner, next)) = read(plain, at, plain.len(), big_endian) {
                visit(Record { offset: record.offset, ..inner });
                at = next;
            }
            at
        });
        self.decoder = Some(decoder);
        outcome
    }

    /// Unpacks piece by piece; `take` says how many bytes of what is there it has used.
    fn inflate(
        &mut self,
        decoder: &mut Decoder<'static>,
        packed: &[u8],
        mut take: impl FnMut(&[u8]) -> usize,
    ) -> Result<(), &'static str> {
        self.packed_bytes += packed.len() as u64;
        let mut input = InBuffer::around(packed);
        let mut chunk = [0; 1 << 16];
        loop {
            let mut output = OutBuffer::around(&mut chunk[..]);
            decoder.run(&mut input, &mut output).map_err(|_| "a compressed record is damaged")?;
            let written = output.pos();
            self.plain_bytes += written as u64;
            if self.plain_bytes > self.packed_bytes.saturating_mul(MAX_RATIO).max(1 << 20) {
                return Err("a compressed record unpacks to more than 1000 times its size");
            }
            self.plain.extend_from_slice(&chunk[..written]);
            let taken = take(&self.plain);
            self.plain.drain(..taken);
            if self.plain.len() > usize::from(u16::MAX) {
                self.plain.clear();
                return Err("no record begins in a compressed record");
            }
            if written < chunk.len() && input.pos() == packed.len() {
                return Ok(());
            }
        }
    }
}

fn packed_bytes<'a>(record: &Record<'a>, big_endian: bool) -> Option<&'a [u8]> {
    if record.kind == COMPRESSED {
        return Some(record.body);
    }
    Bytes::new(record.body, big_endian).block_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut out = kind.to_le_bytes().to_vec();
        out.extend(0u16.to_le_bytes());
        out.extend(u16::try_from(body.len() + HEADER).unwrap().to_le_bytes());
        out.extend(body);
        out
    }

    fn kinds(file: &[u8]) -> (Vec<u32>, Vec<Damage>) {
        let mut kinds = Vec::new();
        let damage = walk(file, 0..file.len(), false, |record| kinds.push(record.kind));
        (kinds, damage)
    }

    #[test]
    fn reading_goes_on_behind_a_damaged_stretch() {
        let good: Vec<u8> = (0..12).flat_map(|_| record(9, &[0; 24])).collect();
        let mut file = good.clone();
        file[32..64].fill(0);
        let (kinds, damage) = kinds(&file);
        assert_eq!(kinds.len(), 11);
        assert_eq!(damage, [Damage { offset: 32, bytes: 32, reason: "no record begins here" }]);
    }

    #[test]
    fn a_cut_file_gives_every_record_before_the_cut() {
        let file: Vec<u8> = (0..5).flat_map(|_| record(9, &[0; 24])).collect();
        for cut in 1..file.len() {
            let (kinds, damage) = kinds(&file[..cut]);
            assert_eq!((kinds.len(), damage.len()), (cut / 32, usize::from(cut % 32 != 0)));
        }
    }

    #[test]
    fn records_are_unpacked_across_the_borders_of_compressed_ones() {
        let plain: Vec<u8> = (0..100).flat_map(|_| record(9, &[7; 24])).collect();
        let packed = zstd::stream::encode_all(&plain[..], 1).unwrap();
        let (front, back) = packed.split_at(packed.len() / 2);
        let file = [record(COMPRESSED, front), record(COMPRESSED, back)].concat();
        let (kinds, damage) = kinds(&file);
        assert!(damage.is_empty() && kinds.iter().filter(|&&kind| kind == 9).count() == 100);
    }

    #[test]
    fn what_unpacks_without_an_end_is_given_up() {
        let (empty, zeros) = (record(68, &[]).repeat(1 << 20), vec![0; 1 << 23]);
        for (plain, reason) in [(empty, "unpacks to more than 1000"), (zeros, "no record begins")] {
            let packed = zstd::stream::encode_all(&plain[..], 3).unwrap();
            let file = [record(COMPRESSED, &packed), record(9, &[])].concat();
            let (kinds, damage) = kinds(&file);
            assert!(damage[0].reason.contains(reason), "{damage:?}");
            assert!(kinds.last() == Some(&9) && kinds.len() < 1 << 18);
        }
    }

    #[test]
    fn a_damaged_compressed_record_is_reported_with_its_place() {
        let file = [record(9, &[]), record(COMPRESSED, &[1; 40])].concat();
        let (kinds, damage) = kinds(&file);
        assert_eq!((kinds, damage[0].offset), (vec![9, COMPRESSED], 8));
    }
}
