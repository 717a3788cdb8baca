//! A capture's bytes: from a file, from standard input or from a recording's folder, unpacked if the whole
//! file is compressed.
//!
//! A perf.data that lies in a file as it is can be larger than memory, and is left there; everything else is
//! read as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bundle;
use crate::capture::{Incident, Sentence};
use crate::error::{IngestError, Problem};
use crate::perf::{self, Source};
use crate::unpack::{Packing, Stop};

/// A compressed file is unpacked to at most so many times its size: perf.data shrinks 20 to 100 times.
const MAX_RATIO: u64 = 1000;
/// And to at most so many bytes; a larger capture has to be unpacked by hand.
const MAX_BYTES: u64 = 4 << 30;

/// All bytes of a capture.
#[derive(Default)]
pub(crate) struct Input {
    /// The file, or a folder's main file.
    pub main: Content,
    /// Further records, one file for each of perf's threads (`perf record --threads`).
    pub parts: Vec<Content>,
    /// What a bundle noted beside the capture.
    pub incident: Option<Incident>,
    /// The kernel's symbols in a bundle.
    pub kallsyms: Option<Box<[u8]>>,
    /// What a bundle says of its recording.
    pub notes: Vec<Sentence>,
    /// What is missing, for a person.
    pub damage: Vec<String>,
}

/// A file's bytes.
pub(crate) enum Content {
    /// All of them.
    Memory(Vec<u8>),
    /// The open file, its length in bytes, and how it stood when it was opened.
    File(File, usize, Stand),
}

impl Default for Content {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Content {
    /// To read from.
    pub fn source(&self) -> Source<'_> {
        match self {
            Self::Memory(bytes) => Source::Memory(bytes),
            Self::File(file, length, _) => Source::File { file, length: *length },
        }
    }

    /// Whether a file is still what it was when it was opened; asked once all of it is read.
    pub fn check(&self) -> Result<Option<String>, Problem> {
        match self {
            Self::Memory(_) => Ok(None),
            Self::File(file, _, before) => before.compare(&Stand::of(file)?, before.size),
        }
    }
}

/// Reads a whole capture; `-` is standard input.
pub(crate) fn load(path: &Path) -> Result<Input, IngestError> {
    let mut input = Input::default();
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes);
        let unpacked = read.map_err(Problem::from).and_then(|_| input.unpack(bytes));
        let unpacked = unpacked.and_then(|bytes| input.unbundle(bytes));
        let unpacked = unpacked.map_err(|problem| IngestError { path: path.to_owned(), problem });
        input.main = Content::Memory(unpacked?);
    } else if path.is_dir() {
        let Some((main, parts)) = recording_folder(path) else {
            return Err(IngestError { path: path.to_owned(), problem: Problem::Folder });
        };
        input.main = input.open(&main, false)?;
        for part in parts {
            match input.open(&part, true) {
                Ok(part) => input.parts.push(part),
                // A thread that saw nothing leaves an empty file.
                Err(IngestError { problem: Problem::Empty, .. }) => {}
                Err(error) => input.damage.push(error.to_string()),
            }
        }
    } else {
        input.main = input.open(path, false)?;
    }
    Ok(input)
}

/// Whether a folder is one that `perf record --threads` wrote.
pub(crate) fn is_recording(folder: &Path) -> bool {
    folder.join("data").is_file()
}

/// The files of a folder that `perf record --threads` wrote: `data` with the header, and `data.0`, `data.1`, ...
/// with the records of each of perf's threads.
fn recording_folder(folder: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
    let main = folder.join("data");
    let mut numbers: Vec<u32> = folder
        .read_dir()
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("data.")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Some((main, numbers.iter().map(|number| folder.join(format!("data.{number}"))).collect()))
}

