//! Which of the threads that decode takes which part of the file.
//!
//! ```text
//! lane 0:  | read block 0    |pass| decode            | read block 2    |pass| decode
//! lane 1:  | read block 1         |pass| decode            | read block 3    |pass| decode
//! ```
//!
//! Where a block's first record begins, only the records before it tell. So whoever has read a block waits for its turn,
//! passes over the headers of its records, and gives the turn away before it decodes them. From the first record on that
//! needs what came before it (packed ones, and all behind damage), everything is decoded in the turn, by one at a time.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::blocks::Blocks;
use super::records::{Damage, LARGEST, Record, Walk, pass};
use super::source::Source;
use crate::error::Problem;

/// How much of the file is read at a time, in bytes.
const BLOCK: usize = 1 << 18;

/// A perf.data's records, to be taken in turns.
pub(super) struct Turns<'a> {
    big_endian: bool,
    next: Mutex<Next<'a>>,
    /// The turn was given away.
    given: Condvar,
}

/// What is to be taken next.
struct Next<'a> {
    /// Parts whose records have been passed.
    passed: u64,
    /// Bytes of the file that have been passed.
    done: u64,
    way: Way<'a>,
    damage: Vec<Damage>,
}

enum Way<'a> {
    Blocks {
        source: Source<'a>,
        /// Where the next record begins.
        at: usize,
        /// What nobody has begun to read.
        to_come: Range<usize>,
        /// Blocks that somebody has begun to read.
        begun: u64,
    },
    InTurn {
        now: Option<(Blocks<'a>, Walk)>,
        /// Stretches of records behind that one.
        stretches: &'a [(Source<'a>, Range<usize>)],
    },
    Failed,
}

/// A part of the file that was taken.
pub(super) struct Part {
    /// Counted from 0, in the order of the file.
    pub number: u64,
    /// Where in the buffer its records are; none if they were visited in the turn.
    pub records: Range<usize>,
    /// Where in the file they are, in bytes.
    pub offset: usize,
    /// How many bytes of the file have been taken.
    pub done: u64,
}

impl<'a> Turns<'a> {
    pub fn new(stretches: &'a [(Source<'a>, Range<usize>)], big_endian: bool) -> Self {
        let way = match stretches {
            &[(source, ref range)] => {
                Way::Blocks { source, at: range.start, to_come: range.clone(), begun: 0 }
            }
            _ => Way::InTurn { now: None, stretches },
        };
        let next = Mutex::new(Next { passed: 0, done: 0, way, damage: Vec::new() });
        Self { big_endian, next, given: Condvar::new() }
    }

    /// Takes the next part: in the buffer, or, where that cannot be, by visiting its records. `None` at the end.
    pub fn take(
        &self,
        buffer: &mut Vec<u8>,
        visit: &mut impl FnMut(Record<'_>),
    ) -> Result<Option<Part>, Problem> {
        let part = self.take_block(buffer);
        let part = match part {
            Ok(None) => self.lock().take_in_turn(self.big_endian, visit),
            part => part,
        };
        if part.is_err() {
            self.lock().way = Way::Failed;
            self.given.notify_all();
        }
        part
    }

    /// Whether anything could not be read so far.
    pub fn is_damaged(&self) -> bool {
        !self.lock().damage.is_empty()
    }

    /// What could not be read, in the order of the file.
    pub fn damage(self) -> Vec<Damage> {
        self.next.into_inner().unwrap_or_else(PoisonError::into_inner).damage
    }

    fn lock(&self) -> MutexGuard<'_, Next<'a>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if there is no block left, or if what comes next has to be taken in turn.
    fn take_block(&self, buffer: &mut Vec<u8>) -> Result<Option<Part>, Problem> {
        let Some((source, number, block)) = self.lock().begin() else { return Ok(None) };
        let length = block.len();
        buffer.resize(BLOCK + LARGEST, 0);
        source.read(block.start, &mut buffer[..length])?;
        let is_waiting =
            |next: &mut Next<'_>| next.passed != number && matches!(next.way, Way::Blocks { .. });
        let turn = self.given.wait_while(self.lock(), is_waiting);
        let mut next = turn.unwrap_or_else(PoisonError::into_inner);
        let Some(records) = next.pass(&block, &buffer[..length], self.big_endian) else {
            return Ok(None);
        };
        let done = next.done;
        drop(next);
        self.given.notify_all();
        // The last record goes on behind the block.
        if records.end > length {
            source.read(block.end, &mut buffer[length..records.end])?;
        }
        let offset = block.start + records.start;
        Ok(Some(Part { number, records, offset, done }))
    }
}

impl<'a> Next<'a> {
    /// The next block, which whoever asks has to read.
    fn begin(&mut self) -> Option<(Source<'a>, u64, Range<usize>)> {
        let Way::Blocks { source, to_come, begun, .. } = &mut self.way else { return None };
        let block = to_come.start..to_come.end.min(to_come.start + BLOCK);
        let number = *begun;
        to_come.start = block.end;
        *begun += 1;
        (!block.is_empty()).then_some((*source, number, block))
    }

