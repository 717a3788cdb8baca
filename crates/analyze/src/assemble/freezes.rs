//! Freezes: what becomes of what looks like one, and which is the worst.

use std::cell::LazyCell;
use std::cmp::Reverse;

use coldcase_ingest::capture::{Capture, Nanos, Sentence, ThreadId, Timestamp};

use crate::at_once;
use crate::blame::{answers, network};
use crate::cpu::starvation;
use crate::findings::{CannotTell, Cause, Freeze, Window};
use crate::model::Model;
use crate::options::Options;
use crate::verdict::{self, Judgement};
use crate::verdict::{grade, logged};
use crate::windows::{self, RawWindow, doubt, own_calls, rhythm};

/// Freezes, and what may be one.
#[derive(Default)]
pub(super) struct Freezes {
    /// Every freeze, in order of time ...
    pub raws: Vec<RawWindow>,
    /// ... and what is said of it, in the same order.
    pub windows: Vec<Window>,
    /// The longest of what looks like one, and may be made of lost events.
    pub doubtful: Option<CannotTell>,
}

/// Every freeze, with what is said of it.
pub(super) fn find(model: &Model<'_>, options: &Options) -> Freezes {
    let found = windows::find(model, options);
    let doubtful = doubt::hint(model, &found);
    let judged = at_once::each(&found, |raw| judged(model, options, raw));
    let mut judged: Vec<(RawWindow, Window)> = judged.into_iter().flatten().collect();
    rhythm::drop(model, &mut judged);
    judged.retain(|(raw, window)| !doubt::is_doubtful(model, raw, window.culprit.is_some()));
    judged.extend(own_calls::find(model, options, &judged));
    judged = starvation::join(model, options, judged);
    drop_consequences(model, &mut judged);
    drop_passed_on(model, &mut judged);
    drop_held_back(model, &mut judged);
    judged.sort_by_key(|(raw, _)| (raw.span.start, raw.process));
    let (raws, mut windows): (Vec<RawWindow>, Vec<Window>) = judged.into_iter().unzip();
    logged::doubt(model.capture, &mut windows);
    Freezes { raws, windows, doubtful }
}

impl Freezes {
    /// Leaves out those that reach beyond a moment.
    pub fn keep_those_before(&mut self, moment: Timestamp) {
        let ends: Vec<bool> = self.raws.iter().map(|raw| raw.span.end <= moment).collect();
        let (mut of_raws, mut of_windows) = (ends.iter(), ends.iter());
        self.raws.retain(|_| of_raws.next() == Some(&true));
        self.windows.retain(|_| of_windows.next() == Some(&true));
    }
}

/// How bad a freeze is: those that an alarm was for come before others, whatever these waited.
pub(super) type Rank = (bool, Nanos);

/// The index of the freeze that the verdict is about.
pub(super) fn worst(
    capture: &Capture,
    raws: &[RawWindow],
    windows: &[Window],
) -> Option<(usize, Rank)> {
    let ranks = raws.iter().zip(windows).enumerate().map(|(index, (raw, window))| {
        (index, (is_the_alarms(capture, raw), window.freeze.blocked))
    });
    ranks.max_by_key(|&(index, rank)| (rank, Reverse(index)))
}

/// What becomes of what looks like a freeze.
fn judged(model: &Model<'_>, options: &Options, raw: &RawWindow) -> Vec<(RawWindow, Window)> {
    let freezes = match verdict::judge(model, raw) {
        Judgement::Freeze(freeze) => vec![*freeze],
        Judgement::Rest => {
            let rest = windows::without_those_at_futexes(model, raw, options).into_iter();
            rest.filter_map(|raw| verdict::judge(model, &raw).freeze()).collect()
        }
        // Fewer threads each time.
        Judgement::Beside(resting) => windows::without(model, raw, &resting, options)
            .iter()
            .flat_map(|raw| judged(model, options, raw))
            .collect(),
    };
    // Its holder may have stood still for long before anybody wanted the lock.
    let long = freezes.into_iter().filter(|(raw, _)| raw.span.duration() >= options.min_freeze);
    long.collect()
}