/// A file's bytes as they are, and what a person must know of them.
fn whole(path: &Path) -> Result<(Vec<u8>, Option<String>), Problem> {
    let mut file = File::open(path)?;
    let before = Stand::of(&file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let note = before.compare(&Stand::of(&file)?, bytes.len() as u64)?;
    Ok((bytes, note))
}

/// What tells whether a file was changed: its size in bytes, and when it was last written to.
pub(crate) struct Stand {
    size: u64,
    written: Option<SystemTime>,
    /// Pipes, and files of `/proc`, have no size.
    sized: bool,
}

impl Stand {
    fn of(file: &File) -> Result<Self, Problem> {
        let metadata = file.metadata()?;
        let (size, written) = (metadata.len(), metadata.modified().ok());
        Ok(Self { size, written, sized: metadata.is_file() && size > 0 })
    }

    /// A file that only grew is read as far as it went, with a note; of one that was changed otherwise, parts of two
    /// different files may have been read.
    fn compare(&self, after: &Self, read: u64) -> Result<Option<String>, Problem> {
        let unchanged = self.size == after.size && self.written == after.written;
        if !self.sized || (unchanged && read == self.size) {
            return Ok(None);
        }
        if after.size > self.size && read >= self.size {
            return Ok(Some(format!(
                "the file was still being written to: what it held up to byte {read} was read"
            )));
        }
        let (size, now) = (self.size, after.size);
        let at = usize::try_from(read.min(now)).unwrap_or(usize::MAX);
        Err(Problem::at(
            at,
            format!("the file changed while it was read: it had {size} bytes and then {now}"),
        ))
    }
}

impl Input {
    /// A file, which is left where it is if records can be read from it there; of those that perf's threads
    /// wrote, nothing but the place tells that it is one.
    fn open(&mut self, path: &Path, is_part: bool) -> Result<Content, IngestError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let problem = |problem| IngestError { path: path.to_owned(), problem };
        let (metadata, file) = opened.map_err(|error| problem(error.into()))?;
        if let (true, Ok(length)) = (metadata.is_file(), usize::try_from(metadata.len()))
            && length > 0
        {
            let source = Source::File { file: &file, length };
            let front = source.front(perf::KIND_LENGTH).map_err(problem)?;
            let is_packed = Packing::of(&front).is_some();
            let is_file = perf::is_perf_data(&front) && !perf::is_pipe(&front);
            if is_file || is_part && !is_packed {
                let stand = Stand::of(&file).map_err(problem)?;
                return Ok(Content::File(file, length, stand));
            }
        }
        self.read(path).map(Content::Memory)
    }

    /// A file's bytes, unpacked.
    pub fn read(&mut self, path: &Path) -> Result<Vec<u8>, IngestError> {
        let whole = whole(path).and_then(|(bytes, note)| {
            self.damage.extend(note);
            self.unpack(bytes)
        });
        let whole = whole.and_then(|bytes| self.unbundle(bytes));
        whole.map_err(|problem| IngestError { path: path.to_owned(), problem })
    }

    /// The bytes as they are, or a bundle's capture.
    fn unbundle(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, Problem> {
        if !bundle::is_bundle(&bytes) {
            return Ok(bytes);
        }
        let contents = bundle::open(&bytes)?;
        self.incident = Some(contents.incident);
        self.kallsyms = contents.kallsyms;
        self.notes.extend(contents.notes);
        Ok(contents.capture)
    }

    /// The bytes as they are, or unpacked; what follows damage is missing.
    fn unpack(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, Problem> {
        if bytes.is_empty() {
            return Err(Problem::Empty);
        }
        let Some(packing) = Packing::of(&bytes) else { return Ok(bytes) };
        let limit = (bytes.len() as u64).saturating_mul(MAX_RATIO).min(MAX_BYTES);
        let unpacked = packing.unpack(&bytes, limit);
        let length = unpacked.bytes.len();
        let reason = match unpacked.stop {
            None if length == 0 => "nothing is packed in it".to_owned(),
            None => return Ok(unpacked.bytes),
            Some(Stop::Damaged(error)) => error.to_string(),
            Some(Stop::Limit) => format!("it unpacks to more than {limit} bytes"),
        };
        if length == 0 {
            let name = packing.name();
            let reason = format!("the file is {name}-compressed and cannot be unpacked: {reason}");
            return Err(Problem::at(0, reason));
        }
        self.damage.push(format!("unpacking ended at byte {length} of the content: {reason}"));
        Ok(unpacked.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stand(size: u64, second: u64) -> Stand {
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Stand { size, written: Some(written), sized: size > 0 }
    }

    #[test]
    fn what_changes_under_the_reader_is_no_capture() {
        assert_eq!(stand(100, 1).compare(&stand(100, 1), 100).unwrap(), None);
        let growing = stand(100, 1).compare(&stand(150, 2), 120).unwrap().unwrap();
        assert!(growing.contains("up to byte 120"));
        for (after, read) in [(stand(50, 2), 50), (stand(100, 2), 100), (stand(100, 1), 70)] {
            let problem = stand(100, 1).compare(&after, read).unwrap_err().to_string();
            assert!(problem.contains("the file changed while it was read"), "{problem}");
        }
        assert_eq!(stand(0, 1).compare(&stand(0, 2), 4096).unwrap(), None, "/proc");
    }
}
