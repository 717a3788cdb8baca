//! Freezes for want of a CPU: one of all whom the same want kept from running.
//!
//! ```text
//! hog   |------ runs ------|ready|------ runs ------|          sleeps          |--- runs ---|
//! web   |------ ready -----|     |------ ready -----|                          |-- ready ---|
//! db      |---- ready -----|     |------ ready -----|                            |- ready --|
//! told  |=================== one freeze ============|                          |= another ==|
//! ```
//!
//! What is a freeze of a process for itself is found process by process. A machine without a free CPU has many of them at once;
//! and where the kernel lets others run for a moment in each second, many one after the other.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{CpuId, Nanos, ProcessId, Span, ThreadId};

use crate::cpu::keepers::{Keepers, Most};
use crate::findings::{Cause, Grade, ThreadName, Window};
use crate::model::Model;
use crate::options::Options;
use crate::states::Doing;
use crate::verdict;
use crate::windows::harms::{self, Harm};
use crate::windows::{self, JOIN, LITTLE, RawWindow};

/// In each of these the kernel leaves a part of a CPU to ordinary threads, as a rule (`sched_rt_period_us`, `kernel/sched/rt.c`; since
/// Linux 6.12 the `fair_server`, `kernel/sched/deadline.c`).
const REAL_TIME_PERIOD: Nanos = Nanos(1_000_000_000);

/// Makes one freeze of those that one want of CPUs runs through.
pub(crate) fn join(
    model: &Model<'_>,
    options: &Options,
    judged: Vec<(RawWindow, Window)>,
) -> Vec<(RawWindow, Window)> {
    let (mut starved, mut all): (Vec<_>, Vec<_>) =
        judged.into_iter().partition(|(_, window)| window.cause == Some(Cause::CpuStarvation));
    starved.sort_by_key(|(raw, _)| (raw.span.start, raw.process));
    let mut groups: Vec<Group> = Vec::new();
    for freeze in starved {
        let new = Group::new(model, freeze);
        let (touched, mut apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.overlaps(&new));
        apart.push(touched.into_iter().rfold(new, |new, group| group.with(new)));
        groups = apart;
    }
    groups.sort_by_key(|group| group.span.start);
    let mut joined: Vec<Group> = Vec::new();
    for group in groups {
        match joined.iter().rposition(|before| runs_through(model, before, &group)) {
            Some(at) => {
                let before = joined.remove(at);
                joined.push(before.with(group));
            }
            None => joined.push(group),
        }
    }
    let parts: Vec<Vec<Part>> = joined.iter().map(Group::parts).collect();
    for (at, group) in joined.into_iter().enumerate() {
        let elsewhere = || parts.iter().enumerate().filter(|(other, _)| *other != at);
        let elsewhere: Vec<&Part> = elsewhere().flat_map(|(_, parts)| parts).collect();
        match group.freezes.len() {
            1 => all.extend(group.freezes),
            _ => all.extend(group.into_one(model, options, &elsewhere)),
        }
    }
    all
}

/// Threads that are told in one freeze from when to when.
type Part = (Vec<ThreadId>, Span);

/// Freezes for want of the same CPUs.
struct Group {
    freezes: Vec<(RawWindow, Window)>,
    span: Span,
    /// The CPUs on which those who froze were ever seen.
    cpus: Vec<CpuId>,
    /// Who kept them, and which.
    kept: Option<(ThreadName, Vec<CpuId>)>,
}

impl Group {
    fn new(model: &Model<'_>, freeze: (RawWindow, Window)) -> Self {
        let cpus = model.seats().of(&freeze.0.threads);
        let culprit = freeze.1.culprit.as_ref();
        let numbers = freeze.1.freeze.cpus.iter();
        let kept = numbers.filter_map(|&number| CpuId::new(number)).collect();
        let kept = culprit.map(|culprit| (culprit.thread.clone(), kept));
        Self { span: freeze.0.span, freezes: vec![freeze], cpus, kept }
    }

