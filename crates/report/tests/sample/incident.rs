//! The incident: a hash map past 58,720,256 entries doubles under `mlockall`, and six threads stand still.

use coldcase_analyze::findings::*;
use coldcase_ingest::capture::Syscall;

use super::{Dice, at, kernel, ms, span, thread, unresolved, user};
use coldcase_ingest::capture::{Nanos, Span, Timestamp, WhyNoSymbol};

pub const PID: i32 = 4711;
pub const BYTES: u64 = 3_355_447_296;
/// The culprit holds the lock from here to there, in milliseconds of the sample's clock.
const HOLD: (u64, u64) = (1_104, 2_286);

pub fn findings() -> Findings {
    Findings {
        capture: super::capture(),
        verdict: verdict(),
        windows: vec![small_window(), window()],
        wait_sites: wait_sites(),
        processes: Vec::new(),
        contention: None,
        memory_events: memory_events(),
        memory_totals: Vec::new(),
        timeline: Some(timeline()),
        off_cpu: off_cpu(),
        details: super::details::details(),
    }
}

pub fn culprit_thread() -> ThreadName {
    thread(PID, 4719, "ingest-0")
}

pub fn serve(number: i32) -> ThreadName {
    thread(PID, 4712 + number, &format!("serve-{number}"))
}

fn verdict() -> Verdict {
    Verdict {
        outcome: Outcome::CauseFound,
        window: Some(1),
        fingerprint: Some("mmap_lock-mmap-3f92c01ba7".to_owned()),
        container: Some(Container {
            kind: ContainerKind::Hashbrown,
            bytes: BYTES,
            entries: Some(58_720_256),
            entry_bytes: Some(24),
            buckets: Some(134_217_728),
            trigger_insert: Some(58_720_257),
            next: Some(NextStep { insert: Some(117_440_513), bytes: 6_710_890_496 }),
        }),
        line: Some(2),
        possible: None,
        ruled_out: ruled_out(),
        cannot_tell: vec![CannotTell {
            cause: Cause::Reclaim,
            missing: "record vmscan:mm_vmscan_direct_reclaim_begin and _end".into(),
        }],
    }
}

fn ruled_out() -> Vec<RuledOut> {
    [
        (
            Cause::DiskIo,
            "2.1 ms of disk waits in all threads of vaultdb, 0.03 % of the blocked time",
        ),
        (
            Cause::CpuStarvation,
            "threads of vaultdb waited 11.4 ms for a CPU in the window; 3 of 8 CPUs were idle",
        ),
        (Cause::Futex, "no thread of vaultdb waited for a futex longer than 0.8 ms"),
        (Cause::Swap, "no swap-in in the capture (0 of 48,219 switches stand in swap_readpage)"),
        (Cause::Stopped, "no thread was in state T or t"),
    ]
    .map(|(cause, finding)| RuledOut { cause, finding: finding.to_owned() })
    .to_vec()
}

fn remedies() -> Vec<Remedy> {
    [
        ("Reserve the map's capacity at start (HashMap::with_capacity).", "About 3 GB more memory from the start."),
        ("Replace mlockall(MCL_FUTURE) by MCL_ONFAULT, so that new mappings are populated on first touch.", "Page faults on first touch; a page may be missing at a bad moment."),
        ("Split the map into shards that double one at a time.", "A code change; each shard still blocks, for a fraction of the time."),
    ]
    .map(|(action, cost)| Remedy { action: action.into(), cost: cost.to_owned() })
    .to_vec()
}

fn window() -> Window {
    Window {
        cause: Some(Cause::MmapLock),
        grade: Grade::Strong,
        reasons: Vec::new(),
        evidence: [
            "ingest-0's up_read in __mm_populate woke serve-5, the first of the six to go on.",
            "Its mmap of 3,355,447,296 bytes spans every one of the six waits, from 4.0 ms before the first to the end of the last but 0.6 ms.",
            "All six waited on one lock address, 0xffff9c41c2a83e68.",
        ]
        .map(Into::into)
        .to_vec(),
        freeze: Freeze {
            pid: Some(PID),
            comm: "vaultdb".to_owned(),
            span: Some(span(1_108, 2_290)),
            open_start: false,
            open_end: false,
            threads_blocked: 6,
            processes: 1,
            strangers: false,
            awaited_by: 0,
            paused: false,
            cpus: Vec::new(),
            range: None,
            blocked: Nanos(7_021_400_000),
        },
        lock: Some(Lock {
            kind: Cause::MmapLock,
            mode: Some(LockMode::Read),
            address: Some(0xffff_9c41_c2a8_3e68),
        }),
        culprit: Some(culprit()),
        blame: blame(),
        chain: chain(),
        deadlock: Vec::new(),
        starved_end: None,
        without_culprit: Some(Counterfactual {
            longest: ms(2),
            recovered: Nanos::from_millis(6_900),
        }),
        remedies: remedies(),
    }
}

