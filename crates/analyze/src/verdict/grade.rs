//! How sure a verdict is, and the evidence for it in words.

use coldcase_ingest::capture::{Context, Meaning, Nanos, Sentence, Span, ThreadId};

use crate::blame::network;
use crate::blame::{Leaf, Root, root_thread, stopped};
use crate::findings::{Cause, Grade, LockMode, Operation};
use crate::holds::{Evidence, Hold};
use crate::model::Model;
use crate::rules::WaitKind;
use crate::sites::requests;
use crate::states::{Doing, WaitId};
use crate::verdict::cause;
use crate::verdict::culprit::Suspect;
use crate::verdict::kept_off;
use crate::windows::RawWindow;
use crate::windows::rhythm;
use crate::{cpu, losses, names, runtimes, view};

/// How sure it is that `cause`, and the culprit if there is one, made a freeze whose waiting comes down to these leaves;
/// `outside` is how sure it is of somebody who had no lock: who answered late, or kept the CPUs.
pub(crate) fn grade(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    culprit: Option<&Suspect>,
    outside: Option<Grade>,
    (leaves, total): (&[Leaf], Nanos),
) -> Grade {
    let mut grade = match culprit {
        Some(suspect) => grade_of_holds(raw, suspect, leaves),
        None if cause == Cause::Network => outside.unwrap_or(Grade::Circumstantial),
        None if raw.cause.is_lock() => grade_behind_a_lock(model, raw, cause, leaves, total),
        None if cause == Cause::CpuStarvation || cause == Cause::CpuThrottle => {
            outside.unwrap_or(Grade::Circumstantial)
        }
        None if cpu::may_hide_behind_waits(model, raw) => Grade::Circumstantial,
        // What a thread waited for stands in its own stack or state.
        None => Grade::Strong,
    };
    let unknown = unknown(leaves);
    let sampled =
        [Meaning::Switches, Meaning::Waking].iter().any(|&event| model.capture.sampled(event));
    // Who sleeps and then lets others on had a lock, or brings them work by the clock, as a load generator does: only a function of
    // the program tells the two apart.
    let may_be_a_pause = raw.cause == Cause::Futex
        && !raw.known_lock
        && culprit.is_some_and(|suspect| rhythm::slept(model, raw, suspect.thread));
    // Who only passes on what came from outside, as a standby's confirmation, lets servers go on in the same way.
    let at_latch = |id| model.sites.name(model.sites.of(id)) == requests::SITE;
    let may_pass_on = raw.waits().any(at_latch)
        && culprit.is_some_and(|suspect| network::rested(model, suspect.thread, raw));
    let may_be_a_circle = culprit.is_some_and(|suspect| gave_up(model, raw, suspect.thread));
    let may_be_kept_off = culprit.is_some_and(|suspect| kept_off::may_be(model, raw, suspect));
    let has_less = culprit.is_some_and(|suspect| !suspect.has_most(total));
    // Nor is seen what the holder waited for itself.
    let is_lossy = losses::any(model.capture, raw.span) || model.capture.shows_locks_alone();
    if unknown.share_of(total) > 0.5
        || is_lossy
        || may_be_a_pause
        || may_be_a_circle
        || may_pass_on
        || may_be_kept_off
        || has_less
    {
        grade = grade.max(Grade::Circumstantial);
    }
    let may_be_quota = cause == Cause::CpuStarvation
        && outside.is_none_or(|outside| outside > Grade::Strong)
        && cpu::may_be_quota(model, raw.span);
    if sampled || cause == Cause::Unknown || may_be_quota {
        grade = Grade::Undetermined;
    }
    grade
}

