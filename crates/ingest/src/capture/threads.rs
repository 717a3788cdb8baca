//! Threads and processes, with their names over time.
//!
//! The kernel reuses numbers, so a tid says who a thread is only together with a moment. The table is
//! built in order of time: a fork under a known tid begins a new life.

use rustc_hash::FxHashMap;

use super::{ProcessId, ThreadId, Timestamp};

/// One thread's life.
#[derive(Clone, Debug)]
pub struct Thread {
    /// The kernel's number, in the recording's pid namespace.
    pub tid: i32,
    /// Its process.
    pub process: ProcessId,
    /// Names with the moment from which they hold, in order; the first holds from the beginning.
    pub names: Vec<(Timestamp, String)>,
    /// When it was born, if the capture saw it.
    pub born: Option<Timestamp>,
    /// When it ended, if the capture saw it.
    pub ended: Option<Timestamp>,
}

impl Thread {
    /// Its last name; empty if the capture never names it.
    #[must_use]
    pub fn comm(&self) -> &str {
        self.names.last().map_or("", |(_, name)| name.as_str())
    }

    /// Whether this is a CPU's idle task.
    #[must_use]
    pub fn is_idle_task(&self) -> bool {
        self.tid == 0
    }
}

/// One process's life.
#[derive(Clone, Debug)]
pub struct Process {
    /// The kernel's number (thread group id); `None` while no event has told it.
    pub pid: Option<i32>,
    /// Its threads.
    pub threads: Vec<ThreadId>,
    /// The thread that made it, where the capture tells; after its end, whoever took it over is not told.
    pub parent: Option<ThreadId>,
    /// When it began the program that it runs (`execve`), if the capture saw it: perf starts the command that it records as a child
    /// that was there before.
    pub began: Option<Timestamp>,
    /// A kernel thread has no memory of its own: seen by parentage (`kthreadd`) or by name.
    pub kernel: bool,
}

/// Threads and processes.
#[derive(Clone, Debug, Default)]
pub struct ThreadTable {
    threads: Vec<Thread>,
    processes: Vec<Process>,
    by_tid: ByTid,
    by_pid: FxHashMap<i32, ProcessId>,
}

/// Living threads by the kernel's number. It is asked for with every event, and as numbers are small, a place for each
/// takes little room.
#[derive(Clone, Debug, Default)]
struct ByTid {
    low: Vec<Option<Living>>,
    high: FxHashMap<i32, Living>,
}

/// A living thread, with what would be asked of its row and of its process with every event.
#[derive(Clone, Copy, Debug)]
struct Living {
    thread: ThreadId,
    /// The number of its process is known.
    has_pid: bool,
    has_name: bool,
}

impl ByTid {
    /// `PID_MAX_LIMIT` of 64-bit kernels (`include/linux/threads.h`).
    const LIMIT: usize = 4 << 20;

    fn low(tid: i32) -> Option<usize> {
        usize::try_from(tid).ok().filter(|&tid| tid < Self::LIMIT)
    }

    fn get(&self, tid: i32) -> Option<Living> {
        match Self::low(tid) {
            Some(low) => self.low.get(low).copied().flatten(),
            None => self.high.get(&tid).copied(),
        }
    }

    fn get_mut(&mut self, tid: i32) -> Option<&mut Living> {
        match Self::low(tid) {
            Some(low) => self.low.get_mut(low)?.as_mut(),
            None => self.high.get_mut(&tid),
        }
    }

    fn insert(&mut self, tid: i32, thread: ThreadId) {
        let thread = Living { thread, has_pid: false, has_name: false };
        match Self::low(tid) {
            Some(low) => {
                if self.low.len() <= low {
                    self.low.resize(low + 1, None);
                }
                self.low[low] = Some(thread);
            }
            None => {
                self.high.insert(tid, thread);
            }
        }
    }
}

impl ThreadTable {
    /// The living thread of this tid; a new one of a yet unknown process if there is none.
    pub fn of_tid(&mut self, tid: i32) -> ThreadId {
        match self.by_tid.get(tid) {
            Some(known) => known.thread,
            None => {
                let process = self.new_process(None);
                self.new_thread(tid, process, None)
            }
        }
    }

