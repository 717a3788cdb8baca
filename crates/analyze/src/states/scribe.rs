//! Lives, written down by a thread of its own.
//!
//! Half of the time that the states of threads took went into memory that is touched for the first time. What is written
//! down is not asked for until all of it is told, so another processor can do it meanwhile; what comes out is the same.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use coldcase_ingest::capture::{Span, ThreadId};

use crate::states::Doing;
use crate::states::life::Life;
use crate::states::load::Bins;

/// What one thread did.
type Deed = (ThreadId, Span, Doing);

/// So many deeds are handed over at a time: as many as fit into a processor's second cache several times.
const BATCH: usize = 2048;
/// Batches that may be on their way.
const BATCHES: usize = 16;

/// Takes what threads did, in order of time for each of them.
pub(crate) struct Scribe {
    batch: Vec<Deed>,
    full: SyncSender<Vec<Deed>>,
    empty: Receiver<Vec<Deed>>,
}

impl Scribe {
    /// A thread did this, as far as it is not known yet what it did then.
    pub fn push(&mut self, thread: ThreadId, span: Span, doing: Doing) {
        self.batch.push((thread, span, doing));
        if self.batch.len() == BATCH {
            let empty = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH));
            self.hand_over(empty);
        }
    }

    fn hand_over(&mut self, next: Vec<Deed>) {
        // The other end takes batches until there are no more.
        let _ = self.full.send(std::mem::replace(&mut self.batch, next));
    }
}

/// Writes all that is told into lives, and for how long somebody ran into bins.
pub(crate) fn write<R>(
    lives: impl FnOnce() -> Vec<Life> + Send,
    mut busy: Bins,
    tell: impl FnOnce(&mut Scribe) -> R,
) -> (R, Vec<Life>, Bins) {
    thread::scope(|scope| {
        let (full, batches) = sync_channel::<Vec<Deed>>(BATCHES);
        let (give_back, empty) = channel();
        let writer = scope.spawn(move || {
            let mut lives = lives();
            for mut batch in batches {
                for (thread, span, doing) in batch.drain(..) {
                    let added = lives[thread.index()].push(span, doing);
                    if let (Some(ran), Doing::Running) = (added, doing) {
                        busy.add(ran);
                    }
                }
                // If nobody wants it, it is dropped.
                let _ = give_back.send(batch);
            }
            (lives, busy)
        });
        let mut scribe = Scribe { batch: Vec::with_capacity(BATCH), full, empty };
        let told = tell(&mut scribe);
        scribe.hand_over(Vec::new());
        drop(scribe);
        match writer.join() {
            Ok((lives, busy)) => (told, lives, busy),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