/// The grade of a cause that held up those who had the lock: it stands in their own stacks, and wakers' stacks show that
/// they had it.
fn grade_behind_a_lock(
    model: &Model<'_>,
    raw: &RawWindow,
    cause: Cause,
    leaves: &[Leaf],
    total: Nanos,
) -> Grade {
    let shown = leaves.iter().filter(|leaf| {
        let by_it = matches!(leaf.root, Root::Blocked(_, wait) | Root::Own(wait)
            if matches!(model.sites.of(wait).kind, WaitKind::Harm(of_wait, _) if of_wait == cause));
        let had =
            |hold: Hold| matches!(hold.evidence, Evidence::LockEvents | Evidence::ReleaseStack);
        by_it && leaf.hold.is_none_or(had)
    });
    let shown: Nanos = shown.map(|leaf| leaf.time).sum();
    let known = !cause.is_lock() || cause::is_frozen_files(model, raw, (leaves, total));
    if known && shown.share_of(total) >= 0.8 && kernel_had_a_cpu(model, raw.span) {
        Grade::Strong
    } else {
        Grade::Circumstantial
    }
}

/// Whether those threads of the kernel that send requests to devices and take their answers found a CPU. Where something keeps
/// them from it, an answer may have come long before a waiter is woken, and the device is not to blame.
pub(crate) fn kernel_had_a_cpu(model: &Model<'_>, span: Span) -> bool {
    /// On a machine full of other work a worker was seen to wait for a fifth of a freeze in all, and beside a real-time thread
    /// that leaves them no CPU, for four fifths.
    const MOST: f64 = 0.3;
    const WORKERS: [&str; 3] = ["ksoftirqd/", "kworker/", "jbd2/"];
    let seen = model.load().idle_share(&model.states, span).is_some();
    let mut threads = model.capture.threads.iter();
    let starved = |id| {
        let wanted = model.states.time(id, span, |doing| matches!(doing, Doing::Runnable(_)));
        wanted.share_of(span.duration()) > MOST
    };
    seen && !threads.any(|(id, thread)| {
        WORKERS.iter().any(|worker| thread.comm().starts_with(worker)) && starved(id)
    })
}

fn grade_of_holds(raw: &RawWindow, suspect: &Suspect, leaves: &[Leaf]) -> Grade {
    let share = |evidence: &[Evidence]| {
        let own = leaves.iter().filter(|leaf| root_thread(leaf.root) == Some(suspect.thread));
        let shown =
            own.filter(|leaf| leaf.hold.is_some_and(|hold| evidence.contains(&hold.evidence)));
        shown.map(|leaf| leaf.time).sum::<Nanos>().share_of(suspect.time)
    };
    // Whoever lets go of a mutex had it, whatever the call, and so had the one writer of a semaphore (`up_write`).
    let writes = suspect.hold.mode == Some(LockMode::Write);
    let owned =
        matches!(raw.cause, Cause::Futex | Cause::Mutex) || raw.cause == Cause::Rwsem && writes;
    let names_itself = owned || suspect.hold.operation.is_some() || suspect.hold.call.is_some();
    if share(&[Evidence::LockEvents]) >= 0.8 {
        Grade::Proven
    } else if share(&[Evidence::LockEvents, Evidence::ReleaseStack]) >= 0.8 && names_itself {
        Grade::Strong
    } else {
        Grade::Circumstantial
    }
}

