//! When each CPU changed hands.

use coldcase_ingest::capture::{ThreadId, Timestamp};
use rustc_hash::FxHashMap;

/// CPUs by their numbers. They are asked for with every switch, and as numbers are small, a place for each takes little
/// room.
#[derive(Default)]
pub(crate) struct Cpus {
    low: Vec<Option<Cpu>>,
    high: FxHashMap<u32, Cpu>,
}

/// What was seen of one CPU.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    /// The first switch: a ring buffer that was overwritten begins later than the recording.
    pub first: Timestamp,
    /// When it last changed hands, and to whom; `None` before the end of the first switch.
    pub last: Option<(Timestamp, Option<ThreadId>)>,
    /// How often it went idle, and how often it came back.
    idled: u64,
    woke: u64,
}

impl Cpus {
    /// More CPUs than any kernel is built for (`NR_CPUS`); larger numbers come from damage.
    const LOW: u32 = 1 << 14;

    pub fn get(&self, number: u32) -> Option<&Cpu> {
        if number < Self::LOW {
            self.low.get(number as usize)?.as_ref()
        } else {
            self.high.get(&number)
        }
    }

    /// A switch begins, by which the CPU goes idle, or wakes.
    pub fn begin(&mut self, number: u32, time: Timestamp, idles: bool, wakes: bool) {
        let cpu = self.entry(number, time);
        cpu.idled += u64::from(idles);
        cpu.woke += u64::from(wakes);
    }

    /// A switch has ended.
    pub fn end(&mut self, number: u32, time: Timestamp, into: Option<ThreadId>) {
        self.entry(number, time).last = Some((time, into));
    }

    fn entry(&mut self, number: u32, first: Timestamp) -> &mut Cpu {
        let new = Cpu { first, last: None, idled: 0, woke: 0 };
        if number >= Self::LOW {
            return self.high.entry(number).or_insert(new);
        }
        let number = number as usize;
        if self.low.len() <= number {
            self.low.resize(number + 1, None);
        }
        self.low[number].get_or_insert(new)
    }

    fn all(&self) -> impl Iterator<Item = &Cpu> {
        self.low.iter().flatten().chain(self.high.values())
    }

    /// The highest number that was seen, and one.
    pub fn seen(&self) -> u64 {
        let highest = self.high.keys().max().map(|&number| u64::from(number) + 1);
        highest.unwrap_or(self.low.len() as u64)
    }

    /// How many CPUs went idle time and again, and never came back. In some virtual machines perf records nothing on
    /// the idle task of a CPU.
    pub fn that_never_wake(&self) -> usize {
        const TIMES: u64 = 2;
        self.all().filter(|cpu| cpu.idled >= TIMES && cpu.woke == 0).count()
    }

    /// How many CPUs, of those that changed hands, are not seen to come back from idling: whether one of them idles is not
    /// known.
    pub fn not_seen_to_wake(&self) -> u64 {
        self.all().filter(|cpu| cpu.woke == 0).count() as u64
    }
}
