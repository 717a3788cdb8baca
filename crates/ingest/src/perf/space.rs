//! Address spaces: which file lay where in which process, and when.

use rustc_hash::FxHashMap;

use super::chains::{ChainId, Chains};
use super::event::MmapRecord;
use crate::capture::{
    BuildId, Capture, FrameId, Location, Mode, Module, ModuleId, ModuleKind, StackId,
};

/// All address spaces, by process number.
#[derive(Default)]
pub(super) struct Spaces {
    spaces: FxHashMap<i32, Space>,
    epochs: u32,
    revisions: u32,
    stacks: FxHashMap<(ChainId, u32), Option<StackId>>,
    /// By chain, what it was when it was last asked for: hardly any chain is more than one stack.
    latest: Vec<Option<(u32, Option<StackId>)>>,
    build_ids: FxHashMap<String, BuildId>,
    frames: Vec<FrameId>,
}

/// What one process has mapped; a new epoch begins when an address changes its meaning.
#[derive(Clone, Default)]
struct Space {
    epoch: u32,
    /// Another one after every change.
    revision: u32,
    mappings: Vec<Mapping>,
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
/// perf marks the frames that follow by addresses that no code can have: the last 4095
/// (`enum perf_callchain_context`, `include/uapi/linux/perf_event.h`).
const MARKERS: u64 = 0xffff_ffff_ffff_f001;
const MARKER_KERNEL: u64 = (-128_i64).cast_unsigned();
pub(super) const MARKER_USER: u64 = (-512_i64).cast_unsigned();

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
        let next_epoch = self.epochs + 1;
        self.revisions += 1;
        let space = self.spaces.entry(record.pid).or_default();
        space.revision = self.revisions;
        let overlapped = space.mappings.len();
        space.mappings.retain(|old| old.end <= mapping.start || mapping.end <= old.start);
        if space.epoch == 0 || space.mappings.len() != overlapped {
            space.epoch = next_epoch;
            self.epochs = next_epoch;
        }
        let at = space.mappings.partition_point(|old| old.start < mapping.start);
        space.mappings.insert(at, mapping);
    }

    /// A process is born with its parent's mappings.
    pub fn fork(&mut self, pid: i32, parent: i32) {
        let mut space = self.spaces.get(&parent).cloned().unwrap_or_default();
        self.epochs += 1;
        space.epoch = self.epochs;
        self.spaces.insert(pid, space);
    }

    /// A process runs another program: nothing of its memory stays.
    pub fn exec(&mut self, pid: i32) {
        self.epochs += 1;
        self.spaces.insert(pid, Space { epoch: self.epochs, ..Space::default() });
    }

    /// What a process has mapped, by address, and a number that changes with it.
    pub fn mappings(&self, pid: i32) -> Option<(&[Mapping], u32)> {
        self.spaces.get(&pid).map(|space| (&space.mappings[..], space.revision))
    }

    /// The stack of a raw callchain as it was in this process at this moment; `None` if it has no frame.
    pub fn stack(
        &mut self,
        chain: ChainId,
        pid: i32,
        chains: &Chains,
        capture: &mut Capture,
    ) -> Option<StackId> {
        let has_user = chains.has_user(chain);
        let epoch = match self.spaces.get(&pid) {
            Some(space) if has_user => space.epoch,
            _ if has_user => 0,
            _ => KERNEL_EPOCH,
        };
        let index = chain.0 as usize;
        if let Some(&Some((known, stack))) = self.latest.get(index)
            && known == epoch
        {
            return stack;
        }
        let stack = match self.stacks.get(&(chain, epoch)) {
            Some(&stack) => stack,
            None => {
                let stack = self.resolve(chains.words(chain), pid, capture);
                self.stacks.insert((chain, epoch), stack);
                stack
            }
        };
        if self.latest.len() <= index {
            self.latest.resize(index + 1, None);
        }
        self.latest[index] = Some((epoch, stack));
        stack
    }

    /// The stack of a callchain that is seen once.
    pub fn resolve(&mut self, words: &[u64], pid: i32, capture: &mut Capture) -> Option<StackId> {
        let space = self.spaces.get(&pid);
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
            let location = match mode {
                Mode::Kernel => Location::Address(word),
                Mode::User => space.map_or(Location::Address(word), |space| space.locate(word)),
            };
            self.frames.push(capture.frames.intern(mode, location));
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
    fn locate(&self, address: u64) -> Location {
        let at = self.mappings.partition_point(|mapping| mapping.start <= address);
        let mapping = at.checked_sub(1).and_then(|at| self.mappings.get(at));
        match mapping {
            Some(&Mapping { start, end, file_offset, module: Some(module) }) if address < end => {
                let offset = (address - start).saturating_add(file_offset);
                Location::File { module, offset }
            }
            _ => Location::Address(address),
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
