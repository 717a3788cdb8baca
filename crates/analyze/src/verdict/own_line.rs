//! The line of the program at which a culprit was.

use coldcase_ingest::capture::Capture;

use crate::findings::FrameView;

/// The innermost frame of a stack, outermost first, whose line is of the program: of no library, and outside of the allocator
/// that a program may have of its own. Lines of a program that the capture has no build id of may be those of another build.
pub(crate) fn find(capture: &Capture, stack: &[FrameView]) -> Option<usize> {
    let certain = |path: &str| {
        let mut of_path = capture.modules.iter().filter(|(_, module)| module.path == path);
        of_path.next().is_some_and(|(_, module)| module.build_id.is_some())
            && of_path.all(|(_, module)| module.build_id.is_some())
    };
    let allocator = stack.iter().position(|frame| {
        let name = frame.function.as_deref().and_then(|name| name.rsplit("::").next());
        matches!(name, Some("alloc" | "alloc_zeroed" | "realloc" | "dealloc"))
    });
    let is_own = |frame: &FrameView| {
        let file = frame.file.as_deref().unwrap_or("/usr/");
        let foreign = ["/rustc/", "/rust/deps/", "/usr/"].iter().any(|from| file.starts_with(from))
            || file.contains("/registry/src/")
            || frame.module.as_deref().is_none_or(|path| path.contains(".so") || !certain(path));
        frame.line.is_some() && !foreign
    };
    stack[..allocator.unwrap_or(stack.len())].iter().rposition(is_own)
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{BuildId, Module, ModuleKind};

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
        let mut capture = Capture::default();
        let build_id = Some(BuildId([1; 20].into()));
        let module = Module { path: server.to_owned(), kind: ModuleKind::User, build_id };
        let stack = [
            frame("start_thread", "nptl/pthread_create.c", "/lib/libc.so.6"),
            frame("db::main", "src/main.rs", server),
            frame("insert<u64>", "/rust/deps/hashbrown-0.16.1/src/map.rs", server),
            frame("alloc", "src/counted.rs", server),
            frame("mmap64", "misc/mmap64.c", "/lib/libc.so.6"),
        ];
        assert_eq!(find(&capture, &stack), None, "it may be another build");
        capture.modules.intern(module);
        assert_eq!(find(&capture, &stack), Some(1));
        assert_eq!(find(&capture, &stack[2..]), None);
    }
}
