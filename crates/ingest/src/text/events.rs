//! Tracepoints as text: the fields that `perf script`, trace-cmd and the kernel's own trace print behind an event's name.

use super::builder::{Builder, Moment};
use super::fields;
use super::number;
use crate::capture::{
    Activity, ActivityKind, ContentionFlags, ContentionPhase, LockContention, Meaning, MmapLock,
    MmapLockPhase, Phase, Priority, ResidentPart, ResidentSize, Sample, Switch, Syscall,
    SyscallEvent, SyscallPhase, TaskState, Wakeup, WakeupKind,
};

/// What an event is to the analysis, by its name without its system; `None` if it is only counted.
pub(super) fn meaning(name: &[u8]) -> Option<Meaning> {
    if let Some((call, _)) = syscall(name) {
        return Some(match call {
            Syscall::Mmap | Syscall::Munmap => Meaning::MemorySyscalls,
            _ => Meaning::OtherSyscalls,
        });
    }
    Some(match name {
        b"sched_switch" => Meaning::Switches,
        b"sched_waking" => Meaning::Waking,
        b"sched_wakeup" | b"sched_wakeup_new" => Meaning::Wakeup,
        b"sched_process_fork" | b"sched_process_exit" => Meaning::ProcessLife,
        b"contention_begin" | b"contention_end" => Meaning::Contention,
        b"mmap_lock_start_locking" | b"mmap_lock_acquire_returned" | b"mmap_lock_released" => {
            Meaning::MmapLock
        }
        b"page_fault_user" | b"page_fault_kernel" => Meaning::PageFaults,
        b"signal_generate" | b"signal_deliver" => Meaning::Signals,
        b"rss_stat" => Meaning::RssStat,
        _ => match activity(name)?.0 {
            ActivityKind::Compaction => Meaning::Compaction,
            ActivityKind::BlockIo => Meaning::BlockIo,
            _ => Meaning::Reclaim,
        },
    })
}

/// Adds what an event says; `None` if its fields cannot be read.
pub(super) fn add(out: &mut Builder<'_>, name: &[u8], text: &[u8], at: Moment) -> Option<()> {
    match name {
        b"sched_switch" => switch(out, text, at)?,
        b"sched_waking" => wakeup(out, text, at, WakeupKind::Waking)?,
        b"sched_wakeup" => wakeup(out, text, at, WakeupKind::Wakeup)?,
        b"sched_wakeup_new" => wakeup(out, text, at, WakeupKind::New)?,
        b"sched_process_fork" => {
            let child = fields::tid(text, b"child_pid=")?;
            let comm = fields::name(text, b"child_comm=", b"child_pid=")?;
            out.capture.threads.note_birth(child, at.time);
            out.other(child, comm, at.time);
        }
        b"sched_process_exit" => out.capture.threads.exit(at.thread, at.time),
        b"contention_begin" | b"contention_end" => contention(out, name, text, at)?,
        b"rss_stat" => resident(out, text, at)?,
        _ if name.starts_with(b"mmap_lock_") => mmap_lock(out, name, text, at)?,
        _ => match syscall(name) {
            Some((syscall, enters)) => call(out, syscall, enters, text, at)?,
            None => other(out, name, text, at)?,
        },
    }
    Some(())
}

/// An on-CPU sample.
pub(super) fn add_sample(out: &mut Builder<'_>, at: Moment) {
    let Moment { time, cpu, thread, stack, .. } = at;
    out.capture.samples.push(Sample { time, cpu, thread, stack });
}

