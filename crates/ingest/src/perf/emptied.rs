//! Up to when a file that breaks off has the events of all CPUs.
//!
//! perf empties the buffers of the CPUs in rounds, in the order of their numbers, and takes of each whatever it holds at that
//! moment (`record__mmap_read_evlist` and `perf_mmap__push`, `tools/perf`, Linux 6.1):
//!
//! ```text
//! file:   cpu0: 1 4 6 | cpu1: 2 3 5 | ROUND | cpu0: 8 9 | cpu1: 7 |--- breaks off
//! ```
//!
//! What perf took out of a buffer is older than the moment at which it came to the next one. So whatever happened on a CPU
//! before the latest event that precedes its place in a round is in the file, even if nothing of it is, as it was idle; and of
//! the CPU in the midst of which the file breaks off, what happened before its own last event. All CPUs are known up to the
//! least of these: up to 7 in the drawing, and had it broken off behind 9, up to 6, which precedes the second CPU's place
//! in the round before.

use super::cpu_map::Cpus;
use super::event::{Body, Event};
use crate::capture::CpuId;

/// An event that is being written while its buffer is emptied comes a round later than its time tells: 12 microseconds were seen
/// on a virtual machine. Nobody is interrupted for so long in it.
const BEING_WRITTEN: u64 = 1_000_000;

/// Looks at events as they come in the file. Times are in nanoseconds on the capture's clock.
#[derive(Default)]
pub(super) struct Emptied {
    /// The latest event of all.
    latest: u64,
    /// The latest of all rounds that have ended, and of all before the last of these.
    ended: u64,
    before: u64,
    /// The last round that has ended, and the one since.
    last: Vec<Part>,
    now: Vec<Part>,
    /// Buffers were not emptied as perf does it: each thread had its own, or they were left until they held enough.
    is_other: bool,
    cpus: Option<Cpus>,
}

/// What one CPU's buffer held.
struct Part {
    cpu: CpuId,
    /// Its latest event.
    own: u64,
    /// The latest event up to its end in the file.
    latest: u64,
}

impl Emptied {
    /// Takes what perf says among the events: which CPUs it looks at, and whether it packs records.
    pub fn look_at(&mut self, cpus: Option<Cpus>, are_packed: bool) {
        self.cpus = self.cpus.take().or(cpus);
        // What zstd keeps for itself of one buffer comes with the next, even of another round.
        self.is_other |= are_packed;
    }

    /// Takes the next events of the file.
    pub fn extend(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.take(event));
    }

    #[inline]
    fn take(&mut self, event: &Event) {
        let time = event.time;
        // perf's own sums have times that are none.
        if time == 0 || matches!(event.body, Body::OffCpu { .. }) {
            return;
        }
        self.latest = self.latest.max(time);
        match (event.cpu, self.now.last_mut()) {
            (Some(cpu), Some(part)) if part.cpu == cpu => {
                part.own = part.own.max(time);
                part.latest = self.latest;
            }
            (Some(cpu), _) => self.begin(cpu, time),
            // Nobody reads the CPU of records with names or paths.
            (None, _) => self.is_other |= !matches!(event.body, Body::Record(_)),
        }
    }

    /// Another buffer's events begin.
    fn begin(&mut self, cpu: CpuId, time: u64) {
        let is_next = self.now.last().is_none_or(|part| part.cpu < cpu);
        // What was written while perf looked twice at how much there is, it writes again in the next round.
        let is_again = self.last.iter().any(|part| part.cpu == cpu && time <= part.own);
        let was_left = !is_again && time < self.in_last_round(cpu);
        self.is_other |= !is_next || was_left;
        if !self.is_other {
            self.now.push(Part { cpu, own: time, latest: self.latest });
        }
    }

    /// A round ended.
    pub fn finish_round(&mut self) {
        self.before = std::mem::replace(&mut self.ended, self.latest);
        std::mem::swap(&mut self.last, &mut self.now);
        self.now.clear();
    }

    /// Up to when all events are there if the file breaks off here.
    pub fn complete(&self) -> u64 {
        let Some(cpus) = self.cpus.as_ref().filter(|_| !self.is_other) else { return self.before };
        let Some(part) = self.now.last() else { return self.in_last_round(cpus.first()) };
        let broken = part.own.saturating_sub(BEING_WRITTEN);
        let first = self.in_this_round(cpus.first());
        let next = cpus.next(part.cpu).map(|next| self.in_last_round(next));
        let others = [(cpus.first() < part.cpu).then_some(first), next];
        others.into_iter().flatten().fold(broken.max(self.in_last_round(part.cpu)), u64::min)
    }

    /// Up to when a CPU is known that was emptied in the last round that ended.
    fn in_last_round(&self, cpu: CpuId) -> u64 {
        latest(&self.last, cpu).map_or(self.before, |time| time.saturating_sub(BEING_WRITTEN))
    }

    /// The same of one that was emptied since.
    fn in_this_round(&self, cpu: CpuId) -> u64 {
        latest(&self.now, cpu).unwrap_or(self.ended).saturating_sub(BEING_WRITTEN)
    }
}