    fn with(mut self, other: Self) -> Self {
        self.freezes.extend(other.freezes);
        self.span = self.span.hull(other.span);
        self.cpus = union(self.cpus, other.cpus);
        self.kept = match (self.kept, other.kept) {
            (Some((thread, cpus)), Some((_, others))) => Some((thread, union(cpus, others))),
            (kept, others) => kept.or(others),
        };
        self
    }

    /// Whether both are for one reason: the same process kept their CPUs from them; or nobody did, and they wanted the same ones; or
    /// one wanted none but those that are known to be kept.
    fn is_for_the_same(&self, other: &Self) -> bool {
        let within = |cpus: &[CpuId], all: &[CpuId]| {
            !cpus.is_empty() && cpus.iter().all(|cpu| all.contains(cpu))
        };
        match (&self.kept, &other.kept) {
            (Some((own, _)), Some((others, _))) => own.pid == others.pid,
            (Some((_, kept)), None) => within(&other.cpus, kept),
            (None, Some((_, kept))) => within(&self.cpus, kept),
            (None, None) => {
                let unknown = self.cpus.is_empty() || other.cpus.is_empty();
                unknown || self.cpus.iter().any(|cpu| other.cpus.contains(cpu))
            }
        }
    }

    /// Whether both were for one reason at the same time, or one right after the other.
    fn overlaps(&self, other: &Self) -> bool {
        let (own, others) = (self.span, other.span);
        let touch = own.start <= others.end.plus(JOIN) && others.start <= own.end.plus(JOIN);
        touch && self.is_for_the_same(other)
    }

    fn threads(&self) -> Vec<ThreadId> {
        let threads = self.freezes.iter().flat_map(|(raw, _)| &raw.threads).copied();
        let mut threads: Vec<ThreadId> = threads.collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }

    fn had_most(&self, model: &Model<'_>) -> Option<Most> {
        let own = |process: ProcessId| self.freezes.iter().any(|(raw, _)| raw.process == process);
        let cpus = self.kept.as_ref().map_or(&self.cpus, |(_, kept)| kept);
        Keepers::of(model, cpus.clone(), self.span)?.most(model, |process| !own(process))
    }

    fn parts(&self) -> Vec<Part> {
        self.freezes.iter().map(|(raw, _)| (raw.threads.clone(), raw.span)).collect()
    }

    /// The freeze of all of them, and those that some of them had beside it; without what is told elsewhere.
    fn into_one(
        self,
        model: &Model<'_>,
        options: &Options,
        elsewhere: &[&Part],
    ) -> Vec<(RawWindow, Window)> {
        let (span, threads) = (self.span, self.threads());
        let mut apart = Vec::new();
        let (mut crew, mut waits): (Vec<ThreadId>, Vec<Harm>) = Default::default();
        let mut blocked: BTreeMap<ProcessId, Nanos> = BTreeMap::new();
        for (raw, window) in self.freezes {
            *blocked.entry(raw.process).or_default() += window.freeze.blocked;
            let own = beside(model, options, &raw);
            let is_told = |harm: &Harm| {
                own.iter().any(|(other, _): &(RawWindow, Window)| {
                    other.threads.contains(&harm.thread)
                        && other.span.overlap(harm.span) > Nanos::ZERO
                })
            };
            waits.extend(raw.harms.iter().filter(|harm| harm.wait.is_some() && !is_told(harm)));
            crew.extend(raw.crew);
            apart.extend(own);
        }
        crew.sort_unstable();
        crew.dedup();
        let is_elsewhere = |harm: &Harm| {
            elsewhere.iter().any(|(threads, span)| {
                span.intersect(harm.span).is_some() && threads.contains(&harm.thread)
            })
        };
        let for_cpus =
            harms::near(model, &threads, options, vec![span]).into_iter().filter(|harm| {
                harm.wait.is_none() && harm.cause == Cause::CpuStarvation && !is_elsewhere(harm)
            });
        let mut harms: Vec<Harm> =
            for_cpus.filter_map(|harm| harm.inside(span)).chain(waits).collect();
        harms.sort_by_key(|harm| (harm.span.start, harm.thread));
        let longest =
            blocked.into_iter().max_by_key(|&(process, time)| (time, std::cmp::Reverse(process)));
        let Some((process, _)) = longest else { return apart };
        let (cause, known_lock) = (Cause::CpuStarvation, false);
        let raw = RawWindow { process, crew, span, harms, cause, threads, known_lock };
        apart.push(verdict::of_starved(model, raw, self.kept.map(|(_, cpus)| cpus)));
        apart
    }
}

