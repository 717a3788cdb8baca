//! What would have been left of a freeze if its culprit had not had the lock.
//!
//! Blame cuts every wait by who held the lock. Without one holder its pieces fall away and the others move up, so
//! a thread would have stood still for the rest of its own waiting. That is a lower bound: threads that come
//! sooner may get in each other's way more.

use coldcase_ingest::capture::{Nanos, ThreadId};

use crate::blame::{Blamer, root_thread};
use crate::findings::Counterfactual;
use crate::model::Model;

use crate::windows::RawWindow;

/// The freeze without the holds of one thread; `None` if the freeze was cut off by the recording.
pub(crate) fn without(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: ThreadId,
) -> Option<Counterfactual> {
    if raw.waits().any(|id| model.states.wait(id).open_start || model.states.wait(id).open_end) {
        return None;
    }
    let mut left = Counterfactual { longest: Nanos::ZERO, recovered: Nanos::ZERO };
    let mut threads: Vec<ThreadId> = raw.harms.iter().map(|harm| harm.thread).collect();
    threads.sort_unstable();
    threads.dedup();
    for thread in threads {
        let mut blamer = Blamer::new(model);
        for harm in raw.harms.iter().filter(|harm| harm.thread == thread) {
            blamer.add(harm);
        }
        let (mut of_culprit, mut of_others) = (Nanos::ZERO, Nanos::ZERO);
        for leaf in blamer.leaves() {
            let part = match root_thread(leaf.root) == Some(culprit) && leaf.hold.is_some() {
                true => &mut of_culprit,
                false => &mut of_others,
            };
            *part += leaf.time;
        }
        left.recovered += of_culprit;
        left.longest = left.longest.max(of_others);
    }
    Some(left)
}
