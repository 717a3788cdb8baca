//! Whether threads that wanted to run found no CPU, or were not allowed to use one.

pub(crate) mod had_cpus;
pub(crate) mod keepers;
pub(crate) mod starvation;

use coldcase_ingest::capture::{Nanos, Sentence, Span, StackId, Switch, ThreadId};

use crate::findings::Cause;
use crate::losses;
use crate::model::Model;
use crate::names;
use crate::rules;
use crate::states::{Doing, ThreadStates};
use crate::windows::RawWindow;

/// A CPU that is idle while threads want to run is held back from them: by a quota of their cgroup (CFS
/// bandwidth control, `kernel/sched/fair.c`) or an affinity.
const IDLE_SHARE: f64 = 0.3;

/// Whether a thread that wants to run is kept from it by its cgroup's quota. Since Linux 6.18 a thread is taken
/// off in a task work on its way to user space (`throttle_cfs_rq_work`, `kernel/sched/fair.c`), or right after it
/// (`task_work_run`, `kernel/task_work.c`), where threads with other work, a closed file, give way too: a quota takes off
/// its process again and again. Before, only idle CPUs show it.
pub(crate) fn is_throttled(
    model: &Model<'_>,
    thread: ThreadId,
    stack: Option<StackId>,
    span: Span,
) -> bool {
    match left_at(model, stack) {
        Some("throttle_cfs_rq_work") => return true,
        Some("task_work_run") if recurs(model, thread) => return true,
        _ => {}
    }
    // Where events were lost, a CPU seems to idle under whoever ran.
    !losses::any(model.capture, span)
        && model.load().is_more_idle(&model.states, span, IDLE_SHARE)
        // The kernel takes its CPU from a thread of real-time priority for a moment in each second, whoever else wants it.
        && model.seats().urgent(thread, span.end).is_none()
}

/// Whether a quota is why a thread that others waited for did not run, whenever it wanted to for long.
pub(crate) fn is_held_by_quota(model: &Model<'_>, thread: ThreadId, span: Span) -> bool {
    /// Taking turns with others is no quota's doing.
    const LONG: Nanos = Nanos(10_000_000);
    let (mut wanted, mut throttled) = (Nanos::ZERO, Nanos::ZERO);
    for slice in model.states.within(thread, span) {
        let Doing::Runnable(stack) = slice.doing else { continue };
        let time = slice.span.duration();
        wanted += time;
        if time >= LONG && is_throttled(model, thread, stack, slice.span) {
            throttled += time;
        }
    }
    throttled.share_of(wanted) > 0.5
}

/// Whether those who found no CPU may have been allowed none: CPUs seem to have idled meanwhile, and where events were lost, one seems to
/// idle under whoever ran, too.
pub(crate) fn may_be_quota(model: &Model<'_>, span: Span) -> bool {
    losses::any(model.capture, span) && model.load().is_more_idle(&model.states, span, IDLE_SHARE)
}

/// Whether threads that seem to wait for a device may have waited for a CPU instead: without wakings a wait seems to last until its
/// thread comes back, and others of its process, or all but threads of real-time priority, were kept from coming meanwhile.
pub(crate) fn may_hide_behind_waits(model: &Model<'_>, raw: &RawWindow) -> bool {
    let span = raw.span;
    // Where comings are not recorded either, nobody is seen to want a CPU.
    if !model.states.comings_recorded || raw.waits().any(|id| model.wakeup(id).is_some()) {
        return false;
    }
    let siblings = model.capture.threads.process(raw.process).threads.iter();
    let wanted = siblings.map(|&thread| {
        model.states.time(thread, span, |doing| matches!(doing, Doing::Runnable(_)))
    });
    wanted.max().unwrap_or_default().share_of(span.duration()) > 0.5 || are_all_kept(model, span)
}

