//! Names of frames and threads, as profilers show them.

use coldcase_analyze::records::{FrameRow, ThreadRow};

/// A frame's function, else its module's file and the offset in it, else its address.
pub(crate) fn frame(row: &FrameRow) -> String {
    let view = &row.view;
    let file = view.module.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path));
    match (&view.function, file, view.offset) {
        (Some(function), ..) => function.clone(),
        (None, Some(file), Some(offset)) => format!("{file}+{offset:#x}"),
        (None, _, Some(address)) => format!("{address:#x}"),
        (None, ..) => "?".to_owned(),
    }
}

/// A thread's name and number.
pub(crate) fn thread(row: &ThreadRow) -> String {
    match (row.comm.as_str(), row.tid) {
        ("", None) => "?".to_owned(),
        ("", Some(tid)) => format!("tid {tid}"),
        (comm, None) => comm.to_owned(),
        (comm, Some(tid)) => format!("{comm} (tid {tid})"),
    }
}
