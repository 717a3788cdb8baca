//! From a tracepoint's raw bytes to what happened, by the fields that the capture describes.

use super::event::{Body, NameId, Task};
use super::format::{EventFormat, Field};
use crate::capture::{
    ActivityKind, ContentionFlags, ContentionPhase, Context, Meaning, MmapLockPhase, Phase,
    Priority, ResidentPart, Syscall, TaskState, WakeupKind,
};

/// How one tracepoint is decoded: the fields that it needs, found once.
#[derive(Debug)]
pub(super) struct Tracepoint {
    fields: Vec<Field>,
    flags: Option<Field>,
    pid: Option<Field>,
    kind: Kind,
    big_endian: bool,
}

#[derive(Debug)]
enum Kind {
    Switch(StateTable),
    Wakeup(WakeupKind),
    ContentionBegin(ContentionTable),
    ContentionEnd,
    MmapLock(MmapStep),
    SyscallEnter(Syscall),
    SyscallExit(Syscall),
    Activity(ActivityKind, Phase),
    Block(Phase),
    Signal,
    Resident,
    Fork,
    Exit,
}

#[derive(Clone, Copy, Debug)]
enum MmapStep {
    Start,
    Acquired,
    Released,
}

/// Where decoding leaves what does not fit an event.
pub(super) trait Sink {
    /// The number of a thread's name.
    fn name(&mut self, name: &[u8]) -> NameId;
    /// The number of a thread's name of at most 16 bytes.
    fn short_name(&mut self, name: u128) -> NameId;
    /// The number of a call's arguments.
    fn args(&mut self, args: [u64; 6]) -> u32;
}

impl Tracepoint {
    /// How to decode `SYSTEM:NAME`, and what it is to the analysis; `None` if it is only counted, or
    /// if its description lacks a field that it cannot do without.
    pub fn new(system: &str, format: &EventFormat, big_endian: bool) -> Option<(Self, Meaning)> {
        let (kind, names, meaning) = plan(system, format)?;
        let fields = names.iter().map(|name| format.field(name).cloned()).collect::<Option<_>>()?;
        let flags = format.field("common_flags").cloned();
        let pid = format.field("common_pid").cloned();
        Some((Self { fields, flags, pid, kind, big_endian }, meaning))
    }

    /// The current thread, as the raw record tells it.
    pub fn current(&self, raw: &[u8]) -> Option<i32> {
        self.pid.as_ref()?.number(raw, self.big_endian).map(as_tid)
    }

    /// What happened; `None` if the record is too short.
    pub fn decode(&self, raw: &[u8], sink: &mut impl Sink) -> Option<Body> {
        Some(match &self.kind {
            Kind::Switch(states) => Body::Switch {
                out: self.task(raw, 0, sink)?,
                into: self.task(raw, 2, sink)?,
                state: states.decode(self.number(raw, 4)?),
                priority: self.number(raw, 5).map(u64::cast_signed).and_then(Priority::new),
            },
            Kind::Wakeup(kind) => {
                let context = self.context(raw);
                Body::Wakeup { wakee: self.task(raw, 0, sink)?, context, kind: *kind }
            }
            Kind::ContentionBegin(table) => {
                let phase = ContentionPhase::Begin(table.decode(self.number(raw, 1)?));
                Body::Contention { lock: self.number(raw, 0)?, phase }
            }
            Kind::ContentionEnd => {
                let result = self.number(raw, 1)?.cast_signed();
                let result = i32::try_from(result).unwrap_or(-1);
                Body::Contention {
                    lock: self.number(raw, 0)?,
                    phase: ContentionPhase::End { result },
                }
            }
            Kind::MmapLock(step) => self.mmap_lock(*step, raw)?,
            Kind::SyscallEnter(syscall) => {
                let mut args = [0; 6];
                for (index, arg) in args.iter_mut().enumerate().take(self.fields.len()) {
                    *arg = self.number(raw, index)?;
                }
                Body::SyscallEnter { syscall: *syscall, args: sink.args(args) }
            }
            Kind::SyscallExit(syscall) => {
                let result = self.number(raw, 0)?.cast_signed();
                Body::SyscallExit { syscall: *syscall, result }
            }
            Kind::Activity(kind, phase) => {
                let value = if self.fields.is_empty() { 0 } else { self.number(raw, 0)? };
                Body::Activity { kind: *kind, phase: *phase, value }
            }
            Kind::Block(phase) => {
                let (device, sector) = (self.number(raw, 0)?, self.number(raw, 1)?);
                let value = device << 32 | sector & 0xffff_ffff;
                Body::Activity { kind: ActivityKind::BlockIo, phase: *phase, value }
            }
            Kind::Signal => {
                let (signal, target) = (self.number(raw, 0)?, self.number(raw, 1)?);
                let value = target << 32 | signal & 0xffff_ffff;
                Body::Activity { kind: ActivityKind::SignalGenerate, phase: Phase::Moment, value }
            }
            Kind::Resident => Body::Resident {
                space: u32::try_from(self.number(raw, 0)?).ok()?,
                own: self.number(raw, 1)? != 0,
                part: ResidentPart::from_number(self.number(raw, 2)?)?,
                bytes: u64::try_from(self.number(raw, 3)?.cast_signed()).unwrap_or(0),
            },
            Kind::Fork => Body::Forked { child: self.task(raw, 0, sink)? },
            Kind::Exit => Body::Ended,
        })
    }

