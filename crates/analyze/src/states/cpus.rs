//! When each CPU changed hands.

use coldcase_ingest::capture::{CpuId, ThreadId, Timestamp};

/// CPUs by their numbers. They are asked for with every switch, and as numbers are small, a place for each takes little
/// room.
#[derive(Default)]
pub(crate) struct Cpus(Vec<Option<Cpu>>);

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
    pub fn get(&self, cpu: CpuId) -> Option<&Cpu> {
        self.0.get(cpu.index())?.as_ref()
    }

    /// A switch begins, by which the CPU goes idle, or wakes.
    pub fn begin(&mut self, cpu: CpuId, time: Timestamp, idles: bool, wakes: bool) {
        let cpu = self.entry(cpu, time);
        cpu.idled += u64::from(idles);
        cpu.woke += u64::from(wakes);
    }

    /// A switch has ended.
    pub fn end(&mut self, cpu: CpuId, time: Timestamp, into: Option<ThreadId>) {
        self.entry(cpu, time).last = Some((time, into));
    }

    fn entry(&mut self, cpu: CpuId, first: Timestamp) -> &mut Cpu {
        let new = Cpu { first, last: None, idled: 0, woke: 0 };
        let place = cpu.index();
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        self.0[place].get_or_insert(new)
    }

    fn all(&self) -> impl Iterator<Item = &Cpu> {
        self.0.iter().flatten()
    }

    /// Which thread had each at last, and since when.
    pub fn at_last(&self) -> impl Iterator<Item = (CpuId, Timestamp, Option<ThreadId>)> + '_ {
        let numbered = (0..).map_while(CpuId::new).zip(&self.0);
        numbered.filter_map(|(cpu, seen)| {
            let (since, thread) = seen.as_ref()?.last?;
            Some((cpu, since, thread))
        })
    }

    /// How many changed hands.
    pub fn count(&self) -> usize {
        self.all().count()
    }

    /// The highest number that was seen, and one.
    pub fn seen(&self) -> u64 {
        self.0.len() as u64
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