fn small_window() -> Window {
    Window {
        cause: Some(Cause::MmapLock),
        grade: Grade::Circumstantial,
        reasons: Vec::new(),
        evidence: vec!["One munmap of 134 MB spans the waits; nobody's wakeup says more.".into()],
        freeze: Freeze {
            pid: Some(PID),
            comm: "vaultdb".to_owned(),
            span: Some(span(312, 371)),
            open_start: false,
            open_end: false,
            threads_blocked: 4,
            processes: 1,
            strangers: false,
            awaited_by: 0,
            paused: false,
            cpus: Vec::new(),
            range: None,
            blocked: Nanos(214_600_000),
        },
        lock: Some(Lock { kind: Cause::MmapLock, mode: None, address: None }),
        culprit: None,
        blame: vec![BlameRow {
            thread: None,
            doing: "no wakeup of these waits is in the capture".to_owned(),
            time: Nanos(214_600_000),
            unknown: true,
        }],
        chain: Vec::new(),
        deadlock: Vec::new(),
        starved_end: None,
        without_culprit: None,
        remedies: vec![Remedy {
            action: "Give memory back in steps of about 10 MB.".into(),
            cost: "memory is returned more slowly".to_owned(),
        }],
    }
}

fn culprit() -> Culprit {
    Culprit {
        thread: culprit_thread(),
        operation: Some(Operation::Syscall(Syscall::Mmap)),
        bytes: Some(BYTES),
        flags: ["MAP_PRIVATE", "MAP_ANONYMOUS", "VM_LOCKED"].map(str::to_owned).to_vec(),
        start: Some(at(HOLD.0)),
        duration: Some(ms(HOLD.1 - HOLD.0)),
        held: Some(ms(HOLD.1 - HOLD.0 - 1)),
        activity: vec![
            ActivityShare { what: "on CPU".to_owned(), time: ms(1_158) },
            ActivityShare { what: "waiting for a CPU".to_owned(), time: ms(23) },
        ],
        kernel_stack: [
            "entry_SYSCALL_64_after_hwframe",
            "do_syscall_64",
            "ksys_mmap_pgoff",
            "vm_mmap_pgoff",
            "__mm_populate",
            "populate_vma_page_range",
            "__get_user_pages",
            "handle_mm_fault",
            "clear_huge_page",
        ]
        .map(kernel)
        .to_vec(),
        user_stack: vec![
            unresolved("/usr/lib/x86_64-linux-gnu/libc.so.6", 0x8_9eb0, WhyNoSymbol::FileNotFound),
            user("std::thread::spawn::{{closure}}", "library/std/src/thread/mod.rs", 564, false),
            user("vaultdb::ingest::Shard::apply", "src/ingest/shard.rs", 218, false),
            user(
                "hashbrown::map::HashMap<K,V,S,A>::insert",
                "hashbrown-0.15.2/src/map.rs",
                1754,
                true,
            ),
            user(
                "hashbrown::raw::RawTable<T,A>::reserve_rehash",
                "hashbrown-0.15.2/src/raw/mod.rs",
                1021,
                false,
            ),
            user("alloc::alloc::alloc", "library/alloc/src/alloc.rs", 96, true),
        ],
    }
}

fn blame() -> Vec<BlameRow> {
    vec![
        BlameRow {
            thread: Some(culprit_thread()),
            doing: "held mmap_lock in mmap, on CPU".to_owned(),
            time: Nanos(6_884_100_000),
            unknown: false,
        },
        BlameRow {
            thread: Some(culprit_thread()),
            doing: "held mmap_lock in mmap, waiting for a CPU".to_owned(),
            time: Nanos(92_000_000),
            unknown: false,
        },
        BlameRow {
            thread: Some(serve(2)),
            doing: "held mmap_lock in munmap, on CPU".to_owned(),
            time: Nanos(31_200_000),
            unknown: false,
        },
        BlameRow {
            thread: None,
            doing: "the wakeup that ended the wait is not in the capture".to_owned(),
            time: Nanos(14_100_000),
            unknown: true,
        },
    ]
}

