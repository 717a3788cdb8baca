//! From records in order of time to the tables of a [`Capture`].

use super::dump::StackDump;
use super::event::{Body, Event, MmapRecord, RawStack, SideRecord, Stood, Task};
use super::in_order::InOrder;
use super::sides::Sides;
use super::space::{MARKER_USER, Spaces};
use super::spins::Spins;
use super::unwind::Unwinder;
use crate::capture::{
    Activity, BuildId, Capture, CpuId, LoadedModule, LockContention, Loss, LossKind, MmapLock,
    Module, ModuleKind, Nanos, ProfileRow, ResidentSize, Sample, Span, StackId, Switch,
    SyscallEvent, SyscallPhase, TaskState, ThreadId, Timestamp, Wakeup,
};

/// Takes events in order of time and fills a capture.
pub(super) struct Builder {
    pub capture: Capture,
    pub rows: InOrder,
    /// Which events of contention are left out, if any may be.
    pub spins: Option<Spins>,
    pub spaces: Spaces,
    /// For an overview: which stacks of switches it has.
    pub seen: Option<Seen>,
    /// For stacks that were recorded as bytes.
    pub unwinder: Option<Unwinder>,
    /// Whether `PERF_RECORD_SWITCH` is the only source of switches.
    pub use_switch_records: bool,
}

/// Stacks that were seen, by their numbers.
#[derive(Default)]
pub(super) struct Seen(Vec<bool>);

impl Seen {
    /// Whether it is seen for the first time.
    fn is_new(&mut self, stack: StackId) -> bool {
        let index = stack.index();
        if self.0.len() <= index {
            self.0.resize(index + 1, false);
        }
        !std::mem::replace(&mut self.0[index], true)
    }
}

/// perf's process number for the kernel's own mappings.
const KERNEL_PID: i32 = -1;
/// `kthreadd`, the parent of every kernel thread.
const KTHREADD: i32 = 2;

impl Builder {
    /// Makes room for what so many bytes of records may hold. A table that grows is copied, which touches twice the
    /// memory; room that is not used is never touched, and costs nothing.
    pub fn reserve(&mut self, bytes: usize) {
        /// A record with a callchain is hardly shorter, and every third one is a row of the same table.
        const BYTES_FOR_A_ROW: usize = 512;
        if self.seen.is_none() {
            let rows = bytes / BYTES_FOR_A_ROW;
            // A file with holes may be longer than all memory: then tables grow as far as they get.
            let _ = self.capture.switches.try_reserve_exact(rows);
            let _ = self.capture.wakeups.try_reserve_exact(rows);
            let _ = self.capture.contention.try_reserve_exact(rows);
        }
    }

    /// Puts tables in order of time that could not be kept so.
    pub fn sort_late(&mut self) {
        if self.rows.gave_up {
            self.capture.sort();
        }
    }

    /// Takes the next event.
    pub fn add(&mut self, event: &Event, sides: &mut Sides) {
        let time = Timestamp(event.time);
        if let Body::Record(index) = event.body {
            return self.add_record(sides.record(index), time);
        }
        if let Body::OffCpu { nanoseconds } = event.body {
            return self.add_off_cpu(*event, Nanos(nanoseconds), sides);
        }
        if event.time != 0 {
            self.covers(Span { start: time, end: time });
        }
        let thread = self.current(event);
        let stack = self.stack(event.stack, event.pid, sides);
        let sides = &*sides;
        match event.body {
            Body::Switch { out, into, state, priority } => {
                // An ending thread's own number is already gone from the sample; the event still has it.
                let out = self.task(out, time, sides);
                let into = self.task(into, time, sides);
                let (out, into, cpu) = (Some(out), Some(into), event.cpu);
                self.add_switch(Switch { time, cpu, out, into, state, stack, priority });
            }
            Body::SwitchRecord { leaves, other, preempted } => {
                self.add_switch_record(event, thread, leaves, other, preempted);
            }
            Body::Wakeup { wakee, context, kind } => {
                let wakee = self.task(wakee, time, sides);
                if self.seen.is_none() {
                    let wakeup = Wakeup { time, waker: thread, wakee, context, kind, stack };
                    self.rows.push(&mut self.capture.wakeups, wakeup);
                }
            }
            Body::Forked { child } => {
                self.capture.threads.note_birth(child.tid, time);
                self.task(child, time, sides);
            }
            Body::Ended => {
                if let Some(thread) = thread {
                    self.capture.threads.exit(thread, time);
                }
            }
            body => {
                if let Some(thread) = thread
                    && self.seen.is_none()
                {
                    self.add_own(body, time, event.cpu, thread, stack, sides);
                }
            }
        }
    }

