//! Waits that were under way when the recording began, told by what ended them.
//!
//! Such a wait has no stack of its own, so nobody knows where the thread left its CPU. Who wakes it may tell: a page that was read
//! is unlocked at the end of its request (`folio_end_read`, `mm/filemap.c`; `__read_end_io`, `fs/ext4/readpage.c`; `mpage_end_io`,
//! `fs/mpage.c`), and only those sleep at a page's lock who want that page.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Capture, Nanos, ProcessId, StackId};

use crate::findings::Cause;
use crate::losses;
use crate::names;
use crate::rules::WaitKind;
use crate::sites::Sites;
use crate::sites::of_stacks::OfStacks;
use crate::states::{ThreadStates, WaitId};
use crate::tally::Tally;

/// The ends of a request (`block/blk-mq.c`, `block/bio.c`) ...
const OF_A_DISK: [&str; 2] = ["blk_update_request", "bio_endio"];
/// ... and what wakes there who sleeps until it is done: at a page (`mm/filemap.c`; the last two until Linux 5.16), at a buffer
/// (`fs/buffer.c`), or for a request of its own (`block/bio.c`, `block/blk-core.c`). Whoever asked for it by an event loop or a ring,
/// and rests there, is woken by others.
const WAKES: [&str; 9] = [
    "wake_page_function",
    "folio_wake_bit",
    "folio_end_read",
    "folio_unlock",
    "end_buffer_read_sync",
    "submit_bio_wait_endio",
    "blk_wake_io_task",
    "wake_up_page_bit",
    "unlock_page",
];

