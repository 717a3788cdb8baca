//! Language runtimes that stop or delay their own threads, known by the names that they give to their helpers.

pub(crate) mod golang;
pub(crate) mod interpreter;
pub(crate) mod late;
pub(crate) mod suspended;
mod together;
pub(crate) mod vcpus;

use coldcase_ingest::capture::{Nanos, Sentence, ThreadId};

use crate::model::Model;
use crate::tally::Tally;
use crate::windows::RawWindow;

/// Threads of HotSpot that stop the others, or let them wait for memory (`src/hotspot/share/runtime/vmThread.cpp` and
/// `gc/`, JDK 8 to 25). The kernel keeps 15 bytes of a name.
const COLLECTORS: &[&str] = &["VM Thread", "ZDriver", "ZDirector", "Shenandoah Cont"];

/// Threads of HotSpot that help whoever waits for them, and those of Java that wait for a child process (`ProcessHandleImpl`).
const WORKERS: &[&str] = &[
    "GC Thread#",
    "G1 ",
    "ZWorker",
    "XWorker",
    "Shenandoah GC",
    "ParGC",
    "GC task thread#",
    "process reaper",
];

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

/// Threads of Erlang's machine, by what follows their numbers, that rest until a process of its own can run, and let each other
/// on (`erts/emulator/beam/erl_process.c`, OTP 20 to 25; seen with 25).
const ERLANGS: &[&str] = &["_schedule", "_dirty_", "_aux", "_poller"];

/// Whether a thread is one of these, in a process that has the first of them.
fn is_erlangs(model: &Model<'_>, thread: ThreadId) -> bool {
    let threads = &model.capture.threads;
    let comm = threads.get(thread).comm();
    let unnumbered = comm.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let siblings = &threads.process_of(thread).threads;
    unnumbered.len() < comm.len()
        && ERLANGS.iter().any(|name| unnumbered.starts_with(name))
        && siblings.iter().any(|&sibling| threads.get(sibling).comm() == "1_scheduler")
}

/// Threads of Boehm's collector (bdwgc from 8.0 on, `pthread_support.c`, `GC_start_mark_threads_inner`) that mark beside the thread which
/// collects. That one is any of the program's own.
const BOEHMS: &str = "GC-marker-";

fn is_boehms(model: &Model<'_>, thread: ThreadId) -> bool {
    model.capture.threads.get(thread).comm().starts_with(BOEHMS)
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
    has_name(model, thread, WORKERS) || is_boehms(model, thread)
}

/// Whether a thread serves its runtime and not the program: where it waits, it waits for work.
pub(crate) fn is_helper(model: &Model<'_>, thread: ThreadId) -> bool {
    [COLLECTORS, WORKERS, HELPERS].iter().any(|names| has_name(model, thread, names))
        || is_boehms(model, thread)
        || is_chromiums(model, thread)
        || is_erlangs(model, thread)
}

/// How a program keeps its own threads standing, where that is no lock of anybody's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// By signals, for its garbage collector as a rule.
    Signals,
    /// It is a virtual machine, and paused.
    Pause,
}

impl Stop {
    /// Most of a window's waiting, if it was one.
    pub fn of(model: &Model<'_>, raw: &RawWindow) -> Option<Self> {
        let waits = raw.harms.iter().filter_map(|harm| Some((harm.wait?, harm.span.duration())));
        let sites: Tally<&str> =
            waits.map(|(id, time)| (model.sites.name(model.sites.of(id)), time)).collect();
        let all: Nanos = raw.harms.iter().map(|harm| harm.span.duration()).sum();
        let (site, time) = sites.largest()?;
        match site {
            _ if time.share_of(all) < 0.5 => None,
            suspended::SITE => Some(Self::Signals),
            vcpus::PAUSED => Some(Self::Pause),
            _ => None,
        }
    }

    /// What it was, in a sentence.
    pub fn reason(self) -> Sentence {
        match self {
            Self::Signals => {
                "The others were at no lock: each was stopped by a signal, and waited in its handler for another, as a garbage \
                 collector has it (Mono, Boehm's collector) that cannot wait until they look whether they are to stop"
            }
            Self::Pause => {
                "The virtual machine was paused: its monitor's stop, a snapshot or a dump of its memory and the end of a migration \
                 stop all of its CPUs until they are told to go on"
            }
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script;

    type Question = fn(&Model<'_>, ThreadId) -> bool;

    /// Whether something holds of the first of a process's threads.
    fn holds(question: Question, names: &[&str]) -> bool {
        let threads: Vec<(char, &str)> = ('a'..).zip(names.iter().copied()).collect();
        let mut capture = script::process(Capture::default(), &threads);
        let first = script::thread(&mut capture, "a");
        question(&script::model(&capture), first)
    }

    #[test]
    fn javas_threads_are_known_beside_its_vm_thread_only() {
        assert!(holds(is_worker, &["GC Thread#0", "VM Thread"]));
        assert!(!holds(is_worker, &["GC Thread#0", "main"]));
    }

    #[test]
    fn who_marks_for_boehms_collector_is_a_worker_in_any_program() {
        assert!(holds(is_worker, &["GC-marker-0", "guile"]));
        assert!(holds(is_helper, &["GC-marker-12", "guile"]));
        assert!(!holds(is_worker, &["GC-mark", "guile"]));
    }

    #[test]
    fn a_thread_that_stops_others_is_no_worker() {
        assert!(holds(is_collector, &["VM Thread"]));
        assert!(!holds(is_worker, &["VM Thread"]));
    }

    #[test]
    fn a_compiler_helps_but_stops_nobody() {
        assert!(holds(is_helper, &["C2 CompilerThre", "VM Thread"]));
        assert!(!holds(is_collector, &["C2 CompilerThre", "VM Thread"]));
    }

    #[test]
    fn erlangs_schedulers_are_known_by_their_numbers() {
        assert!(holds(is_helper, &["2_scheduler", "1_scheduler"]));
        assert!(holds(is_helper, &["1_dirty_cpu_sch", "1_scheduler"]));
        assert!(!holds(is_helper, &["2_scheduler", "beam.smp"]));
        assert!(!holds(is_helper, &["_schedulers", "1_scheduler"]));
    }

    #[test]
    fn a_pool_is_chromiums_beside_a_thread_of_its_name_only() {
        assert!(holds(is_helper, &["ThreadPoolForeg", "Chrome_IOThread"]));
        assert!(!holds(is_helper, &["ThreadPoolForeg", "renderer"]));
    }
}
