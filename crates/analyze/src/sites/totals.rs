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

/// Where the window's process waited in the window, or all user processes in all of the capture, by blocked
/// time; where they rested comes last. Of a freeze for want of a CPU, that want is the first of them.
pub(crate) fn by_site(model: &Model<'_>, window: Option<&RawWindow>) -> Vec<SiteTotal> {
    let mut totals = vec![Total::default(); model.sites.names().len()];
    let Some(window) = window else {
        let is_users = |thread: ThreadId| !model.capture.threads.process_of(thread).kernel;
        let groups = model.sums.iter().filter(|group| is_users(group.thread));
        for group in groups.filter(|group| group.blocked > Nanos::ZERO) {
            add_group(&mut totals, group);
        }
        return finished(totals, model);
    };
    for (id, blocked) in model.waits_in(&window.crew, window.span) {
        let site = model.sites.of(id);
        let thread = model.states.wait(id).thread;
        add(&mut totals[site.number() as usize], site.kind, thread, (blocked, 1, blocked));
    }
    ready(window).into_iter().chain(finished(totals, model)).collect()
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

/// Where the threads of each user process waited, in all of the capture, by the process's name.
pub(crate) fn by_process(model: &Model<'_>) -> Vec<ProcessTotal> {
    let threads = &model.capture.threads;
    let mut processes: BTreeMap<&str, (u64, Vec<Total>)> = BTreeMap::new();
    for (id, thread) in threads.iter() {
        // Of whom a recording of some processes has but the comings, it has nothing that could be looked at.
        let seen = model.states.leaves(id) || model.states.comings_recorded;
        let seen = seen && !model.states.of(id).is_empty() && !thread.is_idle_task();
        if seen && !threads.process(thread.process).kernel {
            let none = || (0, vec![Total::default(); model.sites.names().len()]);
            let comm = threads.process_comm(thread.process);
            processes.entry(comm).or_insert_with(none).0 += 1;
        }
    }
    for group in model.sums.iter() {
        let comm = threads.process_comm(threads.get(group.thread).process);
        if let Some((_, totals)) = processes.get_mut(comm) {
            add_group(totals, group);
        }
    }
    let rows = processes.into_iter().map(|(comm, (threads, totals))| ProcessTotal {
        comm: comm.to_owned(),
        threads,
        sites: finished(totals, model),
    });
    rows.collect()
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

/// One entry for each site's name.
fn finished(totals: Vec<Total>, model: &Model<'_>) -> Vec<SiteTotal> {
    let mut sites: Vec<SiteTotal> = model
        .sites
        .names()
        .iter()
        .zip(totals)
        .filter(|(_, total)| total.waits > 0)
        .map(|(site, total)| SiteTotal {
            site: site.to_owned(),
            cause: total.cause,
            blocked: total.blocked,
            waits: Some(total.waits),
            threads: total.threads.len() as u64,
            longest: Some(total.longest),
            idle: total.idle,
        })
        .collect();
    sites.sort_by(|a, b| {
        a.idle.cmp(&b.idle).then(b.blocked.cmp(&a.blocked)).then_with(|| a.site.cmp(&b.site))
    });
    sites
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
            by_process(&model).into_iter().map(|row| row.comm).collect::<Vec<_>>()
        };
        assert_eq!(looked_at(&["perf", "record", "-p", "97"]), ["server"]);
        assert_eq!(looked_at(&["perf", "record", "-a"]), ["server", "stranger"]);
    }
}
