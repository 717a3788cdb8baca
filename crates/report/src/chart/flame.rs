//! Folded stacks as a tree of boxes: the caller above, what it called below, as wide as its time.
//!
//! ```text
//!   serve        |###########################|###############|
//!   handle       |#################|#########|
//!   munmap       |#################|
//! ```
//!
//! Kernel and user frames are told apart. Recursion is folded, very deep stacks lose their middle (both ends
//! say more), and boxes too narrow to be seen are left out, so that any capture gives a bounded picture.

use std::cmp::Reverse;

use coldcase_analyze::findings::FoldedStack;
use coldcase_ingest::capture::{Nanos, SeededMap};

use crate::names;

/// Frames that are shown of a deep stack, from its outer and its inner end.
const OUTER: usize = 64;
const INNER: usize = 40;
/// Most boxes, the widest first.
pub(crate) const BOXES: usize = 2_000;
/// Boxes narrower than this part of the whole are left out.
const NARROWEST: f64 = 0.000_4;

/// A laid out flame graph.
pub(crate) struct Flame {
    /// Parents before children; the first is the whole.
    pub boxes: Vec<FlameBox>,
    pub depth: usize,
    pub total: Nanos,
    /// Whether boxes say how they differ from what was before.
    pub compared: bool,
}

/// One frame.
pub(crate) struct FlameBox {
    pub name: String,
    pub side: Side,
    pub depth: usize,
    /// Begin and width, as parts of the whole.
    pub left: f64,
    pub width: f64,
    pub time: Nanos,
    pub change: Option<Change>,
}

/// How a frame differs from what it was before the freeze: average numbers of threads that waited below it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Change {
    pub before: f64,
    pub now: f64,
    /// The difference as a part of all that waits now.
    pub weight: f64,
}

/// What a flame graph is compared with.
pub(crate) struct Against<'a> {
    /// How long it lasted, and how long that lasted which is compared with it.
    pub length: Nanos,
    pub now: Nanos,
    pub stacks: &'a [FoldedStack],
}

/// To which side of the system call a frame belongs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Side {
    /// The whole, or a command.
    Root,
    User,
    Kernel,
}

/// The picture with at most so many boxes, none if nothing was waited; compared with another if there is one.
pub(crate) fn flame(
    stacks: &[FoldedStack],
    boxes: usize,
    against: Option<&Against<'_>>,
) -> Option<Flame> {
    let tree = Tree::of(stacks);
    let total = tree.nodes[0].time;
    if total == Nanos::ZERO {
        return None;
    }
    let shown = tree.shown(total, boxes);
    let compared = against.is_some();
    let mut flame = Flame { boxes: Vec::new(), depth: 0, total, compared };
    tree.lay_out(0, (0, 0.0), &shown, &mut flame);
    if let Some(against) = against {
        compare(&mut flame, &Tree::of(against.stacks), against);
    }
    flame.depth = flame.boxes.iter().map(|frame| frame.depth + 1).max().unwrap_or(0);
    Some(flame)
}

/// Finds each box's frame in what was before, along the same callers.
fn compare(flame: &mut Flame, before: &Tree, against: &Against<'_>) {
    // The frame before at each depth of the current path.
    let mut path: Vec<Option<usize>> = Vec::new();
    let whole = flame.total.share_of(against.now);
    for frame in &mut flame.boxes {
        path.truncate(frame.depth);
        let found = match path.last() {
            None => Some(0),
            Some(parent) => parent.and_then(|parent| {
                let label = before.labels.numbers.get(&(frame.name.clone(), frame.side))?;
                before.known.get(&(parent, *label)).copied()
            }),
        };
        path.push(found);
        let time = found.map_or(Nanos::ZERO, |index| before.nodes[index].time);
        let (before, now) = (time.share_of(against.length), frame.time.share_of(against.now));
        frame.change = Some(Change { before, now, weight: (now - before) / whole });
    }
}

struct Tree {
    nodes: Vec<Node>,
    labels: Labels,
    /// Nodes by their parents and labels.
    known: SeededMap<(usize, usize), usize>,
}

/// Frames as they are shown, by their numbers: nearly all frames of a stack are those of others, too.
#[derive(Default)]
struct Labels {
    rows: Vec<(String, Side)>,
    numbers: SeededMap<(String, Side), usize>,
}

