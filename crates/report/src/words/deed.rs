//! The second sentence: who did it, never surer than its grade.

use coldcase_analyze::findings::{Cause, Culprit, Grade, Operation, Window};
use coldcase_ingest::capture::{Nanos, Span, Syscall};

use super::cause::{frozen_files, nobody_but, stopper, threads_did};
use super::culprit::in_call;
use super::thread;
use crate::{names, units};

/// `Thread main (tid 4711) held it in mmap of 3.36 GB for 8.79 s.`
pub(super) fn who_did_it(window: &Window) -> String {
    match (&window.culprit, window.cause) {
        (Some(culprit), Some(cause)) => graded(window.grade, &deed(window, culprit, cause)),
        (None, Some(_)) if frozen_files(window) => graded(
            window.grade,
            &Deed {
                known: "the cause is the freeze of that file system".to_owned(),
                likely: "the freeze of that file system is the likeliest cause".to_owned(),
            },
        ),
        (None, Some(_)) if !window.deadlock.is_empty() => deadlocked(window),
        (None, Some(cause)) if cause.is_lock() => {
            "This capture does not show who held it.".to_owned()
        }
        (None, Some(Cause::Network)) if let Some((end, time)) = &window.starved_end => {
            let end = thread(end, window.freeze.pid);
            let time = units::duration(*time);
            let clause = format!("the other end, {end}, wanted a CPU and got none for {time}");
            graded(window.grade, &Deed::certain(clause))
        }
        (None, Some(cause)) if cause != Cause::Unknown => {
            let by = stopper(window).unwrap_or_else(|| nobody_but(cause));
            let missing = match cause {
                Cause::CpuThrottle => ": no event of throttling is in the capture",
                _ => "",
            };
            graded(
                window.grade,
                &Deed {
                    known: format!("the cause is {by}"),
                    likely: format!("{by} is the likeliest cause{missing}"),
                },
            )
        }
        (_, _) => "This capture does not show the cause.".to_owned(),
    }
}

/// Who waited for each other, of which none is more to blame than the next.
fn deadlocked(window: &Window) -> String {
    let who: Vec<String> =
        window.deadlock.iter().map(|member| thread(member, window.freeze.pid)).collect();
    let (last, first) = who.split_last().map_or(("", &[][..]), |(last, first)| (last, first));
    let circle = if who.len() > 2 { " in a circle" } else { "" };
    format!(
        "Threads {} and {last} waited for each other's locks{circle}: a deadlock.",
        first.join(", ")
    )
}

/// A clause as it is stated when it is known, and as it is when it is only likely.
struct Deed {
    known: String,
    likely: String,
}

impl Deed {
    fn certain(clause: String) -> Self {
        Self { known: clause.clone(), likely: clause }
    }
}

fn deed(window: &Window, culprit: &Culprit, cause: Cause) -> Deed {
    // `Thread VM Thread` would say it twice.
    let kind = match culprit.thread.tid {
        _ if is_pause(window) => "",
        // Several threads of one process.
        None if cause == Cause::CpuStarvation => "process ",
        _ => "thread ",
    };
    let who = format!("{kind}{}", thread(&culprit.thread, window.freeze.pid));
    let call = in_call(culprit);
    let did = call.as_ref().map_or_else(String::new, |call| format!(" {call}"));
    let was = call
        .as_ref()
        .map_or_else(|| "released those who waited".to_owned(), |call| format!("was {call}"));
    let during = culprit.duration.map_or_else(String::new, lasting);
    if let (Cause::Stopped, Some(_)) = (cause, lock_before(window)) {
        Deed::certain(format!("{who} stopped the one who had it{did}"))
    } else if let Some((used, signal)) = at_terminal(culprit) {
        let stopped = format!("for which the kernel stopped its process group with {signal}");
        Deed {
            known: format!("{who} {used} its terminal from the background, {stopped}"),
            likely: format!(
                "{who} {used} its terminal from the background, {stopped}, as it seems"
            ),
        }
    } else if froze_them(cause, culprit) {
        Deed { known: format!("{who} froze them"), likely: format!("{who} may have frozen them") }
    } else if is_pause(window) {
        Deed {
            known: format!("the pause was made by {who}"),
            likely: format!("the pause may have been made by {who}"),
        }
    } else if is_late(culprit) {
        let meanwhile = meanwhile(window, culprit);
        Deed {
            known: format!("{who} kept its runtime from going on, as it stopped last{meanwhile}"),
            likely: format!("{who} may have kept its runtime from going on{meanwhile}"),
        }
    } else if cause == Cause::Network {
        let meanwhile = meanwhile(window, culprit);
        Deed {
            known: format!("{who} at the other end answered late{meanwhile}"),
            likely: format!("{who} at the other end may have answered late{meanwhile}"),
        }
    } else if let (Cause::CpuStarvation, Some(cpus)) = (cause, window.freeze.kept_cpus()) {
        Deed {
            known: format!("{who} kept {cpus} from them"),
            likely: format!("{who} may have kept {cpus} from them"),
        }
    } else if cause.is_lock() {
        let held = culprit.held.map_or_else(|| took(culprit.duration), lasting);
        let (had, may_have) =
            if is_initialisation(window) { ("did", "done") } else { ("held", "held") };
        Deed {
            known: format!("{who} {had} it{did}{held}{}", meanwhile(window, culprit)),
            likely: format!("{who} {was}{during} and may have {may_have} it"),
        }
    } else if lock_itself(window).is_some() {
        let held = culprit.held.map_or_else(String::new, lasting);
        let itself = threads_did(cause);
        Deed {
            known: format!("{who} held it{did}{held}, and itself {itself}"),
            likely: format!("{who} {was}{during}, itself {itself}, and may have held it"),
        }
    } else if cause == Cause::MemorySyscall {
        Deed::certain(format!("{who} {was}{during}"))
    } else {
        Deed {
            known: format!("{who} caused it{did}{during}"),
            likely: format!("{who} {was}{during} and may have caused it"),
        }
    }
}

