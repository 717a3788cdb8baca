//! Threads and frames as they are shown.

use coldcase_ingest::capture::{
    Capture, Frame, Location, Mode, ModuleId, StackId, Symbol, ThreadId,
};

use crate::findings::{FrameView, ThreadName};

/// A thread's numbers and name. Made-up threads of profiles have negative numbers, which are not shown.
pub(crate) fn thread_name(capture: &Capture, thread: ThreadId) -> ThreadName {
    let row = capture.threads.get(thread);
    let pid = capture.threads.process_of(thread).pid.filter(|&pid| pid >= 0);
    ThreadName { pid, tid: Some(row.tid).filter(|&tid| tid >= 0), comm: row.comm().to_owned() }
}

/// The frames of a stack in one mode, outermost first, inlined calls unfolded.
pub(crate) fn frames(capture: &Capture, stack: StackId, mode: Mode) -> Vec<FrameView> {
    let ids = capture.stacks.frames(stack).iter().rev();
    let frames = ids.map(|&id| capture.frames.get(id)).filter(|frame| frame.mode == mode);
    frames.flat_map(|frame| frame_views(capture, frame)).collect()
}

/// A frame as it is shown: what was inlined into it follows it.
pub(crate) fn frame_views(capture: &Capture, frame: &Frame) -> Vec<FrameView> {
    let (module, offset) = match frame.location {
        Location::File { module, offset } => (Some(module_path(capture, module)), Some(offset)),
        Location::Address(address) => (None, Some(address)),
        Location::Named(_) => (None, None),
    };
    let view = |function, file, line, inlined, why| FrameView {
        function,
        file,
        line,
        inlined,
        module: module.clone(),
        offset,
        why,
    };
    match &frame.symbol {
        Symbol::Known(calls) => calls
            .iter()
            .rev()
            .enumerate()
            .map(|(depth, call)| {
                view(Some(call.function.clone()), call.file.clone(), call.line, depth > 0, None)
            })
            .collect(),
        Symbol::Unknown(why) => vec![view(None, None, None, false, Some(*why))],
    }
}

fn module_path(capture: &Capture, module: ModuleId) -> String {
    capture.modules.get(module).path.clone()
}

/// A frame's name for a flame graph: the function, else module and offset.
pub(crate) fn frame_label(capture: &Capture, frame: &Frame) -> Vec<String> {
    let mark = if frame.mode == Mode::Kernel { "_[k]" } else { "" };
    match &frame.symbol {
        Symbol::Known(calls) => {
            calls.iter().rev().map(|call| format!("{}{mark}", call.function)).collect()
        }
        Symbol::Unknown(_) => vec![match frame.location {
            Location::File { module, offset } => {
                let path = &capture.modules.get(module).path;
                let name = path.rsplit('/').next().unwrap_or(path);
                format!("{name}+{offset:#x}{mark}")
            }
            Location::Address(address) => format!("{address:#x}{mark}"),
            Location::Named(_) => "?".to_owned(),
        }],
    }
}