/// Labels of frames that were seen: by the frame, how often it follows itself, and whether it is the command.
type Seen<'a> = SeededMap<(&'a str, usize, bool), usize>;

impl Labels {
    fn number(&mut self, label: (String, Side)) -> usize {
        let next = self.rows.len();
        let number = *self.numbers.entry(label.clone()).or_insert(next);
        if number == next {
            self.rows.push(label);
        }
        number
    }

    /// A stack's frames as they are shown, outermost first; the first is the command.
    fn of<'a>(&mut self, frames: &'a [String], seen: &mut Seen<'a>) -> Vec<usize> {
        let runs = frames.chunk_by(|left, right| left == right).enumerate();
        let mut labels: Vec<usize> = runs
            .map(|(index, run)| {
                let (frame, length, first) = (run[0].as_str(), run.len(), index == 0);
                let new = || self.number(shown_frame(frame, length, first));
                *seen.entry((frame, length, first)).or_insert_with(new)
            })
            .collect();
        let hidden = labels.len().saturating_sub(OUTER + INNER);
        if hidden > 0 {
            let side = self.rows[labels[OUTER]].1;
            let left_out = self.number((format!("… {hidden} frames …"), side));
            labels.splice(OUTER..OUTER + hidden, [left_out]);
        }
        labels
    }
}

struct Node {
    name: String,
    side: Side,
    time: Nanos,
    children: Vec<usize>,
}

impl Tree {
    fn of(stacks: &[FoldedStack]) -> Self {
        let whole = Node {
            name: "all".to_owned(),
            side: Side::Root,
            time: Nanos::ZERO,
            children: Vec::new(),
        };
        let (labels, known) = (Labels::default(), SeededMap::default());
        let mut tree = Self { nodes: vec![whole], labels, known };
        let mut seen = Seen::default();
        for stack in stacks {
            let labels = tree.labels.of(&stack.frames, &mut seen);
            tree.add(&labels, stack.time);
        }
        tree.sort();
        tree
    }

    fn add(&mut self, labels: &[usize], time: Nanos) {
        let mut at = 0;
        self.nodes[0].time += time;
        for &label in labels {
            at = self.child(at, label);
            self.nodes[at].time += time;
        }
    }

    fn child(&mut self, parent: usize, label: usize) -> usize {
        let next = self.nodes.len();
        let index = *self.known.entry((parent, label)).or_insert(next);
        if index == next {
            let (name, side) = self.labels.rows[label].clone();
            self.nodes.push(Node { name, side, time: Nanos::ZERO, children: Vec::new() });
            self.nodes[parent].children.push(index);
        }
        index
    }

    /// The widest child first; equal ones by name.
    fn sort(&mut self) {
        let order: Vec<(Nanos, String)> =
            self.nodes.iter().map(|node| (node.time, node.name.clone())).collect();
        for node in &mut self.nodes {
            node.children.sort_by(|&left, &right| {
                let (left, right) = (&order[left], &order[right]);
                right.0.cmp(&left.0).then_with(|| left.1.cmp(&right.1))
            });
        }
    }

    /// Which nodes get a box. A caller has at least its callee's time and a lower number, so that nobody
    /// is shown without all of its callers.
    fn shown(&self, total: Nanos, boxes: usize) -> Vec<bool> {
        let wide = |index: &usize| self.nodes[*index].time.share_of(total) >= NARROWEST;
        let mut widest: Vec<usize> = (0..self.nodes.len()).filter(wide).collect();
        widest.sort_by_key(|&index| (Reverse(self.nodes[index].time), index));
        let mut shown = vec![false; self.nodes.len()];
        for index in widest.into_iter().take(boxes) {
            shown[index] = true;
        }
        shown
    }

