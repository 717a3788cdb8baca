//! Address spaces: which file lay where in which process, and when.

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::chains::ChainId;
use super::event::MmapRecord;
use super::sides::Sides;
use crate::capture::{
    BuildId, Capture, FrameId, FrameTable, Location, Mode, Module, ModuleId, ModuleKind, SeededMap,
    StackId,
};

/// All address spaces, by process number.
#[derive(Default)]
pub(super) struct Spaces {
    spaces: FxHashMap<i32, Space>,
    epochs: u32,
    revisions: u32,
    stacks: FxHashMap<(ChainId, u32), Option<StackId>>,
    /// By chain, the epoch in which it was last asked for, and what it was: hardly any chain is more than one stack.
    latest: Vec<(u32, Option<StackId>)>,
    /// Processes and their epochs, by the lowest bits of their numbers: what is asked for with each event. Emptied by
    /// every change.
    recent: Vec<Option<(i32, u32)>>,
    build_ids: SeededMap<String, BuildId>,
    frames: Vec<FrameId>,
    kernel: KernelFrames,
    mapped: usize,
    inherited: usize,
    /// Children that were too many to be given their parents' mappings, too.
    pub orphans: u64,
}

/// What one process has mapped; a new epoch begins when an address changes its meaning.
#[derive(Clone, Default)]
struct Space {
    epoch: u32,
    /// Whether others that were born with the same mappings have the epoch, too.
    is_shared: bool,
    /// The epoch of the children that were born since the last change.
    childrens: Option<u32>,
    /// Another one after every change.
    revision: u32,
    /// By start, without overlaps; a child shares its parent's until one of them changes.
    mappings: Rc<BTreeMap<u64, Mapping>>,
}

/// A stretch of a process's memory.
#[derive(Clone, Copy)]
pub(super) struct Mapping {
    pub start: u64,
    pub end: u64,
    pub file_offset: u64,
    /// `None` for memory without a file.
    pub module: Option<ModuleId>,
}

/// The kernel's addresses mean the same in every process.
const KERNEL_EPOCH: u32 = u32::MAX;
/// No epoch, for chains that nobody asked for.
const NO_EPOCH: u32 = u32::MAX - 1;
/// Places for processes whose epochs are found at once.
const RECENT: usize = 256;
/// perf marks the frames that follow by addresses that no code can have: the last 4095
/// (`enum perf_callchain_context`, `include/uapi/linux/perf_event.h`).
const MARKERS: u64 = 0xffff_ffff_ffff_f001;
const MARKER_KERNEL: u64 = (-128_i64).cast_unsigned();
pub(super) const MARKER_USER: u64 = (-512_i64).cast_unsigned();
/// Children are given copies of so many mappings in all, and of so many for each that was recorded, or a small file
/// would become large tables.
const MOST_INHERITED: usize = 4_000_000;
const INHERITED_PER_MAPPED: usize = 64;

impl Spaces {
    /// Build ids that the capture's index gives, by path.
    pub fn add_build_id(&mut self, path: String, id: BuildId) {
        self.build_ids.insert(path, id);
    }

    /// The build id that the index gives for a path.
    pub fn build_id(&self, path: &str) -> Option<&BuildId> {
        self.build_ids.get(path)
    }

    /// A process maps a file.
    pub fn map(&mut self, record: &MmapRecord, capture: &mut Capture) {
        let module = user_module(record, self.build_ids.get(&record.path));
        let mapping = Mapping {
            start: record.start,
            end: record.start.saturating_add(record.length),
            file_offset: if is_made(&record.path) { record.start } else { record.file_offset },
            module: module.map(|module| capture.modules.intern(module)),
        };
        // Nothing lies in it.
        if mapping.start == mapping.end {
            return;
        }
        let next_epoch = self.epochs + 1;
        self.revisions += 1;
        self.mapped += 1;
        let space = self.spaces.entry(record.pid).or_default();
        space.revision = self.revisions;
        if Rc::strong_count(&space.mappings) > 1 {
            let most = MOST_INHERITED.saturating_add(self.mapped * INHERITED_PER_MAPPED);
            if self.inherited + space.mappings.len() > most {
                space.mappings = Rc::default();
                self.orphans += 1;
            }
            self.inherited += space.mappings.len();
        }
        let overlapped = space.insert(mapping);
        space.childrens = None;
        if space.epoch == 0 || space.is_shared || overlapped {
            space.epoch = next_epoch;
            space.is_shared = false;
            self.epochs = next_epoch;
            self.recent.clear();
        }
    }

    /// A process is born with its parent's mappings. What its addresses mean is the same as for all children that were
    /// born with these.
    pub fn fork(&mut self, pid: i32, parent: i32) {
        let next_epoch = self.epochs + 1;
        let mut space = Space::default();
        if let Some(parent) = self.spaces.get_mut(&parent) {
            parent.childrens.get_or_insert(next_epoch);
            space = parent.clone();
        }
        space.epoch = space.childrens.unwrap_or(next_epoch);
        space.is_shared = true;
        self.epochs = self.epochs.max(space.epoch);
        self.recent.clear();
        self.spaces.insert(pid, space);
    }

