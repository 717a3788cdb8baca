//! CPython's interpreter lock, where its functions have no names.
//!
//! A thread that wants the lock waits for it 5 ms at a time and asks the holder to let go after each
//! (`DEFAULT_INTERVAL` and `take_gil`, `Python/ceval_gil.c`, 3.2 to 3.13). Between two such waits it runs for
//! microseconds; a thread that polled a queue from Python would need the lock in between.

use std::ops::Range;

use coldcase_ingest::capture::{Capture, Location, Nanos, ProcessId};

use crate::holds::series::Row;
use crate::states::ThreadStates;

/// The lock as `rules.txt` has it. A process has one.
pub(crate) const LOCK: &str = "Python's interpreter lock";

/// 5 ms and the slack of a timer (50 µs, `prctl(PR_SET_TIMERSLACK)`), with time to take the interrupt.
const SLICE: Range<Nanos> = Nanos(5_000_000)..Nanos(5_500_000);

/// Whether a series of waits is one for the interpreter lock.
pub(crate) fn is_its_lock(capture: &Capture, states: &ThreadStates, row: &Row) -> bool {
    let [slices @ .., _] = row.waits.as_slice() else { return false };
    let lengths = slices.iter().map(|&wait| states.wait(wait).span.duration());
    let alike = lengths.filter(|length| SLICE.contains(length)).count();
    // A busy machine takes one or the other interrupt late.
    alike >= 2 && alike * 10 >= slices.len() * 9 && {
        let process = capture.threads.get(row.thread).process;
        is_python(capture, states, process)
    }
}

/// By the name of a thread, or by a frame in the interpreter's file.
fn is_python(capture: &Capture, states: &ThreadStates, process: ProcessId) -> bool {
    let threads = &capture.threads.process(process).threads;
    let by_name =
        threads.iter().any(|&thread| capture.threads.get(thread).comm().starts_with("python"));
    by_name || {
        let waits = states.waits.iter().filter(|wait| threads.contains(&wait.thread));
        let frames =
            waits.filter_map(|wait| wait.stack).flat_map(|stack| capture.stacks.frames(stack));
        let mut modules = frames.filter_map(|&frame| match capture.frames.get(frame).location {
            Location::File { module, .. } => Some(capture.modules.get(module).path.as_str()),
            _ => None,
        });
        modules.any(|path| {
            let file = path.rsplit('/').next().unwrap_or(path);
            file.starts_with("python3") || file.starts_with("libpython3")
        })
    }
}
