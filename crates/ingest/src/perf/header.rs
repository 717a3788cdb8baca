//! The header of a perf.data: what stands where in the file.
//!
//! Read here and not by linux-perf-data, for two reasons: that crate reserves memory on the word of counts
//! in the file, and it gives up on a file whose index is missing, because the recording was killed or the
//! file was cut on its way; then attributes and event ids still stand at the front.
//! (`tools/perf/Documentation/perf.data-file-format.txt`, Linux 6.1.)

use std::ops::Range;

use super::attr::EventAttr;
use super::bytes::Bytes;
pub(super) use super::features::{Features, read_build_id};
use super::source::Source;
use crate::error::Problem;

/// What the header says, as far as the file bears it out.
pub(super) struct Header<'a> {
    /// Whether numbers in the file are big-endian.
    pub big_endian: bool,
    /// Whether the file was written to a pipe: attributes and features come as records.
    pub pipe: bool,
    /// Where the records are.
    pub data: Range<usize>,
    /// The events; empty for a pipe until its records are read.
    pub attributes: Vec<Attribute>,
    /// The sections of the index.
    pub features: Features<'a>,
    /// Whether it ends before its records do, or its recorder was killed before it wrote where they end.
    pub is_unfinished: bool,
    /// What is missing from the file, for a person.
    pub damage: Option<String>,
}

/// One event of the recording.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    /// How it was opened.
    pub attr: EventAttr,
    /// Its name, where the file gives it.
    pub name: Option<String>,
    /// The ids under which its records go.
    pub ids: Vec<u64>,
}

const LITTLE: &[u8] = b"PERFILE2";
const BIG: &[u8] = b"2ELIFREP";
/// Before Linux 2.6.37: the same layout, but the magic does not tell the byte order.
const FIRST_VERSION: &[u8] = b"PERFFILE";
/// Header size of a file; a pipe's is 16.
pub(super) const FILE_HEADER: usize = 104;
/// `perf record -e '*:*'` opens some 3000 events. What a file says of more is not read.
pub(super) const MOST_EVENTS: usize = 1 << 13;
const PIPE_HEADER: u64 = 16;
/// Where the header's fields lie, in bytes.
const ATTR_SIZE: usize = 16;
const ATTR_SECTION: usize = 24;
const DATA_SECTION: usize = 40;
/// Offset and size of a section.
pub(super) const SECTION: usize = 16;

/// So many bytes tell whether a file is a perf.data.
pub(crate) const MAGIC_LENGTH: usize = 8;
/// And so many, whether it was written to a pipe.
pub(crate) const KIND_LENGTH: usize = 24;

/// Whether these bytes begin a perf.data.
pub(crate) fn is_perf_data(bytes: &[u8]) -> bool {
    [LITTLE, BIG, FIRST_VERSION].iter().any(|magic| bytes.starts_with(magic))
}

/// The byte order. In the first version it is the one in which the size of an attribute makes sense, as perf
/// does it (`try_all_file_abis`, `tools/perf/util/header.c`).
fn is_big_endian(file: &[u8]) -> bool {
    /// No attribute of any kernel is as large.
    const ABSURD: u64 = 4096;
    let attr_size = || Bytes::new(file.get(ATTR_SIZE..).unwrap_or_default(), false).u64();
    file.starts_with(BIG)
        || (file.starts_with(FIRST_VERSION) && attr_size().is_some_and(|size| size > ABSURD))
}