    fn mmap_lock(&self, step: MmapStep, raw: &[u8]) -> Option<Body> {
        let phase = match step {
            MmapStep::Start => MmapLockPhase::Start,
            MmapStep::Acquired => MmapLockPhase::Acquired { success: self.number(raw, 2)? != 0 },
            MmapStep::Released => MmapLockPhase::Released,
        };
        Some(Body::MmapLock { mm: self.number(raw, 0)?, write: self.number(raw, 1)? != 0, phase })
    }

    /// The thread whose number is field `index`, with the name in the field after it.
    fn task(&self, raw: &[u8], index: usize, sink: &mut impl Sink) -> Option<Task> {
        let tid = as_tid(self.number(raw, index)?);
        let Some(field) = self.fields.get(index + 1) else { return Some(Task { tid, name: None }) };
        let name = match field.short_text(raw) {
            Some(name) => Some(sink.short_name(name)),
            None => field.text(raw, self.big_endian).map(|name| sink.name(name)),
        };
        Some(Task { tid, name })
    }

    fn number(&self, raw: &[u8], index: usize) -> Option<u64> {
        self.fields.get(index)?.number(raw, self.big_endian)
    }

    /// `common_flags`: `TRACE_FLAG_HARDIRQ` 0x08, `TRACE_FLAG_SOFTIRQ` 0x10, `TRACE_FLAG_NMI` 0x40
    /// (`include/linux/trace_events.h`, Linux 6.1).
    fn context(&self, raw: &[u8]) -> Context {
        let flags = self.flags.as_ref().and_then(|field| field.number(raw, self.big_endian));
        match flags.unwrap_or(0) {
            flags if flags & 0x48 != 0 => Context::HardIrq,
            flags if flags & 0x10 != 0 => Context::SoftIrq,
            _ => Context::Task,
        }
    }
}

fn as_tid(number: u64) -> i32 {
    i32::try_from(number.cast_signed()).unwrap_or(-1)
}

type Plan = (Kind, Vec<String>, Meaning);