fn switch(out: &mut Builder<'_>, text: &[u8], at: Moment) -> Option<()> {
    const ARROW: &[u8] = b" ==> ";
    let is_kernels = text.starts_with(b"prev_comm=");
    // A name cannot hold both the arrow and the key: it has 15 bytes at most.
    let arrow = if is_kernels { &b" ==> next_comm="[..] } else { ARROW };
    let arrow = memchr::memmem::find(text, arrow)?;
    // Apart, so that keys in the name of one are not taken for the other's.
    let (before, behind) = (&text[..arrow], &text[arrow + ARROW.len()..]);
    let (from, state, to, priority) = if is_kernels {
        let from = (
            fields::name(before, b"prev_comm=", b"prev_pid=")?,
            fields::tid(before, b"prev_pid=")?,
        );
        let to = (
            fields::name(behind, b"next_comm=", b"next_pid=")?,
            fields::tid(behind, b"next_pid=")?,
        );
        (from, fields::value(before, b"prev_state=")?, to, fields::value(behind, b"next_prio="))
    } else {
        let (from, tid, state) = fields::plugin_task(before)?;
        let (to, to_tid, _) = fields::plugin_task(behind)?;
        ((from, tid), state, (to, to_tid), fields::plugin_priority(behind))
    };
    let state = task_state(state);
    let (time, cpu, stack) = (at.time, at.cpu, at.stack);
    let from = Some(out.other(from.1, from.0, time));
    let into = Some(out.other(to.1, to.0, time));
    let priority = priority.and_then(number::tid).and_then(|number| Priority::new(number.into()));
    out.capture.switches.push(Switch { time, cpu, out: from, into, state, stack, priority });
    Some(())
}

/// A state's letters (`task_state_array` in `include/trace/events/sched.h`, Linux 6.1). `R` stands also for a thread that was
/// preempted where the printer leaves the `+` out: both want to run.
pub(super) fn task_state(letters: &[u8]) -> TaskState {
    if letters.contains(&b'+') {
        return TaskState::Preempted;
    }
    let known = letters.iter().rev().find_map(|letter| {
        Some(match letter {
            b'R' => TaskState::Runnable,
            b'S' => TaskState::Sleeping,
            b'D' => TaskState::Uninterruptible,
            b'T' => TaskState::Stopped,
            b't' => TaskState::Traced,
            b'X' | b'Z' | b'x' => TaskState::Dead,
            b'P' => TaskState::Parked,
            b'I' | b'N' => TaskState::Idle,
            _ => return None,
        })
    });
    known.unwrap_or(TaskState::Unknown)
}

fn wakeup(out: &mut Builder<'_>, text: &[u8], at: Moment, kind: WakeupKind) -> Option<()> {
    let (comm, tid) = if text.starts_with(b"comm=") {
        (fields::name(text, b"comm=", b"pid=")?, fields::tid(text, b"pid=")?)
    } else {
        let (comm, tid, _) = fields::plugin_task(text)?;
        (comm, tid)
    };
    let context = at.context.unwrap_or_else(|| out.context(at.stack));
    let wakee = out.other(tid, comm, at.time);
    let (time, stack) = (at.time, at.stack);
    let waker = Some(at.thread);
    out.capture.wakeups.push(Wakeup { time, waker, wakee, context, kind, stack });
    Some(())
}

fn contention(out: &mut Builder<'_>, name: &[u8], text: &[u8], at: Moment) -> Option<()> {
    let space = memchr::memchr(b' ', text)?;
    let lock = number::hex(&text[..space])?;
    let value = |key| fields::value(text, key)?.strip_suffix(b")");
    let phase = if name == b"contention_begin" {
        ContentionPhase::Begin(contention_flags(value(b"(flags=")?))
    } else {
        let result = number::any(value(b"(ret=")?)?.cast_signed();
        ContentionPhase::End { result: i32::try_from(result).ok()? }
    };
    let Moment { time, thread, stack, .. } = at;
    out.capture.contention.push(LockContention { time, thread, lock, phase, stack });
    Some(())
}

fn contention_flags(text: &[u8]) -> ContentionFlags {
    let has = |name: &[u8]| text.split(|&byte| byte == b'|').any(|flag| flag == name);
    ContentionFlags {
        spin: has(b"SPIN"),
        read: has(b"READ"),
        write: has(b"WRITE"),
        mutex: has(b"MUTEX"),
        percpu: has(b"PERCPU"),
        rt: has(b"RT"),
    }
}

fn mmap_lock(out: &mut Builder<'_>, name: &[u8], text: &[u8], at: Moment) -> Option<()> {
    let phase = match name {
        b"mmap_lock_start_locking" => MmapLockPhase::Start,
        b"mmap_lock_acquire_returned" => {
            MmapLockPhase::Acquired { success: truth(fields::value(text, b"success=")?)? }
        }
        b"mmap_lock_released" => MmapLockPhase::Released,
        _ => return None,
    };
    let mm = number::hex(fields::value(text, b"mm=")?)?;
    let write = truth(fields::value(text, b"write=")?)?;
    let Moment { time, thread, stack, .. } = at;
    out.capture.mmap_locks.push(MmapLock { time, thread, mm, write, phase, stack });
    Some(())
}