/// What somebody did to its terminal from the background, and the signal for it, if that stopped it: the same signals are sent by a call
/// of their own as well.
fn at_terminal(culprit: &Culprit) -> Option<(&'static str, &'static str)> {
    let signal = ["SIGTTIN", "SIGTTOU"]
        .into_iter()
        .find(|&name| culprit.flags.iter().any(|flag| flag == name))?;
    let used = match culprit.operation? {
        Operation::Syscall(Syscall::Read) => "read from",
        Operation::Syscall(Syscall::Write) => "wrote to",
        Operation::Syscall(Syscall::Ioctl) => "set",
        _ => return None,
    };
    Some((used, signal))
}

/// Whether those who stood still were frozen by a write to a file of their cgroup: no other write stops anybody.
fn froze_them(cause: Cause, culprit: &Culprit) -> bool {
    cause == Cause::Stopped && culprit.operation == Some(Operation::Syscall(Syscall::Write))
}

/// Whether the others waited until somebody had initialised something, which is a job and no lock.
fn is_initialisation(window: &Window) -> bool {
    window.chain.first().is_some_and(|link| link.site.starts_with("one-time initialisation"))
}

/// What the holder did for most of the freeze, where its call does not tell that: it was blocked itself, or the lock is the
/// program's own.
fn meanwhile(window: &Window, culprit: &Culprit) -> String {
    let most = culprit.activity.iter().max_by_key(|share| share.time);
    let frozen = window.freeze.span.map(Span::duration).unwrap_or_default();
    let Some(most) = most.filter(|most| 2 * most.time.0 > frozen.0) else { return String::new() };
    let (what, time) = (names::name(&most.what), units::duration(most.time));
    match what.strip_prefix("blocked: ") {
        Some(site) => format!(", and was itself blocked for {time} meanwhile: {site}"),
        None if what.starts_with("not recorded") => String::new(),
        None if culprit.operation == Some(Operation::UserLock)
            || is_late(culprit)
            || window.cause == Some(Cause::Network) =>
        {
            let was = what.split(':').next().unwrap_or(&what);
            format!(", and was {was} for {time} meanwhile")
        }
        None => String::new(),
    }
}

/// How long the call was, where it is not known how long of it the lock was held.
fn took(duration: Option<Nanos>) -> String {
    duration.map_or_else(String::new, |time| format!(", which took {}", units::duration(time)))
}

fn lasting(time: Nanos) -> String {
    format!(" for {}", units::duration(time))
}

/// A clause as its grade allows: stated if that is sure, and never surer than it is. The grade itself stands beside it.
fn graded(grade: Grade, deed: &Deed) -> String {
    match grade {
        Grade::Proven | Grade::Strong => format!("{}.", capital(&deed.known)),
        Grade::Circumstantial if deed.likely == deed.known => {
            format!("Circumstantial: {}.", deed.likely)
        }
        Grade::Circumstantial => format!("{}.", capital(&deed.likely)),
        Grade::Undetermined => format!("Undetermined: {}, which proves nothing.", deed.likely),
    }
}

fn capital(clause: &str) -> String {
    let mut characters = clause.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// The lock that the others waited for, where its holder was itself held up by the cause.
pub(super) fn lock_itself(window: &Window) -> Option<Cause> {
    let cause = window.cause?;
    let lock = window.lock.as_ref().filter(|_| window.culprit.is_some() && !cause.is_lock())?;
    Some(lock.kind)
}

/// The lock that the others waited for, where its holder is a victim itself.
pub(super) fn lock_before(window: &Window) -> Option<Cause> {
    let cause = window.cause.filter(|cause| !cause.is_lock() || frozen_files(window))?;
    let blamed = window.culprit.is_some() && cause != Cause::Network && cause != Cause::Stopped;
    window.lock.as_ref().filter(|lock| !blamed && lock.kind != cause).map(|lock| lock.kind)
}

/// Whether it kept its runtime from stopping the others.
pub(super) fn is_late(culprit: &Culprit) -> bool {
    culprit.operation == Some(Operation::LateToPause)
}

/// Whether the program's runtime stopped the others: no lock of the program.
pub(super) fn is_pause(window: &Window) -> bool {
    let culprit = window.culprit.as_ref();
    culprit.is_some_and(|culprit| culprit.operation == Some(Operation::RuntimePause))
}
