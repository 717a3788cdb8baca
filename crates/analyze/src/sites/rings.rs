//! Waits at io_uring's completion rings that are waits for a disk.
//!
//! A thread that waits in `io_cqring_wait` (`io_uring/io_uring.c`) may want a request, as a server does that rests there, or what
//! it has asked of a file itself. The wait does not show which, but its end does: a read or a write of the ring is finished by the
//! block layer, from the completion of its bio, and a socket's by `io_poll_wake`. That gives work to the thread which asked
//! (`task_work_add`, `kernel/task_work.c`), so who is woken from there while it waits at a ring had asked for it before the wait
//! began. A ring that several threads fill for one that waits (InnoDB's) is told by that one's being woken by those. An event loop, which waits there for its clients and its files at
//! once, may have waited for either, and is left at rest.

use coldcase_ingest::capture::Capture;

use crate::names;
use crate::sites::Sites;
use crate::sites::of_stacks::OfStacks;
use crate::states::{Doing, ThreadStates, WaitId};

/// What waits for a disk at a ring are called.
pub(crate) const SITE: &str = "disk I/O through io_uring";
/// The name that the rules give to all waits at rings.
const AT_A_RING: &str = "io_uring";
/// So many of a thread's waits at its ring at least are ended by its disk, if it waits there for nothing else.
const NEARLY_ALL: f64 = 0.9;
/// The ends of a bio (`block/bio.c`, `block/blk-mq.c`), from which `io_complete_rw` or `io_async_buf_func` (`io_uring/rw.c`) wake who
/// waits at the ring; the last two are those of a write, which a kernel worker finishes (`fs/iomap/direct-io.c`,
/// `fs/direct-io.c`).
const OF_A_DISK: [&str; 7] = [
    "blk_update_request",
    "bio_endio",
    "iomap_dio_bio_end_io",
    "blkdev_bio_end_io_async",
    "dio_bio_end_aio",
    "iomap_dio_complete_work",
    "dio_aio_complete_work",
];
/// What gives work to the thread that asked (`kernel/task_work.c`, `io_uring/io_uring.c`; seen on 6.18). Older kernels woke whoever
/// waited at the ring at once, which may not have asked.
const FOR_THE_ASKER: [&str; 5] = [
    "task_work_add",
    "__io_req_task_work_add",
    "io_req_task_work_add",
    "io_req_local_work_add",
    "io_req_normal_work_add",
];
/// The kernel's own threads of a ring have this before the number of their thread (`io_uring/io-wq.c`).
const WORKER: &str = "iou-wrk-";

/// How a wait at a ring ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Disk,
    Worker,
    Other,
}

/// The waits at completion rings of threads that wait there for their disks and for nothing else.
pub(crate) fn at_disks(capture: &Capture, states: &ThreadStates, sites: &Sites) -> Vec<WaitId> {
    let Some(ring) = sites.number(AT_A_RING) else { return Vec::new() };
    let mut by_disk = OfStacks::new(capture);
    let mut end = |id: WaitId| {
        let wakeup = states.wait(id).wakeup?.of(capture);
        let of_disk = |stack| by_disk.get(stack, || is_end_of_bio(names::kernel(capture, stack)));
        Some(if wakeup.stack.is_some_and(of_disk) {
            End::Disk
        } else if wakeup.waker.is_some_and(|by| capture.threads.get(by).comm().starts_with(WORKER))
        {
            End::Worker
        } else {
            End::Other
        })
    };
    let mut found = Vec::new();
    for (thread, _) in capture.threads.iter() {
        let waits = states.of(thread).iter().filter_map(|slice| match slice.doing {
            Doing::Blocked(id) if sites.of(id).number() == ring => Some((id, end(id)?)),
            _ => None,
        });
        let ends: Vec<(WaitId, End)> = waits.filter(|(_, end)| *end != End::Worker).collect();
        let of_disk = || ends.iter().filter(|(_, end)| *end == End::Disk).map(|(id, _)| *id);
        if of_disk().count() as f64 > NEARLY_ALL * ends.len() as f64 {
            found.extend(of_disk());
        }
    }
    found.sort_unstable();
    found
}

