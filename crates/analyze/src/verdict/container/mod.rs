//! A growing container, recognised by the size of the memory that it asks for.
//!
//! Each kind is a law of sizes, in a file of its own. glibc maps an allocation of 128 KiB and more by itself (above
//! 32 MiB always), with a header of 16 bytes, in whole pages (`sysmalloc_mmap`, glibc 2.36).

mod java;
mod libstdcxx;
mod python;
mod swiss;
mod vector;

use coldcase_ingest::capture::{Mode, Nanos, Span, Syscall};

use crate::findings::{Container, Culprit, FrameView, Operation, SiteTotal, Window};
use crate::model::Model;
use crate::runtimes::interpreter;
use crate::sites::brackets::Bracket;
use crate::sites::memory;
use crate::view;

const PAGE: u64 = 4096;
const MALLOC_HEADER: u64 = 16;
/// Below this, almost any size fits some table.
const SMALLEST: u64 = 1 << 20;
/// Who grows a container under a lock asks for its memory first: such a part of the freeze's length before it at
/// most, since others have to come to the lock before anybody stands still.
const BEFORE: u64 = 10;

/// The container that a culprit enlarged, if the size of its call fits one, or that of a call that it made while it
/// kept others waiting. `sites` are the waits of the freeze.
pub(crate) fn of(model: &Model<'_>, window: &Window, sites: &[SiteTotal]) -> Option<Container> {
    let culprit = window.culprit.as_ref()?;
    let python = || sites.iter().any(|site| site.site == interpreter::LOCK);
    match culprit.operation? {
        Operation::Syscall(call) if grows(call) => {
            fitting(culprit.bytes?, &culprit.user_stack, python())
        }
        Operation::UserLock | Operation::PageFault => {
            let span = window.freeze.span?;
            let before = Nanos(span.duration().0 / BEFORE);
            let span = Span::new(span.start.minus(before), span.end);
            let (bytes, call) = largest(model, culprit, span, |_| true)?;
            let stack = call.stack.map(|stack| view::frames(model.capture, stack, Mode::User));
            fitting(bytes, &stack.unwrap_or_default(), python())
        }
        Operation::RuntimePause => {
            java::step(largest(model, culprit, window.freeze.span?, java::commits)?.0)
        }
        _ => None,
    }
}

/// The largest of the culprit's calls for memory that begin in a span and count, with its bytes.
fn largest<'m>(
    model: &'m Model<'_>,
    culprit: &Culprit,
    span: Span,
    counts: impl Fn(&Bracket) -> bool,
) -> Option<(u64, &'m Bracket)> {
    let calls = model.brackets.iter().filter(|call| is_growth(model, call, culprit, span));
    let sized = calls.filter(|call| counts(call));
    let sized = sized.filter_map(|call| Some((memory::bytes(call, &model.brk)?, call)));
    sized.max_by_key(|(bytes, _)| *bytes)
}

/// Whether a call asks for memory.
fn grows(call: Syscall) -> bool {
    matches!(call, Syscall::Mmap | Syscall::Mremap | Syscall::Brk)
}

/// Whether it is the culprit's, begins in the span, and asks for memory.
fn is_growth(model: &Model<'_>, call: &Bracket, culprit: &Culprit, span: Span) -> bool {
    grows(call.syscall)
        && call.enter.is_some_and(|enter| span.contains(enter))
        && Some(model.capture.threads.get(call.thread).tid) == culprit.thread.tid
}

/// The container that so many bytes fit. Almost any size fits some Swiss table or a vector, which therefore
/// have to stand in the stack; a round size may be a dict as well as a buffer, so the program must be Python's.
fn fitting(bytes: u64, stack: &[FrameView], python: bool) -> Option<Container> {
    if bytes < SMALLEST {
        return None;
    }
    let names = || {
        let frames = stack.iter();
        frames.flat_map(|frame| [frame.function.as_deref(), frame.file.as_deref()]).flatten()
    };
    let library = swiss::LIBRARIES
        .into_iter()
        .find(|library| names().any(|name| library.names.iter().any(|known| name.contains(known))));
    if let Some(library) = library {
        library.table(bytes)
    } else if names().any(vector::grows) {
        Some(vector::of(bytes))
    } else {
        libstdcxx::table(bytes).or_else(|| python::dict(bytes).filter(|_| python))
    }
}

/// The bytes that `malloc` maps for so many.
fn mapped(bytes: u64) -> u64 {
    (bytes + MALLOC_HEADER).next_multiple_of(PAGE)
}
