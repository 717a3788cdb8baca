//! A recording that bytes choose: eight of them are an event.
//!
//! ```text
//! what | thread | other thread or stack | by how much time goes on: digits, power of two, sign | two bytes of value | spare
//! ```
//!
//! Mutated bytes rarely become a recording in which anybody waits for anybody. These always do, so that the analysis
//! is reached: with few threads and locks that meet often, and times from a nanosecond to overflow, also backwards.

use crate::perf_file::{Moment, PerfFile};
use crate::targets::KERNEL;

/// Stacks by the numbers of [`KERNEL`], innermost first.
const STACKS: &[&[usize]] = &[
    &[4, 3, 5, 7, 10, 9, 2, 1],
    &[4, 3, 6, 8, 13, 14],
    &[4, 3, 5, 7, 11, 12, 2, 1],
    &[4, 3, 15, 17, 2, 1],
    &[16, 17, 2, 1],
    &[4, 3, 12, 13, 20],
    &[4, 3, 20, 21, 2, 1],
    &[17, 22, 10, 9, 2, 1],
    &[17, 22, 11, 12, 2, 1],
    &[4, 3, 18, 19, 13, 14],
    &[4, 3, 24, 2, 1],
    &[4, 3, 25, 2, 1],
    &[4, 3, 26, 2, 1],
    &[4, 3, 27],
    &[28, 13, 14],
    &[29, 2, 1],
];
const STATES: [u64; 8] = [0, 1, 2, 2, 2, 0x100, 0x10, 0x80];

/// The file.
pub fn file(choices: &[u8]) -> Vec<u8> {
    let mut file = PerfFile::new();
    let start = Moment { time: 1, pid: 100, tid: 100, cpu: 0 };
    for tid in 100..108 {
        file.comm(Moment { tid, ..start }, b"server");
    }
    let mut time = 1_000_000_000_u64;
    for choice in choices.as_chunks::<8>().0.iter().take(4096) {
        let &[what, who, other, digits, power, low, high, _] = choice;
        let step = u64::from(digits) << (power & 0x3f);
        time = if power & 0x80 == 0 { time.wrapping_add(step) } else { time.wrapping_sub(step) };
        let at = Moment { time, pid: pid(who), tid: tid(who), cpu: u32::from(who >> 5) };
        event(&mut file, what, at, other, u16::from_le_bytes([low, high]));
    }
    file.bytes()
}

/// Of eight threads, two are a process of their own and one is a CPU's idle task.
fn tid(choice: u8) -> i32 {
    match choice & 7 {
        7 => 0,
        number => 100 + i32::from(number),
    }
}

fn pid(choice: u8) -> i32 {
    match choice & 7 {
        7 => 0,
        number @ 5..7 => 100 + i32::from(number),
        _ => 100,
    }
}

fn event(file: &mut PerfFile, what: u8, at: Moment, other: u8, value: u16) {
    let functions = STACKS[usize::from(other >> 3) % STACKS.len()];
    let chain: Vec<u64> = std::iter::once(0xffff_ffff_ffff_ff80)
        .chain(functions.iter().map(|&index| KERNEL[index].0 + 0x11))
        .collect();
    let lock = (0xffff_8880_0000_0000 + u64::from(value & 3) * 0x100).to_le_bytes();
    let wide = u64::from(value).rotate_right(u32::from(value >> 12)).to_le_bytes();
    match what % 48 {
        0..12 => {
            file.switch(at, &chain, STATES[usize::from(value & 7)], tid(other));
        }
        12..20 => {
            file.waking(at, &chain, tid(other));
        }
        20 => {
            file.fork(Moment { tid: i32::from(other), pid: pid(other), ..at }, at.tid);
        }
        21 => {
            file.exit(at);
        }
        22 => {
            file.round();
        }
        23 => {
            file.comm(at, &value.to_le_bytes());
        }
        24 => {
            file.map(at, u64::from(value) << 12, u64::from(other) << 12, b"/usr/lib/libc.so.6");
        }
        25 => {
            // PERF_RECORD_LOST: an id and a count.
            let body = [&[0; 8], &wide[..], &[0; 8], &at.time.to_le_bytes(), &[0; 8], &[0; 8]];
            file.record(2, 0, &body.concat());
        }
        kind => {
            let event = 2 + usize::from(kind - 26);
            let raw = match event {
                5 => [&lock[..], &u32::from(value).to_le_bytes()].concat(),
                6 => [&lock[..], &0_i32.to_le_bytes()].concat(),
                7..10 => [&lock[..], &[other & 1, 1]].concat(),
                10 | 12 => [&[0; 4][..], &wide, &wide, &wide, &wide].concat(),
                11 | 13 => [&[0; 4][..], &wide].concat(),
                _ => [wide; 6].concat(),
            };
            file.sample(event, at, &chain, &raw);
        }
    }
}
