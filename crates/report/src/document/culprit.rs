//! The culprit in full: its call, what it did meanwhile, and its stacks.

use coldcase_analyze::findings::{Cause, Culprit, FrameView, Operation, Window};

use super::Pair;
use crate::{names, units, words};

/// Everything about the thread at the root.
pub(crate) struct CulpritView {
    pub name: String,
    pub sure: bool,
    pub facts: Vec<Pair>,
    pub kernel_stack: Vec<FrameRow>,
    pub user_stack: Vec<FrameRow>,
    /// Whether the stacks are those in which it woke the others.
    pub lets_go: bool,
}

/// A frame, ready to be shown.
pub(crate) struct FrameRow {
    pub function: String,
    pub place: String,
    pub resolved: bool,
    pub inlined: bool,
}

pub(super) fn culprit(window: &Window) -> Option<CulpritView> {
    let culprit = window.culprit.as_ref()?;
    Some(CulpritView {
        name: words::thread(&culprit.thread, window.freeze.pid),
        sure: words::is_sure(window.grade),
        facts: facts(window, culprit),
        kernel_stack: culprit.kernel_stack.iter().map(frame_row).collect(),
        user_stack: culprit.user_stack.iter().map(frame_row).collect(),
        lets_go: window.lock.is_some() && lets_go(culprit),
    })
}

fn facts(window: &Window, culprit: &Culprit) -> Vec<Pair> {
    let flags: Vec<String> = culprit.flags.iter().map(|flag| names::name(flag)).collect();
    // Who stops others for the runtime or answers late holds no lock, and a lock is no call.
    let call = culprit.operation.filter(|call| *call != Operation::UserLock);
    let of_pause = [Operation::RuntimePause, Operation::LateToPause];
    let is_holder = !culprit.operation.is_some_and(|operation| of_pause.contains(&operation))
        && window.cause != Some(Cause::Network);
    let lock = window.lock.filter(|_| is_holder);
    let lock = lock.map(|lock| {
        let mode = lock.mode.map_or("", words::held_as);
        let address = lock.address.map_or(String::new(), |address| format!(", at {address:#x}"));
        format!("{}{mode}{address}", words::cause_label(lock.kind))
    });
    let activity: Vec<String> = culprit
        .activity
        .iter()
        .map(|share| format!("{} {}", names::text(&share.what), units::duration(share.time)))
        .collect();
    let facts = [
        ("Call", call.map(|call| words::operation(call).to_owned())),
        (
            "Size",
            culprit.bytes.map(|bytes| {
                format!("{}, {}", units::exact_size(bytes), units::binary_size(bytes))
            }),
        ),
        ("Flags", (!flags.is_empty()).then(|| flags.join(" "))),
        ("Began", words::began(window, culprit)),
        ("Took", culprit.duration.map(units::duration)),
        ("Lock", lock),
        ("Held it for", culprit.held.map(units::duration)),
        ("Meanwhile", (!activity.is_empty()).then(|| activity.join(" · "))),
        ("Without it", window.without_culprit.map(|left| words::without_culprit(window, left))),
    ];
    facts
        .into_iter()
        .filter_map(|(left, right)| Some(Pair { left: left.to_owned(), right: right? }))
        .collect()
}

/// A waking is recorded in the function that wakes (`kernel/sched/core.c`), or in the tracepoint's own.
fn lets_go(culprit: &Culprit) -> bool {
    let mut innermost =
        culprit.kernel_stack.iter().rev().filter_map(|frame| frame.function.as_deref());
    innermost.any(|name| name.starts_with("try_to_wake_up") || name.starts_with("wake_up_q"))
}

/// A frame with its place, or with the reason why it has no name.
pub(crate) fn frame_row(frame: &FrameView) -> FrameRow {
    let module = frame.module.as_deref().map(names::function);
    let function = frame.function.as_deref().map(names::function);
    let resolved = function.is_some();
    let function = function.unwrap_or_else(|| {
        let offset = frame.offset.map_or_else(String::new, |offset| format!("+{offset:#x}"));
        format!("{}{offset}", module.as_deref().unwrap_or("[unknown]"))
    });
    let place = match (&frame.file, frame.line, frame.why) {
        (Some(file), Some(line), _) => format!("{}:{line}", source(file)),
        (Some(file), None, _) => source(file),
        (None, _, Some(why)) => words::why_no_symbol(why).to_owned(),
        (None, _, None) => module.unwrap_or_default(),
    };
    FrameRow { function, place, resolved, inlined: frame.inlined }
}

/// A source file's name; those of Rust's own library without the commit that they are of.
fn source(file: &str) -> String {
    let own = file.strip_prefix("/rustc/").and_then(|rest| rest.split_once('/'));
    names::function(own.map_or(file, |(_, path)| path))
}
