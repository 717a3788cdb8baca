//! What lies behind the incident: its waits, its events, blocked threads over time.

use coldcase_analyze::details::*;
use coldcase_ingest::capture::{Nanos, ResidentPart};

use super::incident::{BYTES, culprit_thread, off_cpu, serve};
use super::{at, kernel, ms, span, user};

/// The lanes of the incident's victims, by number, from lane 1 on.
const VICTIMS: [i32; 6] = [4, 2, 5, 0, 1, 3];

pub fn details() -> Details {
    Details {
        waits: (1..).zip(VICTIMS).map(|(lane, number)| wait(lane, number)).collect(),
        stacks: stacks(),
        heat: Some(heat()),
        off_cpu_all: off_cpu(),
        off_cpu_before: Some(Before { length: ms(1_108), off_cpu: off_cpu().split_off(4) }),
        proofs: proofs(),
        resident: resident(),
    }
}

/// Anonymous memory that steps up by the table's size, and files that hardly change.
fn resident() -> Vec<ResidentLine> {
    const BEFORE: u64 = 1_700_000_000;
    vec![
        ResidentLine { part: ResidentPart::File, steps: vec![(at(0), 9_000_000)] },
        ResidentLine {
            part: ResidentPart::Anonymous,
            steps: vec![
                (at(40), BEFORE),
                (at(1_500), BEFORE + BYTES / 2),
                (at(2_280), BEFORE + BYTES),
                (at(2_771), BYTES),
            ],
        },
    ]
}

fn wait(lane: usize, number: i32) -> WaitView {
    let late = u64::from(number.unsigned_abs());
    WaitView {
        lane,
        span: span(1_108 + late, 2_286 + late / 2),
        site: "mmap_lock (write) in munmap".into(),
        harm: true,
        ready: false,
        stack: Some(0),
        waker: Some(if lane == 1 { culprit_thread() } else { serve(VICTIMS[lane - 2]) }),
        waker_lane: Some(lane - 1),
        waker_stack: Some(1),
        how: "released the lock in munmap".to_owned(),
    }
}

fn stacks() -> Vec<StackView> {
    let call = ["entry_SYSCALL_64_after_hwframe", "do_syscall_64", "__x64_sys_munmap"].map(kernel);
    let waits = ["down_write_killable", "rwsem_down_write_slowpath", "schedule"].map(kernel);
    let wakes = ["up_write", "rwsem_wake", "wake_up_q", "try_to_wake_up"].map(kernel);
    let worker = user("vaultdb::serve::Worker::run", "src/serve.rs", 88, false);
    vec![
        StackView { user: vec![worker.clone()], kernel: [&call[..], &waits].concat() },
        StackView { user: vec![worker], kernel: [&call[..], &wakes].concat() },
    ]
}

/// 3.2 s in bins of 10 ms: six threads from 1.11 s to 2.29 s, four for 59 ms before.
fn heat() -> Heat {
    let blocked = (0..320_u64).map(|bin| match bin {
        31..37 => ms(40),
        111..228 => ms(60),
        _ => Nanos(bin * 7_919 % 1_000_000),
    });
    Heat { start: at(0), bin: ms(10), column: 50, blocked: blocked.collect() }
}

fn proofs() -> Vec<Proof> {
    let proof = |figure, event: &str, time, thread, tells: &str| Proof {
        figure,
        event: event.to_owned(),
        time: at(time),
        thread,
        tells: tells.into(),
    };
    let bytes = format!("it enters mmap about {BYTES} bytes");
    vec![
        proof(
            Figure::Freeze,
            "sched:sched_switch",
            1_108,
            serve(0),
            "it leaves its CPU: mmap_lock",
        ),
        proof(Figure::Freeze, "sched:sched_waking", 2_290, serve(4), "it is woken by serve-2"),
        proof(Figure::Call, "syscalls:sys_enter_mmap", 1_104, culprit_thread(), &bytes),
    ]
}
