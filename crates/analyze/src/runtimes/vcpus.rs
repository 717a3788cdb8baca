//! Virtual CPUs: the threads in which the guest of a virtual machine runs.
//!
//! Each is a processor of the guest: where it stands still, so does what runs there, however many threads the machine's process has.
//!
//! A guest that has nothing to do halts its CPUs. KVM lets them wait in the kernel (`kvm_vcpu_block`), so a CPU that halts there and
//! waits for a futex elsewhere is kept from its guest. QEMU without KVM halts them at the condition at which it also keeps those of a
//! machine that is paused, for a snapshot, a dump, the end of a migration or by its monitor's `stop` (`qemu_wait_io_event`,
//! `softmmu/cpus.c`). A pause shows in how it begins and ends: each CPU tells the one who wants it that it has stopped, waits, and that
//! one lets all of them on (`pause_all_vcpus`, `resume_all_vcpus`):
//!
//! ```text
//! main:   |- kicks them, waits -|~~~~~ writes the guest's memory ~~~~~|- lets them on
//! CPU 0:           tells main -|------------- waits ------------------|
//! CPU 1:             tells main -|----------- waits ------------------|
//! ```

use std::collections::BTreeSet;

use coldcase_ingest::capture::{
    Capture, Context, Nanos, ProcessId, Span, StackId, ThreadId, Wakeup,
};

use crate::findings::Cause;
use crate::holds::release;
use crate::model::Model;
use crate::names;
use crate::rules::WaitKind;
use crate::runtimes::together::{self, LetOn};
use crate::sites::of_stacks::OfStacks;
use crate::sites::sums::Sums;
use crate::sites::{Site, Sites};
use crate::states::{Doing, ThreadStates, WaitId};
use crate::windows::habits::HABIT;
use crate::windows::harms::Harm;

/// What the waits of a machine's CPUs are called while it is paused.
pub(crate) const PAUSED: &str = "pause of the virtual machine";
/// What those of CPUs are called that halt in the kernel, and wait elsewhere.
pub(crate) const OUTSIDE: &str = "virtual CPU kept from its guest";
/// The rules' name for a CPU that has nothing to do in KVM.
const HALTED: &str = "virtual CPU";

/// Whether a name is that of a virtual CPU: of QEMU (`CPU 0/KVM`, with `-name debug-threads=on`, as libvirt starts it;
/// `accel/*/*-accel-ops.c`), of Firecracker (`src/vmm/src/vstate/vcpu.rs`) or of crosvm (`src/crosvm/sys/linux/vcpu.rs`).
fn is_name(comm: &str) -> bool {
    let numbered = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let qemus = comm.strip_prefix("CPU ").is_some_and(|rest| numbered(rest) && rest.contains('/'));
    let others = ["fc_vcpu ", "crosvm_vcpu"];
    qemus
        || comm.starts_with("ALL CPUs/")
        || others.iter().any(|name| comm.strip_prefix(name).is_some_and(numbered))
}

/// The virtual CPUs of all machines, by their names or by where they halt, in order.
pub(crate) fn find(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    sums: &Sums,
) -> Vec<ThreadId> {
    let mut found: BTreeSet<ThreadId> = capture
        .threads
        .iter()
        .filter(|(_, thread)| is_name(thread.comm()))
        .map(|(id, _)| id)
        .collect();
    found.extend(halting(sites, sums));
    found.extend(unnamed(capture, states, sites));
    found.into_iter().collect()
}