/// What speaks for the culprit, and what is not known, in a sentence each.
pub(crate) fn evidence(
    model: &Model<'_>,
    raw: &RawWindow,
    culprit: Option<&Suspect>,
    leaves: &[Leaf],
    total: Nanos,
) -> Vec<Sentence> {
    let mut evidence = Vec::new();
    if let Some(suspect) = culprit {
        let name = view::thread_name(model.capture, suspect.thread);
        let comm = &name.comm;
        let share = 100.0 * suspect.time.share_of(total);
        let ends = format!("{share:.0} % of the waiting ends at ");
        evidence.push(Sentence::from(ends).task(comm));
        let by = || Sentence::default().task(comm);
        let is_late = suspect.hold.operation == Some(Operation::LateToPause);
        evidence.push(match suspect.hold.evidence {
            _ if is_late => by().words(
                " was the last to stop: until then the one who stops the program's threads looked again and again, and \
                 then no more",
            ),
            Evidence::LockEvents => Sentence::from("the lock's own events show when ")
                .task(comm)
                .words(" took and released it"),
            Evidence::ReleaseStack if runtimes::is_collector(model, suspect.thread) => {
                by().words(" released the threads at the end of the pause")
            }
            Evidence::ReleaseStack => {
                by().words(" woke those who waited, from a stack that releases the lock")
            }
            Evidence::Waker => by().words(" woke those who waited; its stack was not recorded"),
            Evidence::Overlap => Sentence::from("a call of ")
                .task(comm)
                .words(" spans the waiting; nothing else points to it"),
        });
        if gave_up(model, raw, suspect.thread) {
            evidence.push(
                "its own wait for a lock, or at a futex that may be one, ran out by a timer, and nobody is seen to have released \
                 that one: two threads that wait for each other (a deadlock) look like this"
                    .into(),
            );
        }
        if suspect.hold.mode == Some(LockMode::Read) && raw.cause == Cause::MmapLock {
            evidence.push(
                "it held the lock as a reader: writers waited, and readers behind them".into(),
            );
        }
    }
    if culprit.is_none() && raw.cause.is_lock() && nobody_let_on(model, raw) {
        evidence.push(
            "nobody let them on, as long as the recording or their process lasted: threads that wait for each other (a deadlock) look \
             like this, and so does a lock that its holder never released"
                .into(),
        );
    }
    let share = 100.0 * unknown(leaves).share_of(total);
    if share >= 0.1 {
        evidence.push(format!("for {share:.1} % of the waiting nobody is known").into());
    }
    if losses::any(model.capture, raw.span) {
        evidence.push("events were lost in or near the window".into());
    }
    evidence
}

/// Whether nearly all who waited in a freeze waited until the recording ended, or until a signal ended them.
fn nobody_let_on(model: &Model<'_>, raw: &RawWindow) -> bool {
    let never = |id: WaitId| {
        let stack = model.wakeup(id).and_then(|wakeup| wakeup.stack);
        let interrupted = |stack| stopped::interrupts(model.capture, stack);
        model.states.wait(id).open_end || stack.is_some_and(interrupted)
    };
    let waits = || raw.harms.iter().filter_map(|harm| Some((harm.wait?, harm.span.duration())));
    let never: Nanos = waits().filter(|&(id, _)| never(id)).map(|(_, time)| time).sum();
    never.share_of(waits().map(|(_, time)| time).sum()) > 0.9
}

/// Whether a holder of a lock of the program spent most of a window in a futex wait of its own that nobody ended, which may have been
/// for a lock: `pthread_mutex_timedlock` waits where a condition with a time does.
fn gave_up(model: &Model<'_>, raw: &RawWindow, thread: ThreadId) -> bool {
    /// What is no lock, as far as functions of the program say: `pthread_cond_timedwait`, `sem_timedwait`, Java's `JVM_Sleep`.
    const NO_LOCKS: [&str; 4] = ["cond_", "sem_", "Sleep", "sleep"];
    let is_other = |id: WaitId| {
        let stack = model.states.wait(id).stack.into_iter();
        let mut functions = stack.flat_map(|stack| names::user(model.capture, stack));
        functions.any(|name| NO_LOCKS.iter().any(|part| name.contains(part)))
    };
    let may_be_a_lock = |id: WaitId| {
        let site = model.sites.of(id);
        site.known_lock || raw.known_lock && site.is_harm_by(Cause::Futex) && !is_other(id)
    };
    let nobody_ended = |id: WaitId| {
        let wakeup = model.wakeup(id);
        wakeup.is_some_and(|wakeup| wakeup.context != Context::Task) && may_be_a_lock(id)
    };
    let waited = model.states.time(thread, raw.span, |doing| match doing {
        Doing::Blocked(id) => nobody_ended(id),
        Doing::Running | Doing::Runnable(_) => false,
    });
    waited.share_of(raw.span.duration()) > 0.5
}