    /// Events of contention that were counted and nothing else, in a span.
    pub fn add_spins(&mut self, span: Span, count: u64) {
        if span.start > Timestamp(0) {
            self.covers(span);
        }
        self.capture.spins.add(span.start, count);
    }

    /// The capture has events of this span.
    fn covers(&mut self, span: Span) {
        let known = self.capture.span.get_or_insert(span);
        *known = known.hull(span);
    }

    /// A sum without a time.
    fn add_off_cpu(&mut self, mut event: Event, off_cpu: Nanos, sides: &mut Sides) {
        // A sample of a single wait has its thread and process in each other's place (perf 7.2).
        if event.pid > 0 && event.tid > 0 {
            let threads = &mut self.capture.threads;
            let first = threads.of_tid(event.pid);
            if threads.process_of(first).pid == Some(event.tid) {
                (event.pid, event.tid) = (event.tid, event.pid);
            }
        }
        let Some(thread) = self.current(&event) else { return };
        let stack = self.stack(event.stack, event.pid, sides);
        let stack = stack.unwrap_or_else(|| self.capture.stacks.intern(&[]));
        let row = ProfileRow { thread, stack, off_cpu, waker: None, slice: None };
        self.capture.profile.push(row);
    }

    /// What a thread did itself.
    fn add_own(
        &mut self,
        body: Body,
        time: Timestamp,
        cpu: Option<CpuId>,
        thread: ThreadId,
        stack: Option<StackId>,
        sides: &Sides,
    ) {
        let (capture, rows) = (&mut self.capture, &mut self.rows);
        match body {
            Body::Contention { phase, .. }
                if self.spins.as_mut().is_some_and(|spins| spins.take(thread, phase)) =>
            {
                capture.spins.add(time, 1);
            }
            Body::Contention { lock, phase } => {
                rows.push(
                    &mut capture.contention,
                    LockContention { time, thread, lock, phase, stack },
                );
            }
            Body::MmapLock { mm, write, phase } => {
                rows.push(
                    &mut capture.mmap_locks,
                    MmapLock { time, thread, mm, write, phase, stack },
                );
            }
            Body::SyscallEnter { syscall, args } => {
                let phase = SyscallPhase::Enter { args: sides.args(args) };
                rows.push(
                    &mut capture.syscalls,
                    SyscallEvent { time, thread, syscall, phase, stack },
                );
            }
            Body::SyscallExit { syscall, result } => {
                let phase = SyscallPhase::Exit { result };
                rows.push(
                    &mut capture.syscalls,
                    SyscallEvent { time, thread, syscall, phase, stack },
                );
            }
            Body::Sample => rows.push(&mut capture.samples, Sample { time, cpu, thread, stack }),
            Body::Resident { space, own, part, bytes } => {
                let size = ResidentSize { time, thread, space, own, part, bytes };
                rows.push(&mut capture.resident, size);
            }
            Body::Activity { kind, phase, value } => {
                rows.push(
                    &mut capture.activities,
                    Activity { time, thread, kind, phase, value, stack },
                );
            }
            _ => {}
        }
    }

    fn add_switch_record(
        &mut self,
        event: &Event,
        thread: Option<ThreadId>,
        leaves: bool,
        other: Option<i32>,
        preempted: bool,
    ) {
        if !self.use_switch_records {
            return;
        }
        let other = other.map(|tid| self.capture.threads.of_tid(tid));
        let state = match (leaves, preempted) {
            (true, true) => TaskState::Preempted,
            _ => TaskState::Unknown,
        };
        // A switch-in names who left, but in which state only that thread's own record tells.
        let (out, into) = if leaves { (thread, other) } else { (None, thread) };
        let time = Timestamp(event.time);
        let (cpu, stack, priority) = (event.cpu, None, None);
        self.add_switch(Switch { time, cpu, out, into, state, stack, priority });
    }

    fn add_switch(&mut self, switch: Switch) {
        let is_kept = match &mut self.seen {
            None => true,
            Some(seen) => switch.stack.is_some_and(|stack| seen.is_new(stack)),
        };
        if is_kept {
            self.rows.push(&mut self.capture.switches, switch);
        }
    }

