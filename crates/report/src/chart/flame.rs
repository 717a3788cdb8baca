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
use coldcase_ingest::capture::Nanos;

pub(crate) use super::folded_tree::Side;
use super::folded_tree::{Node, Tree};

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

/// The picture with at most so many boxes, none if nothing was waited; compared with another if there is one.
pub(crate) fn flame(
    stacks: &[FoldedStack],
    boxes: usize,
    against: Option<&Against<'_>>,
) -> Option<Flame> {
    let tree = Tree::of(stacks);
    let whole = tree.whole();
    let total = tree.time(&whole);
    if total == Nanos::ZERO {
        return None;
    }
    let mut flame = Flame { boxes: Vec::new(), depth: 0, total, compared: against.is_some() };
    lay_out(&tree, ("all", Side::Root), &whole, 0.0, &mut flame);
    keep_widest(&mut flame.boxes, boxes);
    if let Some(against) = against {
        compare(&mut flame, &Tree::of(against.stacks), against);
    }
    flame.depth = flame.boxes.iter().map(|frame| frame.depth + 1).max().unwrap_or(0);
    Some(flame)
}

/// A box for a frame, and for what it called: the widest first, equal ones by name.
fn lay_out(tree: &Tree, (name, side): (&str, Side), node: &Node, left: f64, flame: &mut Flame) {
    let time = tree.time(node);
    let width = time.share_of(flame.total);
    if width < NARROWEST {
        return;
    }
    let (name, depth) = (name.to_owned(), node.depth);
    flame.boxes.push(FlameBox { name, side, depth, left, width, time, change: None });
    let mut children = tree.children(node);
    children.sort_by_cached_key(|(label, child)| (Reverse(tree.time(child)), *label));
    let mut left = left;
    for ((name, side), child) in &children {
        lay_out(tree, (name, *side), child, left, flame);
        left += tree.time(child).share_of(flame.total);
    }
}

/// A caller has at least its callee's time and stands before it, so that nobody is kept without all of its callers.
fn keep_widest(boxes: &mut Vec<FlameBox>, most: usize) {
    if boxes.len() <= most {
        return;
    }
    let mut widest: Vec<usize> = (0..boxes.len()).collect();
    widest.sort_by_key(|&index| (Reverse(boxes[index].time), index));
    let mut kept = vec![false; boxes.len()];
    widest.into_iter().take(most).for_each(|index| kept[index] = true);
    let mut kept = kept.into_iter();
    boxes.retain(|_| kept.next() == Some(true));
}

/// Finds each box's frame in what was before, along the same callers.
fn compare(flame: &mut Flame, before: &Tree, against: &Against<'_>) {
    // The frame before at each depth of the current path.
    let mut path: Vec<Option<Node>> = Vec::new();
    let whole = flame.total.share_of(against.now);
    for frame in &mut flame.boxes {
        path.truncate(frame.depth);
        let found = match path.last() {
            None => Some(before.whole()),
            Some(caller) => caller
                .as_ref()
                .and_then(|caller| before.child(caller, &(frame.name.clone(), frame.side))),
        };
        let time = found.as_ref().map_or(Nanos::ZERO, |node| before.time(node));
        path.push(found);
        let (before, now) = (time.share_of(against.length), frame.time.share_of(against.now));
        frame.change = Some(Change { before, now, weight: (now - before) / whole });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chart::folded_tree::{INNER, OUTER};

    fn stack(frames: &str, time: u64) -> FoldedStack {
        FoldedStack {
            process: None,
            frames: frames.split(';').map(Arc::from).collect(),
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
    }

    #[test]
    fn sides_are_told_apart() {
        let flame = flame(&[stack("db;run;read_[k]", 10)], BOXES, None).unwrap();
        let sides: Vec<Side> = flame.boxes.iter().map(|frame| frame.side).collect();
        assert_eq!(sides, [Side::Root, Side::Root, Side::User, Side::Kernel]);
    }

    #[test]
    fn deep_and_recursive_stacks_stay_small() {
        let deep: Vec<Arc<str>> = (0..5_000).map(|depth| format!("f{depth}").into()).collect();
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