/// A truth value as the kernel prints it; a cut word is none.
fn truth(word: &[u8]) -> Option<bool> {
    match word {
        b"true" | b"1" => Some(true),
        b"false" | b"0" => Some(false),
        _ => None,
    }
}

/// The call of `sys_enter_NAME` (true) or `sys_exit_NAME` (false).
fn syscall(name: &[u8]) -> Option<(Syscall, bool)> {
    let (call, enters) = match name.strip_prefix(b"sys_enter_") {
        Some(call) => (call, true),
        None => (name.strip_prefix(b"sys_exit_")?, false),
    };
    Some((Syscall::from_name(std::str::from_utf8(call).ok()?)?, enters))
}

fn call(
    out: &mut Builder<'_>,
    syscall: Syscall,
    enters: bool,
    text: &[u8],
    at: Moment,
) -> Option<()> {
    let phase = if enters {
        let (args, known) = fields::arguments(text);
        if known < needed_arguments(syscall) {
            return None;
        }
        SyscallPhase::Enter { args }
    } else {
        SyscallPhase::Exit { result: number::any(text.trim_ascii())?.cast_signed() }
    };
    let Moment { time, thread, stack, .. } = at;
    out.capture.syscalls.push(SyscallEvent { time, thread, syscall, phase, stack });
    Some(())
}

/// How many of its arguments tell what a call does to memory: without them a cut line would tell of a smaller one.
fn needed_arguments(syscall: Syscall) -> usize {
    match syscall {
        Syscall::Mmap | Syscall::Mremap => 4,
        Syscall::Mprotect | Syscall::Madvise => 3,
        Syscall::Munmap | Syscall::Mlock => 2,
        Syscall::Brk => 1,
        _ => 0,
    }
}

/// Events that begin or end something, with the field that holds their figure.
fn activity(name: &[u8]) -> Option<(ActivityKind, Phase, &'static [u8])> {
    Some(match name {
        b"mm_vmscan_direct_reclaim_begin" => (ActivityKind::DirectReclaim, Phase::Begin, b""),
        b"mm_vmscan_direct_reclaim_end" => {
            (ActivityKind::DirectReclaim, Phase::End, b"nr_reclaimed=")
        }
        b"mm_vmscan_memcg_reclaim_begin" => (ActivityKind::MemcgReclaim, Phase::Begin, b""),
        b"mm_vmscan_memcg_reclaim_end" => {
            (ActivityKind::MemcgReclaim, Phase::End, b"nr_reclaimed=")
        }
        b"mm_compaction_begin" => (ActivityKind::Compaction, Phase::Begin, b""),
        b"mm_compaction_end" => (ActivityKind::Compaction, Phase::End, b""),
        b"block_rq_issue" => (ActivityKind::BlockIo, Phase::Begin, b""),
        b"block_rq_complete" => (ActivityKind::BlockIo, Phase::End, b""),
        _ => return None,
    })
}

fn other(out: &mut Builder<'_>, name: &[u8], text: &[u8], at: Moment) -> Option<()> {
    let (kind, phase, value) = match name {
        b"page_fault_user" | b"page_fault_kernel" => {
            let address = number::hex(fields::value(text, b"address=")?)?;
            (ActivityKind::PageFault, Phase::Moment, address)
        }
        b"signal_generate" => {
            let target = u32::try_from(fields::tid(text, b"pid=")?).ok()?;
            (ActivityKind::SignalGenerate, Phase::Moment, u64::from(target) << 32 | signal(text)?)
        }
        b"signal_deliver" => (ActivityKind::SignalDeliver, Phase::Moment, signal(text)?),
        _ => {
            let (kind, phase, key) = activity(name)?;
            let value = match kind {
                ActivityKind::BlockIo => request(text)?,
                _ if key.is_empty() => 0,
                _ => number::decimal(fields::value(text, key)?)?,
            };
            (kind, phase, value)
        }
    };
    let Moment { time, thread, stack, .. } = at;
    out.capture.activities.push(Activity { time, thread, kind, phase, value, stack });
    Some(())
}