/// The waits without a stack of their own that ended with a request to a disk, by what they were: what most others were that ended
/// like them in the same process. A page is waited for by who reads it and by who touches its mapping: where no other tells, nobody
/// knows which it was.
pub(crate) fn at_disks(
    capture: &Capture,
    states: &ThreadStates,
    sites: &Sites,
) -> BTreeMap<(String, Cause), Vec<WaitId>> {
    // Where events were lost anywhere, it may have been born since, or have come and gone.
    if !losses::none(capture) {
        return BTreeMap::new();
    }
    let mut known = OfStacks::new(capture);
    let mut by_disk = |id: WaitId| {
        let stack = states.wait(id).wakeup.and_then(|wakeup| wakeup.of(capture).stack);
        stack.is_some_and(|stack| known.get(stack, || ends_a_request(capture, stack)))
    };
    let process = |id: WaitId| capture.threads.get(states.wait(id).thread).process;
    let unseen = states.waits().filter(|(id, wait)| {
        wait.open_start && wait.stack.is_none() && sites.of(*id).kind == WaitKind::Other
    });
    let unseen: Vec<WaitId> = unseen.map(|(id, _)| id).filter(|&id| by_disk(id)).collect();
    let mut found: BTreeMap<(String, Cause), Vec<WaitId>> = BTreeMap::new();
    if unseen.is_empty() {
        return found;
    }
    let mut wanted: Vec<ProcessId> = unseen.iter().map(|&id| process(id)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut like: Vec<(ProcessId, (u32, Cause), Nanos)> = Vec::new();
    for (id, wait) in states.waits() {
        let Some(cause) = at_a_disk(sites, id) else { continue };
        if wanted.binary_search(&process(id)).is_ok() && by_disk(id) {
            like.push((process(id), (sites.of(id).number(), cause), wait.span.duration()));
        }
    }
    let most_of = |process: ProcessId| {
        let own = like.iter().filter(|row| row.0 == process).map(|row| (row.1, row.2));
        own.collect::<Tally<(u32, Cause)>>().largest().map(|(site, _)| site)
    };
    let most: BTreeMap<ProcessId, Option<(u32, Cause)>> =
        wanted.into_iter().map(|process| (process, most_of(process))).collect();
    for id in unseen {
        let Some((number, cause)) = most.get(&process(id)).copied().flatten() else { continue };
        let name = sites.names()[number as usize].clone();
        found.entry((name, cause)).or_default().push(id);
    }
    found
}

/// Why a wait was for a disk, if it was.
fn at_a_disk(sites: &Sites, id: WaitId) -> Option<Cause> {
    match sites.of(id).kind {
        WaitKind::Harm(cause @ (Cause::DiskIo | Cause::PageFaultIo | Cause::Swap), _) => {
            Some(cause)
        }
        _ => None,
    }
}

/// Whether a waking comes out of the end of a request to a disk, for who sleeps until then; of one in an interrupt, what it
/// interrupted says nothing.
fn ends_a_request(capture: &Capture, stack: StackId) -> bool {
    let of_interrupt = |name: &str| {
        name.starts_with("asm_") || name == "handle_softirqs" || name == "__do_softirq"
    };
    let (mut wakes, mut of_disk) = (false, false);
    for name in names::kernel(capture, stack).take_while(|name| !of_interrupt(name)) {
        wakes |= WAKES.contains(&name);
        of_disk |= OF_A_DISK.contains(&name);
    }
    wakes && of_disk
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Capture, Loss, LossKind, Timestamp};

    use crate::findings::Cause;
    use crate::script;

    const READ: &str = "try_to_wake_up<wake_page_function<folio_wake_bit<__read_end_io<blk_update_request<handle_softirqs";

    /// The cause and the site of a's first wait, which began before the recording and which `ends` ended; a second of it, that was
    /// seen to begin in `then`, ended by a page that was read.
    fn first_wait(ends: &str, then: &str) -> (Option<Cause>, String) {
        first_wait_of(Capture::default(), ends, then)
    }

    fn first_wait_of(capture: Capture, ends: &str, then: &str) -> (Option<Cause>, String) {
        let events = format!(
            "0 .k,300ms k!a {ends},301ms k>a S schedule<worker_thread,302ms a>k D {then},309ms k!a {READ},\
             310ms k>a S schedule<worker_thread,311ms .a"
        );
        let capture = script::record(capture, &events);
        let model = script::model(&capture);
        let is_a = |thread| capture.threads.get(thread).tid == script::tid('a');
        let first = model.states.waits().find(|(_, wait)| is_a(wait.thread)).unwrap();
        let site = model.sites.of(first.0);
        let harm = [Cause::DiskIo, Cause::PageFaultIo].into_iter().find(|&it| site.is_harm_by(it));
        (harm, model.sites.name(site).to_owned())
    }

    const FAULTS: &str = "schedule<io_schedule<folio_wait_bit_common<filemap_fault<__do_fault";
    const RESTS: &str = "schedule<ep_poll<do_epoll_wait";

    #[test]
    fn who_waited_before_the_recording_for_a_page_waited_for_the_disk() {
        let reads = "schedule<io_schedule<folio_wait_bit_common<filemap_read";
        let disk = (Some(Cause::DiskIo), "disk I/O".to_owned());
        assert_eq!(first_wait(READ, reads), disk);
        let fault = (Some(Cause::PageFaultIo), "mapped-file read".to_owned());
        assert_eq!(first_wait(READ, FAULTS), fault);
    }

    #[test]
    fn what_no_other_wait_tells_nobody_knows() {
        assert_eq!(first_wait(READ, RESTS).0, None);
    }

    #[test]
    fn where_events_were_lost_nobody_knows_since_when_it_waited() {
        let (time, kind) = (Some(Timestamp(200_000_000)), LossKind::Lost);
        let mut capture = Capture::default();
        capture.losses.push(Loss { time, kind, count: 1, note: String::new() });
        assert_eq!(first_wait_of(capture, READ, FAULTS).0, None);
    }

    #[test]
    fn who_was_told_of_a_request_by_an_event_loop_rested_there() {
        let told =
            "try_to_wake_up<ep_poll_callback<eventfd_signal_mask<aio_complete<blk_update_request";
        assert_eq!(first_wait(told, FAULTS).0, None);
        let bystander = "try_to_wake_up<hrtimer_wakeup<asm_sysvec_apic_timer_interrupt<folio_wake_bit<blk_update_request";
        assert_eq!(first_wait(bystander, FAULTS).0, None);
    }
}
