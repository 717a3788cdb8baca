//! Names and arguments of tracepoints on their way into the side tables: each name once, with its number.

use super::event::NameId;
use super::sides::{Lane, SideTables};
use super::tracepoint::Sink;
use crate::capture::SeededMap;

/// How many rows each of the side tables has had.
pub(super) struct Counts {
    pub dumps: Count,
    names: Count,
    args: Count,
    pub records: Count,
}

impl Counts {
    pub fn new(lane: Lane) -> Self {
        let none = Count { lane, rows: 0 };
        Self { dumps: none, names: none, args: none, records: none }
    }
}

/// The rows of one table, of those that this lane fills.
#[derive(Clone, Copy)]
pub(super) struct Count {
    lane: Lane,
    rows: u32,
}

impl Count {
    /// The number of the next row.
    pub fn next(&mut self) -> u32 {
        let number = self.lane.tag(self.rows);
        self.rows = self.rows.saturating_add(1);
        number
    }
}

/// Names of threads by their bytes; the kernel's have 16 at most, which are as good as a number.
#[derive(Default)]
pub(super) struct NameTable {
    short: SeededMap<u128, NameId>,
    long: SeededMap<Box<[u8]>, NameId>,
    /// Short names that were seen last, each at the place that its bytes give: most are among them.
    recent: Vec<Option<(u128, NameId)>>,
}

impl NameTable {
    const RECENT: usize = 256;

    fn place(name: u128) -> usize {
        const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
        let both = name as u64 ^ ((name >> 64) as u64).rotate_left(21);
        (both.wrapping_mul(MULTIPLIER) >> (u64::BITS - Self::RECENT.ilog2())) as usize
    }
}

/// Takes what a tracepoint's fields hold beside numbers into the side tables.
pub(super) struct SideSink<'a> {
    pub news: &'a mut SideTables,
    pub counts: &'a mut Counts,
    pub names: &'a mut NameTable,
}

impl SideSink<'_> {
    fn new_name(&mut self, name: &[u8]) -> NameId {
        self.news.names.push(String::from_utf8_lossy(name).into_owned());
        NameId::new(self.counts.names.next())
    }

    /// A short name that is not among those that were seen last.
    #[cold]
    fn seldom_name(&mut self, name: u128) -> NameId {
        if let Some(&id) = self.names.short.get(&name) {
            return id;
        }
        let bytes = name.to_le_bytes();
        let id = self.new_name(bytes.split(|&byte| byte == 0).next().unwrap_or_default());
        self.names.short.insert(name, id);
        id
    }
}

impl Sink for SideSink<'_> {
    fn name(&mut self, name: &[u8]) -> NameId {
        if let Some(&id) = self.names.long.get(name) {
            return id;
        }
        let id = self.new_name(name);
        self.names.long.insert(name.into(), id);
        id
    }

    fn short_name(&mut self, name: u128) -> NameId {
        let place = NameTable::place(name);
        match self.names.recent.get(place) {
            Some(&Some((known, id))) if known == name => id,
            _ => {
                let id = self.seldom_name(name);
                self.names.recent.resize(NameTable::RECENT, None);
                self.names.recent[place] = Some((name, id));
                id
            }
        }
    }

    fn args(&mut self, args: [u64; 6]) -> u32 {
        self.news.args.push(args);
        self.counts.args.next()
    }
}