/// Whether a waking comes out of the end of a bio, for the thread that had asked for it; of one in an interrupt, what it
/// interrupted says nothing.
fn is_end_of_bio<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let of_interrupt = |name: &str| {
        name.starts_with("asm_") || name == "handle_softirqs" || name == "__do_softirq"
    };
    let (mut for_asker, mut of_disk) = (false, false);
    for name in names.take_while(|name| !of_interrupt(name)) {
        for_asker |= FOR_THE_ASKER.contains(&name);
        of_disk |= OF_A_DISK.contains(&name);
    }
    for_asker && of_disk
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Cause;
    use crate::script::{self, SLEEPS};

    const RING: &str = "schedule<io_cqring_wait<__do_sys_io_uring_enter";
    const READ: &str = "try_to_wake_up<task_work_add<__io_req_task_work_add<iomap_dio_bio_end_io<blk_update_request<handle_softirqs";
    const ASKED: &str = "try_to_wake_up<task_work_add<__io_req_task_work_add<io_poll_wake<sock_def_readable<handle_softirqs";

    /// The causes of the freezes of three threads that wait at their rings for 2 ms again and again, which `usually` ends, and
    /// at last for 300 ms, which `at_last` ends.
    fn freezes(usually: &[&str], at_last: &str) -> Vec<Option<Cause>> {
        let threads = [('a', "db"), ('b', "db"), ('c', "db")];
        let capture = script::process(Capture::default(), &threads);
        let mut events = vec!["0 .k".to_owned()];
        let names = || 'a'..='c';
        for round in 0..20 {
            let (at, ends) = (10 * round, usually[round % usually.len()]);
            events.extend(names().map(|t| format!("{}ms {t}>- S {RING}", at + 1)));
            events.extend(names().map(|t| format!("{}ms k!{t} {ends}", at + 3)));
            events.extend(names().map(|t| format!("{}ms ->{t}", at + 3)));
            events.extend(names().map(|t| format!("{}ms {t}>- S {SLEEPS}", at + 4)));
            events.extend(names().map(|t| format!("{}ms ->{t}", at + 9)));
        }
        events.extend(names().map(|t| format!("201ms {t}>- S {RING}")));
        events.extend(names().map(|t| format!("501ms k!{t} {at_last}")));
        events.extend(names().map(|t| format!("501ms ->{t}")));
        events.push("502ms .k".to_owned());
        let capture = script::record(capture, &events.join(","));
        let findings = crate::analyze(&capture, &script::options());
        findings.windows.iter().map(|window| window.cause).collect()
    }

    #[test]
    fn who_waits_at_its_ring_for_its_own_reads_waits_for_a_disk() {
        assert_eq!(freezes(&[READ], READ), [Some(Cause::DiskIo)]);
    }

    #[test]
    fn who_waits_at_its_ring_for_requests_rests() {
        assert_eq!(freezes(&[ASKED], ASKED), []);
    }

    #[test]
    fn an_event_loop_may_have_waited_for_its_clients() {
        assert_eq!(freezes(&[READ, ASKED], READ), []);
    }

    #[test]
    fn only_the_end_of_an_own_request_counts() {
        let ended = |stack: &str| is_end_of_bio(stack.split('<'));
        assert!(ended(READ));
        // Anybody who waits at the ring.
        assert!(!ended(
            "try_to_wake_up<__wake_up<io_complete_rw<iomap_dio_bio_end_io<blk_update_request"
        ));
        assert!(!ended(
            "try_to_wake_up<hrtimer_wakeup<asm_sysvec_apic_timer_interrupt<blk_update_request"
        ));
    }
}
