//! Who made room for those that stood before a full pipe.
//!
//! They wait for room exclusively, and a reader wakes the first of them (`pipe_read`, `fs/pipe.c`); each that has written wakes the
//! next if there is room left (`pipe_write`, since 5.5). So all but the first are woken by one that waited as they did.

use coldcase_ingest::capture::{Capture, Wakeup};

use crate::model::Model;
use crate::names;
use crate::states::{Doing, WaitId};

/// How the rules' name for a wait for room in a pipe begins.
const SITE: &str = "reader of a full pipe";
/// The same in all kernels since 4.14.
const WRITES: [&str; 2] = ["pipe_write", "anon_pipe_write"];

/// The wait that whoever made room ended first, of those that ended one another up to this one; the wait itself if no other writer
/// ended it, and `None` if it is not seen whose turn came before.
pub(super) fn first_in_turn(model: &Model<'_>, wait: WaitId) -> Option<WaitId> {
    /// In one call a writer waits for the pipe's mutex as well.
    const IN_ITS_CALL: usize = 4;
    let is_for_room = |id: WaitId| model.sites.name(model.sites.of(id)).starts_with(SITE);
    let mut first = wait;
    // Each ended before the one that it let on, so this comes to an end.
    while let Some(wakeup) = model.wakeup(first)
        && is_for_room(first)
        && is_handed_on(model.capture, wakeup)
    {
        let waits = model.states.of(wakeup.waker?).before(wakeup.time);
        let waits = waits.filter_map(|slice| match slice.doing {
            Doing::Blocked(id) => Some(id),
            Doing::Running | Doing::Runnable(_) => None,
        });
        first = waits.take(IN_ITS_CALL).find(|&id| is_for_room(id))?;
    }
    Some(first)
}

/// Whether a writer woke the next.
fn is_handed_on(capture: &Capture, wakeup: &Wakeup) -> bool {
    wakeup
        .stack
        .is_some_and(|stack| names::kernel(capture, stack).any(|name| WRITES.contains(&name)))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::analyze;
    use crate::findings::Cause;
    use crate::script;

    #[test]
    fn writers_that_let_each_other_on_waited_for_the_reader_which_is_stopped() {
        // Brothers: a to d write to l, which reads, and is stopped by s.
        let writes = "schedule<anon_pipe_write<vfs_write<ksys_write";
        let next = "try_to_wake_up<__wake_up_sync_key<anon_pipe_write<vfs_write";
        let (poll, sleeps) = ("schedule<ep_poll<do_epoll_wait", "schedule<do_nanosleep");
        let room = "try_to_wake_up<__wake_up_sync_key<anon_pipe_read<vfs_read";
        let threads: Vec<(char, &str)> = "lmabcd".chars().map(|t| (t, "server")).collect();
        let capture = script::process(Capture::default(), &threads);
        let capture = script::process(capture, &[('s', "supervisor")]);
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend("abcd".chars().map(|t| format!("{}ms {t}>- S {sleeps}", at + 1)));
            events.push(format!("{}ms l>- S {poll}", at + 1));
            events.extend("labcd".chars().map(|t| format!("{}ms ->{t}", at + 6)));
        }
        events.push("100ms l>- T schedule<do_signal_stop<get_signal".to_owned());
        events.extend("abcd".chars().map(|t| format!("101ms {t}>- S {writes}")));
        events.push(format!(
            "501ms s!l signal_wake_up_state,501ms ->l,501ms l!a {room},502ms ->a,502ms l>- S {poll}"
        ));
        for (one, other) in "abc".chars().zip("bcd".chars()) {
            events.push(format!("502ms {one}!{other} {next},502ms {one}>{other} S {sleeps}"));
        }
        events.push(format!("503ms d>- S {sleeps},510ms .m"));
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let window = findings.worst().unwrap();
        let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        assert_eq!((window.cause, culprit), (Some(Cause::Network), Some(script::tid('l'))));
        // Who did not read is why they waited, and none of them.
        assert_eq!(window.freeze.threads_blocked, 4);
    }
}