/// The latest event of a round that is not behind a CPU's place.
fn latest(parts: &[Part], cpu: CpuId) -> Option<u64> {
    parts.iter().rev().find(|part| part.cpu <= cpu).map(|part| part.latest)
}

#[cfg(test)]
mod tests {
    use super::super::event::Stood;
    use super::*;

    const MS: u64 = 1_000_000;

    fn event(cpu: u32, ms: u64) -> Event {
        let (body, stack) = (Body::Sample, Stood::UNKNOWN);
        Event { time: ms * MS, pid: 1, tid: 1, cpu: CpuId::new(cpu), stack, body }
    }

    /// Rounds of events, given by CPU and milliseconds, of a recording of these CPUs; the file breaks off after the last of them.
    fn emptied(cpus: &[u16], rounds: &[&[(u32, u64)]]) -> Emptied {
        let map = [&[0, cpus.len() as u16][..], cpus].concat();
        let map: Vec<u8> = map.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut emptied = Emptied::default();
        emptied.look_at(Cpus::read(&map, false), false);
        for (number, round) in rounds.iter().enumerate() {
            if number > 0 {
                emptied.finish_round();
            }
            let events: Vec<Event> = round.iter().map(|&(cpu, ms)| event(cpu, ms)).collect();
            emptied.extend(&events);
        }
        emptied
    }

    /// Up to which millisecond all is there.
    fn complete(cpus: &[u16], rounds: &[&[(u32, u64)]]) -> u64 {
        emptied(cpus, rounds).complete().div_ceil(MS)
    }

    const FIRST: &[(u32, u64)] = &[(0, 10), (0, 40), (0, 60), (1, 20), (1, 50)];

    #[test]
    fn the_last_cpu_is_known_up_to_where_the_file_breaks_off() {
        let last = [(0, 80), (0, 90), (1, 70)];
        assert_eq!(complete(&[0, 1], &[FIRST, &last]), 69);
        let last = [(0, 80), (0, 90), (1, 70), (1, 95)];
        assert_eq!(complete(&[0, 1], &[FIRST, &last]), 89, "the first was emptied at 90");
    }

    #[test]
    fn who_was_not_come_to_is_known_up_to_the_round_before() {
        assert_eq!(
            complete(&[0, 1], &[FIRST, &[(0, 80), (0, 90)]]),
            59,
            "second was emptied behind 60"
        );
        assert_eq!(complete(&[0, 1], &[FIRST, &[]]), 59);
        assert_eq!(complete(&[0, 1], &[&[(0, 80)]]), 0);
        assert_eq!(complete(&[0, 1], &[FIRST, &[(0, 80), (1, 90)], &[]]), 79);
    }

    #[test]
    fn silence_of_a_cpu_that_was_emptied_is_no_loss_and_of_one_that_was_not_is() {
        let idle_between = [(0, 80), (0, 90), (2, 70), (2, 99)];
        assert_eq!(complete(&[0, 1, 2], &[FIRST, &idle_between]), 89);
        // Nothing tells when the first was found empty in this round: it was known up to the end of the round before.
        assert_eq!(complete(&[0, 1], &[FIRST, &[(1, 70), (1, 99)]]), 59);
        assert_eq!(complete(&[0, 1, 2], &[FIRST, &[(0, 90), (1, 99)]]), 59, "third may be busy");
    }

    #[test]
    fn what_is_not_emptied_as_perf_does_it_is_known_up_to_the_round_before_the_last() {
        let rounds: [&[(u32, u64)]; 3] = [FIRST, &[(0, 80), (1, 90)], &[(0, 110), (1, 120)]];
        assert_eq!(complete(&[0, 1], &rounds), 109);
        let mut unknown = emptied(&[], &rounds);
        assert_eq!(unknown.complete(), 60 * MS);
        unknown.look_at(None, true);
        assert_eq!(unknown.complete(), 60 * MS);
        let mut packed = emptied(&[0, 1], &rounds);
        packed.look_at(None, true);
        assert_eq!(packed.complete(), 60 * MS);
        assert_eq!(complete(&[0, 1], &[FIRST, &[(1, 90), (0, 80)], &[(0, 110)]]), 60);
        // Left in its buffer when the others were emptied.
        assert_eq!(complete(&[0, 1], &[FIRST, &[(0, 80)], &[(0, 110), (1, 55)]]), 60);
    }

    #[test]
    fn what_perf_writes_again_was_not_left() {
        let again = [(0, 80), (0, 90), (1, 20), (1, 50), (1, 85)];
        assert_eq!(complete(&[0, 1], &[FIRST, &again]), 84);
    }
}
