//! Tracepoints of the scheduler in a file that has lost their descriptions.
//!
//! The descriptions stand behind the records, so a file that was cut on its way, or a recording that was
//! killed, has none: its samples are there, but nothing says what their raw bytes mean. `sched_switch`
//! and the wakeups have had the same layout since Linux 4.14 (fields were only ever taken from the end), and
//! their fields are redundant enough to be recognised: all records of one event must bear it out, or it stays
//! unknown. Never guessed at: everything else.

use std::collections::BTreeMap;

use super::attrs::EventPlans;
use super::format::EventFormat;
use super::records::Record;
use super::sample::Sample;

/// Fewer records prove nothing.
const TOO_FEW: u64 = 16;
/// `PID_MAX_LIMIT` of 64-bit kernels.
const LARGEST_TID: i32 = 4 << 20;

const COMMON: &str = "\
field:unsigned short common_type; offset:0; size:2; signed:0;
field:unsigned char common_flags; offset:2; size:1; signed:0;
field:unsigned char common_preempt_count; offset:3; size:1; signed:0;
field:int common_pid; offset:4; size:4; signed:1;
";
const SWITCH: &str = "\
field:char prev_comm[16]; offset:8; size:16; signed:0;
field:pid_t prev_pid; offset:24; size:4; signed:1;
field:long prev_state; offset:32; size:8; signed:1;
field:char next_comm[16]; offset:40; size:16; signed:0;
field:pid_t next_pid; offset:56; size:4; signed:1;
field:int next_prio; offset:60; size:4; signed:1;
print fmt: \"%s%s\", __print_flags(REC->prev_state & 0xff, \"|\", { 0x1, \"S\" }, { 0x2, \"D\" }, { 0x4, \"T\" }, \
 { 0x8, \"t\" }, { 0x10, \"X\" }, { 0x20, \"Z\" }, { 0x40, \"P\" }, { 0x80, \"I\" }) : \"R\", \
 REC->prev_state & 0x100 ? \"+\" : \"\"
";
const WAKEUP: &str = "\
field:char comm[16]; offset:8; size:16; signed:0;
field:pid_t pid; offset:24; size:4; signed:1;
";

/// What the records of one event have borne out so far.
#[derive(Clone, Copy, Default)]
struct Tally {
    records: u64,
    switches: u64,
    wakeups: u64,
}

/// Looks at the samples of events whose description is missing.
#[derive(Default)]
pub(super) struct Shapes {
    tallies: BTreeMap<u64, Tally>,
}

impl Shapes {
    /// Takes a sample's raw bytes into account, if nothing else says what they mean.
    pub fn look_at(&mut self, record: &Record<'_>, plans: &EventPlans, big_endian: bool) {
        let Some((id, layout)) = plans.undescribed(record) else { return };
        let Some(sample) = layout.read(record.body) else { return };
        let tally = self.tallies.entry(id).or_default();
        tally.records += 1;
        let raw = Raw { bytes: sample.raw.unwrap_or_default(), big_endian };
        tally.switches += u64::from(raw.is_switch(id, &sample) == Some(true));
        tally.wakeups += u64::from(raw.is_wakeup(id) == Some(true));
    }

    /// Descriptions of the events that were recognised, with the number of records that bear each out.
    pub fn recognised(&self) -> Vec<(EventFormat, u64)> {
        let enough = |tally: &&Tally| tally.records >= TOO_FEW;
        let all_switches = |tally: &Tally| tally.switches == tally.records;
        let mut switches =
            self.tallies.iter().filter(|(_, tally)| enough(tally) && all_switches(tally));
        // Two events of this layout are none that is known.
        let (Some((&switch, tally)), None) = (switches.next(), switches.next()) else {
            return Vec::new();
        };
        let mut found = vec![(format("sched_switch", switch, SWITCH), tally.records)];
        for (&id, tally) in &self.tallies {
            if enough(&tally)
                && tally.wakeups == tally.records
                && let Some(name) = wakeup_by_distance(id.abs_diff(switch))
            {
                found.push((format(name, id, WAKEUP), tally.records));
            }
        }
        found.into_iter().filter_map(|(format, records)| Some((format?, records))).collect()
    }
}

/// The three wakeups have one layout. The kernel numbers tracepoints in the order of their definitions, and
/// `sched_waking`, `sched_wakeup`, `sched_wakeup_new` and `sched_switch` follow each other
/// (`include/trace/events/sched.h`, Linux 4.14 to 6.18).
fn wakeup_by_distance(distance: u64) -> Option<&'static str> {
    match distance {
        3 => Some("sched_waking"),
        2 => Some("sched_wakeup"),
        1 => Some("sched_wakeup_new"),
        _ => None,
    }
}

fn format(name: &str, id: u64, fields: &str) -> Option<EventFormat> {
    EventFormat::parse(&format!("name: {name}\nID: {id}\n{COMMON}{fields}"))
}

