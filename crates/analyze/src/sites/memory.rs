//! Memory system calls: how many bytes, with which flags.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use coldcase_ingest::capture::{
    Capture, Nanos, ProcessId, SeededMap, Span, Syscall, Thread, ThreadId,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::findings::{MemoryEvent, MemoryTotal, Nearness, Operation, Window};
use crate::model::Part;
use crate::sites::brackets::{Bracket, Brackets};
use crate::sites::operation::is_memory;
use crate::verdict::resident::ResidentSizes;
use crate::view::thread_name;
use crate::windows::RawWindow;

/// So many are kept, those that have most to do with a freeze: the rest is the daily bread of an allocator.
const KEPT: usize = 200;

/// The memory calls of a capture that count, with what they have to do with its `freezes`.
pub(crate) fn events(
    capture: &Capture,
    brackets: &Brackets,
    part: Part<'_>,
    resident: &ResidentSizes,
    freezes: &[Frozen],
) -> Vec<MemoryEvent> {
    let whole = capture.whole();
    let sizes = BrkSizes::new(capture, brackets);
    listed(brackets, part)
        .map(|bracket| {
            let span = bracket.span(whole);
            let overlaps = freezes.iter().map(|freeze| freeze.span.overlap(span));
            let thread = capture.threads.get(bracket.thread);
            let nearness = freezes.iter().map(|freeze| freeze.nearness(thread, span)).min();
            MemoryEvent {
                start: bracket.enter,
                duration: bracket.duration(),
                thread: thread_name(capture, bracket.thread),
                operation: Operation::Syscall(bracket.syscall),
                bytes: bytes(bracket, &sizes),
                flags: flags(bracket),
                overlap: overlaps.sum::<Nanos>(),
                resident_step: resident.step(capture, bracket),
                nearness: nearness.unwrap_or(Nearness::Other),
            }
        })
        .collect()
}

/// The calls that matter, the largest first.
pub(crate) fn most_important(mut events: Vec<MemoryEvent>) -> Vec<MemoryEvent> {
    let size = |event: &MemoryEvent| (event.bytes.unwrap_or(0), event.overlap);
    events.sort_by_key(|event| {
        let waited = if event.nearness == Nearness::InFreeze { event.overlap } else { Nanos::ZERO };
        (event.nearness, Reverse((waited, size(event))), event.start)
    });
    events.truncate(KEPT);
    events.sort_by_key(|event| (Reverse(size(event)), event.start));
    events
}

/// A freeze, as far as it says which calls matter.
pub(crate) struct Frozen {
    span: Span,
    processes: FxHashSet<ProcessId>,
    /// The culprit's thread id.
    culprit: Option<i32>,
}

impl Frozen {
    pub fn new(capture: &Capture, raw: &RawWindow, window: &Window) -> Self {
        Self {
            span: raw.span,
            processes: raw.crew.iter().map(|&own| capture.threads.get(own).process).collect(),
            culprit: window.culprit.as_ref().and_then(|culprit| culprit.thread.tid),
        }
    }

    /// A culprit's call may have no size, and that of a lock's holder a small one: neither makes it less of a cause.
    fn nearness(&self, thread: &Thread, span: Span) -> Nearness {
        let inside = self.span.overlap(span) > Nanos::ZERO;
        let own = self.processes.contains(&thread.process);
        match (inside, own) {
            (true, _) if self.culprit == Some(thread.tid) => Nearness::Culprits,
            (true, true) => Nearness::InFreeze,
            (false, true) => Nearness::Frozen,
            (_, false) => Nearness::Other,
        }
    }
}

/// What the threads of each name asked for, by name and call.
#[derive(Default)]
pub(crate) struct Totals(BTreeMap<(String, Operation), MemoryTotal>);

impl Totals {
    /// Adds the calls that count with one part of a recording.
    pub fn add(&mut self, capture: &Capture, brackets: &Brackets, part: Part<'_>) {
        let sizes = BrkSizes::new(capture, brackets);
        for bracket in listed(brackets, part) {
            let comm = capture.threads.get(bracket.thread).comm();
            let operation = Operation::Syscall(bracket.syscall);
            let total = self.0.entry((comm.to_owned(), operation)).or_insert_with(|| MemoryTotal {
                comm: comm.to_owned(),
                operation,
                calls: 0,
                largest: None,
                longest: None,
            });
            total.calls += 1;
            total.largest = total.largest.max(bytes(bracket, &sizes));
            total.longest = total.longest.max(bracket.duration());
        }
    }

    /// By name and call.
    pub fn rows(self) -> Vec<MemoryTotal> {
        self.0.into_values().collect()
    }
}

/// Calls that are listed, and count with a part of a recording: where they end.
fn listed<'b>(brackets: &'b Brackets, part: Part<'_>) -> impl Iterator<Item = &'b Bracket> {
    let Part { counted, goes_on, .. } = part;
    let counts = move |bracket: &&Bracket| match bracket.exit {
        Some(exit) => counted.is_none_or(|counted| exit >= counted),
        None => !goes_on,
    };
    brackets.iter().filter(|bracket| is_listed(bracket.syscall)).filter(counts)
}

/// Whether a call is one of those that are listed.
pub(crate) fn is_listed(syscall: Syscall) -> bool {
    is_memory(Operation::Syscall(syscall))
}

