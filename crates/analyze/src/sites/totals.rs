//! Waiting by site.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Nanos, ThreadId};

use rustc_hash::FxHashSet;

use crate::findings::{Cause, ProcessTotal, SiteTotal};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::sums::Group;
use crate::windows::RawWindow;

#[derive(Clone, Default)]
struct Total {
    cause: Option<Cause>,
    idle: bool,
    blocked: Nanos,
    waits: u64,
    threads: FxHashSet<ThreadId>,
    longest: Nanos,
}

/// Where threads were that were ready to run, and got no CPU or were not allowed to use one.
pub(crate) const READY: &str = "ready, no CPU";

/// Where the window's process waited in the window, by blocked time; where it rested comes last. Of a freeze for want of a CPU, that
/// want is the first of them.
pub(crate) fn in_window(model: &Model<'_>, window: &RawWindow) -> Vec<SiteTotal> {
    let mut totals = no_totals(model);
    for (id, blocked) in model.waits_in(&window.crew, window.span) {
        let site = model.sites.of(id);
        let thread = model.states.wait(id).thread;
        add(&mut totals[site.number() as usize], site.kind, thread, (blocked, 1, blocked));
    }
    let mut sites = BySite::default();
    sites.add(totals, model);
    ready(window).into_iter().chain(sites.rows()).collect()
}

fn ready(window: &RawWindow) -> Option<SiteTotal> {
    let for_want = matches!(window.cause, Cause::CpuStarvation | Cause::CpuThrottle);
    let harms = || window.harms.iter().filter(|harm| for_want && harm.wait.is_none());
    let lengths = || harms().map(|harm| harm.span.duration());
    Some(SiteTotal {
        site: READY.to_owned(),
        cause: Some(window.cause),
        blocked: lengths().sum(),
        waits: Some(harms().count() as u64),
        threads: harms().map(|harm| harm.thread).collect::<FxHashSet<_>>().len() as u64,
        longest: Some(lengths().max()?),
        idle: false,
    })
}

/// Where the threads of each user process waited, by the process's name, and those of all, in what was read of a recording.
#[derive(Default)]
pub(crate) struct Totals {
    processes: BTreeMap<String, (FxHashSet<ThreadId>, BySite)>,
    all: BySite,
}

impl Totals {
    /// Adds the waits that count with one part of the recording.
    pub fn add(&mut self, model: &Model<'_>) {
        let threads = &model.capture.threads;
        let mut processes: BTreeMap<&str, (FxHashSet<ThreadId>, Vec<Total>)> = BTreeMap::new();
        for (id, thread) in threads.iter() {
            // Of whom a recording of some processes has but the comings, it has nothing that could be looked at.
            let seen = model.states.leaves(id) || model.states.comings_recorded;
            let seen = seen && !model.states.of(id).is_empty() && !thread.is_idle_task();
            if seen && !threads.process(thread.process).kernel {
                let none = || (FxHashSet::default(), no_totals(model));
                let comm = threads.process_comm(thread.process);
                processes.entry(comm).or_insert_with(none).0.insert(id);
            }
        }
        let mut all = no_totals(model);
        for group in model.counted().iter() {
            let process = threads.get(group.thread).process;
            if let Some((_, totals)) = processes.get_mut(threads.process_comm(process)) {
                add_group(totals, group);
            }
            if group.blocked > Nanos::ZERO && !threads.process(process).kernel {
                add_group(&mut all, group);
            }
        }
        for (comm, (threads, totals)) in processes {
            let (known, sites) = self.processes.entry(comm.to_owned()).or_default();
            known.extend(threads);
            sites.add(totals, model);
        }
        self.all.add(all, model);
    }

    /// By the process's name.
    pub fn by_process(&self) -> Vec<ProcessTotal> {
        let rows = self.processes.iter().map(|(comm, (threads, sites))| ProcessTotal {
            comm: comm.clone(),
            threads: threads.len() as u64,
            sites: sites.rows(),
        });
        rows.collect()
    }

    /// Of all together, by blocked time; where they rested comes last.
    pub fn by_site(&self) -> Vec<SiteTotal> {
        self.all.rows()
    }
}

/// One for each site's name, by its number.
fn no_totals(model: &Model<'_>) -> Vec<Total> {
    vec![Total::default(); model.sites.names().len()]
}

fn add_group(totals: &mut [Total], group: &Group) {
    let total = &mut totals[group.site.number() as usize];
    let figures = (group.blocked, group.waits, group.longest);
    add(total, group.site.kind, group.thread, figures);
}

fn add(
    total: &mut Total,
    kind: WaitKind,
    thread: ThreadId,
    (blocked, waits, longest): (Nanos, u64, Nanos),
) {
    if let WaitKind::Harm(cause, _) = kind {
        total.cause = Some(cause);
    }
    total.idle = kind == WaitKind::Idle;
    total.blocked += blocked;
    total.waits += waits;
    total.threads.insert(thread);
    total.longest = total.longest.max(longest);
}

/// Totals by the site's name.
#[derive(Default)]
struct BySite(BTreeMap<String, Total>);

impl BySite {
    /// Adds totals by the number of the site's name.
    fn add(&mut self, totals: Vec<Total>, model: &Model<'_>) {
        let rows = model.sites.names().iter().zip(totals);
        for (site, total) in rows.filter(|(_, total)| total.waits > 0) {
            let Some(known) = self.0.get_mut(site) else {
                self.0.insert(site.clone(), total);
                continue;
            };
            known.cause = total.cause.or(known.cause);
            known.idle = total.idle;
            known.blocked += total.blocked;
            known.waits += total.waits;
            known.threads.extend(total.threads);
            known.longest = known.longest.max(total.longest);
        }
    }

    /// By blocked time; rest comes last.
    fn rows(&self) -> Vec<SiteTotal> {
        let rows = self.0.iter().map(|(site, total)| SiteTotal {
            site: site.clone(),
            cause: total.cause,
            blocked: total.blocked,
            waits: Some(total.waits),
            threads: total.threads.len() as u64,
            longest: Some(total.longest),
            idle: total.idle,
        });
        let mut sites: Vec<SiteTotal> = rows.collect();
        sites.sort_by(|a, b| {
            a.idle.cmp(&b.idle).then(b.blocked.cmp(&a.blocked)).then_with(|| a.site.cmp(&b.site))
        });
        sites
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

    #[test]
    fn who_is_only_seen_to_come_to_a_cpu_was_not_looked_at() {
        let looked_at = |options: &[&str]| {
            let capture = script::process(Capture::default(), &[('a', "server")]);
            let capture = script::process(capture, &[('b', "stranger")]);
            let mut capture = script::record(capture, "0 .a,1ms a>b,2ms .a,3ms a>b,4ms .a");
            capture.origin.command = options.iter().map(|&word| word.to_owned()).collect();
            let model = script::model(&capture);
            let mut totals = Totals::default();
            totals.add(&model);
            totals.by_process().into_iter().map(|row| row.comm).collect::<Vec<_>>()
        };
        assert_eq!(looked_at(&["perf", "record", "-p", "97"]), ["server"]);
        assert_eq!(looked_at(&["perf", "record", "-a"]), ["server", "stranger"]);
    }
}