    /// Passes over the records that begin in a block, and says where in it they are. `None` if it has to be taken in turn.
    fn pass(
        &mut self,
        block: &Range<usize>,
        bytes: &[u8],
        big_endian: bool,
    ) -> Option<Range<usize>> {
        let &mut Way::Blocks { source, ref mut at, ref to_come, .. } = &mut self.way else {
            return None;
        };
        let end = to_come.end;
        let from = *at - block.start;
        let (until, is_whole) = pass(bytes, from, end - block.start, big_endian);
        *at = block.start + until;
        self.passed += 1;
        self.done += (until - from) as u64;
        if !is_whole {
            let at = *at;
            let now = Some((Blocks::new(source, at..end), Walk::new(at, big_endian)));
            self.way = Way::InTurn { now, stretches: &[] };
        }
        Some(from..until)
    }

    fn take_in_turn(
        &mut self,
        big_endian: bool,
        visit: &mut impl FnMut(Record<'_>),
    ) -> Result<Option<Part>, Problem> {
        let Way::InTurn { now, stretches } = &mut self.way else { return Ok(None) };
        loop {
            let Some((blocks, walk)) = now else {
                let Some(((source, range), behind)) = stretches.split_first() else {
                    return Ok(None);
                };
                *stretches = behind;
                let walk = Walk::new(range.start, big_endian);
                *now = Some((Blocks::new(*source, range.clone()), walk));
                continue;
            };
            let Some((bytes, is_last)) = blocks.next()? else {
                self.damage.append(&mut walk.damage);
                *now = None;
                continue;
            };
            let used = walk.take(bytes, is_last, visit);
            blocks.used(used);
            let number = self.passed;
            self.passed += 1;
            self.done += used as u64;
            return Ok(Some(Part { number, records: 0..0, offset: 0, done: self.done }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::{each, walk};
    use super::*;

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let size = u16::try_from(body.len() + 8).unwrap();
        [&kind.to_le_bytes()[..], &[0, 0], &size.to_le_bytes(), body].concat()
    }

    /// What two threads take, put in order.
    fn in_turns(file: &[u8]) -> (Vec<(usize, u32)>, Vec<Damage>) {
        let stretches = [(Source::Memory(file), 0..file.len())];
        let turns = Turns::new(&stretches, false);
        let lane = || {
            let (mut parts, mut buffer) = (Vec::new(), Vec::new());
            loop {
                let mut found = Vec::new();
                let mut visit = |record: Record<'_>| found.push((record.offset, record.kind));
                let Some(part) = turns.take(&mut buffer, &mut visit).ok().unwrap() else { break };
                each(&buffer[part.records], part.offset, false, &mut visit);
                parts.push((part.number, found));
            }
            parts
        };
        let mut parts = std::thread::scope(|scope| {
            let other = scope.spawn(lane);
            [lane(), other.join().unwrap()].concat()
        });
        parts.sort_by_key(|&(number, _)| number);
        assert!(parts.iter().map(|&(number, _)| number).eq(0..parts.len() as u64));
        (parts.into_iter().flat_map(|(_, found)| found).collect(), turns.damage())
    }

    #[test]
    fn what_is_taken_in_turns_is_what_one_finds_who_walks_alone() {
        let plain: Vec<u8> = (0..40_000).flat_map(|_| record(9, &[7; 24])).collect();
        let large: Vec<u8> = (0..20).flat_map(|_| record(9, &[7; 65_520])).collect();
        let packed = zstd::stream::encode_all(&plain[..6400], 1).unwrap();
        let files = [
            Vec::new(),
            plain.clone(),
            [&plain[..], &large, &plain[..48]].concat(),
            [&plain[..], &large[..100]].concat(),
            [&plain[..], &[0; 40], &plain].concat(),
            [&plain[..], &record(81, &packed), &plain, &record(71, &[8, 0, 0, 0, 0, 0, 0, 0])]
                .concat(),
        ];
        for (number, file) in files.iter().enumerate() {
            let mut alone = Vec::new();
            let visit = |record: Record<'_>| alone.push((record.offset, record.kind));
            let damage = walk(Source::Memory(file), 0..file.len(), false, visit).unwrap();
            assert_eq!(in_turns(file), (alone, damage), "file {number}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_ends_all_lanes() {
        let file = tempfile::tempfile().unwrap();
        let stretches = [(Source::File { file: &file, length: 10 * BLOCK }, 0..10 * BLOCK)];
        let turns = Turns::new(&stretches, false);
        let lane = || turns.take(&mut Vec::new(), &mut |_| ());
        let ends = std::thread::scope(|scope| {
            [scope.spawn(lane), scope.spawn(lane)].map(|lane| lane.join().unwrap())
        });
        // Whoever comes behind the one that failed finds nothing.
        assert!(ends.iter().any(|end| end.is_err()));
        assert!(ends.iter().all(|end| !matches!(end, Ok(Some(_)))));
    }
}