/// What `brk` moved: the call names the new end only, so the size is the step from the previous one.
pub(crate) struct BrkSizes(SeededMap<(ThreadId, u64), u64>);

impl BrkSizes {
    pub fn new(capture: &Capture, brackets: &Brackets) -> Self {
        let mut calls: Vec<&Bracket> =
            brackets.iter().filter(|bracket| bracket.syscall == Syscall::Brk).collect();
        calls.sort_by_key(|bracket| bracket.enter);
        let mut ends: FxHashMap<ProcessId, i64> = FxHashMap::default();
        let mut sizes = SeededMap::default();
        for call in calls {
            let process = capture.threads.get(call.thread).process;
            let Some(end) = call.result.filter(|&end| end > 0) else { continue };
            let asks = call.args.is_some_and(|args| args[0] == 0);
            // A new program begins by asking where its heap ends: that is no step from the old one's.
            let before = ends.insert(process, end).filter(|_| !asks);
            if let (Some(before), Some(enter)) = (before, call.enter) {
                sizes.insert((call.thread, enter.0), end.abs_diff(before));
            }
        }
        Self(sizes)
    }
}

/// How many bytes a call was about; `None` if it does not say.
pub(crate) fn bytes(bracket: &Bracket, brk: &BrkSizes) -> Option<u64> {
    let args = bracket.args?;
    match bracket.syscall {
        Syscall::Mremap => Some(args[1].max(args[2])),
        Syscall::Brk => brk.0.get(&(bracket.thread, bracket.enter?.0)).copied(),
        // All others have an address, and then a length.
        call => call.has_size().then_some(args[1]),
    }
}

/// A call's flags, by the kernel's names (`include/uapi/asm-generic/mman*.h`, `sched.h`, Linux 6.1; the
/// values are the same on x86-64 and arm64).
pub(crate) fn flags(bracket: &Bracket) -> Vec<String> {
    let Some(args) = bracket.args else { return Vec::new() };
    match bracket.syscall {
        Syscall::Mmap => named(args[3], MAP),
        Syscall::Mremap => named(args[3], MREMAP),
        Syscall::Mprotect | Syscall::PkeyMprotect => named(args[2], PROT),
        Syscall::Mlock2 => named(args[2], &[(1, "MLOCK_ONFAULT")]),
        Syscall::Mlockall => named(args[0], MCL),
        Syscall::Clone => named(args[0], CLONE),
        Syscall::Madvise => {
            let advice = ADVICE.iter().find(|(value, _)| *value == args[2]);
            vec![advice.map_or_else(|| args[2].to_string(), |(_, name)| (*name).to_owned())]
        }
        _ => Vec::new(),
    }
}

fn named(value: u64, names: &[(u64, &str)]) -> Vec<String> {
    let set = names.iter().filter(|(bit, _)| value & bit == *bit);
    set.map(|(_, name)| (*name).to_owned()).collect()
}

const MAP: &[(u64, &str)] = &[
    (0x01, "MAP_SHARED"),
    (0x02, "MAP_PRIVATE"),
    (0x10, "MAP_FIXED"),
    (0x20, "MAP_ANONYMOUS"),
    (0x100, "MAP_GROWSDOWN"),
    (0x2000, "MAP_LOCKED"),
    (0x4000, "MAP_NORESERVE"),
    (0x8000, "MAP_POPULATE"),
    (0x10000, "MAP_NONBLOCK"),
    (0x20000, "MAP_STACK"),
    (0x40000, "MAP_HUGETLB"),
    (0x80000, "MAP_SYNC"),
    (0x0010_0000, "MAP_FIXED_NOREPLACE"),
];
const MREMAP: &[(u64, &str)] =
    &[(1, "MREMAP_MAYMOVE"), (2, "MREMAP_FIXED"), (4, "MREMAP_DONTUNMAP")];
const PROT: &[(u64, &str)] = &[(1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC")];
const MCL: &[(u64, &str)] = &[(1, "MCL_CURRENT"), (2, "MCL_FUTURE"), (4, "MCL_ONFAULT")];
const CLONE: &[(u64, &str)] = &[
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x4000, "CLONE_VFORK"),
    (0x10000, "CLONE_THREAD"),
];
const ADVICE: &[(u64, &str)] = &[
    (0, "MADV_NORMAL"),
    (1, "MADV_RANDOM"),
    (2, "MADV_SEQUENTIAL"),
    (3, "MADV_WILLNEED"),
    (4, "MADV_DONTNEED"),
    (8, "MADV_FREE"),
    (9, "MADV_REMOVE"),
    (10, "MADV_DONTFORK"),
    (11, "MADV_DOFORK"),
    (12, "MADV_MERGEABLE"),
    (13, "MADV_UNMERGEABLE"),
    (14, "MADV_HUGEPAGE"),
    (15, "MADV_NOHUGEPAGE"),
    (16, "MADV_DONTDUMP"),
    (17, "MADV_DODUMP"),
    (18, "MADV_WIPEONFORK"),
    (19, "MADV_KEEPONFORK"),
    (20, "MADV_COLD"),
    (21, "MADV_PAGEOUT"),
    (22, "MADV_POPULATE_READ"),
    (23, "MADV_POPULATE_WRITE"),
    (24, "MADV_DONTNEED_LOCKED"),
    (25, "MADV_COLLAPSE"),
    (102, "MADV_GUARD_INSTALL"),
    (103, "MADV_GUARD_REMOVE"),
];