    fn add_record(&mut self, record: &SideRecord, time: Timestamp) {
        let threads = &mut self.capture.threads;
        match record {
            SideRecord::Comm { pid, tid, name, exec } => {
                let thread = threads.of_pid_tid(*pid, *tid);
                threads.name(thread, name, time);
                if *exec {
                    threads.exec(thread, time);
                    self.spaces.exec(*pid);
                }
            }
            SideRecord::Fork { pid, tid, parent_pid, parent_tid } => {
                let parent = (parent_tid != tid).then_some(*parent_tid);
                let child = threads.fork(*pid, *tid, parent, time);
                if *parent_pid == KTHREADD || *pid == KTHREADD {
                    threads.mark_kernel(child);
                }
                if pid != parent_pid {
                    self.spaces.fork(*pid, *parent_pid);
                }
            }
            SideRecord::Exit { tid } => {
                let thread = threads.of_tid(*tid);
                threads.exit(thread, time);
            }
            SideRecord::Mmap(record) if record.pid == KERNEL_PID || record.kernel => {
                self.add_kernel_mapping(record);
            }
            SideRecord::Mmap(record) => self.spaces.map(record, &mut self.capture),
            SideRecord::Made(code) => self.capture.made_code.push(code.clone()),
            SideRecord::Lost { count, samples } => {
                let kind = if *samples { LossKind::LostSamples } else { LossKind::Lost };
                let note = "the recording's buffer was full".to_owned();
                self.capture.losses.push(Loss { time: Some(time), kind, count: *count, note });
            }
            SideRecord::Throttle => {
                let note = "the kernel slowed the sampling down".to_owned();
                let kind = LossKind::Throttled;
                self.capture.losses.push(Loss { time: Some(time), kind, count: 1, note });
            }
        }
    }

    /// `[kernel.kallsyms]_text` names a symbol, and its `pgoff` is that symbol's address
    /// (`__perf_event__synthesize_kernel_mmap`, `tools/perf/util/synthetic-events.c`, Linux 6.1).
    fn add_kernel_mapping(&mut self, record: &MmapRecord) {
        const IMAGE: &str = "[kernel.kallsyms]";
        let Some(symbol) = record.path.strip_prefix(IMAGE) else {
            self.add_kernel_module(record);
            return;
        };
        let build_id = self.spaces.build_id(IMAGE).cloned();
        let module = Module { path: IMAGE.to_owned(), kind: ModuleKind::Kernel, build_id };
        self.capture.modules.intern(module);
        if !symbol.is_empty() {
            let reference = (symbol.to_owned(), record.file_offset);
            self.capture.origin.kernel_reference = Some(reference);
        }
    }

    /// perf takes the place of a loadable module from `/proc/modules`, and its file from `/lib/modules`, if it is there.
    fn add_kernel_module(&mut self, record: &MmapRecord) {
        // A guest's kernel is another one.
        if record.pid != KERNEL_PID || record.path.starts_with("[guest.") {
            return;
        }
        let build_id = record.build_id.as_ref().map(|id| BuildId(id.clone().into()));
        let build_id = build_id.or_else(|| self.spaces.build_id(&record.path).cloned());
        let module = Module { path: record.path.clone(), kind: ModuleKind::KernelModule, build_id };
        let module = self.capture.modules.intern(module);
        let (address, length) = (record.start, record.length);
        self.capture.loaded_modules.push(LoadedModule { module, address, length });
    }

    /// The thread that was current; `None` once it is past its end.
    fn current(&mut self, event: &Event) -> Option<ThreadId> {
        match (event.pid, event.tid) {
            (_, ..0) => None,
            (1.., tid) => Some(self.capture.threads.of_pid_tid(event.pid, tid)),
            (_, tid) => Some(self.capture.threads.of_tid(tid)),
        }
    }

    /// A thread that an event names; its name counts if no better one is known.
    fn task(&mut self, task: Task, time: Timestamp, sides: &Sides) -> ThreadId {
        let threads = &mut self.capture.threads;
        match task.name {
            Some(name) => threads.of_named_tid(task.tid, || sides.name(name), time),
            None => threads.of_tid(task.tid),
        }
    }

    fn stack(&mut self, stack: Stood, pid: i32, sides: &mut Sides) -> Option<StackId> {
        match stack.stack()? {
            RawStack::Chain(chain) => self.spaces.stack(chain, pid, sides, &mut self.capture),
            RawStack::Dump(dump) => {
                let dump = sides.take_dump(dump)?;
                let words = self.unwind(&dump, pid, sides);
                self.spaces.resolve(&words, pid, &mut self.capture)
            }
        }
    }

    /// The callchain that the kernel would have written, could it unwind user space.
    fn unwind(&mut self, dump: &StackDump, pid: i32, sides: &Sides) -> Vec<u64> {
        let user = match &mut self.unwinder {
            Some(unwinder) => unwinder.unwind(dump, pid, &self.spaces, &self.capture),
            None => vec![dump.ip()],
        };
        let kernel = dump.chain.map_or(&[][..], |chain| sides.chain(chain));
        let mut words = kernel.to_vec();
        words.push(MARKER_USER);
        words.extend(user);
        words
    }
}
