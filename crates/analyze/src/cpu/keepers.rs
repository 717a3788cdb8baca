//! Who had the CPUs that others wanted.
//!
//! ```text
//! CPU 0  |--- hog, of real-time priority ---| web |--- hog ---
//! CPU 1  |--- hog, of real-time priority ---| db  |--- hog ---
//! web    |--- ready ------------------------|     |--- ready -
//! db     |--- ready ------------------------|     |--- ready -
//! ```
//!
//! Threads of real-time priority go before all others for as long as they like (`__pick_next_task`, `kernel/sched/core.c`), but
//! for what the kernel keeps back: 50 ms of each second as a rule (`sched_rt_runtime_us`; since Linux 6.12 `fair_server`). All
//! others share by weight, and whoever had most of the time was one of many that wanted it.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{CpuId, Nanos, Priority, ProcessId, Span, ThreadId, Timestamp};
use rustc_hash::FxHashMap;

use crate::model::Model;

/// Where threads were seen to come to a CPU, and how urgent they were.
pub(crate) struct Seats {
    /// By thread number: the CPUs to which it came, in order.
    cpus: Vec<Vec<CpuId>>,
    /// With which priority it came, from when on; a row for each change.
    priorities: FxHashMap<ThreadId, Vec<(Timestamp, Option<Priority>)>>,
}

impl Seats {
    pub fn new(model: &Model<'_>) -> Self {
        let mut cpus = vec![Vec::new(); model.capture.threads.len()];
        let mut priorities: FxHashMap<ThreadId, Vec<(Timestamp, Option<Priority>)>> =
            FxHashMap::default();
        // Ordinary threads, nearly all of them, have no rows.
        let mut has_rows = vec![false; model.capture.threads.len()];
        for switch in &model.capture.switches {
            let Some(into) = switch.into else { continue };
            let known: &mut Vec<CpuId> = &mut cpus[into.index()];
            if let Some(cpu) = switch.cpu
                && let Err(at) = known.binary_search(&cpu)
            {
                known.insert(at, cpu);
            }
            has_rows[into.index()] |= switch.priority.is_some_and(Priority::is_before_others);
            if has_rows[into.index()] {
                let rows = priorities.entry(into).or_default();
                if rows.last().is_none_or(|(_, last)| *last != switch.priority) {
                    rows.push((switch.time, switch.priority));
                }
            }
        }
        Self { cpus, priorities }
    }

    /// The CPUs to which any of these threads ever came; they may be bound to them.
    pub fn of(&self, threads: &[ThreadId]) -> Vec<CpuId> {
        let mut cpus: Vec<CpuId> =
            threads.iter().flat_map(|thread| &self.cpus[thread.index()]).copied().collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    /// The priority of a thread at a moment, if that goes before all ordinary ones.
    pub fn urgent(&self, thread: ThreadId, time: Timestamp) -> Option<Priority> {
        let rows = self.priorities.get(&thread)?;
        let known = rows.partition_point(|(since, _)| *since <= time);
        let (_, priority) = rows.get(known.saturating_sub(1))?;
        priority.filter(|priority| priority.is_before_others())
    }
}

/// A thread that had some of the CPUs that others wanted.
pub(crate) struct Keeper {
    pub thread: ThreadId,
    /// For how long, in all.
    pub time: Nanos,
    /// Which ones, each with its part of that time.
    cpus: BTreeMap<CpuId, Nanos>,
    /// Its priority, if that goes before all ordinary ones.
    pub urgent: Option<Priority>,
}

impl Keeper {
    /// The CPUs that it had for a good part of its time, by the kernel's numbers.
    pub fn cpus(&self) -> impl Iterator<Item = u32> + '_ {
        const GOOD_PART: f64 = 0.1;
        let much = |time: Nanos| time.share_of(self.time) >= GOOD_PART;
        self.cpus.iter().filter(move |(_, time)| much(**time)).map(|(cpu, _)| cpu.number())
    }
}

/// A process that had most of the CPUs that others wanted.
pub(crate) struct Most {
    pub process: ProcessId,
    /// Its threads, the one that had them longest first.
    pub threads: Vec<Keeper>,
    /// The part of those CPUs' time that they had.
    pub share: f64,
    /// The same of those among them that go before all ordinary threads.
    pub urgent_share: f64,
}

