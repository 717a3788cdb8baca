//! Waiting by site.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Nanos, ThreadId};

use rustc_hash::FxHashSet;

use crate::findings::{Cause, ProcessTotal, SiteTotal};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::thread_state::WaitId;
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

/// Where the window's process waited in the window, or all user processes in all of the capture, by blocked
/// time; where they rested comes last.
pub(crate) fn by_site(model: &Model<'_>, window: Option<&RawWindow>) -> Vec<SiteTotal> {
    let threads = &model.capture.threads;
    let mut totals = vec![Total::default(); model.sites.names().len()];
    let crew = window.map(|window| window.crew.iter().copied().collect::<FxHashSet<ThreadId>>());
    for (id, wait) in model.states.waits() {
        let thread = threads.get(wait.thread);
        let (inside, blocked) = match window {
            Some(window) => {
                let inside = crew.as_ref().is_some_and(|crew| crew.contains(&wait.thread));
                (inside, wait.span.overlap(window.span))
            }
            None => (!threads.process(thread.process).kernel, wait.span.duration()),
        };
        if !inside || blocked == Nanos::ZERO {
            continue;
        }
        add(&mut totals, model, (id, wait.thread), blocked);
    }
    finished(totals, model)
}

/// Where the threads of each user process waited, in all of the capture, by the process's name.
pub(crate) fn by_process(model: &Model<'_>) -> Vec<ProcessTotal> {
    let threads = &model.capture.threads;
    let mut processes: BTreeMap<&str, (u64, Vec<Total>)> = BTreeMap::new();
    for (id, thread) in threads.iter() {
        let seen = !model.states.of(id).is_empty() && !thread.is_idle_task();
        if seen && !threads.process(thread.process).kernel {
            let none = || (0, vec![Total::default(); model.sites.names().len()]);
            let comm = threads.process_comm(thread.process);
            processes.entry(comm).or_insert_with(none).0 += 1;
        }
    }
    for (id, wait) in model.states.waits() {
        let comm = threads.process_comm(threads.get(wait.thread).process);
        if let Some((_, totals)) = processes.get_mut(comm) {
            add(totals, model, (id, wait.thread), wait.span.duration());
        }
    }
    let rows = processes.into_iter().map(|(comm, (threads, totals))| ProcessTotal {
        comm: comm.to_owned(),
        threads,
        sites: finished(totals, model),
    });
    rows.collect()
}

fn add(totals: &mut [Total], model: &Model<'_>, (id, thread): (WaitId, ThreadId), blocked: Nanos) {
    let site = model.sites.of(id);
    let total = &mut totals[site.number() as usize];
    if let WaitKind::Harm(cause, _) = site.kind {
        total.cause = Some(cause);
    }
    total.idle = site.kind == WaitKind::Idle;
    total.blocked += blocked;
    total.waits += 1;
    total.threads.insert(thread);
    total.longest = total.longest.max(blocked);
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