/// Time for which nobody is known.
fn unknown(leaves: &[Leaf]) -> Nanos {
    let unknown = leaves.iter().filter(|leaf| matches!(leaf.root, Root::Unknown(_)));
    unknown.map(|leaf| leaf.time).sum()
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Syscall};

    use crate::analyze;
    use crate::findings::{Cause, Grade, Operation};
    use crate::script;

    /// How sure it is, and in which call, that d had the semaphore for which a, b and c waited, if it lets go of it like this.
    fn by_d(lets_go: &str) -> (Grade, Option<Operation>) {
        let threads = [('a', "serve"), ('b', "serve"), ('c', "serve"), ('d', "rotate")];
        let capture = script::process(Capture::default(), &threads);
        let waits = "schedule<schedule_preempt_disabled<rwsem_down_write_slowpath<down_write<ext4_buffered_write_iter";
        let wakes = format!("try_to_wake_up<wake_up_q<rwsem_wake<{lets_go}");
        let events = format!(
            "0 .a,1ms a>b D {waits},2ms b>c D {waits},3ms c>d D {waits},200ms d!a {wakes},200ms d!b {wakes},\
             200ms d!c {wakes},201ms d>a S schedule<do_nanosleep,202ms a>b S schedule<do_nanosleep,\
             203ms b>c S schedule<do_nanosleep,204ms .c"
        );
        let findings = analyze(&script::record(capture, &events), &script::options());
        let worst = findings.worst().unwrap();
        assert_eq!(worst.cause, Some(Cause::Rwsem));
        let culprit = worst.culprit.as_ref().unwrap();
        assert_eq!(culprit.thread.tid, Some(script::tid('d')));
        (worst.grade, culprit.operation)
    }

    #[test]
    fn without_wakings_a_wait_for_the_disk_may_have_been_one_for_a_cpu() {
        // Nobody is seen to be woken. d is taken off its CPU while the others are at the disk, until all come back.
        let grade = |leaves: &str| {
            let threads = ['m', 'a', 'b', 'c', 'd'].map(|letter| (letter, "server"));
            let disk = "D schedule<io_schedule<submit_bio_wait";
            let away = ['a', 'b', 'c'].map(|letter| format!("101ms {letter}>- {disk}"));
            let back = ['a', 'b', 'c', 'd'].map(|letter| format!("301ms ->{letter}"));
            let events = format!(
                "{},102ms d>- {leaves},{},302ms a>- S SLEEPS,303ms d>- S SLEEPS,304ms .m",
                away.join(","),
                back.join(",")
            );
            analyze(&script::with_habits(&threads, &events), &script::options())
                .worst()
                .map(|window| (window.cause.unwrap(), window.grade))
        };
        assert_eq!(grade("S SLEEPS"), Some((Cause::DiskIo, Grade::Strong)));
        let taken_off = "R+ schedule<irqentry_exit_to_user_mode";
        assert_eq!(grade(taken_off), Some((Cause::DiskIo, Grade::Circumstantial)));
    }

    #[test]
    fn the_writer_of_a_semaphore_had_it_whatever_its_call_is_and_a_reader_was_the_last_of_some() {
        let truncate = Some(Operation::Syscall(Syscall::Truncate));
        assert_eq!(by_d("up_write<do_truncate<__x64_sys_truncate"), (Grade::Strong, truncate));
        assert_eq!(by_d("up_write<fs_work"), (Grade::Strong, None));
        assert_eq!(by_d("up_read<fs_work"), (Grade::Circumstantial, None));
        let reads = Some(Operation::Syscall(Syscall::Getdents64));
        assert_eq!(by_d("up_read<iterate_dir<__x64_sys_getdents64"), (Grade::Strong, reads));
    }
}