/// Who had some CPUs, in a span.
pub(crate) struct Keepers {
    /// Which ones.
    pub cpus: Vec<CpuId>,
    /// All threads that had some of their time, the longest first.
    threads: Vec<Keeper>,
    /// All their time.
    whole: Nanos,
}

impl Keepers {
    /// Who had these CPUs, which come in order; `None` where the capture does not tell CPUs apart.
    pub fn of(model: &Model<'_>, cpus: Vec<CpuId>, span: Span) -> Option<Self> {
        // Each with the end of its first turn.
        let mut times: FxHashMap<(ThreadId, CpuId), (Nanos, Timestamp)> = FxHashMap::default();
        each_turn(model, &cpus, span, |cpu, thread, turn| {
            times.entry((thread, cpu)).or_insert((Nanos::ZERO, turn.end)).0 += turn.duration();
        });
        let is_idle = |thread| model.capture.threads.get(thread).is_idle_task();
        let mut times: Vec<_> =
            times.into_iter().filter(|((thread, _), _)| !is_idle(*thread)).collect();
        times.sort_unstable_by_key(|&(key, _)| key);
        let of_thread = times.chunk_by(|(one, _), (other, _)| one.0 == other.0);
        let mut threads: Vec<Keeper> = of_thread
            .filter_map(|turns| {
                let thread = turns.first()?.0.0;
                let first = turns.iter().map(|&(_, (_, end))| end).min()?;
                let cpus = turns.iter().map(|&((_, cpu), (time, _))| (cpu, time)).collect();
                let time = turns.iter().map(|&(_, (time, _))| time).sum();
                Some(Keeper { thread, time, cpus, urgent: model.seats().urgent(thread, first) })
            })
            .collect();
        threads.sort_by_key(|keeper| (std::cmp::Reverse(keeper.time), keeper.thread));
        let whole = Nanos(span.duration().0.saturating_mul(cpus.len() as u64));
        (!cpus.is_empty()).then_some(Self { cpus, threads, whole })
    }

    /// The process, of those that count, that had most of them.
    pub fn most(self, model: &Model<'_>, counts: impl Fn(ProcessId) -> bool) -> Option<Most> {
        let process_of = |keeper: &Keeper| model.capture.threads.get(keeper.thread).process;
        let mut sums: BTreeMap<ProcessId, Nanos> = BTreeMap::new();
        for keeper in self.threads.iter().filter(|keeper| counts(process_of(keeper))) {
            *sums.entry(process_of(keeper)).or_default() += keeper.time;
        }
        let (&process, &time) =
            sums.iter().max_by_key(|&(process, time)| (*time, std::cmp::Reverse(*process)))?;
        let whole = self.whole;
        let own = |keeper: &Keeper| process_of(keeper) == process;
        let threads: Vec<Keeper> = self.threads.into_iter().filter(own).collect();
        let urgent = threads.iter().filter(|keeper| keeper.urgent.is_some());
        let urgent: Nanos = urgent.map(|keeper| keeper.time).sum();
        let (share, urgent_share) = (time.share_of(whole), urgent.share_of(whole));
        Some(Most { process, threads, share, urgent_share })
    }
}