fn union(mut some: Vec<CpuId>, more: Vec<CpuId>) -> Vec<CpuId> {
    some.extend(more);
    some.sort_unstable();
    some.dedup();
    some
}

/// Whether one cause runs through two freezes, of which the second began later: who had the CPUs wanted them on all the while. From
/// a thread of real-time priority the kernel takes them for a part of each period; of one that had them by its weight, what lies
/// between is little beside the longer. Whoever sleeps has given way.
fn runs_through(model: &Model<'_>, before: &Group, after: &Group) -> bool {
    let (first, second) = (before.span, after.span);
    let between = Span::new(first.end, second.start);
    let is_kept = before.kept.is_some() && after.kept.is_some();
    let longer = first.duration().max(second.duration());
    let most = if is_kept { REAL_TIME_PERIOD } else { Nanos(longer.0 / LITTLE) };
    if !before.is_for_the_same(after) || between.duration() > most {
        return false;
    }
    let (Some(had), Some(has)) = (before.had_most(model), after.had_most(model)) else {
        return false;
    };
    let mut keepers = had.threads.iter().filter(|keeper| keeper.urgent.is_some() || !is_kept);
    had.process == has.process && keepers.any(|keeper| wanted_on(model, keeper.thread, between))
}

/// Whether a thread ran or wanted to, through all of a span.
fn wanted_on(model: &Model<'_>, thread: ThreadId, span: Span) -> bool {
    let at_it = model.states.time(thread, span, |doing| !matches!(doing, Doing::Blocked(_)));
    at_it == span.duration()
}