fn chain() -> Vec<ChainLink> {
    let link =
        |waiter: i32, waker: ThreadName, start: u64, end: u64, site: &str, how: &str| ChainLink {
            waiter: serve(waiter),
            site: site.to_owned(),
            span: span(start, end),
            waker: Some(waker),
            how: how.to_owned(),
        };
    vec![
        link(
            4,
            serve(2),
            1_110,
            2_289,
            "mmap_lock (write) in munmap",
            "released mmap_lock in munmap",
        ),
        link(
            2,
            serve(5),
            1_112,
            2_288,
            "mmap_lock (write) in madvise",
            "released mmap_lock in mmap",
        ),
        link(
            5,
            culprit_thread(),
            1_108,
            2_286,
            "mmap_lock (write) in mmap",
            "released mmap_lock in __mm_populate",
        ),
    ]
}

fn wait_sites() -> Vec<SiteTotal> {
    let site = |site: &str, cause, blocked: u64, waits, threads, longest: u64, idle| SiteTotal {
        site: site.to_owned(),
        cause,
        blocked: Nanos(blocked * 100_000),
        waits: Some(waits),
        threads,
        longest: Some(Nanos(longest * 100_000)),
        idle,
    };
    vec![
        site("mmap_lock (write) in munmap", Some(Cause::MmapLock), 34_120, 14, 3, 11_790, false),
        site("mmap_lock (write) in mmap", Some(Cause::MmapLock), 23_410, 9, 2, 11_780, false),
        site(
            "mmap_lock (read) in a page fault",
            Some(Cause::MmapLock),
            12_684,
            6,
            1,
            11_762,
            false,
        ),
        site("epoll_wait", None, 11_820, 2, 1, 11_820, true),
        site("CPU", Some(Cause::CpuStarvation), 114, 61, 7, 22, false),
        site("ext4 read", Some(Cause::DiskIo), 21, 3, 1, 9, false),
    ]
}

fn memory_events() -> Vec<MemoryEvent> {
    let event =
        |who: ThreadName, call, bytes, start: u64, duration: u64, overlap: u64| MemoryEvent {
            start: Some(at(start)),
            duration: Some(ms(duration)),
            thread: who,
            operation: Operation::Syscall(call),
            bytes: Some(bytes),
            flags: Vec::new(),
            overlap: ms(overlap),
            resident_step: None,
            nearness: Nearness::Frozen,
        };
    let mut first =
        event(culprit_thread(), Syscall::Mmap, BYTES, HOLD.0, HOLD.1 - HOLD.0, HOLD.1 - 1_108);
    first.flags = culprit().flags;
    first.resident_step = i64::try_from(BYTES).ok();
    first.nearness = Nearness::Culprits;
    let mut last = event(thread(PID, 4711, "vaultdb"), Syscall::Brk, 135_168, 40, 0, 0);
    last.duration = None;
    vec![
        first,
        event(culprit_thread(), Syscall::Munmap, 1_677_725_696, 2_640, 131, 0),
        event(serve(1), Syscall::Munmap, 134_217_728, 310, 62, 59),
        event(serve(3), Syscall::Madvise, 4_194_304, 960, 3, 0),
        last,
    ]
}

fn timeline() -> Timeline {
    let shown = span(200, 3_000);
    let mut lanes = vec![culprit_lane(shown)];
    lanes.extend([4, 2, 5, 0, 1, 3].map(|number| victim_lane(number, shown)));
    lanes.push(poller_lane(shown));
    Timeline {
        span: shown,
        whole: span(0, 3_200),
        windows: vec![span(312, 371), span(1_108, 2_290)],
        lanes,
    }
}

fn culprit_lane(shown: Span) -> Lane {
    let mut segments = busy(span(200, HOLD.0), 1);
    for (start, end, state) in [
        (HOLD.0, 1_540, SegmentState::OnCpu),
        (1_540, 1_551, SegmentState::Runnable),
        (1_551, 1_902, SegmentState::OnCpu),
        (1_902, 1_914, SegmentState::Runnable),
        (1_914, 2_640, SegmentState::OnCpu),
    ] {
        segments.push(Segment { span: span(start, end), state, site: None });
    }
    segments.extend(busy(Span::new(at(2_640), shown.end), 2));
    Lane { thread: culprit_thread(), role: Role::Culprit, segments }
}