fn plan(system: &str, format: &EventFormat) -> Option<Plan> {
    let of = |kind, names: &[&str], meaning| {
        Some((kind, names.iter().map(|&name| name.to_owned()).collect(), meaning))
    };
    let activity =
        |kind, phase, names: &[&str], meaning| of(Kind::Activity(kind, phase), names, meaning);
    match (system, format.name.as_str()) {
        ("sched", "sched_switch") => {
            const NAMES: &[&str] =
                &["prev_pid", "prev_comm", "next_pid", "next_comm", "prev_state", "next_prio"];
            // A description that was written by hand may lack the last.
            let known = NAMES.len() - usize::from(format.field("next_prio").is_none());
            of(Kind::Switch(StateTable::new(format)), &NAMES[..known], Meaning::Switches)
        }
        ("sched", "sched_waking") => {
            of(Kind::Wakeup(WakeupKind::Waking), &["pid", "comm"], Meaning::Waking)
        }
        ("sched", "sched_wakeup") => {
            of(Kind::Wakeup(WakeupKind::Wakeup), &["pid", "comm"], Meaning::Wakeup)
        }
        ("sched", "sched_wakeup_new") => {
            of(Kind::Wakeup(WakeupKind::New), &["pid", "comm"], Meaning::Wakeup)
        }
        ("sched", "sched_process_fork") => {
            of(Kind::Fork, &["child_pid", "child_comm"], Meaning::ProcessLife)
        }
        ("sched", "sched_process_exit") => of(Kind::Exit, &[], Meaning::ProcessLife),
        ("lock", "contention_begin") => of(
            Kind::ContentionBegin(ContentionTable::new(&format.table("flags"))),
            &["lock_addr", "flags"],
            Meaning::Contention,
        ),
        ("lock", "contention_end") => {
            of(Kind::ContentionEnd, &["lock_addr", "ret"], Meaning::Contention)
        }
        ("mmap_lock", "mmap_lock_start_locking") => {
            of(Kind::MmapLock(MmapStep::Start), &["mm", "write"], Meaning::MmapLock)
        }
        ("mmap_lock", "mmap_lock_acquire_returned") => {
            of(Kind::MmapLock(MmapStep::Acquired), &["mm", "write", "success"], Meaning::MmapLock)
        }
        ("mmap_lock", "mmap_lock_released") => {
            of(Kind::MmapLock(MmapStep::Released), &["mm", "write"], Meaning::MmapLock)
        }
        ("exceptions", "page_fault_user" | "page_fault_kernel") => {
            activity(ActivityKind::PageFault, Phase::Moment, &["address"], Meaning::PageFaults)
        }
        ("vmscan", "mm_vmscan_direct_reclaim_begin") => {
            activity(ActivityKind::DirectReclaim, Phase::Begin, &[], Meaning::Reclaim)
        }
        ("vmscan", "mm_vmscan_direct_reclaim_end") => {
            activity(ActivityKind::DirectReclaim, Phase::End, &["nr_reclaimed"], Meaning::Reclaim)
        }
        ("vmscan", "mm_vmscan_memcg_reclaim_begin") => {
            activity(ActivityKind::MemcgReclaim, Phase::Begin, &[], Meaning::Reclaim)
        }
        ("vmscan", "mm_vmscan_memcg_reclaim_end") => {
            activity(ActivityKind::MemcgReclaim, Phase::End, &["nr_reclaimed"], Meaning::Reclaim)
        }
        ("compaction", "mm_compaction_begin") => {
            activity(ActivityKind::Compaction, Phase::Begin, &[], Meaning::Compaction)
        }
        ("compaction", "mm_compaction_end") => {
            activity(ActivityKind::Compaction, Phase::End, &[], Meaning::Compaction)
        }
        ("block", "block_rq_issue") => {
            of(Kind::Block(Phase::Begin), &["dev", "sector"], Meaning::BlockIo)
        }
        ("block", "block_rq_complete") => {
            of(Kind::Block(Phase::End), &["dev", "sector"], Meaning::BlockIo)
        }
        ("signal", "signal_generate") => of(Kind::Signal, &["sig", "pid"], Meaning::Signals),
        ("signal", "signal_deliver") => {
            activity(ActivityKind::SignalDeliver, Phase::Moment, &["sig"], Meaning::Signals)
        }
        ("kmem", "rss_stat") => {
            of(Kind::Resident, &["mm_id", "curr", "member", "size"], Meaning::RssStat)
        }
        ("oom", _) => activity(ActivityKind::Oom, Phase::Moment, &[], Meaning::Oom),
        ("syscalls", name) => syscall_plan(name, format),
        _ => None,
    }
}

fn syscall_plan(name: &str, format: &EventFormat) -> Option<Plan> {
    if let Some(syscall) = name.strip_prefix("sys_exit_").and_then(Syscall::from_name) {
        return Some((
            Kind::SyscallExit(syscall),
            vec!["ret".to_owned()],
            syscall_meaning(syscall),
        ));
    }
    let syscall = name.strip_prefix("sys_enter_").and_then(Syscall::from_name)?;
    let is_argument =
        |name: &str| !name.starts_with("common_") && !matches!(name, "__syscall_nr" | "nr");
    let arguments = format.fields.iter().map(|field| field.name.clone());
    let arguments = arguments.filter(|name| is_argument(name)).take(6).collect();
    Some((Kind::SyscallEnter(syscall), arguments, syscall_meaning(syscall)))
}

fn syscall_meaning(syscall: Syscall) -> Meaning {
    match syscall {
        Syscall::Mmap | Syscall::Munmap => Meaning::MemorySyscalls,
        _ => Meaning::OtherSyscalls,
    }
}

