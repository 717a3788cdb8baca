//! Stacks as frames with names; those that read the same are one.

use std::collections::BTreeMap;
use std::sync::Arc;

use coldcase_ingest::capture::{Capture, Nanos, StackId};

use crate::findings::FoldedStack;
use crate::view::frame_label;

/// Off-CPU time by the name of the process, that of the thread, and the stack.
pub(crate) type NamedTimes<'a> = BTreeMap<(Option<&'a str>, &'a str, StackId), Nanos>;

/// Stacks with their time as frames with names, in the order of these.
pub(crate) fn fold(capture: &Capture, times: NamedTimes<'_>) -> Vec<FoldedStack> {
    let names = Names::of(capture, &times);
    let mut rows: Vec<(Vec<u32>, Option<&str>, Nanos)> = times
        .into_iter()
        .map(|((process, comm, stack), time)| (names.of_stack(capture, comm, stack), process, time))
        .collect();
    rows.sort_unstable();
    rows.dedup_by(|row, kept| {
        let same = (&row.0, row.1) == (&kept.0, kept.1);
        if same {
            kept.2 += row.2;
        }
        same
    });
    let row = |(frames, process, time): (Vec<u32>, Option<&str>, Nanos)| FoldedStack {
        process: process.map(str::to_owned),
        frames: frames.iter().map(|&number| Arc::clone(&names.texts[number as usize])).collect(),
        time,
    };
    rows.into_iter().map(row).collect()
}

/// Names of threads and frames by numbers that are in the names' order: a profile has millions of frames, and thousands of names.
struct Names {
    texts: Vec<Arc<str>>,
    /// By frame number; outermost first, of what was inlined.
    of_frames: Vec<Vec<u32>>,
}

impl Names {
    fn of(capture: &Capture, times: &NamedTimes<'_>) -> Self {
        let mut labels: Vec<Vec<String>> = vec![Vec::new(); capture.frames.len()];
        for &(.., stack) in times.keys() {
            for &id in capture.stacks.frames(stack) {
                let label = &mut labels[id.index()];
                if label.is_empty() {
                    *label = frame_label(capture, capture.frames.get(id));
                }
            }
        }
        let comms = times.keys().map(|&(_, comm, _)| comm);
        let mut texts: Vec<&str> =
            labels.iter().flatten().map(String::as_str).chain(comms).collect();
        texts.sort_unstable();
        texts.dedup();
        let texts: Vec<Arc<str>> = texts.into_iter().map(Arc::from).collect();
        let names = Self { texts, of_frames: Vec::new() };
        let numbers = |label: &Vec<String>| label.iter().map(|text| names.number(text)).collect();
        let of_frames = labels.iter().map(numbers).collect();
        Self { of_frames, ..names }
    }

    fn number(&self, text: &str) -> u32 {
        let place = self.texts.partition_point(|known| &**known < text);
        u32::try_from(place).expect("a capture has fewer names than 2^32 bytes")
    }

    /// A thread's name, and its frames, outermost first.
    fn of_stack(&self, capture: &Capture, comm: &str, stack: StackId) -> Vec<u32> {
        let frames = capture.stacks.frames(stack).iter().rev();
        let frames = frames.flat_map(|id| &self.of_frames[id.index()]).copied();
        std::iter::once(self.number(comm)).chain(frames).collect()
    }
}