/// A tracepoint's bytes; padded at the end, as perf aligns samples to eight bytes.
struct Raw<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Raw<'_> {
    /// The thread that leaves is the one that was current, so its number stands there three times.
    fn is_switch(&self, id: u64, sample: &Sample<'_>) -> Option<bool> {
        /// S, D, T, t, X, Z, P, I, and the mark of preemption: Linux 4.14 and later.
        const STATES: u64 = 0x1ff;
        let (state, leaves, comes) = (self.u64(32)?, self.i32(24)?, self.i32(56)?);
        let current = sample.tid.is_none_or(|tid| tid == leaves || tid < 0);
        Some(
            (64..72).contains(&self.bytes.len())
                && self.is_of(id)
                && self.i32(4)? == leaves
                && current
                && leaves != comes
                && self.is_thread(8)?
                && self.is_thread(40)?
                && state & !STATES == 0
                && (state & 0xff).count_ones() <= 1,
        )
    }

    /// A name, a thread, its priority, and one or two small numbers.
    fn is_wakeup(&self, id: u64) -> Option<bool> {
        /// `NR_CPUS` of any distribution.
        const MOST_CPUS: i32 = 8192;
        let last = self.i32(32)?;
        Some(
            (36..48).contains(&self.bytes.len())
                && self.is_of(id)
                && self.i32(24)? > 0
                && self.is_thread(8)?
                && (0..MOST_CPUS).contains(&last),
        )
    }

    fn is_of(&self, id: u64) -> bool {
        let kind = self.bytes.first_chunk().map(|&kind| {
            u64::from(if self.big_endian {
                u16::from_be_bytes(kind)
            } else {
                u16::from_le_bytes(kind)
            })
        });
        kind == Some(id)
    }

    /// At `at`: a name of 16 bytes, a thread's number, its priority.
    fn is_thread(&self, at: usize) -> Option<bool> {
        let name = self.bytes.get(at..at + 16)?;
        let length = name.iter().position(|&byte| byte == 0)?;
        let plain = length > 0 && !name[..length].iter().any(u8::is_ascii_control);
        let (tid, priority) = (self.i32(at + 16)?, self.i32(at + 20)?);
        Some(plain && (0..=LARGEST_TID).contains(&tid) && (-1..140).contains(&priority))
    }

    fn i32(&self, at: usize) -> Option<i32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(leaves: i32, comes: i32, state: u64) -> Vec<u8> {
        let mut raw = vec![0; 68];
        raw[..2].copy_from_slice(&316_u16.to_le_bytes());
        raw[4..8].copy_from_slice(&leaves.to_le_bytes());
        raw[8..13].copy_from_slice(b"redis");
        raw[24..28].copy_from_slice(&leaves.to_le_bytes());
        raw[28..32].copy_from_slice(&120_i32.to_le_bytes());
        raw[32..40].copy_from_slice(&state.to_le_bytes());
        raw[40..44].copy_from_slice(b"swap");
        raw[56..60].copy_from_slice(&comes.to_le_bytes());
        raw[60..64].copy_from_slice(&120_i32.to_le_bytes());
        raw
    }

    fn is_switch(bytes: &[u8], tid: i32) -> bool {
        let sample = Sample { tid: Some(tid), ..Sample::default() };
        Raw { bytes, big_endian: false }.is_switch(316, &sample) == Some(true)
    }

    #[test]
    fn a_switch_is_known_by_what_it_says_twice() {
        assert!(is_switch(&switch(7, 0, 0x100), 7));
        assert!(!is_switch(&switch(7, 0, 1), 8), "another thread was current");
        assert!(!is_switch(&switch(7, 7, 1), 7), "nobody switches to itself");
        assert!(!is_switch(&switch(7, 0, 0x800), 7), "the states of an old kernel");
        assert!(!is_switch(&switch(7, 0, 3), 7), "two states at once");
        let mut unprintable = switch(7, 0, 1);
        unprintable[9] = 1;
        assert!(!is_switch(&unprintable, 7));
        assert!(!is_switch(&switch(7, 0, 1)[..60], 7));
    }

    #[test]
    fn one_record_that_does_not_fit_is_enough_to_know_nothing() {
        let mut shapes = Shapes::default();
        let right = Tally { records: 100, switches: 100, wakeups: 0 };
        let woken = Tally { records: 100, switches: 0, wakeups: 100 };
        shapes.tallies =
            BTreeMap::from([(316, right), (319, woken), (318, Tally { wakeups: 99, ..woken })]);
        let names = |shapes: &Shapes| -> Vec<String> {
            shapes.recognised().into_iter().map(|(format, _)| format.name).collect()
        };
        assert_eq!(names(&shapes), ["sched_switch", "sched_waking"]);
        shapes.tallies.insert(316, Tally { switches: 99, ..right });
        assert!(names(&shapes).is_empty(), "without the switch, no wakeup is known either");
    }
}
