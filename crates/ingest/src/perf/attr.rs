//! `perf_event_attr`: how one event was opened (`include/uapi/linux/perf_event.h`, Linux 6.18).
//!
//! Read here and not by linux-perf-event-reader: that refuses an attribute whose type or clock it does not
//! know, so that one event of a newer kernel would hide all behind it, and it takes the flags of a big-endian
//! machine as they lie there, in reverse.

use linux_perf_event_reader::SampleFormat;

use super::bytes::Bytes;

/// How an event was opened; fields that an older kernel did not have are 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventAttr {
    /// `PERF_TYPE_*`, or the number of a PMU.
    pub kind: u32,
    /// Which event of that type.
    pub config: u64,
    /// Its sampling period, or its frequency in Hz if [`EventAttr::is_frequency`].
    pub period: u64,
    /// Which fields its samples have.
    pub sample: SampleFormat,
    /// Which values `PERF_SAMPLE_READ` holds; all bits, also unknown ones.
    pub read_format: u64,
    flags: u64,
    /// Which parts a branch stack has.
    pub branches: u64,
    /// Which registers of user space a sample has, a bit each.
    pub user_registers: u64,
}

/// Bit numbers of the flags.
const FREQ: u32 = 10;
const SAMPLE_ID_ALL: u32 = 18;
const WRITE_BACKWARD: u32 = 27;
/// Size of the first version of the structure: what every kernel writes.
const FIRST_SIZE: usize = 64;

impl EventAttr {
    /// Reads an attribute; `None` if it is shorter than the oldest one.
    pub fn parse(bytes: &[u8], big_endian: bool) -> Option<Self> {
        let mut attr = Bytes::new(bytes, big_endian);
        let (kind, size) = (attr.u32()?, attr.u32()? as usize);
        // The structure's own size is 0 where perf synthesized it without looking.
        if bytes.len() < FIRST_SIZE || (size != 0 && size < FIRST_SIZE) {
            return None;
        }
        let (config, period) = (attr.u64()?, attr.u64()?);
        let (sample, read_format, flags) = (attr.u64()?, attr.u64()?, attr.u64()?);
        // A bit field of C begins at the highest bit on big-endian machines.
        let flags = if big_endian { flags.reverse_bits() } else { flags };
        let (_wakeup, _breakpoint, _config1) = (attr.u32()?, attr.u32()?, attr.u64()?);
        let known = if size == 0 { bytes.len() } else { size.min(bytes.len()) };
        let mut later = Bytes::new(bytes.get(FIRST_SIZE..known).unwrap_or_default(), big_endian);
        let mut next = || later.u64().unwrap_or(0);
        let (_config2, branches, user_registers) = (next(), next(), next());
        let sample = SampleFormat::from_bits_truncate(sample);
        Some(Self { kind, config, period, sample, read_format, flags, branches, user_registers })
    }

    /// Whether the kernel was to choose periods so as to reach a frequency.
    pub fn is_frequency(&self) -> bool {
        self.has(FREQ)
    }

    /// Whether every occurrence was recorded.
    pub fn is_every_one(&self) -> bool {
        !self.is_frequency() && self.period <= 1
    }

    /// Whether records that are no samples end with the fields that identify them.
    pub fn identifies_all(&self) -> bool {
        self.has(SAMPLE_ID_ALL)
    }

    /// Whether the newest events overwrite the oldest, and are read from the newest on.
    pub fn is_backward(&self) -> bool {
        self.has(WRITE_BACKWARD)
    }

    fn has(&self, bit: u32) -> bool {
        self.flags >> bit & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_big_endian_machine_are_read_in_reverse() {
        let (freq, id_all) = (1_u64 << FREQ, 1_u64 << SAMPLE_ID_ALL);
        let mut little = vec![0; 64];
        little[4..8].copy_from_slice(&64_u32.to_le_bytes());
        little[40..48].copy_from_slice(&(freq | id_all).to_le_bytes());
        let mut big = vec![0; 64];
        big[4..8].copy_from_slice(&64_u32.to_be_bytes());
        big[40..48].copy_from_slice(&(freq | id_all).reverse_bits().to_be_bytes());
        for (bytes, big_endian) in [(little, false), (big, true)] {
            let attr = EventAttr::parse(&bytes, big_endian).unwrap();
            assert!(attr.is_frequency() && attr.identifies_all());
        }
    }

    #[test]
    fn an_unknown_type_is_an_event_like_any_other() {
        let mut bytes = vec![0; 200];
        bytes[..4].copy_from_slice(&77_u32.to_le_bytes());
        bytes[4..8].copy_from_slice(&200_u32.to_le_bytes());
        assert_eq!(EventAttr::parse(&bytes, false).unwrap().kind, 77);
        assert!(EventAttr::parse(&bytes[..63], false).is_none());
    }
}
