//! The search for one module's files: which is the module, and which is of another build.

use std::path::{Path, PathBuf};

use super::binary::Summary;
use super::debug_link::DebugLink;
use super::file_names::also_packed;
use super::folder::{Entry, Folder};
use super::{build_id, read, return_addresses};
use crate::capture::{Module, Sentence, WhyNoSymbol};

/// What the search for one module found.
#[derive(Default)]
pub(super) struct Found {
    /// The module's own files: the program, its debug file, or both; never one of another build id.
    pub files: Vec<FoundFile>,
    /// The capture has no build id, so that nothing proves that the file is the one that was running.
    pub unchecked: bool,
    /// Files that were turned down, with the reason.
    pub refused: Vec<Sentence>,
    /// What was looked for.
    pub looked_for: Sentence,
    /// Files with a part of the debug information, which the module's own refer to.
    pub beside: Vec<PathBuf>,
    /// Of those, which were turned down and which are missing.
    pub notes: Vec<Sentence>,
    /// Why there is no program among the files.
    pub reason: Option<WhyNoSymbol>,
}

/// A file of a module.
pub(super) struct FoundFile {
    /// Below the folder as the user wrote it.
    pub shown: PathBuf,
    /// All of it, decompressed.
    pub bytes: Vec<u8>,
    /// What it holds.
    pub summary: Summary,
}

impl Found {
    /// Turns the files down where return addresses, as bytes of the program, show that it is another build's.
    pub fn check(&mut self, returned_to: &[u64]) {
        let Some(code) = self.files.iter().find(|file| self.unchecked && file.summary.code) else {
            return;
        };
        let offsets = returned_to.iter().copied();
        let Some(why) = return_addresses::objection(&code.bytes, offsets) else { return };
        let file = Sentence::from("the file at ").path(code.shown.display());
        self.refused.push(file.words(&format!(" {why}")));
        self.files.clear();
        self.unchecked = false;
        self.reason = Some(WhyNoSymbol::BuildIdMismatch);
    }
}

/// A search under way.
pub(super) struct Search {
    /// The build id that a file must have. The capture's; without one, that of the first program found.
    pub id: Option<Vec<u8>>,
    unchecked: bool,
    files: Vec<FoundFile>,
    seen: Vec<PathBuf>,
    refused: Vec<Sentence>,
    mismatch: bool,
    unreadable: bool,
}

impl Search {
    pub fn new(module: &Module) -> Self {
        Self {
            id: module.build_id.as_ref().map(|id| id.0.to_vec()),
            unchecked: module.build_id.is_none(),
            files: Vec::new(),
            seen: Vec::new(),
            refused: Vec::new(),
            mismatch: false,
            unreadable: false,
        }
    }

    pub fn has_code(&self) -> bool {
        self.files.iter().any(|file| file.summary.code)
    }

    fn is_complete(&self) -> bool {
        self.has_code() && self.files.iter().any(|file| file.summary.debug_info)
    }

    pub fn consider_all(&mut self, folder: &Folder, names: &[String]) {
        for name in names {
            for name in also_packed(name) {
                if self.is_complete() {
                    return;
                }
                let entry = folder.entry(&name);
                if entry == Entry::Outside {
                    let leads = Sentence::default().path(&name).words(" leads out of ");
                    let out = leads.path(folder.shown().display());
                    self.refused.push(out.words(" and is not opened"));
                }
                self.consider_entry(entry);
            }
        }
    }

    /// Where the program says that its debug information is, if that has not been found.
    pub fn debug_link(&self) -> Option<DebugLink> {
        let code = self.files.iter().find(|file| file.summary.code)?;
        if self.is_complete() { None } else { DebugLink::of(&code.bytes) }
    }

    /// Without build ids, the link's checksum proves that the file is meant.
    pub fn consider_linked(&mut self, folder: &Folder, link: &DebugLink, program: &str) {
        let places = link.places(program);
        if self.id.is_some() {
            return self.consider_all(folder, &places);
        }
        for place in places {
            let Entry::File { shown, real } = folder.entry(&place) else { continue };
            if self.is_complete() {
                return;
            }
            if let Ok(bytes) = read::read_file(&real)
                && link.fits(&bytes)
                && let Ok(summary) = Summary::of(&bytes)
            {
                self.files.push(FoundFile { shown, bytes, summary });
            }
        }
    }

    pub fn consider_entry(&mut self, entry: Entry) {
        let Entry::File { shown, real } = entry else { return };
        if self.is_complete() || self.seen.contains(&real) {
            return;
        }
        match self.consider_file(&shown, &real) {
            Ok(file) => self.files.extend(file),
            Err(why) => {
                let file = Sentence::default().path(shown.display());
                self.refused.push(file.words(&format!(" {why}")));
            }
        }
        self.seen.push(real);
    }

    /// `None` for a file that is the module's and adds nothing.
    fn consider_file(&mut self, shown: &Path, real: &Path) -> Result<Option<FoundFile>, String> {
        let bytes = read::read_file(real).map_err(|error| self.unreadable(error.to_string()))?;
        let summary = Summary::of(&bytes).map_err(|error| self.unreadable(error))?;
        match (&self.id, &summary.build_id) {
            (Some(wanted), Some(id)) if build_id::same(id, wanted) => {}
            (Some(wanted), id) => {
                self.mismatch = true;
                let has = id.as_ref().map_or("no build id".to_owned(), |id| {
                    format!("build id {}", build_id::hex(id))
                });
                return Err(format!("has {has}, not {}", build_id::hex(wanted)));
            }
            (None, _) if !summary.code || self.has_code() => return Ok(None),
            (None, id) => self.id.clone_from(id),
        }
        let adds_code = summary.code && !self.has_code();
        let adds_debug =
            summary.debug_info && !self.files.iter().any(|file| file.summary.debug_info);
        let adds = adds_code || adds_debug || self.files.is_empty();
        Ok(adds.then(|| FoundFile { shown: shown.to_owned(), bytes, summary }))
    }

    fn unreadable(&mut self, error: String) -> String {
        self.unreadable = true;
        error
    }

    pub fn finish(mut self, looked_for: Sentence) -> Found {
        let reason = if self.has_code() {
            None
        } else if self.mismatch {
            Some(WhyNoSymbol::BuildIdMismatch)
        } else if self.unreadable {
            Some(WhyNoSymbol::Unreadable)
        } else {
            Some(WhyNoSymbol::FileNotFound)
        };
        if !self.has_code() && !self.files.is_empty() {
            let file = Sentence::default().path(self.files[0].shown.display());
            self.refused.push(file.words(
                " is only the debug file: the program itself is needed, too, for where its code lies",
            ));
        }
        let unchecked = self.unchecked && !self.files.is_empty();
        let Self { files, refused, .. } = self;
        let (beside, notes) = (Vec::new(), Vec::new());
        Found { files, unchecked, refused, looked_for, beside, notes, reason }
    }
}
