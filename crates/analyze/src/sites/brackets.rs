//! System calls, from entry to exit.

use coldcase_ingest::capture::{
    Capture, Nanos, Span, StackId, Syscall, SyscallPhase, ThreadId, Timestamp,
};

/// One system call of one thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bracket {
    pub thread: ThreadId,
    pub syscall: Syscall,
    /// `None` if it began before the recording.
    pub enter: Option<Timestamp>,
    /// `None` if it had not ended when the recording did. Where its exit was lost, the thread's next call says
    /// by when it had ended.
    pub exit: Option<Timestamp>,
    /// The raw arguments; `None` without the entry.
    pub args: Option<[u64; 6]>,
    /// `None` if the exit was not recorded.
    pub result: Option<i64>,
    pub stack: Option<StackId>,
}

impl Bracket {
    /// From entry to exit, or as far as the recording reaches.
    pub fn span(&self, capture: Span) -> Span {
        Span::new(self.enter.unwrap_or(capture.start), self.exit.unwrap_or(capture.end))
    }

    /// How long it took, if both ends were recorded.
    pub fn duration(&self) -> Option<Nanos> {
        self.result?;
        Some(self.exit?.since(self.enter?))
    }
}

/// All system calls, by thread and in order of time.
pub(crate) struct Brackets {
    by_thread: Vec<Vec<Bracket>>,
    capture: Span,
}

impl Brackets {
    pub fn new(capture: &Capture) -> Self {
        let mut by_thread: Vec<Vec<Bracket>> = vec![Vec::new(); capture.threads.len()];
        for event in &capture.syscalls {
            let brackets = &mut by_thread[event.thread.index()];
            let (thread, syscall, stack) = (event.thread, event.syscall, event.stack);
            let first = brackets.is_empty();
            let open = brackets.last_mut().filter(|last| last.exit.is_none());
            let same = |open: &&mut Bracket| open.syscall == syscall;
            match (event.phase, open) {
                (SyscallPhase::Enter { args }, open) => {
                    if let Some(lost) = open {
                        lost.exit = Some(event.time);
                    }
                    let (enter, args) = (Some(event.time), Some(args));
                    brackets.push(Bracket {
                        thread,
                        syscall,
                        enter,
                        exit: None,
                        args,
                        result: None,
                        stack,
                    });
                }
                (SyscallPhase::Exit { result }, Some(open)) if same(&open) => {
                    open.exit = Some(event.time);
                    open.result = Some(result);
                }
                // A thread born in the recording comes out of its parent's clone without having gone in.
                (SyscallPhase::Exit { .. }, _)
                    if !first || capture.threads.get(thread).born.is_some() => {}
                (SyscallPhase::Exit { result }, _) => {
                    let (exit, result) = (Some(event.time), Some(result));
                    let enter = None;
                    brackets.push(Bracket {
                        thread,
                        syscall,
                        enter,
                        exit,
                        args: None,
                        result,
                        stack,
                    });
                }
            }
        }
        Self { by_thread, capture: capture.whole() }
    }

    /// The call that a thread stood in at a moment.
    pub fn at(&self, thread: ThreadId, time: Timestamp) -> Option<&Bracket> {
        let brackets = self.by_thread.get(thread.index())?;
        let after = brackets.partition_point(|bracket| bracket.span(self.capture).start <= time);
        let bracket = brackets[..after].last()?;
        (time <= bracket.span(self.capture).end).then_some(bracket)
    }

    /// The last moment up to `time` at which a thread is known to have been outside every call.
    pub fn last_outside(&self, thread: ThreadId, time: Timestamp) -> Option<Timestamp> {
        let brackets = self.by_thread.get(thread.index())?;
        let ends = brackets.iter().filter_map(|bracket| bracket.exit);
        ends.take_while(|&exit| exit <= time).last()
    }

    /// All calls, by thread.
    pub fn iter(&self) -> impl Iterator<Item = &Bracket> {
        self.by_thread.iter().flatten()
    }

    /// The calls of one thread.
    pub fn of(&self, thread: ThreadId) -> &[Bracket] {
        self.by_thread.get(thread.index()).map_or(&[], Vec::as_slice)
    }
}
