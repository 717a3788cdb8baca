//! Threads that wait for a futex when the recording ends, for longer than they usually do anything.
//!
//! Who lets them on tells a lock from an empty queue. A pool whose clients have gone looks like a server at whose lock
//! everyone stands.

use coldcase_ingest::capture::Sentence;

use crate::findings::{CannotTell, Cause};
use crate::model::Model;
use crate::options::Options;
use crate::windows::unseen::most_at_once;
use crate::windows::{self, SEVERAL, spans, wanted};

/// The most threads of a process that waited together until the recording ended, and had not rested so before.
pub(crate) fn hint(model: &Model<'_>, options: &Options) -> Option<CannotTell> {
    let threads = &model.capture.threads;
    let rested = windows::find(model, options);
    let processes = threads
        .processes()
        .filter(|(id, process)| !process.kernel && wanted(model, *id, options.process.as_ref()));
    let (process, count, span) = processes
        .filter(|(id, _)| !rested.iter().any(|raw| raw.process == *id))
        .filter_map(|(id, process)| {
            let waits = spans::may_be_rests(model, &process.threads, options);
            let (count, span) = most_at_once(waits, options.min_freeze);
            (count > SEVERAL).then_some((id, count, span))
        })
        .max_by_key(|&(id, count, span)| (count, span.duration(), std::cmp::Reverse(id)))?;
    Some(CannotTell {
        cause: Cause::Futex,
        missing: Sentence::from("the end, or names for the functions of ")
            .task(threads.process_comm(process))
            .words(&format!(
                " (--symfs), which tell a lock from a queue: {count} of its threads waited for a futex for {:.0} ms until the \
                 recording ended, longer than they usually do anything",
                span.duration().as_millis_f64(),
            )),
    })
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::script::{self, FUTEX, SLEEPS};

    /// What is found of four threads that sleep for 5 ms ten times and then wait for a futex for 400 ms, until m, which ran
    /// meanwhile, lets the first `let_on` of them on and the recording ends.
    fn found(let_on: usize) -> (usize, Option<String>) {
        let threads =
            [('m', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend(('a'..='d').map(|thread| format!("{}ms {thread}>- S {SLEEPS}", at + 1)));
            events.extend(('a'..='d').map(|thread| format!("{}ms ->{thread}", at + 6)));
        }
        events.extend(('a'..='d').map(|thread| format!("101ms {thread}>- S {FUTEX}")));
        for thread in ('a'..='d').take(let_on) {
            events.push(format!("501ms m!{thread} try_to_wake_up<wake_up_q<futex_wake"));
            events.push(format!("501ms ->{thread}"));
        }
        events.push("502ms .m".to_owned());
        let capture = script::record(capture, &events.join(","));
        let findings = crate::analyze(&capture, &script::options());
        let missing = findings.verdict.cannot_tell.iter();
        let mut told = missing.map(|row| row.missing.to_string());
        (findings.windows.len(), told.find(|row| row.contains("until the recording ended")))
    }

    #[test]
    fn those_whom_nobody_lets_on_may_rest_or_stand_at_a_lock() {
        let (freezes, told) = found(0);
        assert_eq!(freezes, 0);
        assert!(told.unwrap().contains("4 of its threads waited for a futex for 40"));
        let (freezes, told) = found(1);
        assert_eq!((freezes, told.is_some()), (0, false));
    }

    #[test]
    fn who_waits_on_where_most_were_let_on_waits_for_the_same() {
        assert_eq!(found(3), (1, None));
    }
}
