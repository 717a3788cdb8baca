//! From a freeze and its blame to what is said of it: cause, culprit, grade.

pub(crate) mod at_rest;
pub(crate) mod awaited;
mod cause;
pub(crate) mod container;
pub(crate) mod culprit;
mod disks;
mod frozen;
pub(crate) mod grade;
mod kept_off;
pub(crate) mod logged;
pub(crate) mod own_line;
pub(crate) mod reasons;
pub(crate) mod remedies;
pub(crate) mod resident;
pub(crate) mod suspects;
pub(crate) mod work;

use coldcase_ingest::capture::{CpuId, ThreadId};

use crate::blame;
use crate::blame::charged::Known;
use crate::blame::{behind, chain, charged, counterfactual, deadlock, network, stopped};
use crate::cpu::had_cpus;
use crate::findings::{Cause, Freeze, Grade, Window};
use crate::model::Model;
use crate::runtimes;
use crate::verdict::culprit::Blamed;
use crate::view;
use crate::windows::{RawWindow, kept, rhythm};

/// What a stretch is in which threads waited.
pub(crate) enum Judgement {
    /// The freeze of those who stood still in it, without the one who had the lock.
    Freeze(Box<(RawWindow, Window)>),
    /// Those who waited for a futex wait there for work: if others stood still meanwhile, that freeze is not theirs.
    Rest,
    /// These wait there for work, and the others for something else: what is told is the others' freeze.
    Beside(Vec<ThreadId>),
}

impl Judgement {
    /// What is said of it, if it is a freeze as it stands.
    pub fn freeze(self) -> Option<(RawWindow, Window)> {
        match self {
            Self::Freeze(freeze) => Some(*freeze),
            Self::Rest | Self::Beside(_) => None,
        }
    }
}

/// Judges what looks like a freeze.
pub(crate) fn judge(model: &Model<'_>, raw: &RawWindow) -> Judgement {
    let (leaves, total) = blame::of(model, &raw.harms);
    let queue = raw.cause == Cause::Futex && !raw.known_lock;
    if queue && let Some((keeper, raw)) = kept::find(model, raw) {
        let blamed = Blamed { culprit: Some(keeper), ..Blamed::default() };
        return Judgement::Freeze(Box::new(describe(model, &raw, raw.cause, blamed)));
    }
    if queue
        && at_rest::waits_for_work(model, raw, &leaves).share_of(cause::within_capture(&leaves))
            > 0.5
    {
        return Judgement::Rest;
    }
    if queue {
        let at_rest = at_rest::beside_others(model, raw);
        if !at_rest.is_empty() {
            return Judgement::Beside(at_rest);
        }
    }
    let cause = cause::of(model, raw, &leaves, total);
    if let Some(at_lock) = cause::of_another(model, raw, cause) {
        return judge(model, &at_lock);
    }
    let held = cause::blames_holder(model, raw, cause, (&leaves, total));
    let holder = if raw.cause.is_lock() { culprit::find(&leaves, total) } else { None };
    // One pause after the other lets everybody on in between.
    let pauses = holder.as_ref().is_some_and(|holder| runtimes::is_collector(model, holder.thread));
    if queue && cause == Cause::Futex && !pauses && raw.comes_and_goes(model) {
        return Judgement::Rest;
    }
    // Whether or not it is known well enough to be named.
    if let Some(holder) = holder.as_ref().filter(|_| queue)
        && (cause == Cause::Futex || !cause.is_lock())
        && (rhythm::feeds(model, raw, holder.thread)
            || rhythm::feeds_with_others(model, raw, holder.thread))
    {
        return Judgement::Rest;
    }
    let (culprit, held_up) = if held { (holder, None) } else { (None, holder) };
    let culprit = culprit.filter(|suspect| culprit::is_vouched_for(model, suspect, raw));
    // Who slept, and at whom less than half of the waiting ends, may as well have brought work.
    let culprit =
        culprit.filter(|suspect| !queue || rhythm::may_have_kept_them(model, raw, suspect, total));
    if cause == Cause::Futex && culprit.is_none() && raw.is_of_newcomers(model) {
        return Judgement::Rest;
    }
    let nobody_worked =
        culprit.as_ref().is_none_or(|suspect| rhythm::slept(model, raw, suspect.thread));
    if queue && cause == Cause::Futex && nobody_worked && rhythm::rest_there(model, raw) {
        return Judgement::Rest;
    }
    let circle = deadlock::of(model, raw, cause, culprit.as_ref());
    let culprit = culprit.filter(|_| circle.is_empty()).map(|suspect| suspect.thread);
    Judgement::Freeze(Box::new(describe(model, raw, cause, Blamed { culprit, held_up, circle })))
}