impl<'a> Header<'a> {
    /// Reads the header of a whole file.
    pub fn parse(file: Source<'a>) -> Result<Self, Problem> {
        let front = file.front(FILE_HEADER)?;
        let big_endian = is_big_endian(&front);
        let mut bytes = Bytes::new(front.get(8..).unwrap_or_default(), big_endian);
        if bytes.u64().ok_or_else(|| cut_header(&front))? == PIPE_HEADER {
            return Ok(Self::of_pipe(file, big_endian));
        }
        if front.len() < FILE_HEADER {
            return Err(cut_header(&front));
        }
        let data = section(&front, DATA_SECTION, big_endian);
        if data.start < FILE_HEADER || data.start > file.len() {
            let reason =
                format!("the records are said to begin at byte {}, outside the file", data.start);
            return Err(Problem::at(DATA_SECTION, reason));
        }
        let (features, mut damage) = Features::read(file, &front, &data, big_endian)?;
        let mut attributes = read_attributes(file, &front, big_endian)?;
        if attributes.len() == MOST_EVENTS {
            damage.get_or_insert_with(too_many_events);
        }
        features.name_events(&mut attributes);
        let end = if data.is_empty() { file.len() } else { data.end.min(file.len()) };
        let is_unfinished = data.is_empty() || data.end > file.len();
        let data = data.start..end;
        Ok(Self { big_endian, pipe: false, data, attributes, features, is_unfinished, damage })
    }

    fn of_pipe(file: Source<'a>, big_endian: bool) -> Self {
        Self {
            big_endian,
            pipe: true,
            data: 16..file.len(),
            attributes: Vec::new(),
            features: Features::of_pipe(big_endian),
            is_unfinished: false,
            damage: None,
        }
    }
}

/// Whether a file that begins like this was written to a pipe.
pub(crate) fn is_pipe(front: &[u8]) -> bool {
    let size = Bytes::new(front.get(8..).unwrap_or_default(), is_big_endian(front)).u64();
    is_perf_data(front) && size == Some(PIPE_HEADER)
}

fn too_many_events() -> String {
    format!("the file describes more than {MOST_EVENTS} events: the others are not read")
}

fn cut_header(file: &[u8]) -> Problem {
    Problem::at(file.len(), format!("the file ends inside its header of {FILE_HEADER} bytes"))
}

/// The section whose offset and size stand at `at`; what does not fit memory lies outside any file.
pub(super) fn section(file: &[u8], at: usize, big_endian: bool) -> Range<usize> {
    let mut bytes = Bytes::new(file.get(at..).unwrap_or_default(), big_endian);
    let mut number = || bytes.u64().and_then(|number| usize::try_from(number).ok());
    let start = number().unwrap_or(usize::MAX);
    start..start.saturating_add(number().unwrap_or(usize::MAX))
}

/// The events, with their ids, from the section at the file's front.
fn read_attributes(
    file: Source<'_>,
    front: &[u8],
    big_endian: bool,
) -> Result<Vec<Attribute>, Problem> {
    let bad = |at: usize, reason: &str| Problem::at(at, reason);
    let entry_size = Bytes::new(&front[ATTR_SIZE..], big_endian).u64().unwrap_or(0);
    let entry_size = usize::try_from(entry_size).unwrap_or(usize::MAX);
    let place = section(front, ATTR_SECTION, big_endian);
    let entries = file
        .get(place.clone())?
        .ok_or_else(|| bad(ATTR_SECTION, "the descriptions of the events lie outside the file"))?;
    if entry_size <= SECTION {
        return Err(bad(ATTR_SIZE, "an event's description is said to be too short"));
    }
    // Lists of ids may not lie over each other, or a small file would become a large table.
    let mut room = file.len();
    let mut attributes = Vec::new();
    for entry in entries.chunks_exact(entry_size).take(MOST_EVENTS) {
        let (attr, ids) = entry.split_at(entry_size - SECTION);
        let place = section(ids, 0, big_endian);
        let place = place.start..place.end.min(place.start.saturating_add(room));
        let ids = file.get(place)?.unwrap_or_default();
        room -= ids.len();
        let mut ids = Bytes::new(&ids, big_endian);
        let ids = std::iter::from_fn(|| ids.u64()).collect();
        let Some(attribute) = Attribute::parse(attr, ids, big_endian) else { break };
        attributes.push(attribute);
    }
    if attributes.is_empty() {
        return Err(bad(place.start, "no event's description can be read"));
    }
    Ok(attributes)
}

impl Attribute {
    /// Reads a `perf_event_attr`.
    pub fn parse(bytes: &[u8], ids: Vec<u64>, big_endian: bool) -> Option<Self> {
        let attr = EventAttr::parse(bytes, big_endian)?;
        Some(Self { attr, name: None, ids })
    }
}