/// Drops freezes of those who only waited for an answer of a process that itself was frozen then, and tells of them
/// where that one is told: also of those who waited for answers of such as waited so.
fn drop_consequences(model: &Model<'_>, judged: &mut Vec<(RawWindow, Window)>) {
    let (causes, mut rest): (Vec<_>, Vec<_>) =
        std::mem::take(judged).into_iter().partition(|(raw, _)| raw.cause != Cause::Network);
    let mut causes: Vec<Explaining> =
        causes.into_iter().map(|freeze| Explaining { freeze, behind: Vec::new() }).collect();
    loop {
        let before = rest.len();
        rest.retain(|late| !is_explained(model, late, &mut causes));
        if rest.len() == before {
            break;
        }
    }
    judged.extend(causes.into_iter().map(|cause| cause.freeze));
    judged.append(&mut rest);
}

/// A freeze that may be why answers came late.
struct Explaining {
    freeze: (RawWindow, Window),
    /// Who waited for its answers.
    behind: Vec<ThreadId>,
}

/// Whether late answers are explained by what froze meanwhile; if so, that is told of them there.
fn is_explained(
    model: &Model<'_>,
    (raw, window): &(RawWindow, Window),
    causes: &mut [Explaining],
) -> bool {
    let tid = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
    // Follows all waiting once more: asked for only where it may matter.
    let starved = LazyCell::new(|| network::starved_end(model, raw));
    let tid = tid.or_else(|| starved.map(|thread| model.capture.threads.get(thread).tid));
    let is_of = |crew: &[ThreadId]| {
        crew.iter().any(|&thread| Some(model.capture.threads.get(thread).tid) == tid)
    };
    // What froze at the same time may be none of their business. Where nobody is known to have ever answered them, that is open.
    let senders = LazyCell::new(|| answers::possible_senders(model, raw));
    let may_be_of = |cause: &Explaining| {
        let from = |threads: &[ThreadId]| {
            let own = senders.iter().filter(|(sender, _)| threads.contains(sender));
            own.map(|(_, times)| times).sum::<u64>() * 2 > senders.values().sum()
        };
        tid.is_none() && (senders.is_empty() || from(&cause.freeze.0.crew) || from(&cause.behind))
    };
    // Whoever found no CPU for a while may have been one of many.
    let is_one_of = |(cause, frozen): &(RawWindow, Window)| {
        cause.cause == Cause::CpuStarvation
            && frozen.freeze.blocked >= window.freeze.blocked
            && starved.is_some()
    };
    let mut explains = causes.iter_mut().filter(|cause| {
        let freeze = &cause.freeze;
        raw.span.overlap(freeze.0.span).share_of(raw.span.duration()) > 0.5
            && (may_be_of(cause) || is_of(&freeze.0.crew) || is_one_of(freeze))
    });
    let Some(cause) = explains.next() else { return false };
    let (frozen, told) = &mut cause.freeze;
    let own = is_of(&frozen.crew);
    let whose = if own { "its answers" } else { "answers" };
    if own {
        told.freeze.awaited_by += window.freeze.threads_blocked;
    }
    told.evidence.push(waited(&window.freeze, whose));
    cause.behind.extend(&raw.crew);
    true
}

/// Drops freezes of those who waited for answers of such as waited themselves for one that is named, and tells of them there.
fn drop_passed_on(model: &Model<'_>, judged: &mut Vec<(RawWindow, Window)>) {
    let is_named = |(raw, window): &(RawWindow, Window)| {
        raw.cause == Cause::Network && window.culprit.is_some()
    };
    let is_in_doubt = |(raw, window): &(RawWindow, Window)| {
        raw.cause == Cause::Network && window.culprit.is_none()
    };
    let (in_doubt, mut others): (Vec<_>, Vec<_>) =
        std::mem::take(judged).into_iter().partition(is_in_doubt);
    for (raw, window) in in_doubt {
        let mut named = others.iter_mut().filter(|other| is_named(other));
        let explains = named.find(|(named, _)| {
            raw.span.overlap(named.span).share_of(raw.span.duration()) > 0.5
                && answers::are_answers_of(model, &raw, &named.threads)
        });
        match explains {
            None => judged.push((raw, window)),
            Some((_, named)) => named.evidence.push(waited(&window.freeze, "its answers")),
        }
    }
    judged.append(&mut others);
}