/// The freeze of those who stood still for `cause`, with what is said of it and of those who kept them waiting.
fn describe(
    model: &Model<'_>,
    all: &RawWindow,
    cause: Cause,
    blamed: Blamed,
) -> (RawWindow, Window) {
    // Who waits for an answer with the lock waits like the others, and a quota is of all threads of its cgroup; any other holder is
    // why they wait.
    let of_all = matches!(cause, Cause::Network | Cause::CpuThrottle);
    let raw = if all.cause.is_lock() && !of_all {
        all.of_those_at_the_lock(blamed.culprit)
    } else {
        all.of_all_who_stood_still()
    };
    let raw = if cause == Cause::Network { network::without_other_end(model, raw) } else { raw };
    tell(model, raw, cause, blamed, None)
}

/// The freeze of those who found no CPU, with what is said of it; of those, if any, that are known to be kept.
pub(crate) fn of_starved(
    model: &Model<'_>,
    raw: RawWindow,
    kept: Option<Vec<CpuId>>,
) -> (RawWindow, Window) {
    tell(model, raw, Cause::CpuStarvation, Blamed::default(), kept)
}

/// What is said of a freeze.
fn tell(
    model: &Model<'_>,
    raw: RawWindow,
    cause: Cause,
    Blamed { culprit, held_up, circle }: Blamed,
    kept: Option<Vec<CpuId>>,
) -> (RawWindow, Window) {
    let at_lock = raw.cause.is_lock();
    let (leaves, total) = blame::of(model, &raw.harms);
    let found = culprit::find(&leaves, total);
    let culprit = found.filter(|suspect| Some(suspect.thread) == culprit);
    let kind = cause::of_lock(model, &raw, cause, (&leaves, total));
    let lock = at_lock.then(|| frozen::lock(model, &raw, kind, culprit.as_ref()));
    let other_end =
        (cause == Cause::Network).then(|| network::other_end(model, &raw, &leaves, total));
    let late = other_end.iter().flatten().find_map(|other| network::culprit(model, &raw, other));
    let had_cpus = had_cpus::find(model, &raw, cause, kept);
    let keeper = had_cpus.as_ref().and_then(|had| had.keeper(model, &raw));
    let outside = keeper.as_ref().map(|keeper| keeper.grade);
    let outside = outside.or(late.as_ref().map(|_| Grade::Strong));
    let grade = grade::grade(model, &raw, cause, culprit.as_ref(), outside, (&leaves, total));
    let mut reasons = reasons::of(model, &raw, cause, culprit.as_ref(), had_cpus.as_ref());
    reasons.extend(held_up.and_then(|holder| reasons::of_holder(model, &raw, holder.thread)));
    let holder = culprit.as_ref().filter(|_| cause == Cause::Futex);
    reasons.extend(holder.and_then(|suspect| kept::reason(model, &raw, suspect.thread)));
    if let Some(other) = &other_end {
        reasons.extend(behind::reasons(model, &raw, other.as_ref()));
    }
    let mut evidence = grade::evidence(model, &raw, culprit.as_ref(), &leaves, total);
    evidence.extend(deadlock::evidence(model, &circle));
    let stopped =
        (cause == Cause::Stopped).then(|| stopped::longest(model, (&leaves, total))).flatten();
    let sender = stopped.and_then(|stop| stopped::sender(model, stop));
    evidence.extend(sender.as_ref().map(|sender| sender.evidence.clone()));
    let other_end = other_end.flatten();
    let starved = other_end.as_ref().filter(|other| other.is_starved);
    let answers = other_end.as_ref().filter(|other| other.is_to_blame);
    let stopper = sender.as_ref().map(|sender| sender.culprit.thread.clone());
    let root = culprit.as_ref().map(|suspect| suspect.thread);
    let chain_to = root.or(sender.as_ref().map(|sender| sender.thread));
    let known_queue = root.filter(|_| grade <= Grade::Strong);
    let culprit = culprit.as_ref().map(|suspect| culprit::describe(model, &raw, suspect));
    let window = Window {
        cause: Some(cause),
        grade,
        reasons,
        evidence,
        freeze: Freeze {
            cpus: keeper.as_ref().map(|keeper| keeper.cpus.clone()).unwrap_or_default(),
            ..frozen::freeze(model, &raw, (&leaves, total))
        },
        lock,
        deadlock: circle.iter().map(|&thread| view::thread_name(model.capture, thread)).collect(),
        starved_end: starved.map(|other| network::starved(model, &raw, other)),
        blame: {
            let had_cpus = had_cpus.as_ref().map(|had| had.row(model, keeper.as_ref()));
            let stopper = stopper.as_ref();
            charged::of(model, cause, &leaves, Known { answers, stopper, had_cpus })
        },
        culprit: culprit
            .or(late)
            .or(sender.map(|sender| sender.culprit))
            .or(keeper.map(|keeper| keeper.culprit)),
        chain: chain::of_longest(model, &raw, chain_to),
        without_culprit: known_queue
            .and_then(|culprit| counterfactual::without(model, &raw, culprit)),
        remedies: Vec::new(),
    };
    (raw, window)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Loss, LossKind, Timestamp};

    use crate::analyze;
    use crate::findings::{Cause, Findings, Grade, Window};
    use crate::script::{self, FUTEX, SLEEPS, WAKES};

    /// What is found of a process of m, a, b, c and d, the last four of which sleep for 5 ms ten times before `then`.
    fn after_habits(then: &str) -> Findings {
        analyze(&with_habits(then), &script::options())
    }

    fn with_habits(then: &str) -> Capture {
        let threads =
            [('m', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
        script::with_habits(&threads, &format!("99ms m>- S SLEEPS,{then}"))
    }

    #[test]
    fn pauses_of_a_runtime_that_follow_each_other_are_one_freeze_and_rounds_of_work_are_none() {
        // After many short sleeps m keeps a to d for 60 ms four times, in which it computes, and lets them go on for 5 ms in between.
        let culprits = |maker| {
            let mut threads = vec![('m', maker)];
            threads.extend(('a'..='d').map(|letter| (letter, "serve")));
            let sleep = |at: u64| {
                let sleeps = ('a'..='d').map(|t| format!("{at}ms {t}>m S SLEEPS"));
                let ends = ('a'..='d').map(|t| format!("{}ms w:{t},{}ms ->{t}", at + 5, at + 5));
                sleeps.chain(ends).collect::<Vec<_>>().join(",")
            };
            let stop = |round: u64| {
                let (from, until) = (601 + 65 * round, 661 + 65 * round);
                let waits = ('a'..='d').map(|t| format!("{from}ms {t}>m S FUTEX"));
                let ends = ('a'..='d').map(|t| format!("{until}ms m!{t} WAKES,{until}ms ->{t}"));
                waits.chain(ends).collect::<Vec<_>>().join(",")
            };
            let sleeps = (101..600).step_by(10).map(sleep);
            let events: Vec<String> = sleeps.chain((0..4).map(stop)).chain([sleep(871)]).collect();
            let capture = script::with_habits(&threads, &events.join(","));
            let findings = analyze(&capture, &script::options());
            let tid = |window: Window| window.culprit.and_then(|culprit| culprit.thread.tid);
            findings.windows.into_iter().map(tid).collect::<Vec<_>>()
        };
        assert_eq!(culprits("VM Thread"), [Some(script::tid('m'))]);
        assert_eq!(culprits("main"), []);
    }

    #[test]
    fn who_looked_up_until_the_lock_was_free_is_no_culprit() {
        // d waits in slices of 10 ms, the last of which runs out; then it hands the lock on.
        let slice = |at: u64| {
            let end = 110 + 10 * at;
            format!("{}ms d>- S FUTEX,{end}ms w:d,{end}ms ->d", end - 9)
        };
        let slices: Vec<String> = (0..10).map(slice).collect();
        let waits = "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>d S FUTEX";
        let ends = "201ms d!a WAKES,201ms d!b WAKES,201ms d!c WAKES,202ms d>a S SLEEPS,203ms a>b S SLEEPS,\
                    204ms b>c S SLEEPS,205ms c>- S SLEEPS";
        let findings = after_habits(&format!("{waits},{},{ends}", slices.join(",")));
        assert!(findings.worst().unwrap().culprit.is_none(), "{:?}", findings.windows);
        // Who runs meanwhile is one.
        let findings = after_habits(&format!("{waits},{ends}"));
        let culprit = findings.worst().unwrap().culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('d')));
    }

    #[test]
    fn where_events_were_lost_who_is_woken_while_it_seems_to_run_waited_like_the_others() {
        let culprit = |woken: &str| {
            let waits = "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>d S FUTEX";
            let ends = "501ms d!a WAKES,501ms d!b WAKES,501ms d!c WAKES,502ms d>a S SLEEPS,503ms a>b S SLEEPS,\
                        504ms b>c S SLEEPS,505ms c>- S SLEEPS";
            let others: Vec<String> =
                (110..410).step_by(5).map(|at| format!("{at}ms .m")).collect();
            let then = format!("{waits},{},{woken},{ends}", others.join(","));
            let mut capture = with_habits(&then);
            let (time, kind) = (Some(Timestamp(600_000_000)), LossKind::Lost);
            capture.losses.push(Loss { time, kind, count: 1, note: String::new() });
            let findings = analyze(&capture, &script::options());
            findings.worst().unwrap().culprit.as_ref().map(|culprit| culprit.thread.tid)
        };
        assert_eq!(culprit("500ms .m"), Some(Some(script::tid('d'))));
        assert_eq!(culprit("500ms m!d WAKES"), None);
    }

    #[test]
    fn who_waited_for_the_lock_is_no_culprit_where_who_let_it_on_was_not_recorded() {
        // `perf record -p`: somebody else lets d on, and d, as soon as it has the lock, the others.
        let culprit = |d_left_at: &str| {
            let lock = "schedule<rwsem_down_write_slowpath<down_write_killable<vm_mmap_pgoff";
            let wakes = "try_to_wake_up<wake_up_q<rwsem_wake<up_write<vm_mmap_pgoff";
            let left_at = d_left_at.replace("LOCK", lock);
            let waits = format!(
                "101ms d>- D {left_at},102ms a>- D {lock},102ms b>- D {lock},102ms c>- D {lock}"
            );
            let ends = format!("501ms d!a {wakes},502ms a!b {wakes},503ms b!c {wakes}");
            let sleeps = "502ms d)munmap,502ms d>- S SLEEPS,503ms a>- S SLEEPS,504ms b>- S SLEEPS,505ms c>- S SLEEPS";
            let mut capture = with_habits(&format!("{waits},{ends},{sleeps}"));
            let idle = script::thread(&mut capture, "-");
            capture.switches.retain(|row| row.out != Some(idle));
            capture.wakeups.retain(|row| row.waker.is_some());
            capture.origin.command = ["perf", "record", "-p", "109"].map(str::to_owned).to_vec();
            let findings = analyze(&capture, &script::options());
            findings.worst().unwrap().culprit.as_ref().map(|culprit| culprit.thread.tid)
        };
        assert_eq!(culprit("LOCK"), None);
        assert_eq!(culprit("schedule<ep_poll<do_epoll_wait"), Some(Some(script::tid('d'))));
    }

    #[test]
    fn who_passes_on_a_signal_to_stop_had_no_lock_of_those_who_wait() {
        // h has a lock and computes; the first of its waiters to take a signal wakes the others for it.
        let culprit = |wakes: &str| {
            let lock = "FUTEX<user:__lll_lock_wait";
            let waits = format!(
                "101ms a>b S {lock},101ms b>c S {lock},101ms c>d S {lock},101ms d>m S {lock}"
            );
            let stop = "schedule<do_signal_stop<get_signal";
            let ends = format!(
                "501ms w:d,501ms m>d R+,501ms d!a {wakes},501ms d!b {wakes},501ms d!c {wakes},502ms d>a T {stop},\
                 503ms a>b T {stop},504ms b>c T {stop},505ms c>m T {stop},506ms .m"
            );
            let findings = after_habits(&format!("{waits},{ends}"));
            findings.windows.into_iter().find_map(|window| window.culprit.map(|who| who.thread.tid))
        };
        let signals = "try_to_wake_up<signal_wake_up_state<do_signal_stop<get_signal";
        assert_eq!(culprit(signals), None);
        assert_eq!(culprit("try_to_wake_up<zap_other_threads<do_group_exit"), None);
        assert_eq!(culprit("WAKES<user:__lll_lock_wake"), Some(Some(script::tid('d'))));
    }

    /// What is found where a, b and c wait for what d lets go of, after it did something; each lets the next on.
    fn behind_d(does: &str) -> Findings {
        let waits = "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>d S FUTEX";
        let ends = "501ms d!a WAKES,502ms d>a S SLEEPS,502ms a!b WAKES,503ms a>b S SLEEPS,503ms b!c WAKES,\
                    504ms b>c S SLEEPS,505ms c>- S SLEEPS";
        after_habits(&format!("{waits},{does},{ends}"))
    }

    #[test]
    fn who_waits_for_its_child_with_the_lock_is_the_culprit() {
        let findings = behind_d("102ms d>- S schedule<do_wait<kernel_wait4,501ms ->d");
        let culprit = findings.worst().unwrap().culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('d')));
    }

    #[test]
    fn who_waits_for_an_answer_with_a_lock_that_is_free_as_a_rule_is_the_culprit() {
        let findings = behind_d("102ms d>- S schedule<ep_poll<do_epoll_wait,501ms ->d");
        let culprit = findings.worst().unwrap().culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('d')));
    }

    #[test]
    fn a_holder_that_often_waits_for_its_disk_lets_nobody_on_and_off() {
        let reads = |at: u64| {
            format!(
                "{at}ms d>- D schedule<io_schedule<submit_bio_wait,{}ms k!d,{}ms ->d",
                at + 1,
                at + 1
            )
        };
        let reads: Vec<String> = (102..500).step_by(10).map(reads).collect();
        let findings = behind_d(&reads.join(","));
        let culprit = findings.worst().unwrap().culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('d')));
    }

    /// What is found of a process whose main thread sleeps and lets a on, which lets b on, and so on, every 10 ms and once after
    /// 400 ms. Between that the others rest there as well, or in a sleep of their own.
    fn after_a_long_pause(rest: &str) -> Findings {
        let threads =
            [('m', "main"), ('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "serve")];
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .m".to_owned()];
        let mut round = |from: u64, rest: &str, until: u64| {
            events.push(format!("{from}ms m>- S {SLEEPS}"));
            events.extend(('a'..='d').map(|thread| format!("{from}ms {thread}>- S {rest}")));
            events.push(format!("{until}ms ->m"));
            let chain = "mabcd".chars().zip("abcd".chars());
            events.extend(chain.flat_map(|(waker, thread)| {
                let woken = format!("{until}ms {waker}!{thread} {WAKES}");
                [woken, format!("{until}ms ->{thread}")]
            }));
        };
        for at in (0..200).step_by(10) {
            round(at + 1, rest, at + 9);
        }
        round(201, FUTEX, 601);
        round(602, rest, 604);
        let capture = script::record(capture, &events.join(","));
        analyze(&capture, &script::options())
    }

    #[test]
    fn who_waits_for_nothing_but_to_be_let_on_rests_there() {
        assert!(after_a_long_pause(FUTEX).windows.is_empty());
        let told = after_a_long_pause(SLEEPS);
        let culprit = told.worst().unwrap().culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('m')));
    }

    #[test]
    fn who_waits_for_its_disk_with_the_lock_is_told_as_why_and_not_as_a_culprit() {
        let disk = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
        let findings = after_habits(&format!(
            "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>d S FUTEX,102ms d>- D {disk},252ms ->d,\
             253ms d!a WAKES,253ms d!b WAKES,253ms d!c WAKES,254ms d>a S SLEEPS,255ms a>b S SLEEPS,\
             256ms b>c S SLEEPS,257ms c>- S SLEEPS"
        ));
        let window = findings.worst().unwrap();
        assert_eq!((window.cause, window.grade), (Some(Cause::DiskIo), Grade::Strong));
        assert!(window.culprit.is_none());
        assert_eq!(window.freeze.threads_blocked, 3);
        let told: Vec<&str> = window.reasons.iter().map(|row| &**row).collect();
        assert!(
            told.iter()
                .any(|row| row.starts_with("serve (tid 100) had what the others waited for")),
            "{told:?}"
        );
    }

    #[test]
    fn nobody_holds_a_grace_period_and_somebody_may_hold_a_mutex_through_one() {
        let rcu = "schedule<schedule_timeout<__wait_for_common<__wait_rcu_gp<synchronize_rcu_normal<synchronize_net";
        let alone =
            after_habits(&format!("101ms d>- D {rcu},401ms k!d,401ms ->d,402ms d>- S SLEEPS"));
        let window = alone.worst().unwrap();
        assert_eq!((window.cause, window.grade), (Some(Cause::Unknown), Grade::Undetermined));
        assert!(window.culprit.is_none() && window.lock.is_none());

        let mutex = "schedule<schedule_preempt_disabled<__mutex_lock<rtnl_newlink";
        let unlocks = "try_to_wake_up<wake_up_q<__mutex_unlock_slowpath<rtnl_newlink";
        let held = after_habits(&format!(
            "101ms d>- D {rcu},102ms a>b D {mutex},103ms b>c D {mutex},401ms k!d,401ms ->d,402ms d!a {unlocks},\
             402ms d>a S SLEEPS,403ms a!b {unlocks},403ms a>b S SLEEPS,404ms b>- S SLEEPS"
        ));
        let of_mutex = held.windows.iter().find(|window| window.cause == Some(Cause::Mutex));
        let culprit = of_mutex.and_then(|window| window.culprit.as_ref());
        assert_eq!(culprit.and_then(|culprit| culprit.thread.tid), Some(script::tid('d')));
    }

    #[test]
    fn a_disk_whose_answers_nobody_takes_is_not_surely_the_cause() {
        let disk = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
        // A worker of the kernel that takes them waits for a CPU, which x has, for `starved` ms.
        let grade = |starved: u64| {
            let then = format!(
                "101ms a>b S FUTEX,101ms b>c S FUTEX,101ms c>d S FUTEX,102ms d>- D {disk},110ms w:k,{}ms x>k R,{}ms k>x S SLEEPS,\
                 252ms ->d,253ms d!a WAKES,253ms d!b WAKES,253ms d!c WAKES,254ms d>a S SLEEPS,255ms a>b S SLEEPS,\
                 256ms b>c S SLEEPS,257ms c>- S SLEEPS",
                110 + starved,
                111 + starved,
            );
            let capture = script::process(with_habits(&then), &[('k', "kworker/0:1H-kblockd")]);
            analyze(&capture, &script::options()).worst().unwrap().grade
        };
        assert_eq!(grade(10), Grade::Strong);
        assert_eq!(grade(100), Grade::Circumstantial);
    }

    #[test]
    fn a_pool_at_rest_does_not_hide_who_stood_still_at_the_disk() {
        let disk = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
        let poll = "schedule<ep_poll<do_epoll_wait";
        // a and b rest until m, which polls, hands them work; c and d wait for the disk.
        let findings = after_habits(&format!(
            "99500000 ->m,100ms m>- S {poll},101ms a>b S FUTEX,101ms b>c S FUTEX,150ms c>d D {disk},150ms d>- D {disk},\
             261ms w:m,261ms ->m,262ms m!a WAKES,262ms m!b WAKES,262ms w:c,262ms w:d,263ms m>a S SLEEPS,264ms a>b S SLEEPS,\
             265ms b>c S SLEEPS,266ms c>d S SLEEPS,267ms d>- S SLEEPS"
        ));
        let window = findings.worst().unwrap();
        assert_eq!((window.cause, window.freeze.threads_blocked), (Some(Cause::DiskIo), 2));
    }

    #[test]
    fn the_holders_own_wait_is_nobodys_loss() {
        // m waits for a lock that nobody is seen to have, with mmap_lock, long before the others want that.
        let (vma, mmap) = (
            "schedule<__vma_start_write<mprotect_fixup<__x64_sys_mprotect",
            "schedule<rwsem_down_write_slowpath<down_write_killable<vm_mmap_pgoff",
        );
        let releases = "try_to_wake_up<wake_up_q<rwsem_wake<up_write<mprotect_fixup<do_mprotect_pkey<__x64_sys_mprotect";
        let findings = after_habits(&format!(
            "100ms ->m,101ms m>- D {vma},141ms a>b D {mmap},141ms b>c D {mmap},141ms c>d D {mmap},141ms d>- D {mmap},\
             301ms ->m,302ms m!a {releases},302ms m!b {releases},302ms m!c {releases},302ms m!d {releases},\
             302ms m>a S SLEEPS,303ms a>b S SLEEPS,304ms b>c S SLEEPS,305ms c>d S SLEEPS,306ms d>- S SLEEPS"
        ));
        let window = findings.worst().unwrap();
        let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
        assert_eq!(culprit, Some(script::tid('m')));
        assert_eq!(window.freeze.threads_blocked, 4);
        assert_eq!(window.freeze.blocked.0, 4 * 161_000_000);
        assert_eq!(window.freeze.span.map(|span| span.start.0), Some(141_000_000));
        assert!(window.blame.iter().all(|row| !row.unknown), "{:?}", window.blame);
    }

    #[test]
    fn who_waits_until_another_has_initialised_something_stands_still_whatever_it_does_else() {
        // a, b and c compute, and have waited for nothing before.
        let told = |waits: &str, wakes: &str| {
            let rests = |(at, who): (u64, &str)| format!("{at}ms {who} S {FUTEX}<user:{waits}");
            let ends = ["a", "b", "c"].map(|t| format!("1501ms d!{t} {WAKES}<user:{wakes}"));
            let waits = [(101, "a>b"), (102, "b>c"), (103, "c>d")].map(rests).join(",");
            let events = format!("0 .a,{waits},{},1502ms d>a R+,1503ms .a", ends.join(","));
            let threads = ['d', 'a', 'b', 'c'].map(|t| (t, "serve"));
            let capture = script::record(script::process(Capture::default(), &threads), &events);
            let windows = analyze(&capture, &script::options()).windows.into_iter();
            let who = |window: &Window| window.culprit.as_ref().and_then(|who| who.thread.tid);
            windows
                .map(|w| (w.cause, w.grade, w.freeze.threads_blocked, who(&w)))
                .collect::<Vec<_>>()
        };
        let frozen = (Some(Cause::Futex), Grade::Strong, 3, Some(script::tid('d')));
        assert_eq!(told("__pthread_once_slow", "__pthread_once_slow"), [frozen]);
        // Without frame pointers the waiters' stacks end before.
        assert_eq!(told("", "syscall<user:__cxa_guard_release"), [frozen]);
        assert_eq!(
            told("pthread_cond_wait", "pthread_cond_broadcast<user:__pthread_once_slow"),
            []
        );
    }
}
