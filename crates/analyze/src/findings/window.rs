//! One freeze: how long it lasted, who caused it, and how that is known.

use coldcase_ingest::capture::{Nanos, Sentence, Span, Timestamp, WhyNoSymbol};

use super::{Cause, ContainerKind, Grade, LockMode, Operation};

/// One freeze.
#[derive(Clone, Debug)]
pub struct Window {
    /// Its cause, if it is known.
    pub cause: Option<Cause>,
    /// How sure that is.
    pub grade: Grade,
    /// What explains it beyond the culprit and its call, in a sentence each: who had the CPUs, what held up the holder.
    pub reasons: Vec<Sentence>,
    /// Why the grade is what it is: the evidence, in a sentence each.
    pub evidence: Vec<Sentence>,
    /// What froze.
    pub freeze: Freeze,
    /// The lock, if it was one.
    pub lock: Option<Lock>,
    /// Who did it.
    pub culprit: Option<Culprit>,
    /// Threads of which each waited for a lock of the next, and the last for one of the first; empty if that is not what it was.
    pub deadlock: Vec<ThreadName>,
    /// Of a wait for an answer: who was ready to give it and found no CPU, and how long it wanted one.
    pub starved_end: Option<(ThreadName, Nanos)>,
    /// Where every waited nanosecond went; the sum is `freeze.blocked`.
    pub blame: Vec<BlameRow>,
    /// From the longest wait back to the culprit: who waited, and who let go.
    pub chain: Vec<ChainLink>,
    /// What would have been left without the culprit's hold; `None` where the lock's queue does not allow to
    /// say.
    pub without_culprit: Option<Counterfactual>,
    /// What to change, the most fitting first.
    pub remedies: Vec<Remedy>,
}

/// What froze.
#[derive(Clone, Debug)]
pub struct Freeze {
    /// Its process id.
    pub pid: Option<i32>,
    /// Its name.
    pub comm: String,
    /// From when to when; `None` for a profile without times.
    pub span: Option<Span>,
    /// It had begun before the recording did: the times are lower bounds.
    pub open_start: bool,
    /// It had not ended when the recording did: likewise.
    pub open_end: bool,
    /// How many threads stood still.
    pub threads_blocked: u32,
    /// Of how many processes.
    pub processes: u32,
    /// Several processes have nothing in common but that they wanted the same CPUs; else they are those of one master. The one that
    /// is named waited longest then.
    pub strangers: bool,
    /// How many threads of other processes waited for its answers meanwhile, and for nothing else; who they are stands in the evidence.
    pub awaited_by: u32,
    /// They stood in a pause of their runtime, whoever or whatever made it long.
    pub paused: bool,
    /// The CPUs that the culprit kept from them, by the kernel's numbers; empty where it kept none.
    pub cpus: Vec<u32>,
    /// Blocked time, summed over these threads.
    pub blocked: Nanos,
    /// Of a profile, which knows threads by their names alone: the first and the last of names that end in numbers in a row.
    pub range: Option<(String, String)>,
}

impl Freeze {
    /// That of one thread, which stood still all along.
    #[must_use]
    pub(crate) fn of_one(pid: Option<i32>, comm: &str, span: Span) -> Self {
        Self {
            pid,
            comm: comm.to_owned(),
            span: Some(span),
            open_start: false,
            open_end: false,
            threads_blocked: 1,
            processes: 1,
            strangers: false,
            awaited_by: 0,
            paused: false,
            cpus: Vec::new(),
            blocked: span.duration(),
            range: None,
        }
    }

    /// `CPU 3`, `CPUs 0, 2-5 and 7`: those that the culprit kept; `None` if it kept none.
    #[must_use]
    pub fn kept_cpus(&self) -> Option<String> {
        (!self.cpus.is_empty()).then(|| cpus_in_words(&self.cpus))
    }
}

/// CPUs by their numbers, which come in order.
pub(crate) fn cpus_in_words(cpus: &[u32]) -> String {
    let runs = cpus.chunk_by(|a, b| a + 1 == *b).flat_map(|run| match *run {
        [first, _, .., last] => vec![format!("{first}-{last}")],
        _ => run.iter().map(u32::to_string).collect(),
    });
    let runs: Vec<String> = runs.collect();
    match &runs[..] {
        [] => "no CPU".to_owned(),
        [only] if cpus.len() == 1 => format!("CPU {only}"),
        [only] => format!("CPUs {only}"),
        [first @ .., last] => format!("CPUs {} and {last}", first.join(", ")),
    }
}

/// A lock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lock {
    /// Which kind: one of the causes that are locks.
    pub kind: Cause,
    /// How the culprit held it.
    pub mode: Option<LockMode>,
    /// Its address in the kernel (or, of a futex, in the process).
    pub address: Option<u64>,
}

