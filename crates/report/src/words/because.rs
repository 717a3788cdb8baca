//! Why a freeze came to be, beyond who did it.

use coldcase_analyze::findings::{Cause, Culprit, Findings, FrameView, Operation, Window};

use super::container::container_sentence;
use crate::document::frame_row;
use crate::{names, units};

/// What grew, where in the program the call was made, what held up the holder, who had the CPUs; where nobody is to blame,
/// where the threads stood.
pub(crate) fn because(findings: &Findings) -> Option<String> {
    let window = findings.worst()?;
    let call = window.culprit.as_ref().and_then(|culprit| culprit.bytes);
    let container = findings.verdict.container.as_ref();
    let container = container.map(|container| container_sentence(container, call));
    let reasons: Vec<String> = window.reasons.iter().map(|reason| names::text(reason)).collect();
    let reasons = (!reasons.is_empty()).then(|| format!("{}.", reasons.join("; ")));
    let place = window.culprit.as_ref().and_then(place);
    let sentences: Vec<String> = container.into_iter().chain(place).chain(reasons).collect();
    if sentences.is_empty() { stood_at(findings, window) } else { Some(sentences.join(" ")) }
}

/// The line of the program at which the culprit was.
fn place(culprit: &Culprit) -> Option<String> {
    let frame = frame_row(own_line(&culprit.user_stack)?);
    let did = match culprit.operation {
        Some(Operation::Syscall(_)) => "The call was made",
        Some(Operation::UserLock) => "It let go of the lock",
        _ => "It was",
    };
    Some(format!("{did} at {}.", frame.place))
}

/// The innermost frame of a stack, outermost first, whose line is of the program: of no library, and outside of the allocator
/// that a program may have of its own.
fn own_line(stack: &[FrameView]) -> Option<&FrameView> {
    let allocator = stack.iter().position(|frame| {
        let name = frame.function.as_deref().and_then(|name| name.rsplit("::").next());
        matches!(name, Some("alloc" | "alloc_zeroed" | "realloc" | "dealloc"))
    });
    let is_own = |frame: &&FrameView| {
        let file = frame.file.as_deref().unwrap_or("/usr/");
        let foreign = ["/rustc/", "/rust/deps/", "/usr/"].iter().any(|from| file.starts_with(from))
            || file.contains("/registry/src/")
            || frame.module.as_deref().is_some_and(|module| module.contains(".so"));
        frame.line.is_some() && !foreign
    };
    stack[..allocator.unwrap_or(stack.len())].iter().rev().find(is_own)
}

/// The site of most of the waiting, with its call, where the cause has not said it already.
fn stood_at(findings: &Findings, window: &Window) -> Option<String> {
    let site = findings.wait_sites.iter().find(|site| !site.idle)?;
    let told = window.culprit.is_some() || window.cause == Some(Cause::Stopped);
    (!told).then(|| {
        format!(
            "The threads stood at: {} ({} of {}).",
            names::function(&site.site),
            units::duration(site.blocked),
            units::duration(window.freeze.blocked)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_own_line_is_found_between_those_of_others() {
        let frame = |function: &str, file: &str, module: &str| FrameView {
            function: Some(function.to_owned()),
            file: Some(file.to_owned()),
            line: Some(7),
            inlined: false,
            module: Some(module.to_owned()),
            offset: None,
            why: None,
        };
        let server = "/opt/db/server";
        let stack = [
            frame("start_thread", "nptl/pthread_create.c", "/lib/libc.so.6"),
            frame("db::main", "src/main.rs", server),
            frame("insert<u64>", "/rust/deps/hashbrown-0.16.1/src/map.rs", server),
            frame("alloc", "src/counted.rs", server),
            frame("mmap64", "misc/mmap64.c", "/lib/libc.so.6"),
        ];
        assert_eq!(own_line(&stack).unwrap().file.as_deref(), Some("src/main.rs"));
        assert!(own_line(&stack[2..]).is_none());
    }
}