/// Drops freezes at a disk while the kernel's own threads, which send its requests and take its answers, found no CPU, and tells of
/// them where that want of CPUs is told.
fn drop_held_back(model: &Model<'_>, judged: &mut Vec<(RawWindow, Window)>) {
    let is_at_disk = |(raw, window): &(RawWindow, Window)| {
        matches!(
            window.cause,
            Some(Cause::DiskIo | Cause::FsJournal | Cause::PageFaultIo | Cause::Swap)
        ) && !grade::kernel_had_a_cpu(model, raw.span)
    };
    let (at_disk, mut others): (Vec<_>, Vec<_>) =
        std::mem::take(judged).into_iter().partition(is_at_disk);
    for (raw, window) in at_disk {
        let mut kept = others.iter_mut().filter(|(other, starved)| {
            !starved.freeze.cpus.is_empty()
                && raw.span.overlap(other.span).share_of(raw.span.duration()) > 0.5
        });
        match kept.next() {
            None => judged.push((raw, window)),
            Some((_, starved)) => starved.evidence.push(waited(
                &window.freeze,
                "a disk, for which the kernel's own threads found no CPU either,",
            )),
        }
    }
    judged.append(&mut others);
}

fn waited(freeze: &Freeze, whose: &str) -> Sentence {
    let threads = match freeze.threads_blocked {
        1 => "1 thread of ".to_owned(),
        several => format!("{several} threads of "),
    };
    let pid = freeze.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
    let time = freeze.blocked.as_millis_f64() / 1e3;
    Sentence::from(threads)
        .task(&freeze.comm)
        .words(&format!("{pid} waited for {whose} meanwhile, {time:.2} s in total"))
}

