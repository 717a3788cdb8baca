//! The header of a perf.data: what stands where in the file.
//!
//! Read here and not by linux-perf-data, for two reasons: that crate reserves memory on the word of counts
//! in the file, and it gives up on a file whose index is missing, because the recording was killed or the
//! file was cut on its way; then attributes and event ids still stand at the front.
//! (`tools/perf/Documentation/perf.data-file-format.txt`, Linux 6.1.)

use std::borrow::Cow;
use std::ops::Range;

use linux_perf_data::Feature;
use rustc_hash::FxHashMap;

use super::attr::EventAttr;
use super::bytes::Bytes;
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

/// Sections of the index by number.
#[derive(Default)]
pub(super) struct Features<'a> {
    sections: Vec<(Feature, Cow<'a, [u8]>)>,
    big_endian: bool,
}

const LITTLE: &[u8] = b"PERFILE2";
const BIG: &[u8] = b"2ELIFREP";
/// Before Linux 2.6.37: the same layout, but the magic does not tell the byte order.
const FIRST_VERSION: &[u8] = b"PERFFILE";
/// Header size of a file; a pipe's is 16.
const FILE_HEADER: usize = 104;
/// `perf record -e '*:*'` opens some 3000 events. What a file says of more is not read.
pub(super) const MOST_EVENTS: usize = 1 << 13;
const PIPE_HEADER: u64 = 16;
/// Where the header's fields lie, in bytes.
const ATTR_SIZE: usize = 16;
const ATTR_SECTION: usize = 24;
const DATA_SECTION: usize = 40;
const FEATURE_BITS: usize = 72;
/// Offset and size of a section.
const SECTION: usize = 16;

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
        let (features, mut damage) = read_index(file, &front, &data, big_endian)?;
        let mut attributes = read_attributes(file, &front, big_endian)?;
        if attributes.len() == MOST_EVENTS {
            damage.get_or_insert_with(too_many_events);
        }
        features.name_events(&mut attributes);
        let end = if data.is_empty() { file.len() } else { data.end.min(file.len()) };
        Ok(Self { big_endian, pipe: false, data: data.start..end, attributes, features, damage })
    }

    fn of_pipe(file: Source<'a>, big_endian: bool) -> Self {
        Self {
            big_endian,
            pipe: true,
            data: 16..file.len(),
            attributes: Vec::new(),
            features: Features { big_endian, ..Features::default() },
            damage: None,
        }
    }
}

/// Whether a file that begins like this was written to a pipe.
pub(crate) fn is_pipe(front: &[u8]) -> bool {
    let size = Bytes::new(front.get(8..).unwrap_or_default(), is_big_endian(front)).u64();
    is_perf_data(front) && size == Some(PIPE_HEADER)
}

impl<'a> Features<'a> {
    /// Adds a section that came as a record of a pipe.
    pub fn push(&mut self, number: u32, bytes: Cow<'a, [u8]>) {
        self.sections.push((Feature(number), bytes));
    }

    /// A section's bytes.
    pub fn get(&self, feature: Feature) -> Option<&[u8]> {
        self.sections.iter().find(|(number, _)| *number == feature).map(|(_, bytes)| &**bytes)
    }

    /// A section that holds one string.
    pub fn string(&self, feature: Feature) -> Option<String> {
        header_string(&mut Bytes::new(self.get(feature)?, self.big_endian))
    }

    /// The recording command, one argument an entry.
    pub fn command(&self) -> Vec<String> {
        let Some(section) = self.get(Feature::CMDLINE) else { return Vec::new() };
        let mut bytes = Bytes::new(section, self.big_endian);
        let count = bytes.u32().unwrap_or(0);
        (0..count).map_while(|_| header_string(&mut bytes)).collect()
    }

    /// CPUs online while recording.
    pub fn cpus_online(&self) -> Option<u32> {
        let mut bytes = Bytes::new(self.get(Feature::NRCPUS)?, self.big_endian);
        bytes.u32()?;
        bytes.u32()
    }

    /// Build ids: kernel or user (`misc`), path, and the id, as `build_id_event`
    /// (`tools/perf/util/build-id.h`) lays them out.
    pub fn build_ids(&self) -> Vec<(u16, &[u8], Vec<u8>)> {
        let Some(section) = self.get(Feature::BUILD_ID) else { return Vec::new() };
        let mut bytes = Bytes::new(section, self.big_endian);
        std::iter::from_fn(|| {
            let (_kind, misc, size) = (bytes.u32()?, bytes.u16()?, usize::from(bytes.u16()?));
            let (path, id) = read_build_id(misc, bytes.take(size.checked_sub(8)?)?)?;
            Some((misc & 7, path, id))
        })
        .collect()
    }

