//! What events refer to, in tables beside them: callchains, names, arguments, records with paths.
//!
//! Two threads decode, each with tables of its own, so that neither has to wait for the other; the lowest bit of a
//! number says whose table it counts in. The same chain can have a number in both: what is made of it, a stack, has one.

use super::chains::{ChainId, Chains};
use super::dump::StackDump;
use super::event::{NameId, SideRecord};
use super::spins::SpunTimes;
use crate::capture::{BuildId, Capture};

/// So many threads decode.
pub(super) const LANES: usize = 2;

/// One of the threads that decode, by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lane(u32);

impl Lane {
    /// All of them.
    pub fn all() -> [Self; LANES] {
        [Self(0), Self(1)]
    }

    /// The number by which others know the row of this lane's table.
    pub fn tag(self, row: u32) -> u32 {
        row << 1 | self.0
    }
}

/// What the events of one lane refer to, filled while decoding.
#[derive(Default)]
pub(super) struct SideTables {
    pub chains: Chains,
    /// Taken out when their turn comes, so that their bytes are not kept.
    pub dumps: Vec<Option<StackDump>>,
    pub names: Vec<String>,
    pub args: Vec<[u64; 6]>,
    pub records: Vec<SideRecord>,
    pub spins: SpunTimes,
    /// Build ids by path that came as records: of pipes, and added by `perf inject -b`. They have no time, and
    /// come behind the mappings that they belong to.
    pub build_ids: Vec<(String, BuildId)>,
}

/// The tables of all lanes.
#[derive(Default)]
pub(super) struct Sides {
    lanes: [SideTables; LANES],
    /// In the order of the file.
    pub build_ids: Vec<(String, BuildId)>,
}

impl Sides {
    /// Adds a lane's rows that have the next numbers.
    pub fn append(&mut self, lane: Lane, news: SideTables) {
        let tables = &mut self.lanes[lane.0 as usize];
        tables.chains.append(&news.chains);
        tables.dumps.extend(news.dumps);
        tables.names.extend(news.names);
        tables.args.extend(news.args);
        tables.records.extend(news.records);
        self.build_ids.extend(news.build_ids);
    }

    /// Gives modules the build ids that came as records.
    pub fn identify(&self, capture: &mut Capture) {
        for (path, id) in &self.build_ids {
            capture.modules.identify(path, id);
        }
    }

    fn row(&self, tagged: u32) -> (&SideTables, usize) {
        (&self.lanes[tagged as usize % LANES], tagged as usize / LANES)
    }

    /// The words of a chain, innermost first, with perf's context markers among them.
    pub fn chain(&self, id: ChainId) -> &[u64] {
        let (tables, row) = self.row(id.0);
        tables.chains.words(row)
    }

    /// Whether any word of a chain is an address of user space.
    pub fn has_user(&self, id: ChainId) -> bool {
        let (tables, row) = self.row(id.0);
        tables.chains.has_user(row)
    }

    pub fn name(&self, id: NameId) -> &str {
        let (tables, row) = self.row(id.number());
        &tables.names[row]
    }

    pub fn args(&self, number: u32) -> [u64; 6] {
        let (tables, row) = self.row(number);
        tables.args[row]
    }

    pub fn record(&self, number: u32) -> &SideRecord {
        let (tables, row) = self.row(number);
        &tables.records[row]
    }

    /// Registers and stack bytes, which nobody else will ask for.
    pub fn take_dump(&mut self, number: u32) -> Option<StackDump> {
        self.lanes[number as usize % LANES].dumps.get_mut(number as usize / LANES)?.take()
    }
}