/// Hands on who had each of some CPUs in a span, and when: who leaves one has had it since the switch before. If that was to another, a
/// switch between them is not in the capture, and it had the CPU for as long as other events tell.
fn each_turn(
    model: &Model<'_>,
    cpus: &[CpuId],
    span: Span,
    mut add: impl FnMut(CpuId, ThreadId, Span),
) {
    let mut add = |cpu, thread: Option<ThreadId>, turn: Span| {
        if let Some((thread, turn)) = thread.zip(turn.intersect(span)) {
            add(cpu, thread, turn);
        }
    };
    // When each changed hands, and to whom; by number, as they are asked for with every switch.
    let mut last = vec![None; cpus.iter().map(|cpu| cpu.index() + 1).max().unwrap_or(0)];
    let mut wanted = vec![false; last.len()];
    cpus.iter().for_each(|cpu| wanted[cpu.index()] = true);
    let mut to_come = cpus.iter().filter(|cpu| model.states.cpus.get(**cpu).is_some()).count();
    let switches = &model.capture.switches;
    let from = switches.partition_point(|switch| switch.time < span.start);
    for switch in &switches[from..] {
        // Of a CPU that did not change hands in the span, the next switch tells who had it.
        let is_over = switch.time >= span.end;
        if is_over && to_come == 0 {
            break;
        }
        let Some(cpu) = switch.cpu.filter(|cpu| wanted.get(cpu.index()) == Some(&true)) else {
            continue;
        };
        let before: Option<(Timestamp, Option<ThreadId>)> = last[cpu.index()];
        if is_over && before.is_some() {
            continue;
        }
        to_come -= usize::from(before.is_none() && to_come > 0);
        let (since, who) = before.unwrap_or((span.start, None));
        let turn = Span::new(since, switch.time.min(span.end));
        let had = switch.out.or(who);
        let came = before.is_some() && who.zip(switch.out).is_none_or(|(came, out)| came == out);
        // Else only what the thread is known to have run, from its waking on, say.
        let ran = |thread| model.states.ran(thread, turn);
        let time = if came { turn.duration() } else { had.map_or(Nanos::ZERO, ran) };
        add(cpu, had, Span::new(Timestamp(turn.end.0.saturating_sub(time.0)), turn.end));
        last[cpu.index()] = Some((switch.time.min(span.end), switch.into.filter(|_| !is_over)));
    }
    for (cpu, since, thread) in model.states.cpus.at_last() {
        if let Some(place @ None) = last.get_mut(cpu.index())
            && since <= span.start
        {
            *place = Some((span.start, thread));
        }
    }
    for &cpu in cpus {
        if let Some((since, who)) = last[cpu.index()] {
            add(cpu, who, Span::new(since, span.end));
        }
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, CpuId};

    use super::*;
    use crate::script;

    /// Who had the CPU most from 100 to 200 ms, with its share of it and that of those who go before all ordinary threads.
    fn most(events: &str) -> Option<(i32, f64, f64)> {
        let capture = script::record(Capture::default(), events);
        let model = script::model(&capture);
        let [start, end] = [100, 200].map(|ms| Timestamp(ms * 1_000_000));
        let keepers = Keepers::of(&model, vec![CpuId::new(0)?], Span::new(start, end))?;
        let most = keepers.most(&model, |_| true)?;
        let tid = capture.threads.get(most.threads.first()?.thread).tid;
        Some((tid, most.share, most.urgent_share))
    }

    #[test]
    fn who_has_a_cpu_that_does_not_change_hands_is_known_from_before_or_after() {
        let all_along = Some((script::tid('H'), 1.0, 1.0));
        assert_eq!(most("0 .-,10ms ->H,300ms .H"), all_along);
        assert_eq!(most("0 .-,10ms ->H,300ms H>a R+,310ms a>- S"), all_along);
        // Of one that came before the recording began, the next coming tells how urgent it is.
        assert_eq!(most("0 .H,300ms H>a R+,310ms a>H S"), all_along);
    }

    #[test]
    fn a_turn_counts_for_its_time_in_the_span() {
        let turns = "0 .-,90ms ->a,110ms a>H S,140ms H>b R+,150ms b>H S,190ms H>-,300ms .-";
        assert_eq!(most(turns), Some((script::tid('H'), 0.7, 0.7)));
        assert_eq!(most("0 .-,90ms ->a,160ms a>b S,300ms b>-"), Some((script::tid('a'), 0.6, 0.0)));
        assert_eq!(most("0 .-,250ms ->a,300ms a>-"), None);
    }

    #[test]
    fn who_leaves_a_cpu_without_having_come_had_it_for_as_long_as_it_is_known_to_have_run() {
        assert_eq!(most("0 .-,90ms ->a,190ms M>a S,300ms a>-"), Some((script::tid('a'), 0.1, 0.0)));
        let woken = "0 .-,105ms ->a,110ms w:b,190ms b>a S,300ms a>-";
        assert_eq!(most(woken), Some((script::tid('b'), 0.8, 0.0)));
    }
}