/// Whether whoever seems to run may have been kept from it by a quota: where comings are not recorded, a thread that was taken off
/// its CPU is taken to run on, and threads of the process were taken off as by a quota.
pub(crate) fn quota_may_hide(model: &Model<'_>, raw: &RawWindow) -> bool {
    /// A thread may have other work on its way to user space.
    const TIMES: usize = 3;
    if model.states.comings_recorded {
        return false;
    }
    let switches = &model.capture.switches;
    let left_at = |switch: &Switch| {
        let own = switch.state.is_runnable() && switch.out.is_some_and(|it| raw.crew.contains(&it));
        own.then(|| left_at(model, switch.stack)).flatten()
    };
    // Until Linux 6.18 a quota takes a whole run queue off its CPU (`throttle_cfs_rq`), at any switch, and those of its threads that
    // were not running are not seen to leave: no other CPU idles under who could go on.
    let threads = &model.capture.threads;
    let to_nobody = |switch: &&Switch| {
        switch.state.is_runnable()
            && switch.out.is_some_and(|it| threads.get(it).process == raw.process)
            && switch.into.is_some_and(|it| threads.get(it).is_idle_task())
    };
    if switches.iter().filter(to_nobody).nth(TIMES - 1).is_some() {
        return true;
    }
    let from = switches.partition_point(|switch| switch.time < raw.span.start);
    let meanwhile = switches[from..].iter().take_while(|switch| switch.time < raw.span.end);
    let at_work = |name: &Option<&str>| *name == Some("task_work_run");
    meanwhile.map(left_at).any(|name| match name {
        Some("throttle_cfs_rq_work") => true,
        _ => {
            at_work(&name) && switches.iter().map(left_at).filter(at_work).nth(TIMES - 1).is_some()
        }
    })
}

fn left_at<'a>(model: &Model<'a>, stack: Option<StackId>) -> Option<&'a str> {
    names::kernel(model.capture, stack?).find(|name| !rules::is_scheduler(name))
}

/// Whether threads of a process were taken off after a task work several times, and for long.
fn recurs(model: &Model<'_>, thread: ThreadId) -> bool {
    const TIMES: usize = 3;
    const LONG: Nanos = Nanos(10_000_000);
    let siblings = model.capture.threads.process_of(thread).threads.iter();
    let slices = siblings.flat_map(|&sibling| model.states.of(sibling).long(LONG));
    let taken_off = slices.filter(|slice| match slice.doing {
        Doing::Runnable(stack) => left_at(model, stack) == Some("task_work_run"),
        Doing::Running | Doing::Blocked(_) => false,
    });
    taken_off.take(TIMES).count() == TIMES
}

/// Whether each CPU was kept through a span by a thread that never gave way to another: one of real-time priority does that (`man 7
/// sched`), and whoever waits for a CPU meanwhile does not do so as a matter of course, however often it happens.
pub(crate) fn are_all_kept(model: &Model<'_>, span: Span) -> bool {
    /// The kernel leaves a twentieth of each second to the others (`sched_rt_runtime_us`).
    const MOST: f64 = 0.9;
    if span.duration() < KEPT || losses::any(model.capture, span) {
        return false;
    }
    let kept: Nanos = model.kept_cpus().iter().map(|kept| kept.overlap(span)).sum();
    kept.share_of(model.load().whole(span)) > MOST
}

/// Who takes turns with others, whatever its weight, gives way within some milliseconds (`base_slice_ns`, `kernel/sched/fair.c`).
const KEPT: Nanos = Nanos(500_000_000);

/// Every time that a thread had a CPU for so long without a break.
pub(crate) fn kept(states: &ThreadStates) -> Vec<Span> {
    states.threads().flat_map(|thread| kept_by(states, thread)).collect()
}