fn victim_lane(number: i32, shown: Span) -> Lane {
    let start = 1_108 + u64::from(number.unsigned_abs());
    let mut segments =
        busy(Span::new(shown.start, at(start)), 10 + u64::from(number.unsigned_abs()));
    segments.push(Segment {
        span: span(start, 2_286 + u64::from(number.unsigned_abs()) / 2),
        state: SegmentState::Blocked(Cause::MmapLock),
        site: Some("mmap_lock (write) in munmap".into()),
    });
    let end = at(2_286 + u64::from(number.unsigned_abs()) / 2);
    segments.extend(busy(Span::new(end, shown.end), 30 + u64::from(number.unsigned_abs())));
    Lane { thread: serve(number), role: Role::Victim, segments }
}

fn poller_lane(shown: Span) -> Lane {
    let idle = Segment { span: shown, state: SegmentState::Idle, site: Some("epoll_wait".into()) };
    Lane { thread: thread(PID, 4711, "vaultdb"), role: Role::Bystander, segments: vec![idle] }
}

/// Everyday life: running, waiting a little for locks, disks and the CPU, and resting.
fn busy(shown: Span, seed: u64) -> Vec<Segment> {
    let mut dice = Dice::new(seed);
    let mut segments = Vec::new();
    let mut now = shown.start.0;
    while now < shown.end.0 {
        let (state, length) = match dice.roll(10) {
            0..=4 => (SegmentState::OnCpu, 200 + dice.roll(9_000)),
            5 => (SegmentState::Runnable, 100 + dice.roll(1_500)),
            6 => (SegmentState::Blocked(Cause::MmapLock), 50 + dice.roll(1_500)),
            7 => (SegmentState::Blocked(Cause::DiskIo), 300 + dice.roll(3_000)),
            8 => (SegmentState::Blocked(Cause::Futex), 300 + dice.roll(4_000)),
            _ => (SegmentState::Idle, 2_000 + dice.roll(24_000)),
        };
        let end = (now + length * 1_000).min(shown.end.0);
        segments.push(Segment {
            span: Span::new(Timestamp(now), Timestamp(end)),
            state,
            site: None,
        });
        now = end;
    }
    segments
}

pub fn off_cpu() -> Vec<FoldedStack> {
    let stack = |text: &str, tenths: u64| FoldedStack {
        process: None,
        frames: text.split(';').map(Into::into).collect(),
        time: Nanos(tenths * 100_000),
    };
    let syscall = "entry_SYSCALL_64_after_hwframe_[k];do_syscall_64_[k]";
    let write = "down_write_killable_[k];rwsem_down_write_slowpath_[k];schedule_[k]";
    let serve = "serve;start_thread;std::thread::spawn::{{closure}};vaultdb::serve::Worker::run";
    vec![
        stack(
            &format!(
                "{serve};vaultdb::serve::handle;vaultdb::page::Buffer::drop;munmap;{syscall};__x64_sys_munmap_[k];__vm_munmap_[k];{write}"
            ),
            34_120,
        ),
        stack(
            &format!(
                "{serve};vaultdb::serve::handle;vaultdb::page::Buffer::new;mmap;{syscall};ksys_mmap_pgoff_[k];vm_mmap_pgoff_[k];{write}"
            ),
            23_410,
        ),
        stack(
            &format!(
                "{serve};vaultdb::serve::handle;vaultdb::page::Buffer::fill;asm_exc_page_fault_[k];exc_page_fault_[k];do_user_addr_fault_[k];lock_mm_and_find_vma_[k];down_read_killable_[k];rwsem_down_read_slowpath_[k];schedule_[k]"
            ),
            12_684,
        ),
        stack(
            &format!(
                "{serve};vaultdb::serve::log;std::io::Write::write_all;write;{syscall};vfs_write_[k];ext4_file_write_iter_[k];jbd2_journal_start_[k];schedule_[k]"
            ),
            1_221,
        ),
        stack(
            &format!(
                "{serve};vaultdb::serve::next;std::sync::mpsc::Receiver<T>::recv;futex;{syscall};futex_wait_[k];schedule_[k]"
            ),
            3_200,
        ),
        stack(
            &format!(
                "vaultdb;main;vaultdb::net::poll;epoll_wait;{syscall};ep_poll_[k];schedule_[k]"
            ),
            11_820,
        ),
        stack(
            "ingest;start_thread;vaultdb::ingest::Shard::apply;hashbrown::map::HashMap<K,V,S,A>::insert;hashbrown::raw::RawTable<T,A>::reserve_rehash;mmap;entry_SYSCALL_64_after_hwframe_[k];preempt_schedule_irq_[k]",
            230,
        ),
    ]
}
