//! Every capture format becomes one [`Capture`](capture::Capture).
//!
//! [`read`] takes a path, finds out by the first bytes what lies there, and fills the tables. Names for
//! addresses come afterwards (see `symbols`), once per unique address.

pub mod beside;
pub mod bundle;
pub mod capture;
mod contended;
mod error;
mod input;
mod perf;
mod slices;
pub mod symbols;
mod text;
mod unpack;

use std::path::Path;

use capture::{Capture, Format, Nanos};
pub use error::{IngestError, Problem};
use input::Content;
pub use perf::Chapters;
use perf::Source;
use symbols::SymbolSources;

/// How to read a capture.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions<'a> {
    /// The format that the caller insists on; `None` finds it by the bytes. Of a perf.data the bytes always tell whether it was
    /// written to a pipe.
    pub format: Option<Format>,
    /// Where the captured machine's programs are, to unwind stacks that were recorded as bytes (`perf record
    /// --call-graph dwarf`). Without it, of such a stack only the innermost frame is known.
    pub programs: Option<&'a SymbolSources>,
    /// How long each file of a folder of profiles lasts; `None` tells it by the times in their names.
    pub every: Option<Nanos>,
    /// Keeps all events of locks that spin as rows, too, of a perf.data; otherwise most of them are only counted, since no
    /// thread sleeps for such a lock. Other formats' are always kept.
    pub spins: bool,
    /// Leaves out what events become rows of, but for a switch of each stack: what remains tells what a perf.data holds, at a
    /// third (223 MB) to a sixth (2.5 GB) of the memory. Other formats are read as ever.
    pub overview: bool,
}

/// Reads a capture or a bundle from a file, from standard input if the path is `-`, or from a folder: of `perf record --threads`, or of
/// off-CPU profiles with times in their names.
///
/// `progress` is told how many bytes of how many have been read. What could not be read is listed in
/// [`Capture::losses`] and [`Capture::warnings`].
///
/// # Errors
///
/// If nothing could be read at all: the error names the file, the byte and the reason.
pub fn read(
    path: &Path,
    options: ReadOptions<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, IngestError> {
    read_path(path, options, None, progress)
}

/// Reads as [`read`] does, and hands on what has many events in chapters, of which it keeps one at a time. A recording with fewer
/// events, and any format but perf.data, is one chapter, which is given back as any last one is.
///
/// # Errors
///
/// If nothing could be read at all.
pub fn read_in_chapters(
    path: &Path,
    options: ReadOptions<'_>,
    chapters: Chapters<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, IngestError> {
    read_path(path, options, Some(chapters), progress)
}

fn read_path(
    path: &Path,
    options: ReadOptions<'_>,
    chapters: Option<Chapters<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, IngestError> {
    if path.is_dir() && !input::is_recording(path) {
        return slices::read(path, options, progress);
    }
    let input = input::load(path)?;
    let parts: Vec<Source<'_>> = input.parts.iter().map(Content::source).collect();
    let chapters =
        chapters.map(|chapters| chapters.with(input.incident.clone(), input.kallsyms.clone()));
    let capture = read_input(input.main.source(), &parts, options, chapters, progress);
    let failed = |problem| IngestError { path: path.to_owned(), problem };
    let mut capture = capture.map_err(failed)?;
    for content in std::iter::once(&input.main).chain(&input.parts) {
        capture.warnings.extend(content.check().map_err(failed)?.map(Into::into));
    }
    capture.warnings.extend(input.damage.into_iter().map(Into::into));
    capture.warnings.extend(input.notes);
    capture.incident = input.incident;
    capture.kallsyms = input.kallsyms;
    Ok(capture)
}

/// Reads a capture from its bytes.
///
/// # Errors
///
/// If nothing could be read at all.
pub fn read_bytes(
    bytes: &[u8],
    options: ReadOptions<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, Problem> {
    read_input(Source::Memory(bytes), &[], options, None, progress)
}

fn read_input(
    source: Source<'_>,
    parts: &[Source<'_>],
    options: ReadOptions<'_>,
    mut chapters: Option<Chapters<'_>>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Capture, Problem> {
    let is_perf_data = perf::is_perf_data(&source.front(perf::MAGIC_LENGTH)?);
    let mut capture = match options.format {
        Some(Format::PerfData | Format::PerfPipe) if !is_perf_data => {
            Err(Problem::at(0, "the file does not begin as a perf.data does"))
        }
        None | Some(Format::PerfData | Format::PerfPipe) if is_perf_data => {
            perf::read(source, parts, options, chapters.as_mut(), progress)
        }
        format => {
            let bytes = source.get(0..source.len())?.unwrap_or_default();
            text::read(&bytes, format, progress)
        }
    }?;
    contended::draw_switches(&mut capture);
    Ok(capture)
}
