//! Folded stacks as a tree, whose nodes are stretches of the sorted stacks: only what is asked for is built.

use std::ops::Range;
use std::sync::Arc;

use coldcase_analyze::findings::FoldedStack;
use coldcase_ingest::capture::{Nanos, SeededMap};

use crate::names;

/// Frames that are shown of a deep stack, from its outer and its inner end.
pub(super) const OUTER: usize = 64;
pub(super) const INNER: usize = 40;

/// To which side of the system call a frame belongs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Side {
    /// The whole, or a command.
    Root,
    User,
    Kernel,
}

/// Stacks in the order of their frames, so that those below one caller lie together.
pub(super) struct Tree {
    labels: Labels,
    /// The stacks' frames as they are shown, one stack behind the other.
    frames: Vec<u32>,
    stacks: Vec<Range<usize>>,
    /// How long the stacks before each one waited, and all of them.
    times: Vec<Nanos>,
}

/// A frame below its callers: the stacks that pass through it.
pub(super) struct Node {
    stacks: Range<usize>,
    /// How many frames these have in common.
    pub depth: usize,
}

impl Tree {
    pub fn of(stacks: &[FoldedStack]) -> Self {
        let (mut labels, mut seen, mut frames) = (Labels::default(), Seen::default(), Vec::new());
        let mut rows = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let start = frames.len();
            labels.add(&stack.frames, &mut seen, &mut frames);
            rows.push((start..frames.len(), stack.time));
        }
        rows.sort_by(|(left, _), (right, _)| frames[left.clone()].cmp(&frames[right.clone()]));
        let mut sum = Nanos::ZERO;
        let mut times = vec![sum];
        times.extend(rows.iter().map(|&(_, time)| {
            sum += time;
            sum
        }));
        Self { labels, frames, stacks: rows.into_iter().map(|(stack, _)| stack).collect(), times }
    }

    pub fn whole(&self) -> Node {
        Node { stacks: 0..self.stacks.len(), depth: 0 }
    }

    /// How long the stacks waited that pass through a frame.
    pub fn time(&self, node: &Node) -> Nanos {
        Nanos(self.times[node.stacks.end].0 - self.times[node.stacks.start].0)
    }

    /// What a frame called, with how it is shown.
    pub fn children(&self, node: &Node) -> Vec<(&(String, Side), Node)> {
        let depth = node.depth;
        let mut children = Vec::new();
        // Stacks that end with the frame come first.
        let mut at = node.stacks.start;
        while at < node.stacks.end {
            let label = self.label(at, depth);
            let rest = &self.stacks[at..node.stacks.end];
            let end = at + rest.partition_point(|stack| self.label_in(stack, depth) <= label);
            if let Some(label) = label {
                let child = Node { stacks: at..end, depth: depth + 1 };
                children.push((&self.labels.rows[label as usize], child));
            }
            at = end;
        }
        children
    }

    /// The frame that is shown so, and that another one called.
    pub fn child(&self, node: &Node, shown: &(String, Side)) -> Option<Node> {
        let label = Some(*self.labels.numbers.get(shown)?);
        let (depth, stacks) = (node.depth, &self.stacks[node.stacks.clone()]);
        let start = stacks.partition_point(|stack| self.label_in(stack, depth) < label);
        let end = stacks.partition_point(|stack| self.label_in(stack, depth) <= label);
        let first = node.stacks.start;
        (start < end).then_some(Node { stacks: first + start..first + end, depth: depth + 1 })
    }

    /// A stack's frame behind so many others, if it goes on.
    fn label(&self, stack: usize, depth: usize) -> Option<u32> {
        self.label_in(&self.stacks[stack], depth)
    }

    fn label_in(&self, stack: &Range<usize>, depth: usize) -> Option<u32> {
        self.frames[stack.clone()].get(depth).copied()
    }
}

/// Frames as they are shown, by their numbers: nearly all frames of a stack are those of others, too.
#[derive(Default)]
struct Labels {
    rows: Vec<(String, Side)>,
    numbers: SeededMap<(String, Side), u32>,
}

/// Labels of frames that were seen: by where the name lies, how often it follows itself, and whether it is the command.
type Seen = SeededMap<(*const u8, usize, bool), u32>;

impl Labels {
    fn number(&mut self, label: (String, Side)) -> u32 {
        if let Some(&number) = self.numbers.get(&label) {
            return number;
        }
        let number = u32::try_from(self.rows.len()).expect("a capture has fewer than 2^32 bytes");
        self.rows.push(label.clone());
        self.numbers.insert(label, number);
        number
    }

    /// Adds a stack's frames as they are shown, outermost first; the first is the command.
    fn add(&mut self, frames: &[Arc<str>], seen: &mut Seen, labels: &mut Vec<u32>) {
        let start = labels.len();
        let runs = frames.chunk_by(|left, right| left == right).enumerate();
        labels.extend(runs.map(|(index, run)| {
            let (frame, length, first) = (&*run[0], run.len(), index == 0);
            let new = || self.number(shown_frame(frame, length, first));
            *seen.entry((frame.as_ptr(), length, first)).or_insert_with(new)
        }));
        let hidden = (labels.len() - start).saturating_sub(OUTER + INNER);
        if hidden > 0 {
            let outer = start + OUTER;
            let side = self.rows[labels[outer] as usize].1;
            let left_out = self.number((format!("… {hidden} frames …"), side));
            labels.splice(outer..outer + hidden, [left_out]);
        }
    }
}

/// A frame that follows itself so often: `walk`, `walk`, `walk` is `walk ×3`.
fn shown_frame(frame: &str, length: usize, first: bool) -> (String, Side) {
    let (name, side) = match frame.strip_suffix("_[k]") {
        Some(name) => (name, Side::Kernel),
        None if first => (pool(frame), Side::Root),
        None => (frame, Side::User),
    };
    let name = names::function(name);
    (if length > 1 { format!("{name} ×{length}") } else { name }, side)
}

/// A command without the number that tells it from others of its pool: `serve-17` and `serve-4` do the same.
fn pool(command: &str) -> &str {
    let plain = command.trim_end_matches(|last: char| last.is_ascii_digit());
    if plain.ends_with(['-', '_', '/', ':', '#', ' ', '.']) && plain.len() > 1 {
        plain
    } else {
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_lose_their_numbers() {
        assert_eq!(pool("serve-20"), "serve-");
        assert_eq!(pool("python3"), "python3");
        assert_eq!(pool("7"), "7");
    }
}
