//! Many short waits for one lock that add up: chronic contention, which is no freeze.

use coldcase_ingest::capture::{Context, Mode, Nanos, ProcessId, StackId, ThreadId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::findings::{Cause, Contention, FrameView};
use crate::model::Model;
use crate::options::Options;
use crate::rules::WaitKind;
use crate::runtimes;
use crate::sites::Site;
use crate::states::{Doing, WaitId};
use crate::tally::Tally;
use crate::verdict::own_line;
use crate::windows::RawWindow;
use crate::{fingerprint, view};

/// So many waits are chronic, if they come to so much of the capture's length, of so many threads.
const WAITS: usize = 100;
const PART: f64 = 0.25;
const THREADS: usize = 3;

/// The lock that was waited for most in waits that are each too short for a freeze, outside of the freezes.
pub(crate) fn find(
    model: &Model<'_>,
    options: &Options,
    freezes: &[RawWindow],
) -> Option<Contention> {
    let candidates = candidates(model);
    if candidates.is_empty() {
        return None;
    }
    // A runtime's helpers wait for work.
    let threads = model.capture.threads.iter().map(|(thread, _)| thread);
    let helpers: FxHashSet<ThreadId> =
        threads.filter(|&thread| runtimes::is_helper(model, thread)).collect();
    let mut by_lock: FxHashMap<(ProcessId, u32), Vec<WaitId>> = FxHashMap::default();
    let counted = model.counted_span();
    let waits = model.states.waits().filter(|(_, wait)| wait.span.start >= counted.start);
    for (id, wait) in waits {
        let site = model.sites.of(id);
        let process = model.capture.threads.get(wait.thread).process;
        let key = (process, site.number());
        let for_lock = is_lock(site) && candidates.contains(&key);
        let short = wait.span.duration() < options.min_freeze;
        let in_freeze = || {
            freezes.iter().any(|raw| {
                raw.crew.contains(&wait.thread) && raw.span.intersect(wait.span).is_some()
            })
        };
        if for_lock
            && short
            && !helpers.contains(&wait.thread)
            && !ran_out(model, id)
            && !in_freeze()
        {
            by_lock.entry(key).or_default().push(id);
        }
    }
    let locks = by_lock.into_iter().filter_map(|((process, name), waits)| {
        let name = &model.sites.names()[name as usize];
        let contention = contention(model, process, name, &waits)?;
        Some((contention.blocked, std::cmp::Reverse(process), contention))
    });
    locks.max_by_key(|&(blocked, process, _)| (blocked, process)).map(|(.., contention)| contention)
}

/// Processes and names of locks for which waits are many and long enough together, if all of them count.
fn candidates(model: &Model<'_>) -> FxHashSet<(ProcessId, u32)> {
    let mut by_lock: FxHashMap<(ProcessId, u32), (u64, Nanos)> = FxHashMap::default();
    for group in model.counted().iter().filter(|group| is_lock(&group.site)) {
        let process = model.capture.threads.get(group.thread).process;
        let (waits, blocked) = by_lock.entry((process, group.site.number())).or_default();
        *waits += group.waits;
        *blocked += group.blocked;
    }
    let enough = |waits, blocked: Nanos| {
        waits >= WAITS as u64 && blocked.share_of(model.counted_span().duration()) >= PART
    };
    by_lock.retain(|_, &mut (waits, blocked)| enough(waits, blocked));
    by_lock.into_keys().collect()
}

fn is_lock(site: &Site) -> bool {
    matches!(site.kind, WaitKind::Harm(cause, _) if cause.is_lock())
}

/// Whether nobody let go of a futex that was waited for, of which no function says that it is a lock: such is the sleep of many a
/// runtime.
fn ran_out(model: &Model<'_>, id: WaitId) -> bool {
    let site = model.sites.of(id);
    let let_on = || model.wakeup(id).is_some_and(|wakeup| wakeup.context == Context::Task);
    site.is_harm_by(Cause::Futex)
        && !site.known_lock
        && !model.capture.wakeups.is_empty()
        && !let_on()
}

fn contention(
    model: &Model<'_>,
    process: ProcessId,
    name: &str,
    waits: &[WaitId],
) -> Option<Contention> {
    let lengths = || waits.iter().map(|&id| model.states.wait(id).span.duration());
    let blocked: Nanos = lengths().sum();
    let threads: FxHashSet<_> = waits.iter().map(|&id| model.states.wait(id).thread).collect();
    let WaitKind::Harm(cause, _) = model.sites.of(*waits.first()?).kind else { return None };
    let enough = waits.len() >= WAITS
        && threads.len() >= THREADS
        && blocked.share_of(model.counted_span().duration()) >= PART;
    let at_locks =
        || goes_from_hand_to_hand(model, waits) && !model.unnamed_go().contains(&process);
    if !enough || cause == Cause::Futex && !at_locks() {
        return None;
    }
    Some(Contention {
        pid: model.capture.threads.process(process).pid,
        comm: model.capture.threads.process_comm(process).to_owned(),
        site: name.to_owned(),
        cause,
        blocked,
        waits: waits.len() as u64,
        threads: threads.len() as u64,
        longest: lengths().max()?,
        place: place(model, waits),
    })
}

/// Where in the program most of the waiting was.
fn place(model: &Model<'_>, waits: &[WaitId]) -> Option<FrameView> {
    let waits = waits.iter().map(|&id| model.states.wait(id));
    let stacks = waits.filter_map(|wait| Some((wait.stack?, wait.span.duration())));
    let (stack, _) = stacks.collect::<Tally<StackId>>().largest()?;
    let frames = view::frames(model.capture, stack, Mode::User);
    let line = own_line::find(model.capture, &frames).and_then(|at| frames.get(at));
    let mut frame = line.or_else(|| fingerprint::own_frame(&frames))?.clone();
    frame.function = frame.function.as_deref().map(last_part).map(str::to_owned);
    Some(frame)
}

/// The last part of a function's path, if it is a plain name.
fn last_part(path: &str) -> &str {
    let is_plain = |name: &&str| name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    path.rsplit("::").next().filter(is_plain).unwrap_or(path)
}

/// A queue is filled by others than those who wait at it; a lock is let go by those who wait for it at other times. Who fills a
/// queue may wait now and then all the same, for the mutex around it. Who takes from a queue and leaves something in it lets the next one
/// on (`LinkedBlockingQueue.take`), and so does who takes the mutex around it: what counts is whom they themselves waited for.
fn goes_from_hand_to_hand(model: &Model<'_>, waits: &[WaitId]) -> bool {
    /// Who lets others on so many times as often as it waits hands out work, unless a function says that it is a lock.
    const FEEDS: u64 = 8;
    /// So many waits tell as much as all.
    const ENOUGH: usize = 1 << 12;
    let known = waits.first().is_some_and(|&id| model.sites.of(id).known_lock);
    let each = if known { 1 } else { waits.len().div_ceil(ENOUGH).max(1) };
    let mut waited: FxHashMap<ThreadId, u64> = FxHashMap::default();
    let mut let_on: FxHashMap<ThreadId, u64> = FxHashMap::default();
    for &id in waits {
        *waited.entry(model.states.wait(id).thread).or_default() += 1;
    }
    for &id in waits.iter().step_by(each) {
        let waker = if known { waker(model, id) } else { first_waker(model, id) };
        if let Some(waker) = waker {
            *let_on.entry(waker).or_default() += each as u64;
        }
    }
    let is_own = |(waker, times): (&ThreadId, &u64)| {
        waited.get(waker).is_some_and(|waits| known || waits.saturating_mul(FEEDS) >= *times)
    };
    let own: u64 = let_on.iter().filter(|&row| is_own(row)).map(|(_, times)| times).sum();
    own * 2 > let_on.values().sum()
}

fn waker(model: &Model<'_>, id: WaitId) -> Option<ThreadId> {
    let wakeup = model.wakeup(id).filter(|wakeup| wakeup.context == Context::Task);
    wakeup.and_then(|wakeup| wakeup.waker)
}

/// Who ended a wait, or where that one itself stood there through most of it, until it was let on, who ended that wait.
fn first_waker(model: &Model<'_>, id: WaitId) -> Option<ThreadId> {
    /// Nothing is told by longer chains that shorter ones do not.
    const LINKS: usize = 64;
    let span = model.states.wait(id).span;
    let stood_there = |thread: ThreadId| {
        model.states.within(thread, span).find_map(|slice| match slice.doing {
            Doing::Blocked(own)
                if model.sites.of(own).number() == model.sites.of(id).number()
                    && slice.span.overlap(span).share_of(span.duration()) > 0.5 =>
            {
                Some(own)
            }
            _ => None,
        })
    };
    let mut first = waker(model, id)?;
    for _ in 0..LINKS {
        match stood_there(first).and_then(|own| waker(model, own)) {
            Some(before) => first = before,
            None => break,
        }
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Capture;

    use super::*;
    use crate::script::{self, FUTEX, SLEEPS};

    /// How many waits for a futex are told of threads that let each other on a hundred times, and wait as often until time is up.
    fn told(names: [&str; 4]) -> Option<u64> {
        let threads: Vec<(char, &str)> = ('a'..).zip(names).collect();
        let mut events = vec!["0 .d".to_owned()];
        for at in (0..4000).step_by(40) {
            for (place, thread) in ('a'..='c').enumerate() {
                let waker = ['b', 'c', 'a'][place];
                events.push(format!("{}ms {thread}>- S {FUTEX}", at + 1));
                events.push(format!(
                    "{}ms {waker}!{thread} futex_wake,{}ms ->{thread}",
                    at + 9,
                    at + 9
                ));
                events.push(format!("{}ms {thread}>- S {FUTEX}", at + 10));
                events.push(format!("{}ms w:{thread},{}ms ->{thread}", at + 30, at + 30));
            }
        }
        events.sort_by_key(|event| {
            event.split_once("ms").and_then(|(at, _)| at.parse::<u64>().ok()).unwrap_or(0)
        });
        let capture = script::process(Capture::default(), &threads);
        let mut capture = script::record(capture, &events.join(","));
        script::woken_by_timers(&mut capture);
        let model = script::model(&capture);
        find(&model, &Options::default(), &[]).map(|contention| contention.waits)
    }

    #[test]
    fn who_sleeps_at_a_futex_until_time_is_up_contends_for_nothing() {
        assert_eq!(told(["serve", "serve", "serve", "main"]), Some(300));
    }

    /// The same of three threads of a pool, to whom d hands out work twenty-five times as often as it waits itself.
    fn of_a_pool(site: &str) -> Option<u64> {
        let waits = format!("schedule<futex_wait_queue<__futex_wait<futex_wait<do_futex{site}");
        let names: Vec<(char, &str)> = "abcd".chars().map(|letter| (letter, "serve")).collect();
        let mut events = vec!["0 .d".to_owned()];
        for at in (0..4000).step_by(40) {
            events.extend(('a'..='c').map(|thread| format!("{}ms {thread}>- S {waits}", at + 1)));
            events.extend(('a'..='c').map(|thread| format!("{}ms d!{thread} futex_wake", at + 30)));
            events.extend(('a'..='c').map(|thread| format!("{}ms ->{thread}", at + 30)));
            if at % 400 == 0 {
                events.push(format!("{}ms d>- S {waits}", at + 32));
                events.push(format!("{}ms a!d futex_wake,{}ms ->d", at + 33, at + 33));
            }
        }
        let capture = script::process(Capture::default(), &names);
        let capture = script::record(capture, &events.join(","));
        find(&script::model(&capture), &Options::default(), &[]).map(|row| row.waits)
    }

    #[test]
    fn who_hands_out_work_contends_for_nothing_though_it_waits_at_times() {
        assert_eq!(of_a_pool(""), None);
        assert_eq!(of_a_pool("<user:__lll_lock_wait"), Some(310));
    }

    #[test]
    fn who_takes_from_a_queue_and_lets_the_next_one_on_contends_for_nothing() {
        // d puts three things into a queue every 40 ms, and sleeps; or each of the three works for 13 ms with a lock.
        let told = |lock: bool| {
            let names: Vec<(char, &str)> = "abcd".chars().map(|letter| (letter, "java")).collect();
            let mut events = vec!["0 .d".to_owned()];
            for at in (0..4000).step_by(40) {
                let mut from = at + 1;
                for (who, next) in [('a', 'b'), ('b', 'c'), ('c', 'a')] {
                    let until = from + if lock { 13 } else { 1 };
                    if lock || who != 'c' {
                        events
                            .push(format!("{until}ms {who}!{next} futex_wake,{until}ms ->{next}"));
                    }
                    events.push(format!("{until}ms {who}>- S {FUTEX}"));
                    from = until;
                }
                if !lock {
                    events.push(format!("{}ms d>- S {SLEEPS}", at + 5));
                    events.push(format!("{}ms ->d,{}ms d!a futex_wake", at + 39, at + 39));
                    events.push(format!("{}ms ->a", at + 40));
                }
            }
            let capture = script::process(Capture::default(), &names);
            let capture = script::record(capture, &events.join(","));
            find(&script::model(&capture), &Options::default(), &[]).is_some()
        };
        assert_eq!((told(true), told(false)), (true, false));
    }

    #[test]
    fn javas_compilers_wait_for_work() {
        let compiler = "C2 CompilerThre";
        assert_eq!(told([compiler, compiler, compiler, "VM Thread"]), None);
    }
}