    /// A process runs another program: nothing of its memory stays.
    pub fn exec(&mut self, pid: i32) {
        self.epochs += 1;
        self.recent.clear();
        self.spaces.insert(pid, Space { epoch: self.epochs, ..Space::default() });
    }

    /// What a process has mapped, by address, and a number that changes with it.
    pub fn mappings(&self, pid: i32) -> Option<(&BTreeMap<u64, Mapping>, u32)> {
        self.spaces.get(&pid).map(|space| (&*space.mappings, space.revision))
    }

    /// The stack of a raw callchain as it was in this process at this moment; `None` if it has no frame.
    pub fn stack(
        &mut self,
        chain: ChainId,
        pid: i32,
        sides: &Sides,
        capture: &mut Capture,
    ) -> Option<StackId> {
        let epoch = if sides.has_user(chain) { self.epoch(pid) } else { KERNEL_EPOCH };
        let index = chain.0 as usize;
        if let Some(&(known, stack)) = self.latest.get(index)
            && known == epoch
        {
            return stack;
        }
        let stack = match self.stacks.get(&(chain, epoch)) {
            Some(&stack) => stack,
            None => {
                let stack = self.resolve(sides.chain(chain), pid, capture);
                self.stacks.insert((chain, epoch), stack);
                stack
            }
        };
        if self.latest.len() <= index {
            self.latest.resize(index + 1, (NO_EPOCH, None));
        }
        self.latest[index] = (epoch, stack);
        stack
    }

    /// The epoch of a process; 0 of one that mapped nothing.
    fn epoch(&mut self, pid: i32) -> u32 {
        let place = pid.cast_unsigned() as usize % RECENT;
        match self.recent.get(place) {
            Some(&Some((known, epoch))) if known == pid => epoch,
            _ => {
                let epoch = self.spaces.get(&pid).map_or(0, |space| space.epoch);
                self.recent.resize(RECENT, None);
                self.recent[place] = Some((pid, epoch));
                epoch
            }
        }
    }

    /// The stack of a callchain that is seen once.
    pub fn resolve(&mut self, words: &[u64], pid: i32, capture: &mut Capture) -> Option<StackId> {
        let space = self.spaces.get(&pid);
        let mut place = Places { space, last: None };
        let mut mode = None;
        self.frames.clear();
        for &word in words {
            if word >= MARKERS {
                mode = match word {
                    MARKER_KERNEL => Some(Mode::Kernel),
                    MARKER_USER => Some(Mode::User),
                    _ => None,
                };
                continue;
            }
            let mode = mode.unwrap_or_else(|| mode_of_address(word));
            self.frames.push(match mode {
                Mode::Kernel => self.kernel.frame(word, &mut capture.frames),
                Mode::User => capture.frames.intern(mode, place.of(word)),
            });
        }
        (!self.frames.is_empty()).then(|| capture.stacks.intern(&self.frames))
    }
}

impl Mapping {
    pub fn covers(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

impl Space {
    /// Adds a mapping in the place of what it overlaps; whether there was any. A program with one segment for code and
    /// constants is mapped as a whole first, and then its data over the end of that, so what lies beside stays.
    fn insert(&mut self, mapping: Mapping) -> bool {
        let mappings = Rc::make_mut(&mut self.mappings);
        let before = mappings.range(..mapping.start).next_back();
        let before = before.filter(|(_, old)| old.end > mapping.start).map(|(&start, _)| start);
        let inside = mappings.range(mapping.start..mapping.end);
        let gone: Vec<u64> = before.into_iter().chain(inside.map(|(&start, _)| start)).collect();
        for start in &gone {
            let Some(old) = mappings.remove(start) else { continue };
            if old.start < mapping.start {
                mappings.insert(old.start, Mapping { end: mapping.start, ..old });
            }
            if mapping.end < old.end {
                let file_offset = old.file_offset.wrapping_add(mapping.end - old.start);
                mappings.insert(mapping.end, Mapping { start: mapping.end, file_offset, ..old });
            }
        }
        mappings.insert(mapping.start, mapping);
        !gone.is_empty()
    }

    fn mapping(&self, address: u64) -> Option<Mapping> {
        let (_, &mapping) = self.mappings.range(..=address).next_back()?;
        mapping.covers(address).then_some(mapping)
    }
}

/// Where the addresses of one callchain lie: mostly in the same file as the one before.
struct Places<'a> {
    space: Option<&'a Space>,
    last: Option<Mapping>,
}

impl Places<'_> {
    fn of(&mut self, address: u64) -> Location {
        if !self.last.is_some_and(|last| last.covers(address)) {
            self.last = self.space.and_then(|space| space.mapping(address));
        }
        match self.last {
            Some(Mapping { start, file_offset, module: Some(module), .. }) => {
                let offset = (address - start).saturating_add(file_offset);
                Location::File { module, offset }
            }
            _ => Location::Address(address),
        }
    }
}

/// The kernel's frames that were seen last, by bits of their addresses: there are some thousand, in every callchain.
#[derive(Default)]
struct KernelFrames(Vec<Option<(u64, FrameId)>>);

