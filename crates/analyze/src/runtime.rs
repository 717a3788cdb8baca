//! Language runtimes that stop or delay their own threads, known by the names that they give to their helpers.

use coldcase_ingest::capture::ThreadId;

use crate::model::Model;

/// Threads of HotSpot that stop the others, or let them wait for memory (`src/hotspot/share/runtime/vmThread.cpp` and
/// `gc/`, JDK 8 to 25). The kernel keeps 15 bytes of a name.
const COLLECTORS: &[&str] = &["VM Thread", "ZDriver", "ZDirector", "Shenandoah Cont"];

/// Threads of HotSpot that help whoever waits for them.
const WORKERS: &[&str] =
    &["GC Thread#", "G1 ", "ZWorker", "XWorker", "Shenandoah GC", "ParGC", "GC task thread#"];

/// Threads of HotSpot that rest until there is something to compile, to report or to clean up.
const HELPERS: &[&str] = &[
    "C1 CompilerThre",
    "C2 CompilerThre",
    "Sweeper thread",
    "Signal Dispatch",
    "Service Thread",
    "Monitor Deflati",
    "Reference Handl",
    "Finalizer",
    "Common-Cleaner",
    "Notification Th",
    "VM Periodic Tas",
    "Attach Listener",
];

/// Threads of Chromium, and of what embeds it, that rest until there is something to draw, to compute or to send.
const CHROMIUM: &[&str] =
    &["ThreadPool", "Chrome_", "Compositor", "VizCompositorTh", "HangWatcher", "PerfettoTrace"];

/// Whether a thread is one of these, in a process that has the thread that every one of Chromium's has.
fn is_chromiums(model: &Model<'_>, thread: ThreadId) -> bool {
    let threads = &model.capture.threads;
    let comm = threads.get(thread).comm();
    let siblings = &threads.process_of(thread).threads;
    CHROMIUM.iter().any(|name| comm.starts_with(name))
        && siblings.iter().any(|&sibling| threads.get(sibling).comm().starts_with("Chrome_"))
}

fn is_java(model: &Model<'_>, thread: ThreadId) -> bool {
    let threads = &model.capture.threads;
    let siblings = &threads.process_of(thread).threads;
    siblings.iter().any(|&sibling| threads.get(sibling).comm() == "VM Thread")
}

fn has_name(model: &Model<'_>, thread: ThreadId, names: &[&str]) -> bool {
    let comm = model.capture.threads.get(thread).comm();
    names.iter().any(|name| comm.starts_with(name)) && is_java(model, thread)
}

/// Whether a thread stops others for its runtime, or makes them wait until it has freed memory.
pub(crate) fn is_collector(model: &Model<'_>, thread: ThreadId) -> bool {
    has_name(model, thread, COLLECTORS)
}

/// Whether a thread does parts of a collection for whoever waits for them.
pub(crate) fn is_worker(model: &Model<'_>, thread: ThreadId) -> bool {
    has_name(model, thread, WORKERS)
}

/// Whether a thread serves its runtime and not the program: where it waits, it waits for work.
pub(crate) fn is_helper(model: &Model<'_>, thread: ThreadId) -> bool {
    [COLLECTORS, WORKERS, HELPERS].iter().any(|names| has_name(model, thread, names))
        || is_chromiums(model, thread)
}