/// The signal in `sig=9 errno=0 code=0 comm=a pid=5 grp=1 res=0`. It stands in front of the name, which may look like one.
fn signal(text: &[u8]) -> Option<u64> {
    let number = text.strip_prefix(b"sig=")?.split(|&byte| byte == b' ').next()?;
    u32::try_from(number::decimal(number)?).ok().map(u64::from)
}

/// `mm_id=1 curr=1 type=MM_ANONPAGES size=4096B`; `member=1` before Linux 5.12.
fn resident(out: &mut Builder<'_>, text: &[u8], at: Moment) -> Option<()> {
    let space = number::decimal(fields::value(text, b"mm_id=")?)?;
    let part = fields::value(text, b"type=").or_else(|| fields::value(text, b"member="))?;
    let bytes = fields::value(text, b"size=")?.strip_suffix(b"B")?;
    // The sum of counters that are kept for each CPU can be negative for a moment.
    let bytes = if bytes.starts_with(b"-") { 0 } else { number::decimal(bytes)? };
    out.capture.resident.push(ResidentSize {
        time: at.time,
        thread: at.thread,
        space: u32::try_from(space).ok()?,
        own: truth(fields::value(text, b"curr=")?)?,
        part: ResidentPart::from_text(part)?,
        bytes,
    });
    Some(())
}