    fn lay_out(
        &self,
        index: usize,
        (depth, left): (usize, f64),
        shown: &[bool],
        flame: &mut Flame,
    ) {
        let node = &self.nodes[index];
        flame.boxes.push(FlameBox {
            name: node.name.clone(),
            side: node.side,
            depth,
            left,
            width: node.time.share_of(flame.total),
            time: node.time,
            change: None,
        });
        let mut left = left;
        for &child in &node.children {
            if shown[child] {
                self.lay_out(child, (depth + 1, left), shown, flame);
            }
            left += self.nodes[child].time.share_of(flame.total);
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

    fn stack(frames: &str, time: u64) -> FoldedStack {
        FoldedStack {
            process: None,
            frames: frames.split(';').map(str::to_owned).collect(),
            time: Nanos(time),
        }
    }

    fn drawn(stacks: &[FoldedStack]) -> Vec<String> {
        let flame = flame(stacks, BOXES, None).unwrap();
        let whole = flame.total.0 as f64;
        flame
            .boxes
            .iter()
            .map(|frame| {
                let (left, width) = (frame.left * whole, frame.width * whole);
                format!("{}{} {left:.0}+{width:.0}", " ".repeat(frame.depth), frame.name)
            })
            .collect()
    }

    #[test]
    fn boxes_lie_below_their_callers_the_widest_first() {
        let stacks =
            [stack("db;run;read_[k]", 10), stack("db;run;lock_[k]", 30), stack("cron;run", 5)];
        assert_eq!(
            drawn(&stacks),
            [
                "all 0+45",
                " db 0+40",
                "  run 0+40",
                "   lock 0+30",
                "   read 30+10",
                " cron 40+5",
                "  run 40+5",
            ]
        );
    }

    #[test]
    fn threads_of_a_pool_are_one() {
        let stacks = [stack("serve-1;run", 10), stack("serve-20;run", 20), stack("python3;run", 5)];
        assert_eq!(
            drawn(&stacks)[..3],
            [" all 0+35", " serve- 0+30", "  run 0+30"].map(|it| it.replacen(" all", "all", 1))
        );
        assert_eq!(pool("7"), "7");
    }

    #[test]
    fn sides_are_told_apart() {
        let flame = flame(&[stack("db;run;read_[k]", 10)], BOXES, None).unwrap();
        let sides: Vec<Side> = flame.boxes.iter().map(|frame| frame.side).collect();
        assert_eq!(sides, [Side::Root, Side::Root, Side::User, Side::Kernel]);
    }

    #[test]
    fn deep_and_recursive_stacks_stay_small() {
        let deep: Vec<String> = (0..5_000).map(|depth| format!("f{depth}")).collect();
        let picture =
            flame(&[FoldedStack { process: None, frames: deep, time: Nanos(1) }], BOXES, None)
                .unwrap();
        assert_eq!(picture.depth, 1 + OUTER + 1 + INNER);
        assert_eq!(picture.boxes[OUTER + 1].name, "… 4896 frames …");
        assert_eq!(picture.boxes.last().unwrap().name, "f4999");
        assert_eq!(drawn(&[stack("db;walk;walk;walk;lock_[k]", 1)])[2], "  walk ×3 0+1");
    }

    #[test]
    fn ten_thousand_stacks_give_a_bounded_picture() {
        let stacks: Vec<FoldedStack> =
            (0..10_000).map(|at| stack(&format!("db;f{at};g{at}"), 1 + at % 7)).collect();
        let flame = flame(&stacks, BOXES, None).unwrap();
        assert!(flame.boxes.len() <= BOXES);
        let stacks: Vec<FoldedStack> =
            (0..1_500).map(|at| stack(&format!("db;f{at};g"), 1)).collect();
        assert_eq!(
            super::flame(&stacks, BOXES, None).unwrap().boxes.len(),
            BOXES,
            "equal ones are not all dropped"
        );
    }

    #[test]
    fn frames_are_compared_along_their_callers() {
        let now = [stack("db;run;lock_[k]", 90), stack("db;run;read_[k]", 10)];
        let before = [stack("db;run;read_[k]", 40), stack("db;lock_[k]", 7)];
        let against = Against { length: Nanos(200), now: Nanos(100), stacks: &before };
        let flame = flame(&now, BOXES, Some(&against)).unwrap();
        let change = |name: &str| {
            flame.boxes.iter().find(|frame| frame.name == name).unwrap().change.unwrap()
        };
        assert_eq!(change("lock"), Change { before: 0.0, now: 0.9, weight: 0.9 });
        let read = change("read");
        assert!((read.before - 0.2).abs() < 1e-9 && (read.weight + 0.1).abs() < 1e-9, "{read:?}");
    }

    #[test]
    fn no_time_no_picture() {
        assert!(flame(&[], BOXES, None).is_none());
        assert!(flame(&[stack("db", 0)], BOXES, None).is_none());
    }
}
