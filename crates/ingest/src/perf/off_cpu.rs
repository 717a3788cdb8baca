//! Time off-CPU, summed by perf itself (`perf record --off-cpu`).
//!
//! An event called `offcpu-time` has a sample for each thread, user stack and state, written when the recording ends, with a time
//! that is none (`tools/perf/util/bpf_off_cpu.c`, Linux 6.12). Since 6.16 what matters stands in the raw data, and a wait of
//! 500 ms and more (`--off-cpu-thresh`) has a sample of its own (`__set_offcpu_sample`, `tools/perf/util/evsel.c`, Linux 7.2).

use super::bytes::Bytes;
use super::sample::Sample;

/// perf's name of the event.
pub(super) const NAME: &str = "offcpu-time";

/// The time off-CPU in nanoseconds, and the sample with the thread and stack that it is of; `None` if it is cut.
pub(super) fn read<'a>(sample: &Sample<'a>, big_endian: bool) -> Option<(Sample<'a>, u64)> {
    let Some(raw) = sample.raw else { return Some((*sample, sample.period?)) };
    let mut bytes = Bytes::new(raw, big_endian);
    let (pid, tid, time) = (bytes.i32()?, bytes.i32()?, bytes.u64()?);
    let length = usize::try_from(bytes.u64()?).ok()?.checked_mul(8)?;
    let callchain = Some(bytes.take(length)?);
    Some((Sample { pid, tid: Some(tid), callchain, raw: None, ..*sample }, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_no_sample() {
        let raw: Vec<u8> = [7 | 8 << 32, 500, 2, u64::MAX - 511, 0x1000, 0]
            .iter()
            .flat_map(|word: &u64| word.to_le_bytes())
            .collect();
        let sample = Sample { raw: Some(&raw), ..Sample::default() };
        let (read_as, time) = read(&sample, false).unwrap();
        assert_eq!((read_as.pid, read_as.tid, time), (7, Some(8), 500));
        assert_eq!(read_as.callchain.map(<[u8]>::len), Some(16));
        for cut in 0..40 {
            assert!(read(&Sample { raw: Some(&raw[..cut]), ..sample }, false).is_none(), "{cut}");
        }
        assert!(read(&Sample::default(), false).is_none(), "without a period");
    }
}
