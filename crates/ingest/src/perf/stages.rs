//! Reading in stages that run at the same time, each handing on to the next in order, so that what comes out is
//! the same as if one thread had done it all.
//!
//! ```text
//! a thread:    blocks of bytes, records, decoded --> this thread: order of time, tables
//! this thread, when it has nothing else to do: the same
//! ```

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::build::Builder;
use super::chapters::Chapters;
use super::cpu_map::Cpus;
use super::decode::{CPU_MAP, Decode, FINISHED_ROUND};
use super::emptied::Emptied;
use super::event::Event;
use super::order::Sorter;
use super::records::{Damage, Record, each, is_packed};
use super::sides::{LANES, Lane, SideTables, Sides};
use super::source::Source;
use super::turns::Turns;
use crate::capture::Timestamp;
use crate::error::Problem;

/// Batches of a lane that may be on their way.
const BATCHES: usize = 16;

/// Events of one part of the file, in its order.
struct Batch {
    lane: Lane,
    /// The number of the part.
    number: u64,
    events: Vec<Event>,
    marks: Marks,
    /// What is new of that which the lane's events refer to.
    news: SideTables,
    /// How many bytes of the file have been taken.
    done: u64,
}

/// What perf writes between events.
#[derive(Default)]
struct Marks {
    /// After how many of the events a round ended.
    rounds: Vec<usize>,
    /// Which CPUs were recorded.
    cpus: Option<Cpus>,
    /// Whether records were packed.
    are_packed: bool,
}

/// What a lane says: a batch, or that it has ended before the file did.
type Message = Option<Batch>;

/// What reading the records gave, besides what the builder was given.
pub(super) struct Read {
    /// With the counts of all lanes.
    pub decode: Decode,
    pub damage: Vec<Damage>,
    /// Events that came after a later one had been handed on.
    pub late: u64,
    /// Up to when all events are there even if the file breaks off; `None` if its rounds do not tell.
    pub complete: Option<Timestamp>,
}

