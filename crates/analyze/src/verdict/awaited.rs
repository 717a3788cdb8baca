//! For whom a lock's holder waited with the lock: an answer, a pipe's data, the end of a child.
//!
//! To the kernel such a wait is rest, as that of a server with nothing to do is. Of a thread that others wait for it is
//! why they do, whoever of the two asked: a program that asks another under its lock, and a server of databases whose client is in no
//! hurry look the same. What the other one did meanwhile is known where it was recorded.

use coldcase_ingest::capture::{Context, Nanos, Sentence, Span, ThreadId};

use crate::blame::{answers, chain};
use crate::findings::ThreadName;
use crate::model::Model;
use crate::rules::WaitKind;
use crate::states::{Doing, WaitId};
use crate::tally::Tally;
use crate::verdict::reasons::length;
use crate::view;
use crate::windows::RawWindow;

/// More are hardly read.
const LINKS: usize = 3;
/// The rules' name for a rest until a time that the thread chose itself.
const SLEEP: &str = "sleep";
/// And for the wait of a `vfork` or `posix_spawn` until the child has executed its program or ended.
pub(super) const VFORK: &str = "vfork child";

/// A holder's rest through most of a freeze, and who of another process ended it; or the next one's in turn.
struct Link {
    wait: WaitId,
    /// The part of it in the freeze.
    span: Span,
    other: ThreadId,
}