/// `prev_state` as this kernel writes it.
#[derive(Debug)]
struct StateTable {
    letters: Vec<(u64, TaskState)>,
    preempted: u64,
    /// What the lowest numbers mean, which are all that newer kernels write.
    low: Vec<TaskState>,
}

impl StateTable {
    fn new(format: &EventFormat) -> Self {
        let letters = format.table("prev_state").into_iter().filter_map(|(bit, letter)| {
            let state = match letter.as_str() {
                "S" => TaskState::Sleeping,
                "D" => TaskState::Uninterruptible,
                "T" => TaskState::Stopped,
                "t" => TaskState::Traced,
                "X" | "Z" | "x" => TaskState::Dead,
                "P" => TaskState::Parked,
                "I" | "N" => TaskState::Idle,
                // `K` (may be killed) and `W` (being woken) only qualify another letter.
                _ => return None,
            };
            Some((bit, state))
        });
        let preempted = format.mask_shown_as("prev_state", "+").unwrap_or(0);
        let mut table = Self { letters: letters.collect(), preempted, low: Vec::new() };
        table.low = (0..Self::LOW).map(|state| table.find(state)).collect();
        table
    }

    /// States below 0x100, and the flag of preemption (`TASK_REPORT_MAX`, Linux 4.14 and later).
    const LOW: u64 = 0x200;

    fn decode(&self, state: u64) -> TaskState {
        let low = usize::try_from(state).ok().and_then(|state| self.low.get(state));
        low.copied().unwrap_or_else(|| self.find(state))
    }

    /// Several bits can be set: an idle kernel thread has `D` and `N`, so the last one listed counts.
    fn find(&self, state: u64) -> TaskState {
        if state & self.preempted != 0 {
            return TaskState::Preempted;
        }
        let set = self.letters.iter().rev().find(|(bit, _)| state & bit != 0);
        match set {
            Some(&(_, state)) => state,
            None if state == 0 => TaskState::Runnable,
            None => TaskState::Unknown,
        }
    }
}

/// `flags` of `contention_begin` as this kernel writes them: the bits of each.
#[derive(Debug)]
struct ContentionTable {
    spin: u64,
    read: u64,
    write: u64,
    mutex: u64,
    percpu: u64,
    rt: u64,
}

impl ContentionTable {
    fn new(table: &[(u64, String)]) -> Self {
        let bits = |name: &str| {
            table.iter().filter(|(_, known)| known == name).fold(0, |all, (bits, _)| all | bits)
        };
        Self {
            spin: bits("SPIN"),
            read: bits("READ"),
            write: bits("WRITE"),
            mutex: bits("MUTEX"),
            percpu: bits("PERCPU"),
            rt: bits("RT"),
        }
    }

    fn decode(&self, flags: u64) -> ContentionFlags {
        ContentionFlags {
            spin: flags & self.spin != 0,
            read: flags & self.read != 0,
            write: flags & self.write != 0,
            mutex: flags & self.mutex != 0,
            percpu: flags & self.percpu != 0,
            rt: flags & self.rt != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(print: &str) -> StateTable {
        StateTable::new(
            &EventFormat::parse(&format!("name: sched_switch\nID: 1\nprint fmt: {print}")).unwrap(),
        )
    }

    #[test]
    fn states_are_read_by_the_kernels_own_table() {
        let new = states(
            r#"__print_flags(REC->prev_state & 0xff, "|", { 0x1, "S" }, { 0x2, "D" }, { 0x80, "I" }) : "R", REC->prev_state & 0x100 ? "+" : """#,
        );
        let old = states(
            r#"__print_flags(REC->prev_state & 2047, "|", { 1, "S"}, { 2, "D" }, { 256, "W" }, { 1024, "N" }) : "R", REC->prev_state & 2048 ? "+" : """#,
        );
        for (table, value, state) in [
            (&new, 0, TaskState::Runnable),
            (&new, 0x100, TaskState::Preempted),
            (&new, 2, TaskState::Uninterruptible),
            (&new, 0x80, TaskState::Idle),
            (&old, 0x100, TaskState::Unknown),
            (&old, 2048, TaskState::Preempted),
            (&old, 1026, TaskState::Idle),
        ] {
            assert_eq!(table.decode(value), state, "{value:#x}");
        }
    }
}
