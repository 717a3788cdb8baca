//! Rows of a capture from what a line says, with everything that repeats interned by its bytes.

use crate::capture::{
    Capture, Context, CpuId, EventCount, Format, FrameId, Meaning, Mode, Origin, SeededMap, Span,
    StackId, ThreadId, Timestamp,
};
use crate::symbols::demangle::demangle;

/// The front of an event's line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub time: Timestamp,
    pub cpu: Option<CpuId>,
    /// Who was current.
    pub thread: ThreadId,
    pub stack: Option<StackId>,
    /// `None` if the text does not say: then the stack does.
    pub context: Option<Context>,
}

/// Fills a capture from text.
pub(super) struct Builder<'a> {
    pub capture: Capture,
    counts: SeededMap<&'a [u8], usize>,
    names: SeededMap<(Mode, &'a [u8]), FrameId>,
    /// Threads that stand for a name, by what the text calls them.
    pub made_up: SeededMap<Box<[u8]>, ThreadId>,
    /// Stacks that only an interrupt has.
    interrupts: SeededMap<StackId, Context>,
    latest: Timestamp,
    /// Events that came after a later one.
    pub late: u64,
    /// The event before, and how often the next one was earlier than it.
    before: Timestamp,
    steps_back: u64,
    all: u64,
}

impl<'a> Builder<'a> {
    pub fn new(format: Format) -> Self {
        let origin = Origin { format, ..Origin::default() };
        Self {
            capture: Capture { origin, ..Capture::default() },
            counts: SeededMap::default(),
            names: SeededMap::default(),
            made_up: SeededMap::default(),
            interrupts: SeededMap::default(),
            latest: Timestamp(0),
            late: 0,
            before: Timestamp(0),
            steps_back: 0,
            all: 0,
        }
    }

    /// Counts an event by its name, and notes its moment.
    pub fn count(&mut self, name: &'a [u8], meaning: Option<Meaning>, time: Timestamp) {
        let events = &mut self.capture.events;
        let index = *self.counts.entry(name).or_insert_with(|| {
            let name = String::from_utf8_lossy(name).into_owned();
            events.push(EventCount { name, count: 0, meaning, sampled: false, every: None });
            events.len() - 1
        });
        events[index].count += 1;
        let span = self.capture.span.get_or_insert(Span { start: time, end: time });
        span.start = span.start.min(time);
        span.end = span.end.max(time);
        if time < self.latest {
            self.late += 1;
        }
        self.latest = self.latest.max(time);
        self.steps_back += u64::from(time < self.before);
        self.before = time;
        self.all += 1;
    }

    /// Whether the times are no times: each is as often before the last one as behind it, and hardly any behind all others. Those of a text
    /// that was turned round only go back, and those of several texts in one file hardly ever.
    pub fn goes_to_and_fro(&self) -> bool {
        const ENOUGH: u64 = 20;
        let part = |count: u64| count >= ENOUGH && count.saturating_mul(4) > self.all;
        part(self.steps_back) && part(self.all - self.steps_back) && part(self.late)
    }

    /// A thread by its numbers and name, as far as the text has them.
    pub fn thread(&mut self, pid: Option<i32>, tid: i32, comm: &[u8], time: Timestamp) -> ThreadId {
        let threads = &mut self.capture.threads;
        let thread = match pid {
            Some(pid) => threads.of_pid_tid(pid, tid),
            None => threads.of_tid(tid),
        };
        // perf calls a thread without a name `:TID`, the kernel's own trace `<...>`.
        let unknown = comm.is_empty() || comm == b"<...>" || comm.starts_with(b":");
        if !unknown && threads.get(thread).comm().as_bytes() != comm {
            let comm = String::from_utf8_lossy(comm);
            match name_of_worker(&comm) {
                // perf adds what a kernel worker works on: `kworker/0:3-events`; the kernel's events do not.
                Some(short) => threads.name_if_unknown(thread, short, time),
                None => threads.name(thread, &comm, time),
            }
        }
        thread
    }

    /// A thread that an event names; its name counts if no better one is known.
    pub fn other(&mut self, tid: i32, comm: &[u8], time: Timestamp) -> ThreadId {
        let threads = &mut self.capture.threads;
        if comm.is_empty() {
            return threads.of_tid(tid);
        }
        threads.of_named_tid(tid, || String::from_utf8_lossy(comm), time)
    }

    /// A frame that has a name and nothing else.
    pub fn named_frame(&mut self, mode: Mode, name: &'a [u8]) -> FrameId {
        if let Some(&id) = self.names.get(&(mode, name)) {
            return id;
        }
        let demangled = demangle(&String::from_utf8_lossy(name));
        let id = self.capture.frames.intern_name(mode, &demangled);
        self.names.insert((mode, name), id);
        id
    }

    /// In which context the kernel ran, by the functions in a stack that only interrupts go through.
    pub fn context(&mut self, stack: Option<StackId>) -> Context {
        let Some(stack) = stack else { return Context::Task };
        if let Some(&context) = self.interrupts.get(&stack) {
            return context;
        }
        let frames = self.capture.stacks.frames(stack).iter();
        let names = frames.filter_map(|&frame| self.capture.frames.get(frame).function());
        let context = names.map(context_of).find(|&context| context != Context::Task);
        let context = context.unwrap_or(Context::Task);
        self.interrupts.insert(stack, context);
        context
    }

    /// The finished capture: tables in order of time.
    pub fn finish(mut self) -> Capture {
        if self.late > 0 {
            let late = self.late;
            self.capture.warn(format!("{late} events came out of order"));
            self.capture.sort();
        }
        self.capture
    }
}

/// The name of a kernel worker without what it works on.
fn name_of_worker(comm: &str) -> Option<&str> {
    let (name, _work) = comm.strip_prefix("kworker/").and(comm.split_once(['-', '+']))?;
    Some(name)
}

/// `asm_sysvec_*` and `common_interrupt` enter hardware interrupts on x86, `el1h_64_irq` on arm64; softirqs run in `__do_softirq`
/// before Linux 6.7 and in `handle_softirqs` since.
fn context_of(function: &str) -> Context {
    match function {
        "handle_softirqs" | "__do_softirq" => Context::SoftIrq,
        "asm_common_interrupt"
        | "common_interrupt"
        | "el1h_64_irq"
        | "el0t_64_irq"
        | "irq_work_run" => Context::HardIrq,
        _ if function.starts_with("asm_sysvec_") || function.starts_with("sysvec_") => {
            Context::HardIrq
        }
        _ => Context::Task,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_lose_what_they_work_on() {
        assert_eq!(name_of_worker("kworker/0:3-events"), Some("kworker/0:3"));
        assert_eq!(name_of_worker("kworker/u8:1+flush"), Some("kworker/u8:1"));
        assert_eq!(name_of_worker("a-b"), None);
    }
}
