//! Waiting by site.

use coldcase_ingest::capture::{Nanos, ThreadId};

use rustc_hash::FxHashSet;

use crate::findings::{Cause, SiteTotal};
use crate::model::Model;
use crate::rules::WaitKind;
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
        let site = model.sites.of(id);
        let total = &mut totals[site.number() as usize];
        if let WaitKind::Harm(cause, _) = site.kind {
            total.cause = Some(cause);
        }
        total.idle = site.kind == WaitKind::Idle;
        total.blocked += blocked;
        total.waits += 1;
        total.threads.insert(wait.thread);
        total.longest = total.longest.max(blocked);
    }
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