/// Virtual CPUs of QEMU without names of their own: those whom others let on again and again by a broadcast (`qemu_cpu_kick`). Its
/// workers are let on one at a time.
fn unnamed(capture: &Capture, states: &ThreadStates, sites: &Sites) -> Vec<ThreadId> {
    let is_qemu =
        |comm: &str| ["qemu-system-", "qemu-kvm", "kvm"].iter().any(|name| comm.starts_with(name));
    let processes: Vec<ProcessId> = capture
        .threads
        .processes()
        .filter(|(id, process)| {
            let comm = |&thread: &ThreadId| capture.threads.get(thread).comm();
            let named = process.threads.iter().map(comm).any(is_name);
            !process.kernel && !named && is_qemu(capture.threads.process_comm(*id))
        })
        .map(|(id, _)| id)
        .collect();
    if processes.is_empty() {
        return Vec::new();
    }
    let mut broadcasts = OfStacks::new(capture);
    let mut let_on = vec![0_usize; capture.threads.len()];
    for (id, wait) in states.waits() {
        if processes.contains(&capture.threads.get(wait.thread).process)
            && sites.of(id).is_harm_by(Cause::Futex)
            && let Some(stack) = wait.wakeup.and_then(|wakeup| wakeup.of(capture).stack)
            && broadcasts.get(stack, || is_broadcast(capture, stack))
        {
            let_on[wait.thread.index()] += 1;
        }
    }
    let threads = capture.threads.iter().map(|(id, _)| id);
    threads.filter(|id| let_on[id.index()] >= HABIT).collect()
}

fn halting<'s>(sites: &Sites, sums: &'s Sums) -> impl Iterator<Item = ThreadId> + 's {
    let halted = sites.number(HALTED);
    sums.iter().filter(move |row| Some(row.site.number()) == halted).map(|row| row.thread)
}

fn is_in_doubt(site: &Site) -> bool {
    site.is_harm_by(Cause::Futex) && !site.known_lock
}

/// The waits for futexes of those who halt in the kernel.
pub(crate) fn outside(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    sums: &Sums,
) -> Vec<WaitId> {
    let mut halts = vec![false; capture.threads.len()];
    let mut any = false;
    for thread in halting(sites, sums) {
        halts[thread.index()] = true;
        any = true;
    }
    let waits = states.waits().filter(|_| any);
    let of_them =
        waits.filter(|(id, wait)| halts[wait.thread.index()] && is_in_doubt(sites.of(*id)));
    of_them.map(|(id, _)| id).collect()
}

/// The waits of virtual CPUs in which all of their machine's stood still for somebody who had paused it.
pub(crate) fn paused(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
    vcpus: &[ThreadId],
) -> Vec<WaitId> {
    /// A CPU that has stopped lies down at once.
    const AT_ONCE: Nanos = Nanos(2_000_000);
    /// Shorter ones are nobody's freeze.
    const LONG: Nanos = Nanos(10_000_000);
    const NEARLY_ALL: f64 = 0.9;
    let process = |thread: ThreadId| capture.threads.get(thread).process;
    let is_vcpu = |thread: ThreadId| vcpus.binary_search(&thread).is_ok();
    let mut broadcasts = OfStacks::new(capture);
    let mut to_all =
        |row: &Wakeup| row.stack.is_some_and(|it| broadcasts.get(it, || is_broadcast(capture, it)));
    let mut waits: Vec<LetOn> = Vec::new();
    for &thread in vcpus {
        for slice in states.of(thread).long(LONG) {
            let Doing::Blocked(id) = slice.doing else { continue };
            if is_in_doubt(sites.of(id))
                && let Some((let_on, row)) = LetOn::new(capture, states, id)
                && !is_vcpu(let_on.by)
                && to_all(row)
            {
                waits.push(let_on);
            }
        }
    }
    let mut told_who_lets_it_on = |wait: &LetOn| {
        let until = capture.wakeups.partition_point(|row| row.time <= wait.span.start);
        let before = capture.wakeups[..until].iter().rev();
        let mut before = before.take_while(|row| row.time >= wait.span.start.minus(AT_ONCE));
        before.any(|row| {
            row.waker == Some(wait.thread)
                && row.context == Context::Task
                && process(row.wakee) == process(wait.thread)
                && !is_vcpu(row.wakee)
                && to_all(row)
        })
    };
    // Who looks for timers and answers of devices does not; if it lets on several at once that lay down together, they waited for it.
    let is_at_work = |wait: &LetOn| {
        let time = states.time(wait.by, wait.span, |doing| match doing {
            Doing::Running | Doing::Runnable(_) => true,
            Doing::Blocked(id) => {
                matches!(sites.of(id).kind, WaitKind::Harm(cause, _) if cause != Cause::Futex)
            }
        });
        time.share_of(wait.span.duration()) >= NEARLY_ALL
    };
    // One that never runs is not plugged in.
    let runs = |thread: ThreadId| states.ran(thread, capture.whole()) > Nanos::ZERO;
    let mut found = Vec::new();
    for group in together::groups(waits) {
        let has = |thread| group.iter().any(|wait| wait.thread == thread);
        let machine = group.first().map(|wait| process(wait.thread));
        let mut all = vcpus.iter().filter(|&&it| Some(process(it)) == machine && runs(it));
        if all.all(|&thread| has(thread))
            && (group.len() > 1 && group.iter().all(is_at_work)
                || group.iter().any(&mut told_who_lets_it_on))
        {
            found.extend(group.iter().map(|wait| wait.id));
        }
    }
    found.sort_unstable();
    found
}

