//! Which CPUs a recording looked at.

use super::bytes::Bytes;
use crate::capture::CpuId;

/// How a `PERF_RECORD_CPU_MAP` is written (`PERF_CPU_MAP__*`, `tools/lib/perf/include/perf/event.h`, Linux 6.1).
const LIST: u16 = 0;
const MASK: u16 = 1;
const RANGE: u16 = 2;

/// The CPUs whose buffers a recording has; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cpus(Vec<CpuId>);

impl Cpus {
    /// Reads the body of a `PERF_RECORD_CPU_MAP`; `None` if each thread had a buffer of its own, wherever it ran (`perf record
    /// --per-thread`), or if it is damaged.
    pub fn read(body: &[u8], big_endian: bool) -> Option<Self> {
        let mut bytes = Bytes::new(body, big_endian);
        let mut cpus: Vec<CpuId> = match bytes.u16()? {
            LIST => {
                let count = bytes.u16()?;
                (0..count).map(|_| CpuId::new(bytes.u16()?.into())).collect::<Option<_>>()?
            }
            MASK => read_mask(&mut bytes)?,
            RANGE => {
                let (any, _padding) = (bytes.u8()?, bytes.u8()?);
                let (first, last) = (bytes.u16()?, bytes.u16()?);
                let cpu = |number: u16| CpuId::new(number.into());
                (any == 0).then(|| (first..=last).map(cpu).collect::<Option<_>>())??
            }
            _ => return None,
        };
        cpus.sort_unstable();
        (!cpus.is_empty()).then_some(Self(cpus))
    }

    /// The one with the lowest number.
    pub fn first(&self) -> CpuId {
        self.0[0]
    }

    /// The one with the next number.
    pub fn next(&self, cpu: CpuId) -> Option<CpuId> {
        self.0.get(self.0.partition_point(|&known| known <= cpu)).copied()
    }
}

/// A bit for each CPU, in words of four or eight bytes.
fn read_mask(bytes: &mut Bytes<'_>) -> Option<Vec<CpuId>> {
    let (count, size) = (bytes.u16()?, bytes.u16()?);
    if size == 8 {
        bytes.u32()?;
    }
    let mut cpus = Vec::new();
    for word in 0..u32::from(count) {
        let bits = if size == 8 { bytes.u64()? } else { bytes.u32()?.into() };
        let own = (0..u64::BITS).filter(|bit| bits >> bit & 1 == 1);
        cpus.extend(own.filter_map(|bit| CpuId::new(word * u32::from(size) * 8 + bit)));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(body: &[u16]) -> Option<Vec<u32>> {
        let bytes: Vec<u8> = body.iter().flat_map(|word| word.to_le_bytes()).collect();
        let cpus = Cpus::read(&bytes, false)?;
        Some(cpus.0.iter().map(|cpu| cpu.number()).collect())
    }

    #[test]
    fn each_way_to_write_them_is_read() {
        assert_eq!(cpus(&[LIST, 3, 5, 0, 7]), Some(vec![0, 5, 7]));
        assert_eq!(cpus(&[MASK, 2, 4, 0b101, 0, 2, 0]), Some(vec![0, 2, 33]));
        assert_eq!(cpus(&[MASK, 1, 8, 0, 0, 1, 0, 1, 0]), Some(vec![0, 32]));
        assert_eq!(cpus(&[RANGE, 0, 2, 4, 0]), Some(vec![2, 3, 4]));
    }

    #[test]
    fn threads_with_buffers_of_their_own_and_damage_tell_of_no_cpu() {
        let any_cpu = [&[LIST, 1, u16::MAX][..], &[RANGE, 1, 0, 3]];
        let damaged = [&[LIST, 3, 5][..], &[LIST, 0], &[RANGE, 0, 4, 2], &[7, 1, 1], &[]];
        for body in any_cpu.iter().chain(&damaged) {
            assert_eq!(cpus(body), None, "{body:?}");
        }
    }

    #[test]
    fn the_next_of_a_cpu_is_the_one_with_the_next_number() {
        let [two, three, five] = [2, 3, 5].map(|number| CpuId::new(number).unwrap());
        let cpus = Cpus(vec![two, five]);
        assert_eq!(cpus.first(), two);
        assert_eq!([two, three, five].map(|cpu| cpus.next(cpu)), [Some(five), Some(five), None]);
    }
}