/// Reads the records of these stretches. Where there are several, each has rounds of its own, which say nothing of
/// the others'.
pub(super) fn read(
    stretches: &[(Source<'_>, Range<usize>)],
    decoders: [Decode; LANES],
    builder: &mut Builder,
    chapters: Option<&mut Chapters<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Read, Problem> {
    let total = stretches.iter().map(|(_, range)| range.len() as u64).sum();
    let has_rounds = stretches.len() == 1;
    let turns = Turns::new(stretches, decoders[0].big_endian());
    let mut tables = Tables::new(builder, chapters);
    let [own, other] = decoders.map(|decode| Decoding { decode, has_rounds, buffer: Vec::new() });
    let [own, other] = thread::scope(|scope| {
        let (send, messages) = channel();
        let (give_back, empty) = channel();
        (0..BATCHES).for_each(|_| drop(give_back.send(Vec::new())));
        let line = Line { send, is_done: false };
        let lane = scope.spawn(|| other.read(&turns, line, empty));
        let own =
            tables.take_all(own, &turns, &messages, &give_back, &mut |done| progress(done, total));
        // Whoever waits for an empty batch need wait no more.
        drop(give_back);
        match lane.join() {
            Ok(other) => [own, other],
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    let decode = own?.with_counts_of(other?);
    let complete = has_rounds.then(|| Timestamp(tables.emptied.complete()));
    let late = tables.finish();
    progress(total, total);
    Ok(Read { decode, damage: turns.damage(), late, complete })
}

/// The stage behind the lanes.
struct Tables<'b, 'c> {
    builder: &'b mut Builder,
    chapters: Option<&'b mut Chapters<'c>>,
    sorter: Sorter,
    emptied: Emptied,
    sides: Sides,
}

impl<'b, 'c> Tables<'b, 'c> {
    fn new(builder: &'b mut Builder, chapters: Option<&'b mut Chapters<'c>>) -> Self {
        let (sorter, emptied, sides) = Default::default();
        Self { builder, chapters, sorter, emptied, sides }
    }

    /// Takes all batches in the order of the file, and gives their memory back to the other lane. Decodes for itself as long
    /// as nothing else is to be done.
    fn take_all(
        &mut self,
        mut own: Decoding,
        turns: &Turns<'_>,
        messages: &Receiver<Message>,
        give_back: &Sender<Vec<Event>>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Decode, Problem> {
        let mut early: BTreeMap<u64, Batch> = BTreeMap::new();
        let mut empty = vec![Vec::new(); BATCHES];
        let mut next = 0;
        let mut is_end = false;
        loop {
            while let Some(batch) = early.remove(&next) {
                next += 1;
                progress(batch.done);
                let lane = batch.lane;
                let events = self.take(batch);
                self.end_chapter(turns);
                if lane == own.decode.lane() {
                    empty.push(events);
                } else {
                    // If nobody wants it, it is dropped.
                    let _ = give_back.send(events);
                }
            }
            let message = match messages.try_recv() {
                Ok(message) => message,
                Err(_) if !is_end && let Some(events) = empty.pop() => {
                    match own.part(turns, events)? {
                        Some(batch) => drop(early.insert(batch.number, batch)),
                        None => is_end = true,
                    }
                    continue;
                }
                Err(_) => match messages.recv() {
                    Ok(message) => message,
                    Err(_) => break,
                },
            };
            // What is behind a part that nobody will decode is of no use.
            let Some(batch) = message else { break };
            early.insert(batch.number, batch);
        }
        Ok(own.decode)
    }

    fn take(&mut self, batch: Batch) -> Vec<Event> {
        let Self { builder, sorter, emptied, sides, .. } = self;
        for (span, count) in batch.news.spins.iter() {
            builder.add_spins(span, count);
        }
        sides.append(batch.lane, batch.news);
        emptied.look_at(batch.marks.cpus, batch.marks.are_packed);
        let mut from = 0;
        for round in batch.marks.rounds {
            emptied.extend(&batch.events[from..round]);
            emptied.finish_round();
            sorter.extend(&batch.events[from..round]);
            sorter.finish_round(|event| builder.add(event, sides));
            from = round;
        }
        emptied.extend(&batch.events[from..]);
        sorter.extend(&batch.events[from..]);
        batch.events
    }

    /// Hands on what is left, and says how many events came late.
    fn finish(self) -> u64 {
        let Self { builder, chapters, mut sorter, mut sides, .. } = self;
        sorter.finish(|event| builder.add(event, &mut sides));
        if let Some(chapters) = chapters {
            chapters.begin(&mut builder.capture);
        }
        sides.identify(&mut builder.capture);
        sorter.late
    }

    /// Hands a chapter on if one has grown long.
    fn end_chapter(&mut self, turns: &Turns<'_>) {
        let Some(chapters) = &mut self.chapters else { return };
        let Self { builder, sides, .. } = self;
        if chapters.is_long(&builder.capture) {
            sides.identify(&mut builder.capture);
            builder.sort_late();
            chapters.end(&mut builder.capture, turns.is_damaged());
        }
    }
}

/// A lane: it decodes parts of the file.
struct Decoding {
    decode: Decode,
    has_rounds: bool,
    buffer: Vec<u8>,
}

impl Decoding {
    /// Decodes parts until there are no more, as long as there is memory for their events.
    fn read(
        mut self,
        turns: &Turns<'_>,
        mut line: Line,
        empty: Receiver<Vec<Event>>,
    ) -> Result<Decode, Problem> {
        for events in empty {
            let Some(batch) = self.part(turns, events)? else { break };
            // The other end takes batches until there are no more.
            let _ = line.send.send(Some(batch));
        }
        line.is_done = true;
        Ok(self.decode)
    }

    /// Decodes the next part; `None` if there is none.
    fn part(
        &mut self,
        turns: &Turns<'_>,
        mut events: Vec<Event>,
    ) -> Result<Option<Batch>, Problem> {
        let Self { decode, has_rounds, buffer } = self;
        let (lane, big_endian) = (decode.lane(), decode.big_endian());
        let mut marks = Marks::default();
        events.clear();
        decode.begin_part();
        let mut visit = |record: Record<'_>| {
            let count = events.len();
            if record.kind != FINISHED_ROUND {
                marks.look_at(&record, big_endian);
                decode.record(&record, &mut events);
            } else if *has_rounds && !marks.rounds.ends_with(&[count, count]) {
                // The second round without an event hands on all that is left; there can be millions of them.
                marks.rounds.push(count);
                decode.begin_round(count);
            }
        };
        let Some(part) = turns.take(buffer, &mut visit)? else { return Ok(None) };
        each(&buffer[part.records], part.offset, big_endian, &mut visit);
        let (number, done, news) = (part.number, part.done, decode.news());
        Ok(Some(Batch { lane, number, events, marks, news, done }))
    }
}

impl Marks {
    fn look_at(&mut self, record: &Record<'_>, big_endian: bool) {
        if record.kind == CPU_MAP {
            self.cpus = Cpus::read(record.body, big_endian);
        }
        self.are_packed |= is_packed(record.kind);
    }
}

/// A lane's way to tell what it has decoded, and, however it ends, that there will be no more.
struct Line {
    send: Sender<Message>,
    is_done: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = self.send.send(None);
        }
    }
}