    /// The living thread of this tid; a new one if there is none. It is called by this name from this moment on if it has
    /// none yet.
    pub(crate) fn of_named_tid<N: AsRef<str>>(
        &mut self,
        tid: i32,
        name: impl FnOnce() -> N,
        time: Timestamp,
    ) -> ThreadId {
        if let Some(Living { thread, has_name: true, .. }) = self.by_tid.get(tid) {
            return thread;
        }
        let thread = self.of_tid(tid);
        self.name_if_unknown(thread, name().as_ref(), time);
        if let Some(living) = self.by_tid.get_mut(tid) {
            living.has_name = true;
        }
        thread
    }

    /// The living thread of this tid, now known to belong to process `pid`.
    pub fn of_pid_tid(&mut self, pid: i32, tid: i32) -> ThreadId {
        if let Some(Living { thread, has_pid: true, .. }) = self.by_tid.get(tid) {
            return thread;
        }
        let thread = self.of_tid(tid);
        let process = self.threads[thread.index()].process;
        if self.processes[process.index()].pid.is_none() {
            self.move_to_process(thread, pid);
        }
        if let Some(living) = self.by_tid.get_mut(tid) {
            living.has_pid = true;
        }
        thread
    }

    /// A thread of process `pid` is born, by the thread whose tid is `parent`, whose name it has at first: its tid begins a new
    /// life. At time 0 it was there before.
    pub fn fork(&mut self, pid: i32, tid: i32, parent: Option<i32>, time: Timestamp) -> ThreadId {
        // perf announces the threads that it finds with a fork of their own; sched_process_fork and
        // PERF_RECORD_FORK both tell of one birth.
        if let Some(known) = self.by_tid.get(tid)
            && self.threads[known.thread.index()]
                .born
                .is_some_and(|born| time.since(born).0 < 10_000_000)
        {
            return known.thread;
        }
        let process = if pid == tid {
            let process = self.new_process(Some(pid));
            self.by_pid.insert(pid, process);
            process
        } else {
            self.process_of_pid(pid)
        };
        // What ran before the recording is announced at time 0: that is no birth.
        let born = (time > Timestamp(0)).then_some(time);
        let thread = self.new_thread(tid, process, born);
        if let Some(parent) = parent {
            let parent = self.of_tid(parent);
            if pid == tid {
                self.processes[process.index()].parent = Some(parent);
            }
            let name = self.threads[parent.index()].comm().to_owned();
            if !name.is_empty() {
                self.threads[thread.index()].names.push((time, name));
            }
        }
        thread
    }

    /// `sched_process_fork` tells of a birth, but not into which process.
    pub(crate) fn note_birth(&mut self, tid: i32, time: Timestamp) -> ThreadId {
        match self.by_tid.get(tid) {
            Some(Living { thread, .. }) if self.threads[thread.index()].ended.is_none() => thread,
            _ => {
                let process = self.new_process(None);
                self.new_thread(tid, process, Some(time))
            }
        }
    }

    /// A thread ended. Events of its last moments may still follow.
    pub fn exit(&mut self, thread: ThreadId, time: Timestamp) {
        self.threads[thread.index()].ended = Some(time);
    }

    /// A thread has this name from this moment on.
    pub fn name(&mut self, thread: ThreadId, name: &str, time: Timestamp) {
        let thread = &mut self.threads[thread.index()];
        if thread.comm() != name {
            thread.names.push((time, name.to_owned()));
        }
    }

    /// A thread's process goes on as another program.
    pub fn exec(&mut self, thread: ThreadId, time: Timestamp) {
        let process = self.threads[thread.index()].process;
        self.processes[process.index()].began = Some(time);
    }

    /// A thread's name if it has none yet.
    pub(crate) fn name_if_unknown(&mut self, thread: ThreadId, name: &str, time: Timestamp) {
        if self.threads[thread.index()].names.is_empty() {
            self.name(thread, name, time);
        }
    }

