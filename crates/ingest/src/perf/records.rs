//! The walk over a perf.data's records: headers, sizes, compression.
//!
//! This loop is our own, not linux-perf-data's: it hands out slices without copying them, knows at which
//! byte it is, and goes on behind a damaged stretch. Sizes are checked against what is there.

use std::ops::Range;

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::blocks::{Blocks, REST};
use super::bytes::Bytes;
use super::source::Source;
use crate::error::Problem;

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

/// The reason for what could not be read at the end of a file that was cut in the midst of a record.
pub(super) const BREAKS_OFF: &str = "the last record is cut off";

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
/// No record is longer, since its size stands in two bytes.
pub(super) const LARGEST: usize = 1 << 16;
/// `PERF_RECORD_HEADER_TRACING_DATA` and `PERF_RECORD_AUXTRACE`: their data stand behind the record, outside
/// its size, the former padded to eight bytes.
const TRACING_DATA: u32 = 66;
const AUXTRACE: u32 = 71;
/// `PERF_RECORD_COMPRESSED` and, since Linux 6.16, `PERF_RECORD_COMPRESSED2`.
const COMPRESSED: u32 = 81;
const COMPRESSED2: u32 = 83;
/// So many headers in a row must fit each other before reading goes on behind damage.
const HEADERS_TO_RESUME: usize = 8;
const _: () = assert!(HEADERS_TO_RESUME * LARGEST <= REST);
/// No `PERF_RECORD_*` of any kernel or perf has a larger number.
const LARGEST_KIND: u32 = 128;
/// simpleperf numbers records of its own from 32768 on (`system/extras/simpleperf/record.h`); what is larger is damage.
const NO_KIND: u32 = 1 << 16;
/// Records are unpacked to at most so many times what was packed: perf packs ring buffers 3 to 50 times.
const MAX_RATIO: u64 = 1000;

/// Calls `visit` with every record of a stretch, in the order of the file, and says what could not be read.
pub(super) fn walk(
    source: Source<'_>,
    range: Range<usize>,
    big_endian: bool,
    mut visit: impl FnMut(Record<'_>),
) -> Result<Vec<Damage>, Problem> {
    let mut walk = Walk::new(range.start, big_endian);
    let mut blocks = Blocks::new(source, range);
    while let Some((bytes, is_last)) = blocks.next()? {
        let used = walk.take(bytes, is_last, &mut visit);
        blocks.used(used);
    }
    Ok(walk.damage)
}

/// Passes over the records that begin in a block, from a place on, and says where the next one begins, and whether all
/// of them can be read without what came before them; if not, it is the first of those that cannot, or that end behind
/// `most`, where the file does. What is behind them is for [`Walk`].
pub(super) fn pass(block: &[u8], from: usize, most: usize, big_endian: bool) -> (usize, bool) {
    let mut at = from;
    while at < block.len() {
        let header = block.get(at..at + HEADER).and_then(|bytes| header(bytes, big_endian));
        let Some((kind, _, size)) = header else { return (at, false) };
        let is_special = matches!(kind, COMPRESSED | COMPRESSED2 | TRACING_DATA | AUXTRACE);
        if is_special || kind >= NO_KIND || size < HEADER || size > most - at {
            return (at, false);
        }
        at += size;
    }
    (at, true)
}

/// Calls `visit` with records that were passed; the first of them is at `offset` in the file.
pub(super) fn each(
    passed: &[u8],
    offset: usize,
    big_endian: bool,
    mut visit: impl FnMut(Record<'_>),
) {
    let mut at = 0;
    while let Some((record, next)) = read(passed, at, big_endian) {
        visit(Record { offset: offset + record.offset, ..record });
        at = next;
    }
}

/// How far a walk has come.
pub(super) struct Walk {
    /// In bytes from the file's start.
    at: usize,
    big_endian: bool,
    inflater: Inflater,
    pub damage: Vec<Damage>,
    /// Where the stretch began that cannot be read, while its end is looked for.
    lost_since: Option<usize>,
    /// Bytes of a record's data outside its size that are still to come.
    skip: usize,
}

/// Whether a record holds others, packed.
pub(super) fn is_packed(kind: u32) -> bool {
    matches!(kind, COMPRESSED | COMPRESSED2)
}

impl Walk {
    pub fn new(at: usize, big_endian: bool) -> Self {
        let (inflater, damage) = (Inflater::default(), Vec::new());
        Self { at, big_endian, inflater, damage, lost_since: None, skip: 0 }
    }

    /// Goes on with these bytes, and says how many of them it used: all if they are the last, else all but
    /// the beginning of something that may go on.
    pub fn take(
        &mut self,
        bytes: &[u8],
        is_last: bool,
        visit: &mut impl FnMut(Record<'_>),
    ) -> usize {
        let base = self.at;
        let mut at = 0;
        while at < bytes.len() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len() - at);
                self.skip -= skipped;
                at += skipped;
            } else if let Some(since) = self.lost_since {
                at = match find_records(bytes, at, is_last, self.big_endian) {
                    Search::Found(resume) => {
                        self.lose(since, base + resume, "no record begins here");
                        resume
                    }
                    Search::Undecided(at) => {
                        self.at = base + at;
                        return at;
                    }
                    Search::None => {
                        self.lose(since, base + bytes.len(), BREAKS_OFF);
                        bytes.len()
                    }
                };
            } else if let Some((record, next)) = read(bytes, at, self.big_endian) {
                at = next;
                self.visit(Record { offset: base + record.offset, ..record }, visit);
            } else if !is_last && bytes.len() - at < LARGEST {
                break;
            } else {
                self.lost_since = Some(base + at);
                at = (at + HEADER).min(bytes.len());
                if is_last && at == bytes.len() {
                    self.lose_to_the_end(base + at);
                }
            }
        }
        self.at = base + at;
        at
    }

    fn visit(&mut self, record: Record<'_>, visit: &mut impl FnMut(Record<'_>)) {
        match record.kind {
            COMPRESSED | COMPRESSED2 => {
                visit(record);
                if let Err(reason) = self.inflater.feed(&record, self.big_endian, visit) {
                    let bytes = record.body.len();
                    self.damage.push(Damage { offset: record.offset, bytes, reason });
                }
            }
            TRACING_DATA | AUXTRACE => {
                let mut body = Bytes::new(record.body, self.big_endian);
                let size = match record.kind {
                    TRACING_DATA => body.u32().map(|size| u64::from(size).next_multiple_of(8)),
                    _ => body.u64(),
                };
                self.skip = usize::try_from(size.unwrap_or(0)).unwrap_or(usize::MAX);
                visit(record);
            }
            _ => visit(record),
        }
    }

    fn lose(&mut self, since: usize, until: usize, reason: &'static str) {
        self.lost_since = None;
        self.damage.push(Damage { offset: since, bytes: until - since, reason });
    }

    fn lose_to_the_end(&mut self, end: usize) {
        if let Some(since) = self.lost_since {
            self.lose(since, end, BREAKS_OFF);
        }
    }
}

