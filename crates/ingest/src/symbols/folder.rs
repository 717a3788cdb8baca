//! A folder that the user named, and the promise that nothing outside it is opened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::FileType;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use super::{binary, read};

/// How deep the search by build id alone goes, and how many entries it looks at.
const SCAN_DEPTH: usize = 2;
const SCAN_FILES: usize = 2000;

/// A folder that may be read.
pub(super) struct Folder {
    /// As the user wrote it, for messages.
    given: PathBuf,
    /// Where it truly lies.
    root: PathBuf,
    by_build_id: OnceLock<BTreeMap<Vec<u8>, PathBuf>>,
}

/// What lies at a path inside a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing.
    Missing,
    /// Something outside the folder, through a link or through `..`.
    Outside,
    /// A file.
    File {
        /// Below the folder as the user wrote it.
        shown: PathBuf,
        /// Where it truly lies, inside the folder.
        real: PathBuf,
    },
}

impl Folder {
    /// A folder by the user's path; the error says what is wrong with it.
    pub fn open(given: &Path) -> Result<Self, String> {
        let root = given.canonicalize().map_err(|error| format!("cannot be opened: {error}"))?;
        if !root.is_dir() {
            return Err(
                "is not a folder; unpack an archive (of `perf archive`: `tar xf FILE -C FOLDER`)"
                    .to_owned(),
            );
        }
        Ok(Self { given: given.to_owned(), root, by_build_id: OnceLock::new() })
    }

    /// As the user wrote it.
    pub fn shown(&self) -> &Path {
        &self.given
    }

    /// What lies at this path; a leading `/` means the folder itself.
    pub fn entry(&self, path: &str) -> Entry {
        let mut relative = PathBuf::new();
        for component in Path::new(path).components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(name) => relative.push(name),
                Component::ParentDir | Component::Prefix(_) => return Entry::Outside,
            }
        }
        match self.root.join(&relative).canonicalize() {
            Err(_) => Entry::Missing,
            Ok(real) if !real.starts_with(&self.root) => Entry::Outside,
            Ok(real) if real.is_file() => Entry::File { shown: self.given.join(relative), real },
            Ok(_) => Entry::Missing,
        }
    }

    /// A file with this build id anywhere near the top of the folder, whatever its name.
    pub fn by_build_id(&self, id: &[u8]) -> Option<Entry> {
        let index = self.by_build_id.get_or_init(|| self.scan());
        let mut cuts = (1..=id.len()).rev().map(|length| &id[..length]);
        let path =
            cuts.find_map(|cut| index.get(cut).filter(|_| super::build_id::same(cut, id)))?;
        Some(self.entry(path.to_str()?))
    }

    /// Build ids of the files near the top. The whole machine's root is no folder of binaries: there
    /// the search by path must do.
    fn scan(&self) -> BTreeMap<Vec<u8>, PathBuf> {
        let mut found = BTreeMap::new();
        if self.root.parent().is_none() {
            return found;
        }
        let files = self.files_near_the_top();
        for relative in files {
            let Entry::File { real, .. } = self.entry(&relative.to_string_lossy()) else {
                continue;
            };
            let Ok(bytes) = read::read_file(&real) else { continue };
            if let Some(id) = binary::Summary::of(&bytes).ok().and_then(|summary| summary.build_id)
            {
                found.entry(id).or_insert(relative);
            }
        }
        found
    }

    /// Regular files, at most [`SCAN_FILES`] of them. Links are not followed: what they lead to is found in
    /// its own place, if it lies here.
    fn files_near_the_top(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut folders = VecDeque::from([(PathBuf::new(), 0)]);
        let mut seen = 0;
        while let Some((folder, depth)) = folders.pop_front() {
            for (name, kind) in sorted_entries(&self.root.join(&folder)) {
                seen += 1;
                if seen > SCAN_FILES {
                    return files;
                }
                if kind.is_dir() && depth < SCAN_DEPTH {
                    folders.push_back((folder.join(name), depth + 1));
                } else if kind.is_file() {
                    files.insert(folder.join(name));
                }
            }
        }
        files
    }
}

/// In the order of their names: where the search ends must not depend on the file system.
fn sorted_entries(folder: &Path) -> Vec<(OsString, FileType)> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let entries = entries.flatten();
    let mut entries: Vec<_> =
        entries.filter_map(|entry| Some((entry.file_name(), entry.file_type().ok()?))).collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}
