//! Off-CPU time as folded stacks: `comm;frame;frame... microseconds`, outermost frame first, a line a stack.
//!
//! As bcc's `offcputime -f` writes them and FlameGraph, inferno and speedscope read them; with wakers as `offwaketime -df`
//! does: behind `--` the waker's frames, innermost first, `-` behind the kernel's, and its name last. Rest and the kernel's threads are left out,
//! as in the report's flame graph.

use std::collections::BTreeMap;
use std::io::Write;

use coldcase_analyze::records::Records;
use coldcase_ingest::capture::{self, Mode, Nanos, ThreadId};

use crate::Source;
use crate::error::ExportError;
use crate::labels;

/// A line: who waited where, and who ended it from where.
type Key<'a> = (&'a str, Option<u32>, Option<(&'a str, Option<u32>)>);

/// Writes folded stacks, in the order of their text. What is less than half a microsecond in all is left out.
///
/// # Errors
///
/// If `out` does not take the bytes.
pub fn write_folded(
    source: Source<'_>,
    wakers: bool,
    mut out: impl Write,
) -> Result<(), ExportError> {
    let records = source.records;
    let frames: Vec<String> = records.frames.iter().map(|row| inert(&labels::frame(row))).collect();
    let mut lines: BTreeMap<String, Nanos> = BTreeMap::new();
    for ((comm, stack, waker), time) in sums(records, wakers) {
        let mut names = vec![inert(comm)];
        let (kernel, user) = sides(records, stack);
        names.extend(user.iter().map(|&frame| frames[frame as usize].clone()));
        // FlameGraph colours the kernel by this.
        names.extend(kernel.iter().map(|&frame| format!("{}_[k]", frames[frame as usize])));
        if let Some((waker, stack)) = waker {
            let (kernel, user) = sides(records, stack);
            names.push("--".to_owned());
            names.extend(kernel.iter().rev().map(|&frame| frames[frame as usize].clone()));
            names.push("-".to_owned());
            names.extend(user.iter().rev().map(|&frame| frames[frame as usize].clone()));
            names.push(inert(waker));
        }
        *lines.entry(names.join(";")).or_default() += time;
    }
    for (stack, time) in lines {
        let micros = time.0.saturating_add(500) / 1000;
        if micros > 0 {
            writeln!(out, "{stack} {micros}")?;
        }
    }
    Ok(())
}

/// The frames of a stack in the kernel and in the program, each outermost first.
fn sides(records: &Records, stack: Option<u32>) -> (&[u32], &[u32]) {
    let frames = stack.map_or(&[][..], |stack| &records.stacks[stack as usize]);
    let in_kernel = |frame: &u32| records.frames[*frame as usize].mode == Mode::Kernel;
    let kernel = frames.iter().position(in_kernel).unwrap_or(frames.len());
    let (user, kernel) = frames.split_at(kernel);
    (kernel, user)
}

fn sums(records: &Records, wakers: bool) -> BTreeMap<Key<'_>, Nanos> {
    let comm = |thread: ThreadId| records.threads[thread.index()].comm.as_str();
    let waker = |thread: Option<ThreadId>, stack| {
        thread.filter(|_| wakers).map(|thread| (comm(thread), stack))
    };
    let mut sums: BTreeMap<Key<'_>, Nanos> = BTreeMap::new();
    for wait in &records.waits {
        let thread = &records.threads[wait.thread.index()];
        if wait.rest || thread.kernel {
            continue;
        }
        let inside = records.span.map_or(wait.span.duration(), |span| wait.span.overlap(span));
        let key = (thread.comm.as_str(), wait.stack, waker(wait.waker, wait.waker_stack));
        *sums.entry(key).or_default() += inside;
    }
    for row in records.profile.iter().filter(|row| !row.rest) {
        let key = (comm(row.thread), row.stack, waker(row.waker, row.waker_stack));
        *sums.entry(key).or_default() += row.off_cpu;
    }
    sums
}

/// A name that is one frame of one line, whatever the captured machine called it.
fn inert(name: &str) -> String {
    match name {
        _ if name.trim().is_empty() => "?".to_owned(),
        "-" | "--" => format!("{name}?"),
        _ => capture::inert(name).replace(';', ":"),
    }
}
