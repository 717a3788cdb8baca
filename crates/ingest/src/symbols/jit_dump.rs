//! Names of code that a program made at run time, as it wrote them to `jit-PID.dump` for `perf inject --jit`
//! (`tools/perf/Documentation/jitdump-specification.txt`, Linux 6.18): V8 with `--perf-prof`, the JVM with perf's agent.

use super::address_table::Entry;
use crate::capture::SeededMap;

const MAGIC: u32 = 0x4a69_5444;
const CODE_LOAD: u32 = 0;
const CODE_MOVE: u32 = 1;

/// A dump's records.
pub(super) struct JitDump<'a> {
    records: &'a [u8],
    big_endian: bool,
    /// The process that wrote it.
    pub pid: u32,
}

impl<'a> JitDump<'a> {
    /// Reads the head; `None` if these bytes are no dump.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let magic = bytes.first_chunk()?;
        let big_endian = match (u32::from_le_bytes(*magic), u32::from_be_bytes(*magic)) {
            (MAGIC, _) => false,
            (_, MAGIC) => true,
            _ => return None,
        };
        let size = word(bytes, 8, big_endian)?;
        let pid = word(bytes, 20, big_endian)?;
        let records = bytes.get(usize::try_from(size).ok()?..)?;
        Some(Self { records, big_endian, pid })
    }

    /// Functions by their addresses; of two in one place the later one counts.
    pub fn entries(&self) -> Vec<Entry<&'a str>> {
        let mut entries: Vec<Entry<&'a str>> = Vec::new();
        let mut names = SeededMap::default();
        let mut latest = u32::MAX;
        let mut rest = self.records;
        while let Some(record) = self.next(&mut rest) {
            let Some((start, size, name)) = self.function(record, &names) else { continue };
            latest = latest.saturating_sub(1);
            names.insert(start, name);
            entries.push(Entry { start, size: Some(size), rank: latest, name: Some(name) });
        }
        entries
    }

    fn next(&self, rest: &mut &'a [u8]) -> Option<&'a [u8]> {
        let size = usize::try_from(word(rest, 4, self.big_endian)?).ok()?;
        // A record has at least its head: without this, one of no size would go on for ever.
        let (record, behind) = rest.split_at_checked(size.max(16))?;
        *rest = behind;
        Some(record)
    }

    /// Start, size and name of what a record loads or moves.
    fn function(
        &self,
        record: &'a [u8],
        names: &SeededMap<u64, &'a str>,
    ) -> Option<(u64, u64, &'a str)> {
        match word(record, 0, self.big_endian)? {
            CODE_LOAD => {
                let name = record.get(56..)?.split(|&byte| byte == 0).next()?;
                let name = str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
                Some((self.long(record, 32)?, self.long(record, 40)?, name))
            }
            CODE_MOVE => {
                let name = names.get(&self.long(record, 32)?)?;
                Some((self.long(record, 40)?, self.long(record, 48)?, name))
            }
            _ => None,
        }
    }

    fn long(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}