fn kept_by(states: &ThreadStates, thread: ThreadId) -> Vec<Span> {
    /// It goes to another CPU, or one of the kernel's own threads has something to do.
    const NO_BREAK: Nanos = Nanos(200_000);
    let mut kept: Vec<Span> = Vec::new();
    for slice in states.of(thread).iter().filter(|slice| slice.doing == Doing::Running) {
        match kept.last_mut() {
            Some(last) if slice.span.start <= last.end.plus(NO_BREAK) => last.end = slice.span.end,
            Some(last) if last.duration() < KEPT => *last = slice.span,
            _ => kept.push(slice.span),
        }
    }
    kept.retain(|span| span.duration() >= KEPT);
    kept
}

/// The figure that tells a throttled process from a starved one.
pub(crate) fn reasons(model: &Model<'_>, raw: &RawWindow) -> Vec<Sentence> {
    let Some(idle) = model.load().idle_share(&model.states, raw.span) else { return Vec::new() };
    let idled = model.load().in_words(&model.states, idle);
    match raw.cause {
        Cause::CpuThrottle if idle > IDLE_SHARE => vec![
            format!("These threads wanted to run and were not allowed to, while the {idled}").into(),
        ],
        Cause::CpuThrottle => vec![
            "These threads were taken off their CPUs by the kernel's bandwidth control, as their stacks show".into(),
        ],
        Cause::CpuStarvation if may_be_quota(model, raw.span) => vec![
            format!(
                "The {idled}, as far as the events tell that were not lost: no CPU was free, or a quota of their cgroup (cpu.max) allowed \
                 them none, and this capture cannot tell which"
            )
            .into(),
        ],
        Cause::CpuStarvation => vec![format!("The {idled}").into()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Loss, LossKind, Timestamp};

    use super::*;
    use crate::findings::Grade;
    use crate::script::{self, SLEEPS};

    /// Whether a is throttled that is taken off after a task work so many times, for 20 ms each, while b has the CPU.
    fn throttled(times: u64) -> bool {
        let mut events = vec!["0 .a".to_owned()];
        for round in 0..times {
            let at = 30 * round + 1;
            let leaves = "R+ __schedule<__cond_resched<task_work_run<exit_to_user_mode_loop";
            events.push(format!("{at}ms a>b {leaves},{}ms b>a S", at + 20));
        }
        events.push("200ms a>-".to_owned());
        let capture = script::record(Capture::default(), &events.join(","));
        let model = script::model(&capture);
        let thread = capture.switches[0].out.unwrap();
        let off =
            model.states.of(thread).long(Nanos(20_000_000)).find_map(|slice| match slice.doing {
                Doing::Runnable(stack) => Some((stack, slice.span)),
                Doing::Running | Doing::Blocked(_) => None,
            });
        let (stack, span) = off.unwrap();
        is_throttled(&model, thread, stack, span)
    }

    /// Whether a is throttled that wants a CPU for 100 ms while the only one has gone idle, and that comes by this.
    fn throttled_until(it_comes: &str) -> bool {
        let script = format!("0 .a,1ms a>- R+,101ms {it_comes},200ms a>- S");
        let capture = script::record(Capture::default(), &script);
        let model = script::model(&capture);
        let thread = capture.switches[0].out.unwrap();
        let off = model.states.of(thread).long(Nanos(50_000_000)).next().unwrap();
        is_throttled(&model, thread, None, off.span)
    }

    #[test]
    fn a_cpu_that_is_never_seen_to_come_back_from_idling_is_not_known_to_idle() {
        assert!(throttled_until("->a"));
        assert!(!throttled_until("b>a S"));
    }

    #[test]
    fn who_finds_no_cpu_beside_one_that_never_gives_way_does_not_do_so_as_a_matter_of_course() {
        // a is new and wants the only CPU for 600 ms in each second, while b has it.
        let freezes = |breaks: &str, lost: bool| {
            let mut events = Vec::new();
            for second in 0..3 {
                let at = 1000 * second;
                events.push(format!("{}ms a>b R+ schedule", at + 1));
                events.extend(breaks.split_whitespace().map(|row| {
                    let (from, until) = (at + 300, at + 305);
                    row.replace("FROM", &from.to_string()).replace("UNTIL", &until.to_string())
                }));
                events.push(format!("{}ms b>a S schedule<do_nanosleep", at + 601));
            }
            let mut capture = Capture::default();
            capture.threads.fork(script::tid('a'), script::tid('a'), None, Timestamp(1));
            let script = format!("0 .b,1 .a,{}", events.join(",").replace(';', " "));
            let mut capture = script::record(capture, &script);
            let (time, kind, note) =
                (Some(Timestamp(1_500_000_000)), LossKind::Lost, String::new());
            capture.losses.extend(lost.then_some(Loss { time, kind, count: 1, note }));
            let found = crate::windows::find(&script::model(&capture), &script::options());
            found.iter().filter(|window| window.cause == Cause::CpuStarvation).count()
        };
        assert_eq!(freezes("", false), 3);
        assert_eq!(freezes("FROMms;b>c;R+ UNTILms;c>b;S", false), 0);
        assert_eq!(freezes("", true), 1);
    }

    #[test]
    fn a_quota_takes_a_thread_off_again_and_again_and_a_busy_machine_once() {
        assert!(throttled(3));
        assert!(!throttled(1));
    }

    #[test]
    fn while_events_were_lost_a_cpu_that_seems_to_idle_holds_nobody_back() {
        let events = "0 .a,5ms a>- S,10ms w:a,10ms ->a,20ms a>- R+ schedule,400ms ->a,410ms a>- S";
        let mut capture = script::record(Capture::default(), events);
        let (thread, span) = (
            capture.switches[0].out.unwrap(),
            Span::new(Timestamp(20_000_000), Timestamp(400_000_000)),
        );
        assert!(is_throttled(&script::model(&capture), thread, None, span));
        let (time, kind, note) = (Some(span.end), LossKind::Lost, String::new());
        capture.losses.push(Loss { time, kind, count: 1, note });
        assert!(!is_throttled(&script::model(&capture), thread, None, span));
    }

    #[test]
    fn whether_no_cpu_was_free_or_none_allowed_is_not_told_where_cpus_seem_to_idle_and_events_were_lost()
     {
        // a and c want the only CPU through 380 ms, in which it idles, or b has it.
        let told = |to: &str| {
            let mut events = vec!["0 .-".to_owned()];
            for at in (0..120).step_by(10) {
                events
                    .push(format!("{at}ms w:a,{at}ms w:c,{at}ms ->a,{}ms a>c S {SLEEPS}", at + 1));
                events.push(format!("{}ms c>- S {SLEEPS}", at + 2));
            }
            events.push(format!(
                "121ms w:c,122ms w:a,122ms ->a,123ms a>{to} R+ schedule,503ms {to}>a S {SLEEPS}"
            ));
            events.push(format!("504ms a>c S {SLEEPS},505ms c>- S {SLEEPS}"));
            events.extend((510..1010).map(|at| format!("{at}ms ->a,{at}ms a>- S {SLEEPS}")));
            let capture = script::process(Capture::default(), &[('a', "web"), ('c', "web")]);
            let mut capture = script::record(capture, &events.join(","));
            capture.origin.cpus = Some(1);
            let (time, kind, note) = (Some(Timestamp(503_000_000)), LossKind::Lost, String::new());
            capture.losses.push(Loss { time, kind, count: 1, note });
            let findings = crate::analyze(&capture, &script::options());
            let window = findings.worst().unwrap();
            let cannot_tell = |reason: &Sentence| reason.contains("cannot tell which");
            (window.cause, window.grade, window.reasons.iter().any(cannot_tell))
        };
        let starved = Some(Cause::CpuStarvation);
        assert_eq!(told("-"), (starved, Grade::Undetermined, true));
        assert_eq!((told("b").0, told("b").2), (starved, false));
        assert!(told("b").1 < Grade::Undetermined);
    }
}