/// Whom a holder waited for, in a sentence, and what that one did meanwhile.
pub(crate) fn reason(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Option<Sentence> {
    let links = links(model, raw, holder);
    let last = links.last()?;
    let told = links.iter().enumerate().map(|(index, link)| {
        let thread = model.states.wait(link.wait).thread;
        let itself = if index == 0 { " itself" } else { "" };
        let site = model.sites.name(model.sites.of(link.wait));
        let time = length(link.span.duration());
        let other = view::thread_name(model.capture, link.other);
        let pid = other.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        Sentence::default()
            .task(model.capture.threads.get(thread).comm())
            .words(&format!("{itself} waited {time} at {site} until "))
            .task(&other.comm)
            .words(&format!("{pid} {}", chain::end(model, link.wait).how))
    });
    let told = Sentence::list(&told.collect::<Vec<_>>());
    Some(match meanwhile(model, last) {
        Some(did) => told.words(&format!("; it {did} meanwhile")),
        None => told,
    })
}

/// Whom a holder waited for at last, if that one was at work meanwhile, as far as is known, or held up itself: it did not rest.
pub(crate) fn at_work(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Option<ThreadName> {
    let last = links(model, raw, holder).pop()?;
    let worked = model.states.time(last.other, last.span, |doing| match doing {
        Doing::Running | Doing::Runnable(_) => true,
        Doing::Blocked(id) => matches!(model.sites.of(id).kind, WaitKind::Harm(..)),
    });
    let most = worked.share_of(last.span.duration()) > 0.5;
    most.then(|| view::thread_name(model.capture, last.other))
}

fn links(model: &Model<'_>, raw: &RawWindow, holder: ThreadId) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    let mut next = Some((holder, raw.span));
    while let Some((thread, span)) = next.take().filter(|_| links.len() < LINKS) {
        let Some(link) = rest_for_another(model, thread, span) else { break };
        let known = link.other == holder || links.iter().any(|known| known.other == link.other);
        if !known {
            next = Some((link.other, link.span));
            links.push(link);
        }
    }
    links
}

/// The rest in which a thread stood for most of a span, if one of another process is known to have ended it.
fn rest_for_another(model: &Model<'_>, thread: ThreadId, span: Span) -> Option<Link> {
    let slices = model.states.within(thread, span);
    let rests = slices.filter_map(|slice| match slice.doing {
        Doing::Blocked(id) => Some((id, slice.span)),
        Doing::Running | Doing::Runnable(_) => None,
    });
    let (wait, part) = rests.max_by_key(|(_, part)| part.duration())?;
    let site = model.sites.of(wait);
    let name = model.sites.name(site);
    let is_rest = site.kind == WaitKind::Idle && name != SLEEP
        || site.kind == WaitKind::Other && name == VFORK;
    if !is_rest || part.duration().share_of(span.duration()) <= 0.5 {
        return None;
    }
    let wakeup = model.wakeup(wait)?;
    let by_other =
        wakeup.context == Context::Task || answers::is_by_other_end(model.capture, wakeup);
    let threads = &model.capture.threads;
    let own = threads.get(thread).process;
    let other = wakeup.waker.filter(|&waker| by_other && threads.get(waker).process != own)?;
    Some(Link { wait, span: part, other })
}

/// `was at disk I/O for`, `was stopped by a signal for`.
fn was_at(site: &str) -> String {
    let at =
        if site.starts_with("stopped ") || site.starts_with("frozen by ") { "" } else { "at " };
    format!("was {at}{site} for")
}

/// What somebody did while another waited for it, in words: nothing where no part of it stands out.
fn meanwhile(model: &Model<'_>, link: &Link) -> Option<String> {
    let did = model.states.within(link.other, link.span).map(|slice| {
        let what = match slice.doing {
            Doing::Running => "was on a CPU for".to_owned(),
            Doing::Runnable(_) => "waited for a CPU for".to_owned(),
            Doing::Blocked(id) => was_at(model.sites.name(model.sites.of(id))),
        };
        (what, slice.span.duration())
    });
    let (what, time): (String, Nanos) = did.collect::<Tally<String>>().largest()?;
    let most = time.share_of(link.span.duration()) > 0.5;
    most.then(|| format!("{what} {}", length(time)))
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use crate::script::{self, FUTEX, SLEEPS, WAKES};
    use crate::{analyze, findings::Findings};

    /// a to d sleep, and then wait for the mutex of k, a thread of theirs, which waits for s of another process; meanwhile s `does`.
    fn told(waits: &str, does: &str) -> (Vec<String>, String) {
        let service =
            [('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve"), ('k', "keeper")];
        let capture = script::process(Capture::default(), &service);
        let capture = script::process(capture, &[('s', "store")]);
        let mut events = vec!["0 .s".to_owned(), format!("1ms k>- S {SLEEPS}")];
        for at in (0..100).step_by(10) {
            events.extend(('a'..='d').map(|t| format!("{}ms {t}>- S {SLEEPS}", at + 1)));
            events.extend(('a'..='d').map(|t| format!("{}ms ->{t}", at + 6)));
        }
        events.push(format!("101ms ->k,102ms k>- S {waits}"));
        events.extend(
            ('a'..='d').map(|t| format!("107ms {t}>- S {FUTEX}<user:__GI___lll_lock_wait")),
        );
        events.push(does.to_owned());
        events.push(
            "401ms s!k try_to_wake_up<sock_def_readable<unix_stream_sendmsg,401ms ->k".to_owned(),
        );
        events.extend(('a'..='d').map(|t| format!("402ms k!{t} {WAKES},402ms ->{t}")));
        events.extend(('a'..='d').map(|t| format!("403ms {t}>- S {SLEEPS}")));
        let capture = script::record(capture, &events.join(","));
        let findings: Findings = analyze(&capture, &script::options());
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        assert_eq!(window.culprit.as_ref().unwrap().thread.comm, "keeper");
        let reasons = window.reasons.iter().map(ToString::to_string).collect();
        (reasons, window.remedies[0].action.to_string())
    }

    const RECEIVES: &str = "schedule<unix_stream_read_generic<unix_stream_recvmsg";

    #[test]
    fn whom_a_holder_asked_under_its_lock_is_told_with_what_that_one_did() {
        let (reasons, remedy) = told(RECEIVES, "108ms .s,400ms .s");
        let expected = "keeper itself waited 294 ms at socket receive until store (pid 115) woke it; it was on a CPU for 294 ms meanwhile";
        assert_eq!(reasons, [expected]);
        assert!(
            remedy.starts_with(
                "Wait for no other process with the lock held, here for store (pid 115)"
            ),
            "{remedy}"
        );
    }

    #[test]
    fn of_a_holder_whose_other_end_was_in_no_hurry_none_is_said_to_have_been_at_work() {
        let (reasons, remedy) = told(RECEIVES, &format!("108ms s>- S {SLEEPS},400ms ->s"));
        assert!(reasons[0].ends_with("it was at sleep for 292 ms meanwhile"), "{reasons:?}");
        assert!(remedy.starts_with("Let no client keep a lock"), "{remedy}");
    }

    #[test]
    fn who_was_stopped_was_not_at_a_stop() {
        let told = [
            "disk I/O",
            "frozen file system",
            "stopped by a signal",
            "frozen by the cgroup freezer",
        ];
        assert_eq!(
            told.map(super::was_at),
            [
                "was at disk I/O for",
                "was at frozen file system for",
                "was stopped by a signal for",
                "was frozen by the cgroup freezer for",
            ]
        );
    }

    #[test]
    fn a_holder_that_sleeps_waits_for_nobody() {
        let (reasons, _) = told(SLEEPS, "108ms .s,400ms .s");
        assert!(reasons.is_empty(), "{reasons:?}");
    }

    #[test]
    fn who_starts_a_program_under_its_lock_waits_for_the_child_and_forks_nothing() {
        let vfork = "schedule<schedule_timeout<__wait_for_common<wait_for_completion_state<kernel_clone<__do_sys_clone3";
        let disk = "schedule<io_schedule<folio_wait_bit_common<filemap_read";
        let (reasons, remedy) = told(vfork, &format!("108ms s>- D {disk},400ms ->s"));
        let expected = "keeper itself waited 294 ms at vfork child until store (pid 115) woke it; it was at disk I/O for 292 ms meanwhile";
        assert_eq!(reasons, [expected]);
        assert!(remedy.starts_with("Start programs when"), "{remedy}");
    }
}
