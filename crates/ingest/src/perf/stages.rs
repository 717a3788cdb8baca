//! Reading in stages that run at the same time, each handing on to the next in order, so that what comes out is
//! the same as if one thread had done it all.
//!
//! ```text
//! a thread: blocks of bytes, records, decoded --> this thread: order of time, tables
//! ```

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::build::{Builder, SideTables};
use super::decode::{Decode, FINISHED_ROUND};
use super::event::Event;
use super::order::Sorter;
use super::records::{Damage, Record, walk};
use super::source::Source;
use crate::error::Problem;

/// Events that are handed on at once.
const BATCH: usize = 1 << 13;
/// Batches on their way.
const BATCHES: usize = 4;

/// Events in the order of the file.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    /// After how many of the events a round ended.
    rounds: Vec<usize>,
    /// What is new of that which they refer to.
    news: SideTables,
    /// How many bytes of the file have been read.
    done: u64,
}

/// What reading the records gave, besides what the builder was given.
pub(super) struct Read {
    pub decode: Decode,
    pub damage: Vec<Damage>,
    /// Events that came after a later one had been handed on.
    pub late: u64,
}

/// Reads the records of these stretches. Where there are several, each has rounds of its own, which say nothing of
/// the others'.
pub(super) fn read(
    stretches: &[(Source<'_>, Range<usize>)],
    decode: Decode,
    builder: &mut Builder,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Read, Problem> {
    let total = stretches.iter().map(|(_, range)| range.len() as u64).sum();
    let mut sorter = Sorter::default();
    let mut side = SideTables::default();
    thread::scope(|scope| {
        let (send, batches) = sync_channel(BATCHES);
        let (give_back, used) = sync_channel(BATCHES);
        let reader = scope.spawn(move || Reader::new(decode, send, used).read(stretches));
        for batch in batches {
            progress(batch.done, total);
            let events = take(batch, &mut sorter, &mut side, builder);
            // If nobody wants it, it is dropped.
            let _ = give_back.try_send(events);
        }
        sorter.finish(|event| builder.add(event, &mut side));
        progress(total, total);
        for (path, id) in &side.build_ids {
            builder.capture.modules.identify(path, id);
        }
        let (decode, damage) = match reader.join() {
            Ok(read) => read?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok(Read { decode, damage, late: sorter.late })
    })
}

/// Takes a batch, and gives its memory back for the next.
fn take(
    batch: Batch,
    sorter: &mut Sorter,
    side: &mut SideTables,
    builder: &mut Builder,
) -> Vec<Event> {
    side.append(batch.news);
    let mut from = 0;
    for round in batch.rounds {
        sorter.extend(&batch.events[from..round]);
        sorter.finish_round(|event| builder.add(event, side));
        from = round;
    }
    sorter.extend(&batch.events[from..]);
    batch.events
}

/// The stage that decodes.
struct Reader {
    decode: Decode,
    batch: Batch,
    send: SyncSender<Batch>,
    /// Memory of batches that were taken.
    used: Receiver<Vec<Event>>,
}

impl Reader {
    fn new(decode: Decode, send: SyncSender<Batch>, used: Receiver<Vec<Event>>) -> Self {
        Self { decode, batch: Batch::default(), send, used }
    }

    fn read(
        mut self,
        stretches: &[(Source<'_>, Range<usize>)],
    ) -> Result<(Decode, Vec<Damage>), Problem> {
        let mut damage = Vec::new();
        let mut before = 0;
        let has_rounds = stretches.len() == 1;
        for (source, range) in stretches {
            let big_endian = self.decode.big_endian();
            damage.extend(walk(*source, range.clone(), big_endian, |record| {
                self.batch.done = before + (record.offset - range.start) as u64;
                self.take(&record, has_rounds);
            })?);
            before += range.len() as u64;
        }
        self.hand_on();
        Ok((self.decode, damage))
    }

    fn take(&mut self, record: &Record<'_>, has_rounds: bool) {
        if record.kind == FINISHED_ROUND {
            if has_rounds {
                self.batch.rounds.push(self.batch.events.len());
            }
        } else {
            self.decode.record(record, &mut self.batch.events);
            if self.batch.events.len() == BATCH {
                self.hand_on();
            }
        }
    }

    fn hand_on(&mut self) {
        let mut events = self.used.try_recv().unwrap_or_default();
        events.clear();
        let mut batch = std::mem::replace(&mut self.batch, Batch { events, ..Batch::default() });
        batch.news = self.decode.news();
        // The other end takes batches until there are no more.
        let _ = self.send.send(batch);
    }
}
