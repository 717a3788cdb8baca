//! What is said of those who had the CPUs while a freeze's threads found none: who is to blame for it, and how sure that is.

use coldcase_ingest::capture::{CpuId, Nanos, Priority, ProcessId, Sentence, ThreadId};

use crate::cpu::keepers::{Keeper, Keepers, Most};
use crate::findings::{Cause, Culprit, Grade, ThreadName, cpus_in_words};
use crate::model::Model;
use crate::tally::Tally;
use crate::verdict::culprit;
use crate::view;
use crate::windows::RawWindow;

/// Who had less of the CPUs' time was one of many.
const WORTH_NAMING: f64 = 0.2;
/// Who goes before all others, and had so much of it, kept them from it ...
const KEPT: f64 = 0.5;
/// ... and for certain, who had so much.
const FOR_CERTAIN: f64 = 0.8;
/// So many threads or processes are named in a sentence.
const NAMED: usize = 4;

/// Who had the CPUs for which a freeze's threads waited.
pub(crate) struct HadCpus {
    /// The process that had most of their time, and is not among those who waited; `None` if none had much.
    most: Option<Most>,
    /// Which CPUs these are, if not all.
    some: Option<Vec<u32>>,
    /// Whether those who waited were never seen on another.
    only_seen_there: bool,
}

/// Who kept them, and not by weight or by chance.
pub(crate) struct Kept {
    pub culprit: Culprit,
    /// The CPUs, by the kernel's numbers.
    pub cpus: Vec<u32>,
    pub grade: Grade,
}

/// Who had the CPUs in a freeze that comes down to the want of one: those that are known to be kept, or else all on which those
/// who waited were ever seen.
pub(crate) fn find(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    kept: Option<Vec<CpuId>>,
) -> Option<HadCpus> {
    if cause != Cause::CpuStarvation {
        return None;
    }
    let threads = &model.capture.threads;
    let mut own: Vec<ProcessId> = raw.crew.iter().map(|&id| threads.get(id).process).collect();
    own.sort_unstable();
    own.dedup();
    let seen = model.seats().of(&raw.threads);
    let Some(keepers) = Keepers::of(model, kept.unwrap_or_else(|| seen.clone()), raw.span) else {
        return Some(HadCpus { most: None, some: None, only_seen_there: false });
    };
    let is_all = keepers.cpus.len() == model.states.cpus.count();
    let only_seen_there = seen == keepers.cpus;
    let some = (!is_all).then(|| keepers.cpus.iter().map(|cpu| cpu.number()).collect());
    let most = keepers.most(model, |process| own.binary_search(&process).is_err());
    let most = most.filter(|most| most.share >= WORTH_NAMING);
    Some(HadCpus { most, some, only_seen_there })
}

impl HadCpus {
    /// Who is to blame: threads that go before all ordinary ones. Whoever else had more of the time had it by its weight, or was
    /// many.
    pub fn keeper(&self, model: &Model<'_>, raw: &RawWindow) -> Option<Kept> {
        // Who waited for a lock may be bound to other CPUs than the one who had it.
        let most = self.most.as_ref().filter(|_| !raw.cause.is_lock())?;
        if most.urgent_share < KEPT {
            return None;
        }
        let keepers = keepers(raw, most);
        let thread = view::thread_name(model.capture, keepers.first()?.thread);
        let (thread, activity) = match keepers[..] {
            [only] => (thread, culprit::activity(model, only.thread, raw.span)),
            _ => (of_process(model, most.process), Vec::new()),
        };
        let mut cpus: Vec<u32> = keepers.iter().flat_map(|keeper| keeper.cpus()).collect();
        cpus.sort_unstable();
        cpus.dedup();
        let certain = most.urgent_share >= FOR_CERTAIN;
        let grade = if certain { Grade::Strong } else { Grade::Circumstantial };
        let culprit = Culprit::without_call(thread, activity);
        Some(Kept { culprit, cpus, grade })
    }

    /// To whom the waiting is charged, and for what.
    pub fn row(&self, model: &Model<'_>, kept: Option<&Kept>) -> (Option<ThreadName>, String) {
        let Some(most) = &self.most else { return (None, "no CPU was free".to_owned()) };
        let by = kept.map(|kept| kept.culprit.thread.clone());
        let by = by.unwrap_or_else(|| of_process(model, most.process));
        (Some(by), format!("had {} while they were ready", self.share_of_cpus(most.share)))
    }

    /// Who had the CPUs, in a sentence each.
    pub fn reasons(&self, model: &Model<'_>, raw: &RawWindow) -> Vec<Sentence> {
        if raw.cause.is_lock() {
            return Vec::new();
        }
        let most = self.most.as_ref().map(|most| match most.urgent_share >= KEPT {
            true => by_urgent(model, raw, most),
            false => named(&of_process(model, most.process))
                .words(&format!(" had {}", self.share_of_cpus(most.share))),
        });
        let bound = self.some.as_ref().filter(|_| self.only_seen_there).map(|cpus| {
            format!("The threads that found none are only ever seen on {}", cpus_in_words(cpus))
                .into()
        });
        let crowd = ready_at_a_time(model, raw).map(Sentence::from);
        most.into_iter().chain(bound).chain(crowd).chain(who_waited(model, raw)).collect()
    }

