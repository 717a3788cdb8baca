//! The index of a perf.data: what stands in the sections behind the records, and in the records of a pipe that take their place.

use std::borrow::Cow;
use std::ops::Range;

use linux_perf_data::Feature;
use rustc_hash::FxHashMap;

use super::bytes::Bytes;
use super::header::{Attribute, FILE_HEADER, SECTION, section};
use super::source::Source;
use crate::error::Problem;

/// Where the header has a bit for each section.
const FEATURE_BITS: usize = 72;

/// Sections of the index by number.
#[derive(Default)]
pub(super) struct Features<'a> {
    sections: Vec<(Feature, Cow<'a, [u8]>)>,
    big_endian: bool,
}

impl<'a> Features<'a> {
    /// None yet: those of a pipe come as records.
    pub fn of_pipe(big_endian: bool) -> Self {
        Self { big_endian, ..Self::default() }
    }

    /// The sections behind the records, and why some cannot be read, if so. `front` is the header.
    pub fn read(
        file: Source<'a>,
        front: &[u8],
        data: &Range<usize>,
        big_endian: bool,
    ) -> Result<(Self, Option<String>), Problem> {
        let mut features = Self::of_pipe(big_endian);
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
