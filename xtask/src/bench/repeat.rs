//! A longer capture made of a shorter one: its records again and again, each time later by its own length.
//!
//! It knows no more of the format than it takes: captures that `captures.rs` records, little-endian, whose records
//! all have their time at one place (`tools/perf/Documentation/perf.data-file-format.txt`, Linux 6.1).

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

const HEADER: usize = 104;
/// Offset and size of the records, and of the events' descriptions.
const DATA: usize = 40;
const ATTRS: usize = 24;
/// `PERF_SAMPLE_*` of the recorded events: IP, TID, TIME, CALLCHAIN, CPU, PERIOD, RAW, IDENTIFIER. Then a sample
/// begins with identifier, IP, thread and time, and other records end with thread, time, CPU and identifier.
const LAYOUT: u64 = 1 | 2 | 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 16;
const SAMPLE: u32 = 9;
/// perf's own records begin here, and have no time.
const FIRST_OF_PERF: u32 = 64;
const FINISHED_ROUND: u32 = 68;

/// Writes the records of `capture` so often that they take `bytes`.
pub fn repeat(capture: &Path, path: &Path, bytes: u64) -> Result<()> {
    let mut source =
        File::open(capture).with_context(|| format!("cannot read {}", capture.display()))?;
    let mut header = [0; HEADER];
    source.read_exact(&mut header)?;
    let (start, size) = (number(&header, DATA), number(&header, DATA + 8));
    let mut attr = [0; 32];
    source.seek(SeekFrom::Start(number(&header, ATTRS)))?;
    source.read_exact(&mut attr)?;
    ensure!(number(&attr, 24) == LAYOUT, "{} was not recorded by this task", capture.display());
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    source.seek(SeekFrom::Start(0))?;
    std::io::copy(&mut Read::by_ref(&mut source).take(start), &mut out)?;
    let (mut written, mut shift) = (0, 0);
    while written < bytes {
        source.seek(SeekFrom::Start(start))?;
        let mut records = BufReader::with_capacity(1 << 20, Read::by_ref(&mut source).take(size));
        let (later, bytes) = copy_later(&mut records, &mut out, shift)?;
        shift += later;
        written += bytes;
    }
    // The index lies behind the records, and says where in the file each of its sections is.
    source.seek(SeekFrom::Start(start + size))?;
    let mut index = Vec::new();
    source.read_to_end(&mut index)?;
    let sections = (72..HEADER).map(|at| header[at].count_ones() as usize).sum();
    for section in index.as_chunks_mut::<16>().0.iter_mut().take(sections) {
        let at = number(section, 0) - size + written;
        section[..8].copy_from_slice(&at.to_le_bytes());
    }
    out.write_all(&index)?;
    let mut file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.seek(SeekFrom::Start(DATA as u64 + 8))?;
    file.write_all(&written.to_le_bytes())?;
    Ok(())
}

/// Copies records, later by `shift`, but of perf's own only the first time those that are no end of a round; says how long
/// they take, in ns, and how many bytes were written.
fn copy_later(records: &mut impl Read, out: &mut impl Write, shift: u64) -> Result<(u64, u64)> {
    let (mut first, mut last) = (u64::MAX, 0);
    let mut written = 0;
    let mut record = vec![0; 8];
    loop {
        record.resize(8, 0);
        if let Err(error) = records.read_exact(&mut record) {
            ensure!(error.kind() == std::io::ErrorKind::UnexpectedEof, error);
            return Ok((last - first + 1000, written));
        }
        let kind = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
        let size = usize::from(u16::from_le_bytes([record[6], record[7]]));
        record.resize(size.max(8), 0);
        records.read_exact(&mut record[8..])?;
        let at = match kind {
            SAMPLE => Some(32),
            ..FIRST_OF_PERF => Some(size - 24),
            _ => None,
        };
        if let Some(at) = at {
            let time = number(&record, at);
            if time != 0 {
                (first, last) = (first.min(time), last.max(time));
                record[at..at + 8].copy_from_slice(&(time + shift).to_le_bytes());
            }
        } else if kind != FINISHED_ROUND && shift > 0 {
            continue;
        }
        out.write_all(&record)?;
        written += record.len() as u64;
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