    fn share_of_cpus(&self, share: f64) -> String {
        let share = 100.0 * share;
        match &self.some {
            None => format!("{share:.0} % of all CPUs' time"),
            Some(cpus) => format!("{share:.0} % of the time of {}", cpus_in_words(cpus)),
        }
    }
}

/// A process as a whole.
fn of_process(model: &Model<'_>, process: ProcessId) -> ThreadName {
    let threads = &model.capture.threads;
    let comm = threads.process_comm(process).to_owned();
    ThreadName { pid: threads.process(process).pid, tid: None, comm }
}

/// `hog (pid 4711)`.
fn named(process: &ThreadName) -> Sentence {
    let pid = process.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    Sentence::default().task(&process.comm).words(&pid)
}

/// The threads that go before all ordinary ones and had a CPU for a good part of a freeze; at least one.
fn keepers<'m>(raw: &RawWindow, most: &'m Most) -> Vec<&'m Keeper> {
    let urgent = || most.threads.iter().filter(|keeper| keeper.urgent.is_some());
    let good_part = |time: Nanos| time.share_of(raw.span.duration()) >= WORTH_NAMING;
    let keepers: Vec<&Keeper> = urgent().filter(|keeper| good_part(keeper.time)).collect();
    if keepers.is_empty() { urgent().take(1).collect() } else { keepers }
}

/// `hog-0 (tid 4712) of hog (pid 4711) had CPU 0 for 95 % of the time, ...: threads of real-time priority 50, which go before ...`
fn by_urgent(model: &Model<'_>, raw: &RawWindow, most: &Most) -> Sentence {
    let keepers = keepers(raw, most);
    let told: Vec<Sentence> = keepers
        .iter()
        .take(NAMED)
        .map(|keeper| {
            let name = view::thread_name(model.capture, keeper.thread);
            let cpus: Vec<u32> = keeper.cpus().collect();
            let share = 100.0 * keeper.time.share_of(raw.span.duration());
            let tid = name.tid.map_or(String::new(), |tid| format!(" (tid {tid})"));
            let had = format!("{tid} had {} for {share:.0} % of the time", cpus_in_words(&cpus));
            Sentence::default().task(&name.comm).words(&had)
        })
        .collect();
    let more = keepers.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(", and {more} more of its threads had others")
    } else {
        String::new()
    };
    let mut priorities: Vec<Option<u8>> =
        keepers.iter().map(|keeper| keeper.urgent.and_then(Priority::real_time)).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let policy = match priorities[..] {
        [Some(priority)] => format!("real-time priority {priority}"),
        [None] => "the deadline policy".to_owned(),
        _ => "real-time priorities".to_owned(),
    };
    Sentence::list(&told)
        .words(&format!("{more}, at {policy}, which goes before every ordinary thread"))
}

/// How many threads wanted a CPU at a time and had none, where that is more than there are CPUs.
fn ready_at_a_time(model: &Model<'_>, raw: &RawWindow) -> Option<String> {
    let states = &model.states;
    let is_idle = |id: ThreadId| model.capture.threads.get(id).is_idle_task();
    let ready = states
        .threads()
        .map(|id| (id, states.ready(id, raw.span)))
        .filter(|&(id, time)| time > Nanos::ZERO && !is_idle(id))
        .map(|(_, time)| time);
    let ready = ready.sum::<Nanos>().share_of(raw.span.duration());
    let cpus = states.cpus.count();
    (ready > cpus as f64).then(|| {
        let cpus = if cpus == 1 { "1 CPU".to_owned() } else { format!("{cpus} CPUs") };
        format!("On average {ready:.0} threads were ready and had none of the {cpus}")
    })
}

/// Whose threads found no CPU, where they are of several processes.
fn who_waited(model: &Model<'_>, raw: &RawWindow) -> Option<Sentence> {
    let threads = &model.capture.threads;
    let process_of = |thread: ThreadId| threads.get(thread).process;
    let times = raw.harms.iter().map(|harm| (process_of(harm.thread), harm.span.duration()));
    let times = times.collect::<Tally<ProcessId>>().sorted();
    if times.len() < 2 {
        return None;
    }
    let told: Vec<Sentence> = times
        .iter()
        .take(NAMED)
        .map(|&(process, time)| {
            let own = raw.threads.iter().filter(|&&thread| process_of(thread) == process).count();
            let own = if own == 1 { "1 thread".to_owned() } else { format!("{own} threads") };
            let time = time.as_millis_f64() / 1e3;
            named(&of_process(model, process)).words(&format!(": {own}, {time:.2} s in total"))
        })
        .collect();
    let more = match times.len().saturating_sub(NAMED) {
        0 => String::new(),
        1 => "; and one more process".to_owned(),
        more => format!("; and {more} more processes"),
    };
    let list = told.iter().enumerate().fold(Sentence::default(), |list, (at, row)| {
        list.words(if at == 0 { "No CPU was found by " } else { "; " }).sentence(row)
    });
    Some(list.words(&more))
}