    /// Gives events their names, from the section that lists them in the same order of ids.
    pub fn name_events(&self, attributes: &mut [Attribute]) {
        let Some(section) = self.get(Feature::EVENT_DESC) else { return };
        let mut bytes = Bytes::new(section, self.big_endian);
        let (Some(count), Some(attr_size)) = (bytes.u32(), bytes.u32()) else { return };
        let mut by_ids: FxHashMap<Vec<u64>, usize> = FxHashMap::default();
        for (index, known) in attributes.iter().enumerate() {
            by_ids.entry(known.ids.clone()).or_insert(index);
        }
        for index in 0..count as usize {
            let Some((name, ids)) = read_event_name(&mut bytes, attr_size as usize) else { return };
            let same_ids = by_ids.get(&ids).copied().filter(|_| !ids.is_empty());
            if let Some(known) = attributes.get_mut(same_ids.unwrap_or(index)) {
                known.name = Some(name);
                known.ids = ids;
            }
        }
    }
}

fn read_event_name(bytes: &mut Bytes<'_>, attr_size: usize) -> Option<(String, Vec<u64>)> {
    bytes.take(attr_size)?;
    let count = bytes.u32()?;
    let name = header_string(bytes)?;
    let ids: Vec<u64> = (0..count).map_while(|_| bytes.u64()).collect();
    (ids.len() == count as usize).then_some((name, ids))
}

/// Path and build id of a `PERF_RECORD_HEADER_BUILD_ID`: a process, 24 bytes for the id, the path.
pub(super) fn read_build_id(misc: u16, body: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    /// The id's length stands in its 21st byte; older perf pads with zeros.
    const SIZE_GIVEN: u16 = 1 << 15;
    let (id, path) = body.get(4..)?.split_at_checked(24)?;
    let length = if misc & SIZE_GIVEN != 0 {
        usize::from(id[20]).min(20)
    } else {
        id[..20].iter().rposition(|&byte| byte != 0).map_or(0, |last| (last / 4 + 1) * 4)
    };
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    Some((path, id[..length].to_vec()))
}

/// A `perf_header_string`: its padded length, then the bytes up to a zero.
fn header_string(bytes: &mut Bytes<'_>) -> Option<String> {
    let length = usize::try_from(bytes.u32()?).ok()?;
    let text = bytes.take(length)?.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(text).into_owned())
}

fn too_many_events() -> String {
    format!("the file describes more than {MOST_EVENTS} events: the others are not read")
}

fn cut_header(file: &[u8]) -> Problem {
    Problem::at(file.len(), format!("the file ends inside its header of {FILE_HEADER} bytes"))
}

/// The section whose offset and size stand at `at`; what does not fit memory lies outside any file.
fn section(file: &[u8], at: usize, big_endian: bool) -> Range<usize> {
    let mut bytes = Bytes::new(file.get(at..).unwrap_or_default(), big_endian);
    let mut number = || bytes.u64().and_then(|number| usize::try_from(number).ok());
    let start = number().unwrap_or(usize::MAX);
    start..start.saturating_add(number().unwrap_or(usize::MAX))
}

/// The sections behind the records, and why some cannot be read, if so.
fn read_index<'a>(
    file: Source<'a>,
    front: &[u8],
    data: &Range<usize>,
    big_endian: bool,
) -> Result<(Features<'a>, Option<String>), Problem> {
    let mut features = Features { big_endian, ..Features::default() };
    if data.is_empty() {
        let damage =
            "the recording was not finished: its header does not say where the records end";
        return Ok((features, Some(damage.into())));
    }
    if data.end > file.len() {
        let (length, end) = (file.len(), data.end);
        let damage =
            format!("the file is cut at byte {length}; its records should reach byte {end}");
        return Ok((features, Some(damage)));
    }
    let mut bits = Bytes::new(&front[FEATURE_BITS..FILE_HEADER], big_endian);
    let words: Vec<u64> = std::iter::from_fn(|| bits.u64()).collect();
    let numbers = (0..256_u32).filter(|bit| words[*bit as usize / 64] >> (bit % 64) & 1 == 1);
    for (position, number) in numbers.enumerate() {
        let entry = data.end.saturating_add(position * SECTION);
        match section_at(file, entry, big_endian)? {
            Some(bytes) => features.push(number, bytes),
            None => {
                let length = file.len();
                let damage = format!(
                    "the file is cut at byte {length}: the index behind the records is not whole"
                );
                return Ok((features, Some(damage)));
            }
        }
    }
    Ok((features, None))
}

/// The bytes of the section whose offset and size stand at `entry`; `None` if they are not there.
fn section_at(
    file: Source<'_>,
    entry: usize,
    big_endian: bool,
) -> Result<Option<Cow<'_, [u8]>>, Problem> {
    match file.get(entry..entry.saturating_add(SECTION))? {
        Some(place) => file.get(section(&place, 0, big_endian)),
        None => Ok(None),
    }
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
