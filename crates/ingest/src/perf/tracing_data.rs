//! The `TRACING_DATA` section: the format descriptions of all recorded tracepoints.
//!
//! The layout is that of `tools/perf/util/trace-event-info.c` (Linux 6.1): a magic, a version, then blocks
//! of text, each behind its size. Sizes are checked against what is there; a cut section gives the
//! formats before the cut.

use rustc_hash::FxHashMap;

use super::bytes::Bytes;
use super::format::EventFormat;

const MAGIC: &[u8] = b"\x17\x08\x44tracing";

/// Event formats by tracepoint id, with the name of their subsystem.
#[derive(Debug, Default)]
pub(super) struct TracingData {
    /// Subsystem and format of each event, by its id; the first counts.
    formats: FxHashMap<u32, (String, EventFormat)>,
    /// Why reading ended early, if it did.
    pub damage: Option<String>,
}

impl TracingData {
    /// Reads a section, as far as it can be read.
    pub fn parse(section: &[u8]) -> Self {
        let mut data = Self::default();
        if read(section, &mut data).is_none() {
            data.damage = Some(format!(
                "the descriptions of the tracepoints are damaged after {} of them",
                data.formats.len()
            ));
        }
        data
    }

    /// The format of a tracepoint id, with its subsystem.
    pub fn format(&self, id: u64) -> Option<(&str, &EventFormat)> {
        let found = self.formats.get(&u32::try_from(id).ok()?);
        found.map(|(system, format)| (system.as_str(), format))
    }

    /// Adds a description, if there is none of its id.
    pub fn add(&mut self, system: &str, format: EventFormat) {
        self.formats.entry(format.id).or_insert_with(|| (system.to_owned(), format));
    }
}

fn read(section: &[u8], data: &mut TracingData) -> Option<()> {
    let mut bytes = Bytes::new(section.strip_prefix(MAGIC)?, false);
    bytes.c_string()?;
    let big_endian = bytes.u8()? == 1;
    let _long_size = bytes.u8()?;
    let mut bytes = Bytes::new(bytes.rest(), big_endian);
    let _page_size = bytes.u32()?;
    for name in ["header_page", "header_event"] {
        if bytes.c_string()? != name.as_bytes() {
            return None;
        }
        bytes.block_u64()?;
    }
    for _ in 0..bytes.u32()? {
        read_format(&mut bytes, "ftrace", data)?;
    }
    for _ in 0..bytes.u32()? {
        let system = String::from_utf8_lossy(bytes.c_string()?).into_owned();
        for _ in 0..bytes.u32()? {
            read_format(&mut bytes, &system, data)?;
        }
    }
    Some(())
}

fn read_format(bytes: &mut Bytes<'_>, system: &str, data: &mut TracingData) -> Option<()> {
    let text = String::from_utf8_lossy(bytes.block_u64()?);
    if let Some(format) = EventFormat::parse(&text) {
        data.add(system, format);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(formats: &[&str]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(b"0.6\0\0\x08");
        out.extend(4096u32.to_le_bytes());
        for name in [&b"header_page\0"[..], b"header_event\0"] {
            out.extend(name);
            out.extend(2u64.to_le_bytes());
            out.extend(b"xx");
        }
        out.extend(0u32.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.extend(b"sched\0");
        out.extend(u32::try_from(formats.len()).unwrap().to_le_bytes());
        for format in formats {
            out.extend((format.len() as u64).to_le_bytes());
            out.extend(format.as_bytes());
        }
        out
    }

    const WAKING: &str = "name: sched_waking\nID: 7\nformat:\n\tfield:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n";

    #[test]
    fn formats_are_found_by_id() {
        let data = TracingData::parse(&section(&[WAKING]));
        let (system, format) = data.format(7).unwrap();
        assert_eq!((system, format.name.as_str()), ("sched", "sched_waking"));
        assert!(data.format(8).is_none() && data.damage.is_none());
    }

    #[test]
    fn a_cut_section_keeps_what_lies_before_the_cut() {
        let second = WAKING.replace("ID: 7", "ID: 8");
        let whole = section(&[WAKING, &second]);
        for cut in 0..whole.len() {
            let data = TracingData::parse(&whole[..cut]);
            assert!(data.damage.is_some(), "cut at {cut}");
            assert_eq!(
                data.format(7).is_some(),
                cut >= whole.len() - second.len() - 8,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_size_beyond_the_section_is_not_believed() {
        let mut bytes = section(&[WAKING]);
        let size_at = bytes.len() - WAKING.len() - 8;
        bytes[size_at..size_at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(TracingData::parse(&bytes).damage.is_some());
    }
}