/// Device and first sector in `8,0 WS 4096 () 12345 + 8 none,0,0 [fio]`.
fn request(text: &[u8]) -> Option<u64> {
    let mut words = text.split(|&byte| byte == b' ').next()?.split(|&byte| byte == b',');
    let (major, minor) = (number::decimal(words.next()?)?, number::decimal(words.next()?)?);
    let plus = memchr::memmem::find(text, b" + ")?;
    let start = memchr::memrchr(b' ', &text[..plus])?;
    let sector = number::decimal(&text[start + 1..plus])?;
    Some((major << 20 | minor) << 32 | sector & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Context, Format, Timestamp};

    fn add_one<'a>(out: &mut Builder<'a>, name: &[u8], text: &[u8]) -> Option<()> {
        let thread = out.thread(None, 7, b"me", Timestamp(1));
        let at = Moment { time: Timestamp(1), cpu: None, thread, stack: None, context: None };
        add(out, name, text, at)
    }

    #[test]
    fn switches_are_read_as_the_kernel_and_as_the_plugin_print_them() {
        let mut out = Builder::new(Format::PerfScript);
        for text in [
            &b"prev_comm=a b prev_pid=5 prev_prio=120 prev_state=D ==> next_comm=swapper/0 next_pid=0 next_prio=49"[..],
            b"a b:5 [120] D ==> swapper/0:0 [49]",
        ] {
            add_one(&mut out, b"sched_switch", text).unwrap();
        }
        for switch in &out.capture.switches {
            assert_eq!(switch.state, TaskState::Uninterruptible);
            let from = out.capture.threads.get(switch.out.unwrap());
            assert_eq!((from.tid, from.comm()), (5, "a b"));
            assert!(out.capture.threads.get(switch.into.unwrap()).is_idle_task());
            assert_eq!(switch.priority.and_then(Priority::real_time), Some(50));
        }
        assert_eq!(out.capture.switches.len(), 2);
    }

    /// A thread can call itself anything, in 15 bytes.
    #[test]
    fn fields_in_the_names_of_threads_are_not_taken_for_the_events_own() {
        let mut out = Builder::new(Format::PerfScript);
        for text in [
            &b"prev_comm=a prev_pid=8 prev_pid=5 prev_prio=120 prev_state=D ==> next_comm=x prev_pid=9 next_pid=6 next_prio=120"[..],
            b"prev_comm=next_pid=1 prev_pid=5 prev_prio=120 prev_state=D ==> next_comm= prev_state=R next_pid=6 next_prio=120",
            b"a [9]:5 [120] D ==> b:3 [7]:6 [120]",
        ] {
            add_one(&mut out, b"sched_switch", text).unwrap();
        }
        for switch in &out.capture.switches {
            let tid = |thread: Option<_>| out.capture.threads.get(thread.unwrap()).tid;
            assert_eq!((tid(switch.out), tid(switch.into)), (5, 6));
            assert!(!switch.priority.unwrap().is_before_others());
            assert_eq!(switch.state, TaskState::Uninterruptible);
        }
        let killed = b"sig=9 errno=0 code=0 comm=a sig=1 pid=2 pid=7 grp=1 res=0";
        add_one(&mut out, b"signal_generate", killed).unwrap();
        assert_eq!(out.capture.activities[0].value, 7 << 32 | 9);
    }

    #[test]
    fn lock_events_are_read() {
        let mut out = Builder::new(Format::PerfScript);
        add_one(&mut out, b"contention_begin", b"0xffff888142d27778 (flags=SPIN|WRITE)").unwrap();
        add_one(&mut out, b"contention_end", b"0xffff888142d27778 (ret=-4)").unwrap();
        add_one(
            &mut out,
            b"mmap_lock_acquire_returned",
            b"mm=0xffff8881 memcg_path= write=true success=true",
        )
        .unwrap();
        let phases: Vec<_> = out.capture.contention.iter().map(|row| row.phase).collect();
        assert_eq!(phases[1], ContentionPhase::End { result: -4 });
        assert!(
            matches!(phases[0], ContentionPhase::Begin(flags) if flags.spin && flags.write && !flags.read)
        );
        assert!(out.capture.mmap_locks[0].write);
    }

    #[test]
    fn resident_sizes_are_read_as_old_and_new_kernels_print_them() {
        let mut out = Builder::new(Format::PerfScript);
        for text in [
            &b"mm_id=4066846168 curr=1 type=MM_SHMEMPAGES size=4096B"[..],
            b"mm_id=4066846168 curr=0 member=1 size=-8192B",
        ] {
            add_one(&mut out, b"rss_stat", text).unwrap();
        }
        let told = |row: &ResidentSize| (row.space, row.own, row.part, row.bytes);
        let rows: Vec<_> = out.capture.resident.iter().map(told).collect();
        let space = 4_066_846_168;
        assert_eq!(rows[0], (space, true, ResidentPart::Shared, 4096));
        assert_eq!(rows[1], (space, false, ResidentPart::Anonymous, 0));
        let cut = b"mm_id=1 curr=1 type=MM_SHMEMPAGES size=40";
        assert!(add_one(&mut out, b"rss_stat", cut).is_none());
    }

    #[test]
    fn fields_that_are_cut_are_refused() {
        let mut out = Builder::new(Format::PerfScript);
        for (name, text) in [
            (&b"sched_switch"[..], &b"prev_comm=a prev_pid=5 prev_prio=120 prev_st"[..]),
            (b"sched_waking", b"comm=x pid="),
            (b"contention_begin", b"0xffff888142d27778 (fla"),
            (b"mmap_lock_released", b"mm=0xf"),
            (b"sys_exit_mmap", b"0x7g"),
            (b"sys_enter_munmap", b"addr: 0x7f0000000000, len: "),
            (b"sys_enter_mmap", b"addr: 0x0, len: 0xc0000000, prot: 0x3"),
            (b"contention_begin", b"0xffff888142d27778 (ret=0)"),
            (b"contention_end", b"0xffff888142d27778 (ret=99999999999)"),
            (b"mmap_lock_released", b"mm=0xffff8881 memcg_path= write=tr"),
            (b"signal_generate", b"sig=9 errno=0 code=0 comm=a pid=99999999999 grp=1 res=0"),
            (b"block_rq_issue", b"8,0 WS"),
        ] {
            assert!(add_one(&mut out, name, text).is_none(), "{}", String::from_utf8_lossy(text));
        }
        assert!(out.capture.switches.is_empty() && out.capture.syscalls.is_empty());
        assert_eq!(out.context(None), Context::Task);
    }

    #[test]
    fn the_device_and_sector_of_a_request_are_found() {
        let request = request(b"8,1 WS 4096 () 12345 + 8 none,0,0 [fio]");
        assert_eq!(request, Some(0x80_0001 << 32 | 12345));
    }
}