impl KernelFrames {
    const BITS: u32 = 13;

    fn frame(&mut self, address: u64, frames: &mut FrameTable) -> FrameId {
        self.0.resize(1 << Self::BITS, None);
        let spread = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seen = &mut self.0[(spread >> (u64::BITS - Self::BITS)) as usize];
        match *seen {
            Some((known, frame)) if known == address => frame,
            _ => {
                let frame = frames.intern(Mode::Kernel, Location::Address(address));
                *seen = Some((address, frame));
                frame
            }
        }
    }
}

/// Kernel addresses have the highest bit set, on x86-64 as on arm64.
fn mode_of_address(address: u64) -> Mode {
    if is_user(address) { Mode::User } else { Mode::Kernel }
}

/// Whether an address, or what stands in its place, is one of user space.
pub(super) fn is_user(address: u64) -> bool {
    address >> 63 == 0
}

/// Whether a mapping has no file, by the name that the kernel gives it (`is_anon_memory`,
/// `tools/perf/util/map.c`, Linux 6.1).
fn is_made(path: &str) -> bool {
    ["//anon", "[anon", "/dev/zero", "/anon_hugepage"].iter().any(|name| path.starts_with(name))
}

/// Memory without a file that code is run from: a JIT's. It writes what it makes to a map, by which perf
/// calls it, too (`map__new`, `tools/perf/util/map.c`, Linux 6.1). Its bytes are counted by their address.
fn made_code(record: &MmapRecord) -> Module {
    let path = format!("/tmp/perf-{}.map", record.pid);
    Module { path, kind: ModuleKind::Anonymous, build_id: None }
}

/// The module of a mapping; `None` for memory without a file, such as a stack or a JIT's code.
fn user_module(record: &MmapRecord, indexed: Option<&BuildId>) -> Option<Module> {
    let path = record.path.as_str();
    let kind = match path {
        "[vdso]" | "[vdso32]" => ModuleKind::Vdso,
        "[heap]" | "[stack]" | "[vvar]" | "[uprobes]" | "" => return None,
        _ if is_made(path) => return Some(made_code(record)),
        _ if path.starts_with("/memfd:") => ModuleKind::Anonymous,
        _ => ModuleKind::User,
    };
    let build_id = record.build_id.as_ref().map(|id| BuildId(id.clone().into()));
    let build_id = build_id.or_else(|| indexed.cloned());
    Some(Module { path: path.to_owned(), kind, build_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(spaces: &mut Spaces, pid: i32, start: u64, length: u64) {
        let path = "/bin/server".to_owned();
        let (kernel, file_offset, build_id) = (false, 0, None);
        let record = MmapRecord { pid, kernel, start, length, file_offset, path, build_id };
        spaces.map(&record, &mut Capture::default());
    }

    fn starts(spaces: &Spaces, pid: i32) -> Vec<u64> {
        spaces.mappings(pid).unwrap().0.keys().copied().collect()
    }

    #[test]
    fn a_mapping_takes_the_place_of_what_it_overlaps() {
        let mut spaces = Spaces::default();
        for (start, length) in [(40, 10), (10, 10), (25, 5), (60, 10), (20, 0), (u64::MAX, 9)] {
            map(&mut spaces, 1, start, length);
        }
        assert_eq!(starts(&spaces, 1), [10, 25, 40, 60]);
        let before = spaces.spaces[&1].epoch;
        map(&mut spaces, 1, 70, 5);
        assert_eq!(spaces.spaces[&1].epoch, before, "nothing changed its meaning");
        map(&mut spaces, 1, 15, 30);
        assert_eq!(starts(&spaces, 1), [10, 15, 45, 60, 70]);
        let rest = spaces.mappings(1).unwrap().0[&45];
        assert_eq!((rest.end, rest.file_offset), (50, 5), "the rest of the file's bytes");
        assert_ne!(spaces.spaces[&1].epoch, before);
        map(&mut spaces, 1, 0, u64::MAX);
        assert_eq!(starts(&spaces, 1), [0]);
    }

    #[test]
    fn a_child_keeps_what_its_parent_had() {
        let mut spaces = Spaces::default();
        map(&mut spaces, 1, 10, 10);
        spaces.fork(2, 1);
        map(&mut spaces, 1, 15, 10);
        map(&mut spaces, 2, 30, 10);
        assert_eq!((starts(&spaces, 1), starts(&spaces, 2)), (vec![10, 15], vec![10, 30]));
        assert_eq!(spaces.orphans, 0);
    }

    #[test]
    fn copies_for_children_have_an_end() {
        let mut spaces = Spaces { inherited: MOST_INHERITED, ..Spaces::default() };
        for index in 0..1000 {
            map(&mut spaces, 1, index * 10, 10);
        }
        for child in 2..102 {
            spaces.fork(child, 1);
            map(&mut spaces, child, 1 << 20, 10);
        }
        let held: usize = (2..102).map(|child| starts(&spaces, child).len()).sum();
        assert!(held < 1000 * INHERITED_PER_MAPPED + 10_000 && spaces.orphans > 25);
    }
}