/// The record at `at`, and where the next one begins; `None` if none can begin there, or if not all of it is there.
#[inline]
fn read(bytes: &[u8], at: usize, big_endian: bool) -> Option<(Record<'_>, usize)> {
    let (kind, misc, size) = header(bytes.get(at..)?, big_endian)?;
    let next = at + size;
    let body = bytes.get(at + HEADER..next).filter(|_| kind < NO_KIND)?;
    Some((Record { offset: at, kind, misc, body }, next))
}

/// Kind, miscellaneous bits and size.
#[inline]
fn header(bytes: &[u8], big_endian: bool) -> Option<(u32, u16, usize)> {
    let &[a, b, c, d, e, f, g, h] = bytes.first_chunk::<HEADER>()?;
    let (kind, misc, size) = if big_endian {
        (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]), u16::from_be_bytes([g, h]))
    } else {
        (u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]))
    };
    Some((kind, misc, usize::from(size)))
}

/// Where a damaged stretch ends.
enum Search {
    Found(usize),
    /// From here on, what comes behind these bytes decides.
    Undecided(usize),
    None,
}

/// Where, behind a damaged stretch, a believable run of records begins. Records lie at multiples of eight.
fn find_records(bytes: &[u8], from: usize, is_last: bool, big_endian: bool) -> Search {
    for start in (from..bytes.len()).step_by(8) {
        if !is_last && bytes.len() - start < HEADERS_TO_RESUME * LARGEST {
            return Search::Undecided(start);
        }
        let mut at = start;
        let believable = (0..HEADERS_TO_RESUME).all(|_| match read(bytes, at, big_endian) {
            Some((record, next))
                if (1..LARGEST_KIND).contains(&record.kind) && next % 8 == start % 8 =>
            {
                at = next;
                true
            }
            _ => false,
        });
        if believable {
            return Search::Found(start);
        }
    }
    Search::None
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
            while let Some((inner, next)) = read(plain, at, big_endian) {
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
        let visit = |record: Record<'_>| kinds.push(record.kind);
        let damage = walk(Source::Memory(file), 0..file.len(), false, visit).unwrap();
        (kinds, damage)
    }

    /// Whatever is read in pieces gives what it gives in one piece, damage and its places included.
    #[test]
    fn a_walk_in_pieces_finds_what_a_walk_over_all_finds() {
        let mut file: Vec<u8> = Vec::new();
        for number in 0..3_u16 {
            file.extend((0..200).flat_map(|_| record(9, &[5; 24])));
            file.extend(record(9, &vec![6; 60_000 + 8 * usize::from(number)]));
            file.extend([0; 40]);
        }
        let auxtrace = record(AUXTRACE, &1000_u64.to_le_bytes());
        file.extend([auxtrace, vec![1; 1000], record(9, &[0; 8])].concat());
        file.extend((0..20_000).flat_map(|_| record(9, &[7; 40])));
        for end in [file.len(), file.len() - 20, 70_000] {
            let file = &file[..end];
            let whole = kinds(file);
            for piece in [600_000, 700_001] {
                let mut found = Vec::new();
                let mut walk = Walk::new(0, false);
                let (mut from, mut to) = (0, 0);
                while to < file.len() {
                    to = (to + piece).min(file.len());
                    let bytes = &file[from..to];
                    from += walk.take(bytes, to == file.len(), &mut |it| found.push(it.kind));
                }
                assert_eq!((found, walk.damage), whole, "{end} bytes in pieces of {piece}");
            }
        }
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
