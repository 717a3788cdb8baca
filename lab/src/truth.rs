//! The log of truth on standard output: `seconds tid thread event key=value...`, one line an event.

use std::fmt::Arguments;
use std::io::Write;
use std::time::Duration;

use crate::clock;

/// Writes one line for now. Use it through [`note!`].
pub fn write(event: Arguments) {
    write_at(clock::now(), event);
}

/// Writes one line for a moment that was measured before: a line written inside a freeze would be
/// part of it.
pub fn write_at(time: Duration, event: Arguments) {
    // SAFETY: gettid has no preconditions.
    let tid = unsafe { libc::gettid() };
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("?").to_owned();
    let line = format!("{}.{:09} {tid} {thread} {event}\n", time.as_secs(), time.subsec_nanos());
    // One write a line, so that lines of several threads never mix; a closed pipe is no reason to
    // stop a scenario.
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Runs `action` between a `begin` and an `end` line that carries how long it took.
pub fn span<T>(what: &str, detail: &str, action: impl FnOnce() -> T) -> T {
    write(format_args!("{what}_begin {detail}"));
    let begin = clock::now();
    let result = action();
    let end = clock::now();
    let ms = (end - begin).as_secs_f64() * 1e3;
    write_at(end, format_args!("{what}_end begin={:.9} ms={ms:.3} {detail}", begin.as_secs_f64()));
    result
}

macro_rules! note {
    ($($part:tt)*) => { $crate::truth::write(format_args!($($part)*)) };
}
pub(crate) use note;