/// What else a process stood still for while some of its threads wanted a CPU, if that is known for certain.
fn beside(model: &Model<'_>, options: &Options, raw: &RawWindow) -> Vec<(RawWindow, Window)> {
    let waits: Vec<Harm> = raw.harms.iter().filter(|harm| harm.wait.is_some()).copied().collect();
    let crew = (raw.process, &raw.crew[..]);
    let found = windows::of_crew(model, crew, &waits, options).into_iter();
    let told = found.filter_map(|raw| verdict::judge(model, &raw).freeze());
    let is_other = |window: &Window| {
        window.cause != Some(Cause::CpuStarvation) && window.grade <= Grade::Strong
    };
    let long = |raw: &RawWindow| raw.span.duration() >= options.min_freeze;
    told.filter(|(raw, window)| long(raw) && is_other(window)).collect()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, CpuId, Nanos};

    use crate::analyze;
    use crate::findings::{Cause, Findings, Grade, Role};
    use crate::script::{self, SLEEPS};

    /// What is found of a machine of one CPU, on which two programs, `a` with `c` and `b` with `d`, run for a moment every 10 ms for 120 ms,
    /// and then want the CPU all along; `then` is who has it.
    fn found(then: &[&str]) -> Findings {
        let capture = script::process(Capture::default(), &[('a', "web"), ('c', "web")]);
        let capture = script::process(capture, &[('b', "db"), ('d', "db")]);
        let capture = script::process(capture, &[('H', "hog")]);
        let capture = script::process(capture, &[('h', "batch")]);
        let mut events = vec!["0 .-".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{at}ms w:a,{at}ms w:b,{at}ms w:c,{at}ms w:d,{at}ms ->a"));
            let (first, second, third) = (at + 1, at + 2, at + 3);
            events.push(format!("{first}ms a>b S {SLEEPS},{second}ms b>c S {SLEEPS}"));
            events.push(format!("{third}ms c>d S {SLEEPS},{}ms d>- S {SLEEPS}", at + 4));
        }
        events.extend(then.iter().map(|event| event.replace("SLEEPS", SLEEPS)));
        analyze(&script::record(capture, &events.join(",")), &script::options())
    }

    /// The four want the CPU from a moment on, and have it for a moment each at another.
    fn all_want(from: u64, until: u64) -> [String; 2] {
        let woken = ["a", "b", "c", "d"].map(|thread| format!("{from}ms w:{thread}"));
        let mut turns = vec![format!("{until}ms H>a R+")];
        for (out, into, after) in [("a", "b", 1), ("b", "c", 2), ("c", "d", 3)] {
            turns.push(format!("{}ms {out}>{into} S SLEEPS", until + after));
        }
        [woken.join(","), turns.join(",")]
    }

    #[test]
    fn programs_without_a_cpu_are_one_freeze_of_which_who_goes_before_all_is_the_culprit() {
        let [woken, turns] = all_want(125, 1125);
        let findings = found(&["121ms ->H", &woken, &turns, "1129ms d>- S SLEEPS"]);
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        let freeze = &window.freeze;
        assert_eq!((window.cause, window.grade), (Some(Cause::CpuStarvation), Grade::Strong));
        assert_eq!((freeze.threads_blocked, freeze.processes, freeze.strangers), (4, 2, true));
        let culprit = window.culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('H')));
        assert_eq!(freeze.kept_cpus().as_deref(), Some("CPU 0"));
        assert_eq!(window.blame.iter().map(|row| row.time).sum::<Nanos>(), freeze.blocked);
        let told: Vec<&str> = window.reasons.iter().map(|reason| &**reason).collect();
        assert!(told[0].contains("at real-time priority 50, which goes before every"), "{told:?}");
        assert!(
            told.iter()
                .any(|reason| reason.starts_with("No CPU was found by db (pid 98): 2 threads")
                    || reason.starts_with("No CPU was found by web (pid 97): 2 threads")),
            "{told:?}"
        );
    }

    /// The freezes of two seconds without a CPU, between which the hog leaves it for 50 ms as `leaves` says.
    fn two_seconds(leaves: &str) -> usize {
        let [woken, turns] = all_want(125, 1125);
        let turns = turns.replace("R+", leaves);
        let [again, at_last] = all_want(1176, 2175);
        let back = ["1174ms d>- S SLEEPS", "1175ms ->H"];
        let events = ["121ms ->H", &woken, &turns, back[0], back[1], &again, &at_last];
        found(&[&events[..], &["2179ms d>- S SLEEPS"]].concat()).windows.len()
    }

    #[test]
    fn who_is_kept_from_its_cpu_for_a_moment_has_not_given_way_and_who_sleeps_has() {
        assert_eq!(two_seconds("R+"), 1);
        assert_eq!(two_seconds("S SLEEPS"), 2);
    }

    #[test]
    fn who_has_more_of_the_cpu_by_its_weight_is_no_culprit() {
        let [woken, turns] = all_want(125, 1125);
        let turns = turns.replace('H', "h");
        let findings = found(&["121ms ->h", &woken, &turns, "1129ms d>- S SLEEPS"]);
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        assert_eq!((window.grade, window.freeze.processes), (Grade::Circumstantial, 2));
        assert!(window.culprit.is_none() && window.freeze.cpus.is_empty());
        assert_eq!(window.blame[0].thread.as_ref().and_then(|by| by.pid), Some(script::tid('h')));
    }

    /// A CPU on which two threads of a program run for a moment now and then, and then want it for a second while another has it.
    fn one_cpu([first, second]: [char; 2], keeper: char) -> String {
        let mut events = vec!["0 .-".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{at}ms w:{first},{at}ms w:{second},{at}ms ->{first}"));
            let (then, at_last) = (at + 1, at + 2);
            events.push(format!("{then}ms {first}>{second} S {SLEEPS}"));
            events.push(format!("{at_last}ms {second}>- S {SLEEPS}"));
        }
        events.push(format!("121ms ->{keeper},125ms w:{first},125ms w:{second}"));
        events.push(format!("1125ms {keeper}>{first} R+,1126ms {first}>{second} S {SLEEPS}"));
        events.push(format!("1127ms {second}>- S {SLEEPS}"));
        events.join(",")
    }

    /// What is found of a machine of two CPUs, to each of which one of two programs is bound; and who has each.
    fn bound(zero: char, one: char) -> Findings {
        let programs: [&[(char, &str)]; 4] = [
            &[('a', "web"), ('c', "web")],
            &[('b', "db"), ('d', "db")],
            &[('H', "hog"), ('I', "hog")],
            &[('h', "batch")],
        ];
        let capture = programs.into_iter().fold(Capture::default(), script::process);
        let mut capture = script::record(capture, &one_cpu(['a', 'c'], zero));
        let of_zero = capture.switches.len();
        capture = script::record(capture, &one_cpu(['b', 'd'], one));
        let of_one = capture.switches[of_zero..].iter_mut();
        of_one.for_each(|switch| switch.cpu = CpuId::new(1));
        capture.switches.sort_by_key(|switch| switch.time);
        capture.wakeups.sort_by_key(|wakeup| wakeup.time);
        analyze(&capture, &script::options())
    }

    #[test]
    fn who_wanted_another_cpu_than_the_one_that_is_kept_froze_for_another_reason() {
        let findings = bound('H', 'h');
        let told: Vec<_> = findings
            .windows
            .iter()
            .map(|window| {
                let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
                (window.freeze.comm.as_str(), culprit, window.freeze.kept_cpus())
            })
            .collect();
        let by_hog = ("web", Some(script::tid('H')), Some("CPU 0".to_owned()));
        assert_eq!(told, [by_hog, ("db", None, None)]);
        let reasons = &findings.windows[0].reasons;
        assert!(
            reasons.iter().any(|reason| reason.ends_with("only ever seen on CPU 0")),
            "{reasons:?}"
        );
    }

    #[test]
    fn a_process_that_keeps_several_cpus_is_told_without_a_thread() {
        let findings = bound('H', 'I');
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        let culprit = &window.culprit.as_ref().unwrap().thread;
        assert_eq!((culprit.pid, culprit.tid), (Some(script::tid('H')), None));
        assert_eq!(window.freeze.kept_cpus().as_deref(), Some("CPUs 0 and 1"));
        let lanes = &findings.timeline.as_ref().unwrap().lanes;
        let culprits = lanes.iter().filter(|lane| lane.role == Role::Culprit).count();
        assert_eq!(culprits, 2);
    }

    #[test]
    fn who_waits_for_a_disk_while_the_kernels_threads_find_no_cpu_is_told_with_those() {
        let disk = |worker: &str| {
            let capture = script::process(Capture::default(), &[('a', "web"), ('c', "web")]);
            let capture = script::process(capture, &[('b', "db"), ('d', "db")]);
            let capture = script::process(capture, &[('H', "hog")]);
            let capture = script::process(capture, &[('k', worker)]);
            let habits = one_cpu(['a', 'c'], 'H');
            let habits = habits.split_once(",125ms").unwrap().0;
            let syncs = "D schedule<io_schedule<submit_bio_wait<ext4_sync_file";
            let events = format!(
                "{habits},122ms H>b,123ms b>d {syncs},124ms d>H {syncs},125ms w:a,125ms w:c,125ms w:k,\
                 1125ms H>k R+,1126ms k!b,1126ms k!d,1126ms k>a S {SLEEPS},1127ms a>c S {SLEEPS},\
                 1128ms c>b S {SLEEPS},1129ms b>d S {SLEEPS},1130ms d>- S {SLEEPS}"
            );
            let findings = analyze(&script::record(capture, &events), &script::options());
            let causes = findings.windows.iter().filter_map(|window| window.cause);
            let told = findings.windows.iter().flat_map(|window| &window.evidence).any(|row| {
                row.starts_with(
                    "2 threads of db (pid 98) waited for a disk, for which the kernel's",
                )
            });
            (causes.collect::<Vec<_>>(), told)
        };
        assert_eq!(disk("kworker/0:1"), (vec![Cause::CpuStarvation], true));
        let (causes, told) = disk("worker");
        assert!(causes.contains(&Cause::DiskIo) && !told, "{causes:?}");
    }
}
