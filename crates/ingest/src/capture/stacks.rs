//! Unique stacks, each a run of frames in one arena.

use std::fmt;
use std::hash::BuildHasher as _;

use hashbrown::HashTable;

use super::{FrameId, Seed, StackId};

/// Unique stacks. Frames are innermost first: kernel frames, then user frames.
#[derive(Clone, Default)]
pub struct StackTable {
    frames: Vec<FrameId>,
    ends: Vec<usize>,
    /// With the stacks' hashes: a table that grows asks for all of them again.
    ids: HashTable<(u64, StackId)>,
    seed: Seed,
}

impl fmt::Debug for StackTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &mut f.debug_struct("StackTable");
        table.field("frames", &self.frames).field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl StackTable {
    /// The id of a stack, new or known; `frames` innermost first.
    pub fn intern(&mut self, frames: &[FrameId]) -> StackId {
        let hash = self.seed.hash_one(frames);
        if let Some(&(_, id)) = self.ids.find(hash, |&(_, id)| self.frames(id) == frames) {
            return id;
        }
        let id = StackId::from_index(self.ends.len());
        self.frames.extend_from_slice(frames);
        self.ends.push(self.frames.len());
        self.ids.insert_unique(hash, (hash, id), |&(hash, _)| hash);
        id
    }

    /// The frames of a stack, innermost first.
    #[must_use]
    pub fn frames(&self, id: StackId) -> &[FrameId] {
        let index = id.index();
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.frames[start..self.ends[index]]
    }

    /// Number of stacks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