/// Whether a freeze is one for which the alarm came: one of a process that was watched, before it was seen to be well again.
/// On a busy machine another may have waited for longer.
fn is_the_alarms(capture: &Capture, raw: &RawWindow) -> bool {
    /// So much later an alarm may come than its freeze ended: a check asks once in a while, and waits for its answer.
    const LATE: Nanos = Nanos(1_000_000_000);
    let Some(incident) = &capture.incident else { return false };
    let threads = &capture.threads;
    let pid = |&thread: &ThreadId| threads.process(threads.get(thread).process).pid;
    let watched = raw.crew.iter().filter_map(pid).any(|pid| incident.watched.contains(&pid));
    let over = incident.well_again.is_some_and(|well| raw.span.start >= well);
    let before = incident.alarm.is_some_and(|alarm| raw.span.end.plus(LATE) < alarm);
    watched && !over && !before
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Incident;

    use super::*;
    use crate::script::SLEEPS;
    use crate::{analyze, script};

    #[test]
    fn who_waited_for_a_frozen_process_is_told_where_that_is_told() {
        let stops = "schedule<do_signal_stop<get_signal";
        let receives = "schedule<sk_wait_data<tcp_recvmsg";
        let sleeps = "schedule<do_nanosleep<hrtimer_nanosleep";
        let mut events = vec!["0 .a".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{}ms a>- S {sleeps},{}ms ->a", at + 1, at + 4));
            events.push(format!("{}ms a>b S {receives}", at + 5));
            events.push(format!("{}ms b!a tcp_sendmsg,{}ms b>a S {sleeps}", at + 6, at + 6));
        }
        events.push(format!("125ms a>b S {receives},126ms b>- S {stops},326ms ->b"));
        events.push(format!("327ms b!a tcp_sendmsg,327ms b>a S {sleeps},328ms a>-"));
        let capture = script::process(Capture::default(), &[('a', "client")]);
        let capture = script::process(capture, &[('b', "server")]);
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let [window] = &findings.windows[..] else { panic!("{:?}", findings.windows) };
        assert_eq!(
            (window.cause, window.freeze.pid),
            (Some(Cause::Stopped), Some(i32::from(b'b')))
        );
        assert_eq!(window.freeze.awaited_by, 1);
        let told: Vec<&str> = window.evidence.iter().map(|row| &**row).collect();
        assert!(
            told.contains(
                &"1 thread of client (pid 97) waited for its answers meanwhile, 0.20 s in total"
            ),
            "{told:?}"
        );
    }

    #[test]
    fn who_waits_for_late_answers_of_others_is_not_told_with_whoever_froze_meanwhile() {
        // a, b and c ask s, t and u, which compute when the answers come late; meanwhile another process, x and y, is stopped.
        let receives = "schedule<sk_wait_data<tcp_recvmsg";
        let stops = "schedule<do_signal_stop<get_signal";
        let of = |name, letters: &str| letters.chars().map(|t| (t, name)).collect::<Vec<_>>();
        let pairs = || "abc".chars().zip("stu".chars());
        let told = |stopped: &str| {
            let mut events = vec!["0 .s".to_owned()];
            for at in (0..120).step_by(10) {
                events.extend("abcxy".chars().map(|t| format!("{}ms {t}>- S {SLEEPS}", at + 1)));
                events.extend("abcxy".chars().map(|t| format!("{}ms ->{t}", at + 4)));
                events.extend("abc".chars().map(|t| format!("{}ms {t}>- S {receives}", at + 5)));
                for (client, server) in pairs() {
                    let at = at + 6;
                    events.push(format!("{at}ms {server}!{client} tcp_sendmsg,{at}ms ->{client}"));
                }
            }
            events.extend("abc".chars().map(|t| format!("121ms {t}>- S {receives}")));
            events.extend(stopped.chars().map(|t| format!("125ms {t}>- S {stops}")));
            events.extend(stopped.chars().map(|t| format!("455ms ->{t}")));
            for (client, server) in pairs() {
                events.push(format!("521ms {server}!{client} tcp_sendmsg,521ms ->{client}"));
            }
            events.push("522ms .s".to_owned());
            let capture = script::process(Capture::default(), &of("client", "abc"));
            let capture = script::process(capture, &of("server", "stu"));
            let capture = script::process(capture, &of("other", "xy"));
            let capture = script::record(capture, &events.join(","));
            let windows = analyze(&capture, &script::options()).windows.into_iter();
            let mut told: Vec<_> =
                windows.map(|w| (w.freeze.comm, w.cause, w.freeze.threads_blocked)).collect();
            told.sort();
            told
        };
        let row = |who: &str, cause, threads| (who.to_owned(), Some(cause), threads);
        assert_eq!(told("xy"), [row("client", Cause::Network, 3), row("other", Cause::Stopped, 2)]);
        // Those who answer them are another matter.
        assert_eq!(told("stu"), [row("server", Cause::Stopped, 3)]);
    }

    #[test]
    fn clients_of_servers_that_wait_for_their_logger_are_told_with_them() {
        // a to d, which answer e to h, write to their logger l, which computes.
        let writes = "schedule<anon_pipe_write<vfs_write<ksys_write";
        let (poll, sleeps) = ("schedule<ep_poll<do_epoll_wait", "schedule<do_nanosleep");
        let receives = "schedule<unix_stream_read_generic<unix_stream_recvmsg";
        let room = "try_to_wake_up<__wake_up_sync_key<anon_pipe_read<vfs_read";
        let next = "try_to_wake_up<__wake_up_sync_key<anon_pipe_write<vfs_write";
        let answers = "try_to_wake_up<sock_def_readable<unix_stream_sendmsg";
        let of = |name, letters: &str| letters.chars().map(|t| (t, name)).collect::<Vec<_>>();
        let capture = script::process(Capture::default(), &of("server", "abcd"));
        let capture = script::process(capture, &of("client", "efgh"));
        let capture = script::process(capture, &of("logger", "l"));
        let mut events = vec!["0 .l".to_owned()];
        let pairs = || "abcd".chars().zip("efgh".chars());
        for at in (0..120).step_by(10) {
            for (server, client) in pairs() {
                events.push(format!(
                    "{}ms {client}>- S {sleeps},{}ms {server}>- S {poll}",
                    at + 1,
                    at + 1
                ));
            }
            events.extend("abcdefgh".chars().map(|t| format!("{}ms ->{t}", at + 4)));
            events
                .extend(pairs().map(|(_, client)| format!("{}ms {client}>- S {receives}", at + 5)));
            for (server, client) in pairs() {
                events.push(format!(
                    "{}ms {server}!{client} {answers},{}ms ->{client}",
                    at + 6,
                    at + 6
                ));
            }
        }
        events.extend("efgh".chars().map(|t| format!("121ms {t}>- S {receives}")));
        events.extend("abcd".chars().map(|t| format!("122ms {t}>- S {writes}")));
        events.push(format!("123ms .l,500ms .l,501ms l!a {room},502ms l>a S {poll}"));
        for (one, other) in "abc".chars().zip("bcd".chars()) {
            events.push(format!("502ms {one}!{other} {next},502ms ->{other}"));
        }
        for (server, client) in pairs() {
            events.push(format!(
                "503ms {server}!{client} {answers},503ms ->{client},503ms {server}>- S {poll}"
            ));
        }
        events.extend("efgh".chars().map(|t| format!("504ms {t}>- S {sleeps}")));
        let capture = script::record(capture, &events.join(","));
        let findings = analyze(&capture, &script::options());
        let told: Vec<_> = findings
            .windows
            .iter()
            .map(|w| (w.freeze.comm.as_str(), w.culprit.as_ref().and_then(|c| c.thread.tid)))
            .collect();
        assert_eq!(told, [("server", Some(script::tid('l')))]);
        let evidence = &findings.windows[0].evidence;
        assert!(
            evidence
                .iter()
                .any(|row| row.starts_with("4 threads of client (pid 101) waited for its answers")),
            "{evidence:?}"
        );
    }

    #[test]
    fn a_pool_rests_while_the_one_who_feeds_it_waits_for_a_lock_with_others() {
        // m hands out work to eight every 10 ms; then it waits with a and b for a lock that h keeps until it is sent something.
        let told = |waits: &str, wakes: &str| {
            let threads = "hmabcdefgi".chars().map(|letter| (letter, "serve"));
            let hand_out = |at: u64, to: &str| -> Vec<String> {
                let wakes = |t| format!("{at}ms m!{t} WAKES<user:pthread_cond_signal,{at}ms ->{t}");
                let sleeps = format!("{}ms m>- S SLEEPS,{}ms w:m,{}ms ->m", at + 2, at + 9, at + 9);
                to.chars().map(wakes).chain([sleeps]).collect()
            };
            let rest = |at: u64, who: &str| -> Vec<String> {
                let rests = |t| format!("{at}ms {t}>- S FUTEX<user:pthread_cond_wait");
                who.chars().map(rests).collect()
            };
            let mut events = vec!["0 .h".to_owned()];
            for at in (110..400).step_by(10) {
                events.extend(rest(at - 1, "abcdefgi"));
                events.extend(hand_out(at, "abcdefgi"));
            }
            events.extend(rest(400, "cdefgi"));
            events.push("400ms h>- S schedule<ep_poll<do_epoll_wait".to_owned());
            events.extend(["a", "b", "m"].map(|t| format!("401ms {t}>- S FUTEX<user:{waits}")));
            events.push("900ms w:h,900ms ->h".to_owned());
            let next = [("h", "m"), ("m", "a"), ("a", "b")];
            let lets_on = |(by, t)| format!("901ms {by}!{t} WAKES<user:{wakes},901ms ->{t}");
            events.extend(next.map(lets_on));
            events.extend(hand_out(902, "cdefgi"));
            events.push("920ms .h".to_owned());
            let capture = script::with_habits(&threads.collect::<Vec<_>>(), &events.join(","));
            let windows = analyze(&capture, &script::options()).windows.into_iter();
            let culprit = |window: &Window| window.culprit.as_ref().and_then(|who| who.thread.tid);
            windows.map(|w| (w.freeze.threads_blocked, culprit(&w))).collect::<Vec<_>>()
        };
        assert_eq!(told("__lll_lock_wait", "__lll_lock_wake"), [(3, Some(script::tid('h')))]);
        assert_eq!(told("pthread_cond_wait", "pthread_cond_signal"), []);
    }

    #[test]
    fn the_freeze_that_the_alarm_was_for_comes_before_a_longer_one_of_another() {
        let (stops, sleeps) = ("schedule<do_signal_stop<get_signal", "schedule<do_nanosleep");
        let mut events = vec!["0 .a".to_owned(), "0 .b".to_owned()];
        for at in (0..120).step_by(10) {
            events.push(format!("{}ms a>b S {sleeps},{}ms b>a S {sleeps}", at + 1, at + 5));
        }
        events
            .push(format!("125ms a>- S {stops},126ms ->b,127ms b>- S {stops},325ms ->a,725ms ->b"));
        let capture = script::process(Capture::default(), &[('a', "service")]);
        let capture = script::process(capture, &[('b', "other")]);
        let mut capture = script::record(capture, &events.join(","));
        let told = |capture: &Capture| {
            let findings = analyze(capture, &script::options());
            assert_eq!(findings.windows.len(), 2, "{:?}", findings.windows);
            findings.worst().unwrap().freeze.comm.clone()
        };
        assert_eq!(told(&capture), "other");
        let incident = |alarm: u64| Incident {
            alarm: Some(Timestamp(alarm)),
            watched: vec![i32::from(b'a')],
            ..Incident::default()
        };
        capture.incident = Some(incident(300_000_000));
        assert_eq!(told(&capture), "service");
        // What was over long before is not what it saw.
        capture.incident = Some(incident(9_000_000_000));
        assert_eq!(told(&capture), "other");
    }
}
