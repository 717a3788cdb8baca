//! Function names, made comparable.
//!
//! Compilers mark the pieces that they split off a function: `rwsem_wake.isra.0`, `do_exit.cold`,
//! `__schedule.constprop.0`, `futex_wait.llvm.1234`, `clear_page.part.0`. What was waited for is the same. So does glibc: its
//! functions call each other by names of their own, `__GI___lll_lock_wait` (`include/libc-symbols.h`), and where the file's
//! symbols are known, those are of the same address.

use std::borrow::Cow;

use coldcase_ingest::capture::{Capture, FrameId, Mode, StackId};

/// A name without what the compiler or the library added.
#[must_use]
pub fn normalise(name: &str) -> &str {
    const MARKS: &[&str] = &[".isra.", ".constprop.", ".part.", ".cold", ".llvm.", ".lto_priv."];
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    // Hardly any name has a dot.
    if !name.contains('.') {
        return name;
    }
    MARKS.iter().filter_map(|mark| name.find(mark)).min().map_or(name, |at| &name[..at])
}

/// A function of a program as rules name it, normalised. Rust writes a type's own functions as `<std::sync::Once>::call` since
/// its names are mangled by their grammar (`v0`; the standard library's from 1.95 on), and as `std::sync::Once::call` before.
#[must_use]
pub(crate) fn of_program(name: &str) -> Cow<'_, str> {
    let name = normalise(name);
    let parts = name.strip_prefix('<').and_then(|rest| rest.split_once(">::"));
    match parts.filter(|(owner, _)| !owner.contains(['<', ' '])) {
        Some((owner, function)) => Cow::Owned(format!("{owner}::{function}")),
        None => Cow::Borrowed(name),
    }
}

/// Whether a function of a program only makes the system call for a futex: `syscall` of C libraries, and what wraps it.
pub(crate) fn calls_futex(name: &str) -> bool {
    let function = name.rsplit("::").next().unwrap_or(name);
    function == "syscall" || function.contains("futex")
}

/// Kernel functions of a stack, innermost first, normalised; unresolved frames are left out.
pub(crate) fn kernel(capture: &Capture, stack: StackId) -> impl Iterator<Item = &str> {
    kernel_of(capture, capture.stacks.frames(stack))
}

/// The same of frames.
pub(crate) fn kernel_of<'a>(
    capture: &'a Capture,
    frames: &'a [FrameId],
) -> impl Iterator<Item = &'a str> {
    of_mode(capture, frames, Mode::Kernel).map(normalise)
}

/// User functions of a stack, innermost first; unresolved frames are left out.
pub(crate) fn user(capture: &Capture, stack: StackId) -> impl Iterator<Item = &str> {
    of_mode(capture, capture.stacks.frames(stack), Mode::User)
}

fn of_mode<'a>(
    capture: &'a Capture,
    frames: &'a [FrameId],
    mode: Mode,
) -> impl Iterator<Item = &'a str> {
    let frames = frames.iter().map(|&id| capture.frames.get(id));
    frames.filter(move |frame| frame.mode == mode).filter_map(|frame| frame.function())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_marks_are_dropped() {
        for (name, plain) in [
            ("rwsem_wake.isra.0", "rwsem_wake"),
            ("do_exit.cold", "do_exit"),
            ("a.part.0.constprop.1", "a"),
            ("futex_wait.llvm.881234", "futex_wait"),
            ("schedule", "schedule"),
            ("__GI___lll_lock_wait", "__lll_lock_wait"),
        ] {
            assert_eq!(normalise(name), plain);
        }
    }
    #[test]
    fn a_types_own_functions_are_the_same_in_each_of_rusts_manglings() {
        for (name, plain) in [
            (
                "<std::sys::sync::once::futex::Once>::call",
                "std::sys::sync::once::futex::Once::call",
            ),
            ("std::sys::sync::once::futex::Once::call", "std::sys::sync::once::futex::Once::call"),
            (
                "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop",
                "<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop",
            ),
            ("__GI___lll_lock_wait", "__lll_lock_wait"),
        ] {
            assert_eq!(of_program(name), plain);
        }
    }
}
