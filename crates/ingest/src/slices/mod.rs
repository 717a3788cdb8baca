//! A folder of off-CPU profiles, one for each second or so: what a profiler in a loop leaves behind.
//!
//! ```text
//! 1700000000.folded   12:00:01   00017      each file's name --stamp--> its slice of time
//! 1700000001.folded   12:00:02   00018      each file's rows --merge--> rows of one Capture, by slice
//! ```

mod merge;
mod stamp;

use std::path::{Path, PathBuf};

use crate::capture::{Capture, Meaning, Nanos, Sentence, Span, Timestamp};
use crate::error::{IngestError, Problem};
use crate::input::Input;
use crate::{ReadOptions, perf, text};
use merge::Merge;
use stamp::Stamp;

/// A file, and when it begins, in nanoseconds.
struct File {
    path: PathBuf,
    begin: u64,
}

/// Reads all profiles of a folder as one capture.
pub(crate) fn read(
    folder: &Path,
    options: ReadOptions<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, IngestError> {
    let failed = |path: &Path, problem| IngestError { path: path.to_owned(), problem };
    let (files, length) =
        files(folder, options.every).map_err(|problem| failed(folder, problem))?;
    let mut merge = Merge::default();
    let mut first_error = None;
    let mut unread = 0_u32;
    for (at, file) in files.iter().enumerate() {
        progress(at as u64, files.len() as u64);
        // A step that is a little longer than the others is no gap.
        let next = files[at..].iter().map(|next| next.begin).find(|next| *next > file.begin);
        let next = next.filter(|next| next - file.begin < length.0.saturating_add(length.0 / 2));
        let end = next.unwrap_or(file.begin.saturating_add(length.0));
        merge.begin(Span::new(Timestamp(file.begin), Timestamp(end)));
        match read_file(&file.path, options) {
            Ok(capture) => merge.add(&file.path, &capture),
            Err(problem) => {
                unread += 1;
                first_error.get_or_insert_with(|| failed(&file.path, problem));
            }
        }
    }
    progress(files.len() as u64, files.len() as u64);
    let mut capture = match (merge.finish(), first_error) {
        (None, Some(error)) => return Err(error),
        (None, None) => return Err(failed(folder, Problem::Folder)),
        (Some(capture), None) => capture,
        (Some(mut capture), Some(error)) => {
            let words = format!(
                "{unread} of {} files count as seconds in which nothing waited: ",
                files.len()
            );
            let IngestError { path, problem } = error;
            let error = Sentence::from(words).path(path.display()).words(&format!(": {problem}"));
            capture.warn(error);
            capture
        }
    };
    capture.warn(format!(
        "times are those of {} files' names, taken for their beginnings: a freeze's borders are known to {:.1} s only. A wait \
         counts in the file in which it ended; a tool that is started anew for each file drops those that reach over a border",
        files.len(),
        length.as_millis_f64() / 1000.0
    ));
    Ok(capture)
}

/// A profile without times.
fn read_file(path: &Path, options: ReadOptions<'_>) -> Result<Capture, Problem> {
    let mut input = Input::default();
    let bytes = input.read(path).map_err(|error| error.problem)?;
    if perf::is_perf_data(&bytes) {
        return Err(Problem::at(0, "it is a perf.data; name it without its folder, one at a time"));
    }
    let mut capture = text::read(&bytes, options.format, &mut |_, _| {})?;
    if !capture.recorded(Meaning::OffCpuProfile) || capture.span.is_some() {
        return Err(Problem::at(0, "it is no off-CPU profile; name it without its folder"));
    }
    capture.warnings.extend(input.damage.into_iter().map(Into::into));
    Ok(capture)
}

/// The files of a folder in order, and how long each lasts.
fn files(folder: &Path, every: Option<Nanos>) -> Result<(Vec<File>, Nanos), Problem> {
    let mut stamped: Vec<(Stamp, PathBuf)> = folder
        .read_dir()?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str().filter(|name| !name.starts_with('.'))?;
            let stamp = Stamp::of(name)?;
            path.is_file().then_some((stamp, path))
        })
        .collect();
    stamped.sort();
    let timed = stamped.iter().any(|(stamp, _)| matches!(stamp, Stamp::Time(_)));
    if !timed && !stamped.is_empty() && every.is_none() {
        return Err(Problem::UnknownStep);
    }
    let step = every.map_or(0, |every| every.0);
    let files = stamped.into_iter().filter_map(|(stamp, path)| match stamp {
        Stamp::Time(begin) => Some(File { path, begin }),
        Stamp::Number(number) if !timed => Some(File { path, begin: number.saturating_mul(step) }),
        // Notes beside the profiles.
        Stamp::Number(_) => None,
    });
    let files: Vec<File> = files.collect();
    // Two tools may have written a file each at one time.
    let steps = files.windows(2).map(|two| two[1].begin - two[0].begin).filter(|step| *step > 0);
    let mut steps: Vec<u64> = steps.collect();
    steps.sort_unstable();
    let usual = steps.get(steps.len() / 2).copied().map(Nanos);
    // A single moment tells no step.
    let length = every.or(usual).ok_or(Problem::Folder)?;
    Ok((files, length))
}
