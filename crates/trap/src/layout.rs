//! As much of perf.data's layout as it takes to put two recordings of one machine together.
//!
//! These files were written a moment ago by the perf of this machine, but a killed one may have left them
//! unfinished. (`tools/perf/Documentation/perf.data-file-format.txt`, `tools/perf/util/header.h`, Linux 6.1.)

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Size of a file's header.
pub const HEADER: u64 = 104;
/// Offset and size of a section.
pub const SECTION: u64 = 16;
/// Attributes above this are not perf's: there are some hundred bytes for each of some dozen events.
const LARGEST_TABLE: u64 = 16 << 20;

/// One event: how it was opened, and the ids under which its records go.
#[derive(Clone, Debug)]
pub struct Event {
    /// The bytes of its `perf_event_attr`.
    pub attr: Vec<u8>,
    /// An id for each CPU.
    pub ids: Vec<u64>,
}

/// A recording's file.
pub struct Recording {
    file: File,
    /// Its events.
    pub events: Vec<Event>,
    /// The sections of its index: number of the feature, and the bytes.
    pub features: Vec<(u32, Vec<u8>)>,
    data: (u64, u64),
}

/// One record: its type, and all its bytes, the header's eight included.
pub struct Record<'a> {
    /// `PERF_RECORD_*`.
    pub kind: u32,
    /// All of it.
    pub bytes: &'a [u8],
}

impl Event {
    /// What tells two events apart: type and configuration.
    pub fn key(&self) -> (Option<u64>, Option<u64>) {
        (u32_at(&self.attr, 0).map(u64::from), u64_at(&self.attr, 8))
    }

    /// `sample_type`.
    pub fn sample_type(&self) -> u64 {
        u64_at(&self.attr, 24).unwrap_or(0)
    }
}

impl Recording {
    /// Opens a recording; its index is empty if perf did not come to write one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let header = read_at(&mut file, 0, HEADER)?;
        if !header.starts_with(b"PERFILE2") {
            return Err(invalid("it does not begin as a perf.data of this machine"));
        }
        let word = |at: usize| u64_at(&header, at).unwrap_or(0);
        let (entry, attrs, data) = (word(16), (word(24), word(32)), (word(40), word(48)));
        let events = read_events(&mut file, entry, attrs)?;
        let end = data.0.saturating_add(data.1);
        let finished = data.1 > 0 && end <= length;
        let features = if finished { read_features(&mut file, &header, end)? } else { Vec::new() };
        let data = (data.0, if finished { data.1 } else { length.saturating_sub(data.0) });
        Ok(Self { file, events, features, data })
    }

    /// Hands on every record, in the order of the file, up to its end or to damage.
    pub fn records(
        &mut self,
        mut each: impl FnMut(Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.data.0))?;
        let mut reader = BufReader::with_capacity(1 << 20, &self.file).take(self.data.1);
        let mut bytes = vec![0; 8];
        loop {
            bytes.truncate(8);
            if reader.read_exact(&mut bytes).is_err() {
                return Ok(());
            }
            let kind = u32_at(&bytes, 0).unwrap_or(0);
            let size = usize::from(bytes[6]) | usize::from(bytes[7]) << 8;
            if size < 8 {
                return Ok(());
            }
            bytes.resize(size, 0);
            if reader.read_exact(&mut bytes[8..]).is_err() {
                return Ok(());
            }
            each(Record { kind, bytes: &bytes })?;
        }
    }
}

fn read_events(file: &mut File, entry: u64, attrs: (u64, u64)) -> io::Result<Vec<Event>> {
    if entry <= SECTION || attrs.1 > LARGEST_TABLE {
        return Err(invalid("its events cannot be read"));
    }
    let table = read_at(file, attrs.0, attrs.1)?;
    let entry = usize::try_from(entry).map_err(|_| invalid("its events cannot be read"))?;
    let events = table.chunks_exact(entry).map(|entry| {
        let (attr, place) = entry.split_at(entry.len() - 16);
        let section = (u64_at(place, 0).unwrap_or(0), u64_at(place, 8).unwrap_or(0));
        let ids = read_at(file, section.0, section.1.min(LARGEST_TABLE))?;
        let ids = ids.chunks_exact(8).filter_map(|id| u64_at(id, 0)).collect();
        Ok(Event { attr: attr.to_vec(), ids })
    });
    events.collect()
}

fn read_features(file: &mut File, header: &[u8], table: u64) -> io::Result<Vec<(u32, Vec<u8>)>> {
    let bits = |bit: u32| header[72 + bit as usize / 8] >> (bit % 8) & 1 == 1;
    let mut features = Vec::new();
    for (position, number) in (0..256).filter(|bit| bits(*bit)).enumerate() {
        let place = read_at(file, table + position as u64 * SECTION, SECTION)?;
        let (offset, size) = (u64_at(&place, 0).unwrap_or(0), u64_at(&place, 8).unwrap_or(0));
        if size > LARGEST_TABLE {
            return Err(invalid("a section of its index is too large"));
        }
        features.push((number, read_at(file, offset, size)?));
    }
    Ok(features)
}

fn read_at(file: &mut File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(invalid("it is cut")) }
}

/// A number in the byte order of this machine, which wrote the file.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
