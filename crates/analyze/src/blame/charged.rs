//! What is charged to whom, as rows of the findings.

use std::cmp::Reverse;

use crate::blame::answers;
use crate::blame::network::OtherEnd;
use crate::blame::stopped;
use crate::blame::{Leaf, Root, root_thread};
use crate::findings::{BlameRow, Cause, Operation, ThreadName};
use crate::holds::Hold;
use crate::model::Model;
use crate::states::WaitId;
use crate::verdict::work;
use crate::view;

/// Who is known to have kept others waiting without a lock.
pub(crate) struct Known<'a> {
    /// Who answered late.
    pub answers: Option<&'a OtherEnd>,
    /// Who stopped them.
    pub stopper: Option<&'a ThreadName>,
    /// Who had the CPUs, and how much of them.
    pub had_cpus: Option<(Option<ThreadName>, String)>,
}

/// One row for each activity, the largest first. What was waited for an answer, or under a stop, is charged to the one who
/// answered late or stopped the others, where that is known; and what was waited for a CPU, where that is the cause, to what
/// kept it from those who were ready.
pub(crate) fn of(
    model: &Model<'_>,
    cause: Cause,
    leaves: &[Leaf],
    known: Known<'_>,
) -> Vec<BlameRow> {
    let Known { answers, stopper, had_cpus } = known;
    let no_cpu = match cause {
        Cause::CpuThrottle => {
            Some((None, "used up: threads were ready, and not allowed to run".to_owned()))
        }
        _ => had_cpus,
    };
    let kept_by = |wait: WaitId| {
        answers
            .filter(|other| answers::answered(model, wait, other.thread))
            .map(|other| view::thread_name(model.capture, other.thread))
            .or_else(|| stopper.filter(|_| stopped::is_stop(model, wait)).cloned())
    };
    let mut rows: Vec<BlameRow> = Vec::new();
    for leaf in leaves {
        let mut row = row(model, leaf);
        if let Root::Own(wait) | Root::Blocked(_, wait) = leaf.root
            && let Some(by) = kept_by(wait)
        {
            row.doing = format!("kept others waiting: {}", model.sites.name(model.sites.of(wait)));
            row.thread = Some(by);
        }
        if let (Root::NeedsCpu(_), Some((by, doing))) = (leaf.root, &no_cpu) {
            row.thread.clone_from(by);
            row.doing.clone_from(doing);
        }
        match rows.iter_mut().find(|known| known.thread == row.thread && known.doing == row.doing) {
            Some(known) => known.time += row.time,
            None => rows.push(row),
        }
    }
    rows.sort_by_key(|row| Reverse(row.time));
    rows
}

fn row(model: &Model<'_>, leaf: &Leaf) -> BlameRow {
    let capture = model.capture;
    let holding = |hold: &Option<Hold>| {
        let operation = hold.and_then(|hold| hold.operation).map(Operation::word);
        operation.map_or(String::new(), |word| format!(" in {word}"))
    };
    let thread = root_thread(leaf.root).map(|thread| view::thread_name(capture, thread));
    let (doing, unknown) = match leaf.root {
        Root::Running(_) => {
            let doing =
                if model.states.comings_recorded { work::ON_CPU } else { work::NOT_BLOCKED };
            (format!("{doing}{}", holding(&leaf.hold)), false)
        }
        Root::Paused(_) => ("paused the others for its runtime".to_owned(), false),
        Root::NeedsCpu(_) => (format!("waiting for a CPU{}", holding(&leaf.hold)), false),
        Root::Blocked(_, wait) | Root::Own(wait) => {
            let site = model.sites.name(model.sites.of(wait));
            // A site may name its call already.
            let call = holding(&leaf.hold);
            let call = if site.ends_with(&call) { "" } else { call.as_str() };
            (format!("blocked: {site}{call}"), false)
        }
        Root::Unknown(why) => (why.text().to_owned(), true),
    };
    BlameRow { thread, doing, time: leaf.time, unknown }
}
