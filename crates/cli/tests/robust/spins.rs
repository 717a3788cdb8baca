//! Waits for locks that spin: counted whichever thread of the reader finds them.

use coldcase_ingest::{ReadOptions, read_bytes};

use crate::perf_file::{Moment, PerfFile};

/// Places of the events in [`crate::perf_file::TRACEPOINTS`].
const BEGIN: usize = 5;
const END: usize = 6;

/// A capture of several megabytes, so of a dozen parts, in which some threads spin time and again, each end at another place.
fn spinners(waits: u64) -> Vec<u8> {
    let mut file = PerfFile::new();
    for wait in 0..waits {
        let tid = 100 + i32::try_from(wait % 7 + wait / 1000).unwrap();
        let at = |time| Moment { time: 1_000_000 + 10_000 * wait + time, pid: tid, tid, cpu: 0 };
        let lock = (0xffff_8881_0000_0000 + 64 * (wait % 5)).to_le_bytes();
        file.sample(BEGIN, at(0), &[0xffff_ffff_8100_0000], &[&lock[..], &[1, 0, 0, 0]].concat());
        // Now and then an interrupt comes in between.
        if wait % 5 == 0 {
            file.waking(at(1000), &[0xffff_ffff_8200_0000], 9);
        }
        let chain = [0xffff_ffff_8300_0000 + wait, 0xffff_ffff_8400_0000];
        file.sample(END, at(2000), &chain, &[&lock[..], &[0; 4]].concat());
        if wait % 700 == 0 {
            file.round();
        }
    }
    file.bytes()
}

#[test]
fn they_are_all_counted_and_alike_each_time() {
    const WAITS: u64 = 20_000;
    let bytes = spinners(WAITS);
    assert!(bytes.len() > 3_000_000, "{}", bytes.len());
    let read = |spins| {
        let options = ReadOptions { spins, ..ReadOptions::default() };
        read_bytes(&bytes, options, &mut |_, _| {}).unwrap()
    };
    let counted = read(false);
    let of_bins = counted.spins.total();
    assert_eq!(of_bins + counted.contention.len() as u64, 2 * WAITS);
    assert!(of_bins > WAITS, "{of_bins} of {WAITS} waits");
    let kept = read(true);
    assert_eq!((kept.contention.len() as u64, kept.spins.total()), (2 * WAITS, 0));
    assert_eq!((kept.span, kept.threads.len()), (counted.span, counted.threads.len()));
    // Whether one of the two threads that decode takes a part or the other differs each time.
    let first = format!("{counted:?}");
    for _ in 0..8 {
        assert!(format!("{:?}", read(false)) == first, "it was read in another way");
    }
}
