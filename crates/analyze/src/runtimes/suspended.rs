//! Threads that their runtime stops by signals.
//!
//! A garbage collector that cannot wait until a program's threads look whether they are to stop sends each a signal, whose handler
//! says that it has come and waits for another: Mono (`mono/utils/mono-threads-posix-signals.c`), Boehm's collector (`GC_stop_world`,
//! `pthread_stop_world.c`), D (`druntime/src/core/thread/osthread.d`). In the kernel that is rest, sigsuspend(2):
//!
//! ```text
//! collects:   |- tgkill, tgkill -|~~~~~~~ collects ~~~~~~~|- tgkill, tgkill
//! worker:     rests -|handler|---- waits in sigsuspend ---|handler|- rests
//! ```
//!
//! Whoever rests in sigsuspend by itself was not interrupted in another wait by the very thread that ends this one.

use coldcase_ingest::capture::{Capture, Nanos, StackId};

use crate::names;
use crate::runtimes::together::{self, LetOn};
use crate::sites::Sites;
use crate::sites::of_stacks::OfStacks;
use crate::states::{Doing, ThreadStates, WaitId};

/// What such waits are called.
pub(crate) const SITE: &str = "stop by signals of the runtime";
/// The rules' name for waits for signals.
pub(crate) const RESTS: &str = "signal wait";

/// The waits in sigsuspend in which threads stood for one of their process which had stopped them, and which several saw together.
pub(crate) fn by_signals(capture: &Capture, states: &ThreadStates, sites: &Sites) -> Vec<WaitId> {
    let Some(rests) = sites.number(RESTS) else { return Vec::new() };
    let (mut suspends, mut signals) = (OfStacks::new(capture), OfStacks::new(capture));
    let mut waits: Vec<LetOn> = Vec::new();
    for (id, wait) in states.waits().filter(|(id, _)| sites.of(*id).number() == rests) {
        let in_handler = wait.stack.is_some_and(|it| suspends.get(it, || is_suspend(capture, it)));
        if !in_handler {
            continue;
        }
        if let Some((let_on, row)) = LetOn::new(capture, states, id)
            && row.stack.is_some_and(|it| signals.get(it, || is_signal_to_thread(capture, it)))
        {
            waits.push(let_on);
        }
    }
    let mut was_stopped = |wait: &LetOn| {
        let before = wait_before(states, wait);
        let before = before.filter(|&id| sites.of(id).number() != rests);
        before.and_then(|id| LetOn::new(capture, states, id)).is_some_and(|(before, row)| {
            before.by == wait.by
                && row.stack.is_some_and(|it| signals.get(it, || is_signal_to_thread(capture, it)))
        })
    };
    let mut found: Vec<WaitId> = together::groups(waits)
        .iter()
        // Who ran when it was to stop was not woken for that.
        .filter(|group| group.iter().any(&mut was_stopped))
        .flatten()
        .map(|wait| wait.id)
        .collect();
    found.sort_unstable();
    found
}

/// The wait out of which a thread came into this one at once.
fn wait_before(states: &ThreadStates, wait: &LetOn) -> Option<WaitId> {
    /// A handler does nothing but say that it has come.
    const AT_ONCE: Nanos = Nanos(1_000_000);
    let mut ran = Nanos::ZERO;
    for slice in states.of(wait.thread).before(wait.span.start) {
        match slice.doing {
            Doing::Running => ran += slice.span.duration(),
            Doing::Runnable(_) => {}
            Doing::Blocked(id) => return (ran <= AT_ONCE).then_some(id),
        }
    }
    None
}

/// `kernel/signal.c`
fn is_suspend(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack)
        .any(|name| name == "sigsuspend" || name.ends_with("sys_rt_sigsuspend"))
}

/// Whether a waker sends a signal to one thread, as pthread_kill() does (`kernel/signal.c`).
fn is_signal_to_thread(capture: &Capture, stack: StackId) -> bool {
    names::kernel(capture, stack)
        .any(|name| matches!(name, "do_send_specific" | "do_tkill") || name.ends_with("sys_tgkill"))
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use crate::findings::Cause;
    use crate::script;

    const SUSPENDED: &str = "S schedule<sigsuspend<__x64_sys_rt_sigsuspend<user:__sigsuspend";
    const SIGNALS: &str = "try_to_wake_up<complete_signal<__send_signal_locked<do_send_sig_info<do_send_specific<__x64_sys_tgkill";

    /// The freezes of a, b and c, which sleep for 5 ms ten times and then wait in sigsuspend until m signals them: how long they are, how
    /// many stood still, and whom they are blamed on. Before that they `come` to it.
    fn freezes(come: &str) -> Vec<(Option<Cause>, u64, u32, Option<i32>)> {
        let threads = [('m', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve")];
        let each = |event: &str| {
            let of = |letter| event.replace('?', letter);
            ["a", "b", "c"].map(of).join(",")
        };
        let then = format!(
            "101ms d>- S SLEEPS,{},{},300ms .m,{},302ms m>- S SLEEPS,{}",
            each(come),
            each(&format!("103ms ?>m {SUSPENDED}")),
            each(&format!("301ms m!? {SIGNALS},301ms ->?")),
            each("303ms ?>- S SLEEPS"),
        );
        let findings = analyze(&script::with_habits(&threads, &then), &script::options());
        let told = findings.windows.iter().map(|window| {
            let length = window.freeze.span.map_or(0, |span| span.duration().0 / 1_000_000);
            let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
            (window.cause, length, window.freeze.threads_blocked, culprit)
        });
        told.collect()
    }

    #[test]
    fn threads_that_are_stopped_by_signals_wait_for_whoever_stopped_them() {
        let stopped = format!("101ms ?>m S SLEEPS,102ms m!? {SIGNALS},103ms ->?");
        let told = freezes(&stopped);
        assert_eq!(told, [(Some(Cause::Futex), 198, 3, Some(script::tid('m')))]);
        // Who comes to it by itself rests, until it is told that there is work.
        assert_eq!(freezes("101ms ?>m S SLEEPS,102ms w:?,103ms ->?"), []);
        // So does who comes to it from its last rest there.
        let again = format!("101ms ?>m {SUSPENDED},102ms m!? {SIGNALS},103ms ->?");
        assert_eq!(freezes(&again), []);
    }
}