    /// Marks a thread's process as the kernel's own.
    pub(crate) fn mark_kernel(&mut self, thread: ThreadId) {
        let process = self.threads[thread.index()].process;
        self.processes[process.index()].kernel = true;
    }

    /// Two threads were found to belong to one process. Two processes whose numbers are both known stay two.
    pub fn join(&mut self, a: ThreadId, b: ThreadId) {
        let (kept, gone) = (self.threads[a.index()].process, self.threads[b.index()].process);
        let both_known = |[one, other]: [ProcessId; 2]| {
            self.processes[one.index()].pid.is_some() && self.processes[other.index()].pid.is_some()
        };
        if kept == gone || both_known([kept, gone]) {
            return;
        }
        let (kept, gone) =
            if self.processes[gone.index()].pid.is_some() { (gone, kept) } else { (kept, gone) };
        let moved = std::mem::take(&mut self.processes[gone.index()].threads);
        for &thread in &moved {
            self.threads[thread.index()].process = kept;
        }
        let threads = &mut self.processes[kept.index()].threads;
        threads.extend(moved);
        // The main thread's number is the lowest, as a rule.
        threads.sort_by_key(|thread| self.threads[thread.index()].tid);
    }

    /// The thread of an id.
    #[must_use]
    pub fn get(&self, id: ThreadId) -> &Thread {
        &self.threads[id.index()]
    }

    /// The process of an id.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[id.index()]
    }

    /// The process of a thread.
    #[must_use]
    pub fn process_of(&self, thread: ThreadId) -> &Process {
        self.process(self.get(thread).process)
    }

    /// All threads, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ThreadId, &Thread)> {
        self.threads.iter().enumerate().map(|(index, row)| (ThreadId::from_index(index), row))
    }

    /// All processes, by id; some have no thread left, when their threads were found to belong elsewhere.
    pub fn processes(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        self.processes.iter().enumerate().map(|(index, row)| (ProcessId::from_index(index), row))
    }

    /// A process's name: its main thread's, or its first thread's.
    #[must_use]
    pub fn process_comm(&self, id: ProcessId) -> &str {
        let process = self.process(id);
        let main =
            process.threads.iter().find(|&&thread| Some(self.get(thread).tid) == process.pid);
        main.or(process.threads.first()).map_or("", |&thread| self.get(thread).comm())
    }

    /// Gives every thread other names; what they were called when is kept.
    pub fn rename(&mut self, mut rename: impl FnMut(&str) -> String) {
        for (_, name) in self.threads.iter_mut().flat_map(|thread| &mut thread.names) {
            *name = rename(name);
        }
    }

    /// Number of threads.
    #[must_use]
    pub fn len(&self) -> usize {
        self.threads.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    fn process_of_pid(&mut self, pid: i32) -> ProcessId {
        if let Some(&process) = self.by_pid.get(&pid) {
            return process;
        }
        let process = self.new_process(Some(pid));
        self.by_pid.insert(pid, process);
        process
    }

    fn move_to_process(&mut self, thread: ThreadId, pid: i32) {
        let old = self.threads[thread.index()].process;
        if let Some(&known) = self.by_pid.get(&pid) {
            self.processes[old.index()].threads.retain(|&other| other != thread);
            self.processes[known.index()].threads.push(thread);
            self.threads[thread.index()].process = known;
        } else {
            self.processes[old.index()].pid = Some(pid);
            self.by_pid.insert(pid, old);
        }
    }

    fn new_process(&mut self, pid: Option<i32>) -> ProcessId {
        let id = ProcessId::from_index(self.processes.len());
        self.processes.push(Process {
            pid,
            threads: Vec::new(),
            parent: None,
            began: None,
            kernel: false,
        });
        id
    }

    fn new_thread(&mut self, tid: i32, process: ProcessId, born: Option<Timestamp>) -> ThreadId {
        let id = ThreadId::from_index(self.threads.len());
        self.threads.push(Thread { tid, process, names: Vec::new(), born, ended: None });
        self.processes[process.index()].threads.push(id);
        self.by_tid.insert(tid, id);
        id
    }
}
