//! The moment at which perf looked at two clocks.

use super::bytes::Bytes;
use crate::capture::WallClock;

/// `HEADER_CLOCK_DATA` (`tools/perf/Documentation/perf.data-file-format.txt`, Linux 5.10): version and clock, then the wall's clock and
/// the recording's in nanoseconds. perf writes it for `-k`.
pub(super) fn wall_clock(section: Option<&[u8]>, big_endian: bool) -> Option<WallClock> {
    let mut bytes = Bytes::new(section?, big_endian);
    let (_version, _clock) = (bytes.u32()?, bytes.u32()?);
    let (wall_ns, clock_ns) = (bytes.u64()?, bytes.u64()?);
    Some(WallClock { clock_ns, wall_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_are_read_or_none() {
        let mut section = vec![1, 0, 0, 0, 1, 0, 0, 0];
        section.extend(7_u64.to_le_bytes());
        section.extend(9_u64.to_le_bytes());
        let both = WallClock { wall_ns: 7, clock_ns: 9 };
        assert_eq!(wall_clock(Some(&section), false), Some(both));
        assert_eq!(wall_clock(Some(&section[..20]), false), None);
        assert_eq!(wall_clock(None, false), None);
    }
}