/// The thread at the root of a freeze.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// Who.
    pub thread: ThreadName,
    /// In which call.
    pub operation: Option<Operation>,
    /// How many bytes it was about.
    pub bytes: Option<u64>,
    /// Its flags, by the kernel's names.
    pub flags: Vec<String>,
    /// When the call began; `None` if before the recording. Of a lock of the program's own, at the latest.
    pub start: Option<Timestamp>,
    /// How long it took.
    pub duration: Option<Nanos>,
    /// How long it held the lock.
    pub held: Option<Nanos>,
    /// What it did meanwhile.
    pub activity: Vec<ActivityShare>,
    /// Kernel frames, outermost first.
    pub kernel_stack: Vec<FrameView>,
    /// User frames, outermost first.
    pub user_stack: Vec<FrameView>,
}

impl Culprit {
    /// Somebody of whom no call is known, with what it did meanwhile.
    pub(crate) fn without_call(thread: ThreadName, activity: Vec<ActivityShare>) -> Self {
        Self {
            thread,
            operation: None,
            bytes: None,
            flags: Vec::new(),
            start: None,
            duration: None,
            held: None,
            activity,
            kernel_stack: Vec::new(),
            user_stack: Vec::new(),
        }
    }

    /// Whether [`Culprit::start`] says no more than by when it had begun: of a lock of the program's own, and of a pause of its
    /// runtime, the first that is seen is that somebody waits.
    #[must_use]
    pub fn start_is_latest(&self) -> bool {
        matches!(
            self.operation,
            Some(Operation::UserLock | Operation::RuntimePause | Operation::LateToPause)
        )
    }

    /// When the call began, where that is known.
    #[must_use]
    pub fn began(&self) -> Option<Timestamp> {
        self.start.filter(|_| !self.start_is_latest())
    }
}

/// A thread's numbers and name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ThreadName {
    /// Process id.
    pub pid: Option<i32>,
    /// Thread id; `None` where a format knows names only.
    pub tid: Option<i32>,
    /// Its name.
    pub comm: String,
}

/// Part of a hold, by what the holder did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivityShare {
    /// What: `on a CPU: zeroing pages`, `waiting for a CPU`, `blocked: disk I/O`.
    pub what: String,
    /// For how long.
    pub time: Nanos,
}

/// A frame as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameView {
    /// The function; `None` if unresolved.
    pub function: Option<String>,
    /// Source file.
    pub file: Option<String>,
    /// Line.
    pub line: Option<u32>,
    /// Whether it was inlined into the frame before it.
    pub inlined: bool,
    /// The module.
    pub module: Option<String>,
    /// Offset in the module's file, or the address where there is no module.
    pub offset: Option<u64>,
    /// Why there is no function.
    pub why: Option<WhyNoSymbol>,
}

/// Waited time that ended at one activity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlameRow {
    /// Who; `None` where nobody is to blame or nobody is known.
    pub thread: Option<ThreadName>,
    /// What the thread did, or why nobody is known.
    pub doing: String,
    /// How much waiting it caused, summed over the waiting threads.
    pub time: Nanos,
    /// Whether this row is the rest of which the holder is unknown; `doing` is then the reason.
    pub unknown: bool,
}

/// One wait on the way from a victim to the culprit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainLink {
    /// Who waited.
    pub waiter: ThreadName,
    /// Where.
    pub site: String,
    /// From when to when.
    pub span: Span,
    /// Who ended the wait.
    pub waker: Option<ThreadName>,
    /// What the waker did then, where that is known: `released mmap_lock in munmap`.
    pub how: String,
}

/// A freeze without its culprit's hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counterfactual {
    /// The longest that one thread would still have stood still, at least.
    pub longest: Nanos,
    /// The waiting that would not have been, summed over threads.
    pub recovered: Nanos,
}

/// A growing container, recognised by the size of its memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// What it is.
    pub kind: ContainerKind,
    /// Bytes that it asked for.
    pub bytes: u64,
    /// Entries that the old table could hold; one more makes it grow.
    pub entries: Option<u64>,
    /// Bytes per entry.
    pub entry_bytes: Option<u64>,
    /// Buckets of the new table.
    pub buckets: Option<u64>,
    /// The number of the insert that made it grow.
    pub trigger_insert: Option<u64>,
    /// When it will grow next.
    pub next: Option<NextStep>,
}

/// The next time that a container grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextStep {
    /// The number of the insert that will make it grow.
    pub insert: Option<u64>,
    /// Bytes that it will ask for then, beside those it has.
    pub bytes: u64,
}

/// Something to change, and its price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remedy {
    /// What to do.
    pub action: Sentence,
    /// What it costs.
    pub cost: String,
}

#[cfg(test)]
mod tests {
    use super::cpus_in_words;

    #[test]
    fn cpus_in_a_row_are_told_by_the_first_and_the_last() {
        assert_eq!(cpus_in_words(&[3]), "CPU 3");
        assert_eq!(cpus_in_words(&[0, 1]), "CPUs 0 and 1");
        assert_eq!(cpus_in_words(&[0, 1, 2, 3]), "CPUs 0-3");
        assert_eq!(cpus_in_words(&[0, 2, 3, 4, 5, 7]), "CPUs 0, 2-5 and 7");
    }
}