/// Whether a harm is a virtual CPU's wait for a lock, or else where it may as well have halted.
pub(crate) fn is_at_lock(model: &Model<'_>, harm: &Harm) -> Option<bool> {
    let at_futex = model.is_vcpu(harm.thread) && harm.cause == Cause::Futex;
    at_futex.then(|| !harm.is_at_unnamed_futex(model))
}

/// Leaves out of some harms, while a machine is paused, those of its other threads: they save or load it meanwhile, or wait to, and
/// it is its CPUs that stand still.
pub(crate) fn without_helpers(model: &Model<'_>, harms: &mut Vec<Harm>) {
    let is_pause = |harm: &&Harm| {
        harm.makes_window
            && harm.wait.is_some_and(|id| model.sites.name(model.sites.of(id)) == PAUSED)
    };
    let paused: Vec<Span> = harms.iter().filter(is_pause).map(|harm| harm.span).collect();
    if paused.is_empty() {
        return;
    }
    harms.retain(|harm| {
        let meanwhile =
            |pause: &Span| pause.overlap(harm.span).share_of(harm.span.duration()) > 0.5;
        model.is_vcpu(harm.thread) || !paused.iter().any(meanwhile)
    });
}

/// Whether a waker lets all on who wait at a condition (`nptl/pthread_cond_broadcast.c`).
fn is_broadcast(capture: &Capture, stack: StackId) -> bool {
    let plain = |name: &str| {
        let name = name.split('@').next().unwrap_or(name).trim_start_matches('_');
        name == "pthread_cond_broadcast"
    };
    release::wakes_futex(capture, stack) && names::user(capture, stack).any(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze;
    use crate::script;

    const POLL: &str = "schedule<do_poll<do_sys_poll";
    const MUTEX: &str = "FUTEX<user:__lll_lock_wait";

    /// The freezes of a machine whose CPUs a and b sleep for 5 ms ten times before `then`: how long they are, how many stood still,
    /// and whom they are blamed on.
    fn freezes_of(name: &str, then: &str) -> Vec<(u64, u32, Option<i32>)> {
        freezes_in(&[('m', "qemu-system-x86"), ('a', name), ('b', name), ('h', "worker")], then)
    }

    fn freezes_in(names: &[(char, &str)], then: &str) -> Vec<(u64, u32, Option<i32>)> {
        let all = "WAKES<user:pthread_cond_broadcast@@GLIBC_2.3.2";
        let then = then.replace("MUTEX", MUTEX).replace("BROADCASTS", all).replace("POLL", POLL);
        let findings = analyze(&script::with_habits(names, &then), &script::options());
        let told = findings.windows.iter().map(|window| {
            let length = window.freeze.span.map_or(0, |span| span.duration().0 / 1_000_000);
            let culprit = window.culprit.as_ref().and_then(|culprit| culprit.thread.tid);
            (length, window.freeze.threads_blocked, culprit)
        });
        told.collect()
    }

    fn freezes(then: &str) -> Vec<(u64, u32, Option<i32>)> {
        freezes_of("CPU 0/TCG", &format!("101ms c>- S SLEEPS,101ms d>- S SLEEPS,{then}"))
    }

    /// Until 301 ms they wait for what m does: then it lets them on.
    fn pause(come: &str, meanwhile: &str) -> String {
        let waits = "102ms a>- S FUTEX,103ms ->b,103ms b>m S FUTEX";
        let ends = "301ms m!a BROADCASTS,301ms m!b BROADCASTS,301ms ->a,301ms ->b";
        format!(
            "{come},{waits},{meanwhile},{ends},302ms m>- S POLL,303ms a>- S SLEEPS,303ms b>- S SLEEPS,310ms .h"
        )
    }

    const TELLS: &str = "102ms ->a,102ms a!m BROADCASTS";
    const RESTS: &str = "104ms m>- S POLL,300ms w:m,300ms ->m";

    #[test]
    fn a_machine_is_paused_whose_cpus_tell_who_lets_them_on() {
        let by_main = [(199, 2, Some(script::tid('m')))];
        assert_eq!(freezes(&pause(TELLS, RESTS)), by_main);
        // An idle guest.
        assert_eq!(freezes(&pause("102ms ->a", RESTS)), []);
        // Whose machine does something else all the while.
        assert_eq!(freezes(&pause("102ms ->a", "200ms .m")), by_main);
        // Of any other program that would be a pool's rest.
        let others = pause(TELLS, "200ms .m");
        assert_eq!(freezes_of("serve", &others), []);
    }

    #[test]
    fn a_pause_is_one_of_all_cpus() {
        let alone = "102ms ->a,102ms a!m BROADCASTS,102ms a>m S FUTEX,200ms .b,301ms m!a BROADCASTS,301ms ->a,302ms m>- S POLL,303ms a>- S SLEEPS";
        assert_eq!(freezes(alone), []);
    }

    #[test]
    fn who_saves_a_paused_machine_does_not_stand_still_with_its_cpus() {
        // h, which sleeps like the CPUs else, waits for its disk, and m for h.
        let disk = "schedule<io_schedule<folio_wait_bit_common<filemap_read";
        let saves = format!(
            "104ms m>h S FUTEX,105ms h>- D {disk},299ms ->h,300ms h!m WAKES,300ms h>m S FUTEX"
        );
        let mut events: Vec<String> = vec!["0 .m".to_owned()];
        for at in (0..100).step_by(10) {
            events.extend("abh".chars().map(|t| format!("{}ms {t}>- S SLEEPS", at + 1)));
            events.extend("abh".chars().map(|t| format!("{}ms ->{t}", at + 6)));
        }
        let all = "WAKES<user:pthread_cond_broadcast@@GLIBC_2.3.2";
        events.push(pause(TELLS, &saves).replace("BROADCASTS", all).replace("POLL", POLL));
        let events = events.join(",").replace("FUTEX", script::FUTEX);
        let events = events.replace("SLEEPS", script::SLEEPS).replace("WAKES", script::WAKES);
        let names =
            [('m', "qemu-system-x86"), ('a', "CPU 0/TCG"), ('b', "CPU 1/TCG"), ('h', "worker")];
        let capture = script::process(Capture::default(), &names);
        let mut capture = script::record(capture, &events);
        script::woken_by_timers(&mut capture);
        let windows = analyze(&capture, &script::options()).windows;
        let told: Vec<_> =
            windows.iter().map(|window| (window.cause, window.freeze.threads_blocked)).collect();
        assert_eq!(told, [(Some(Cause::DiskIo), 2)]);
    }

    #[test]
    fn one_cpu_at_a_lock_is_a_freeze_of_its_guest() {
        let waits = "101ms a>m S MUTEX,200ms .m,301ms m!a WAKES<user:__lll_lock_wake,301ms m>a S POLL,303ms a>- S SLEEPS,310ms .h";
        let then = |others: &str| format!("101ms c>- S SLEEPS,101ms d>- S SLEEPS,{others}{waits}");
        let by_main = [(200, 1, Some(script::tid('m')))];
        assert_eq!(freezes(waits), by_main);
        // Another may have nothing to do.
        assert_eq!(freezes(&format!("101ms b>- S FUTEX,{waits},311ms m!b BROADCASTS")), by_main);
        assert_eq!(freezes_of("serve", &then("")), []);
    }

    #[test]
    fn a_cpu_that_halts_in_kvm_does_not_rest_at_a_futex() {
        // Without names, a and b halt in the kernel, and then wait for m, which rests.
        let halts = |at: &str| {
            format!("110ms ->a,111ms a>- S {at},119ms ->a,110ms ->b,111ms b>- S {at},119ms ->b")
        };
        let waits = "120ms a>- S FUTEX,120ms b>m S FUTEX,130ms m>- S POLL,300ms w:m,300ms ->m,301ms m!a BROADCASTS,301ms m!b BROADCASTS,\
                     301ms ->a,301ms ->b,302ms m>- S POLL,303ms a>- S SLEEPS,303ms b>- S SLEEPS";
        let told = |at: &str| freezes_of("serve", &format!("{},{waits}", halts(at)));
        assert_eq!(
            told("schedule<kvm_vcpu_block<kvm_arch_vcpu_ioctl_run"),
            [(181, 2, Some(script::tid('m')))]
        );
        assert_eq!(told("schedule<do_nanosleep<hrtimer_nanosleep"), []);
    }

    #[test]
    fn cpus_without_names_are_let_on_by_broadcasts() {
        let waits = |at: u64, wakes: &str| {
            format!(
                "{at}ms ->a,{at}ms a>b S FUTEX,{at}ms b>- S FUTEX,{}ms m!a {wakes},{}ms m!b {wakes},{}ms ->a,{}ms a>b S POLL,{}ms b>- S POLL",
                at + 3,
                at + 3,
                at + 3,
                at + 4,
                at + 4
            )
        };
        let told = |name: &str, wakes: &str| {
            let before: Vec<String> = (10..18).map(|round| waits(10 * round, wakes)).collect();
            let threads = [('m', name), ('a', name), ('b', name), ('h', name)];
            let then = format!(
                "101ms m>c S POLL,101ms c>- S SLEEPS,101ms d>- S SLEEPS,{},190ms ->a,190ms a!m BROADCASTS,190ms a>b S FUTEX,\
                 190ms b>m S FUTEX,301ms m!a BROADCASTS,301ms m!b BROADCASTS,301ms m>a S POLL,302ms a>b S SLEEPS,303ms b>h S SLEEPS,310ms .h",
                before.join(",")
            );
            freezes_in(&threads, &then)
        };
        let signals = "WAKES<user:pthread_cond_signal@@GLIBC_2.3.2";
        assert_eq!(told("qemu-system-x86", "BROADCASTS"), [(111, 2, Some(script::tid('m')))]);
        assert_eq!(told("qemu-system-x86", signals), []);
        assert_eq!(told("pool", "BROADCASTS"), []);
    }

    #[test]
    fn cpus_are_known_by_their_names() {
        for name in ["CPU 0/KVM", "CPU 11/TCG", "ALL CPUs/TCG", "fc_vcpu 3", "crosvm_vcpu12"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["CPU worker", "CPU 0", "fc_vcpu", "IO iothread0"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
