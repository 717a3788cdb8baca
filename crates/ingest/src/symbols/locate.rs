//! Which files on this machine are a module of the capture.
//!
//! Looked for by path, by name and by build id, in the folders that the user named and nowhere else. The
//! path in the capture is only ever a path inside of those folders.

use std::path::{Path, PathBuf};

use super::binary::Summary;
use super::debug_link::DebugLink;
use super::folder::{Entry, Folder};
use super::split::Wanted;
use super::{SymbolSources, build_id, read};
use crate::capture::{BuildId, Module, ModuleTable, Sentence, WhyNoSymbol};

/// The folders that may be searched.
pub(super) struct Places {
    symfs: Vec<Folder>,
    cache: Option<Folder>,
    debug: Vec<Folder>,
}

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

impl Places {
    /// Opens the folders; one that is not there becomes a warning.
    pub fn open(sources: &SymbolSources, warnings: &mut Vec<Sentence>) -> Self {
        let mut symfs = Vec::new();
        for given in &sources.symfs {
            match Folder::open(given) {
                Ok(folder) => symfs.push(folder),
                Err(error) => {
                    let folder = Sentence::from("symbol folder ").path(given.display());
                    warnings.push(folder.words(&format!(" {error}")));
                }
            }
        }
        let cache = sources.build_id_cache.as_deref();
        let debug = sources.debug_folders.iter().filter_map(|path| Folder::open(path).ok());
        let debug = debug.collect();
        Self { symfs, cache: cache.and_then(|path| Folder::open(path).ok()), debug }
    }

    /// Searches for a module's program and its debug information.
    pub fn locate(&self, module: &Module) -> Found {
        let mut search = Search::new(module);
        for folder in &self.symfs {
            search.consider_all(folder, &names_in_symfs(module));
        }
        if let Some(folder) = &self.cache {
            search.consider_all(folder, &names_in_cache(module));
        }
        for folder in &self.debug {
            // The capture's; without one, that of the program that was found.
            let id = search.id.clone().map(|id| BuildId(id.into()));
            search.consider_all(folder, &names_by_build_id(id.as_ref()));
        }
        if let (false, Some(id)) = (search.has_code(), &module.build_id) {
            for folder in &self.symfs {
                search.consider_entry(folder.by_build_id(&id.0).unwrap_or(Entry::Missing));
            }
        }
        if let Some(link) = search.debug_link() {
            for folder in self.symfs.iter().chain(&self.debug) {
                search.consider_linked(folder, &link, path_in_capture(module));
            }
        }
        search.finish(self.looked_for(module))
    }

    /// Files that may name the code that a process made: its map, in `tmp/` of the folder that stands for the machine's root or
    /// copied beside the binaries; then its dump for `perf inject --jit`, where the capture saw it or beside the binaries.
    pub fn made_code(
        &self,
        module: &Module,
        modules: &ModuleTable,
    ) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let base = module.path.rsplit('/').next().unwrap_or_default();
        let dump = pid_of_made_code(module).map(|pid| format!("jit-{pid}.dump"));
        let mapped = modules.iter().map(|(_, module)| module.path.as_str());
        let mapped = mapped.filter(|path| dump.as_deref() == path.rsplit('/').next());
        let mapped: Vec<String> = mapped.map(str::to_owned).collect();
        let mut names = vec![module.path.clone(), base.to_owned()];
        names.extend(mapped);
        names.extend(dump.iter().map(|name| format!("tmp/{name}")));
        names.extend(dump);
        self.files(names)
    }

    /// The file of a build id that debug files share, by its name or by the id.
    pub fn shared_file(&self, path: &str, id: &[u8]) -> Option<Vec<u8>> {
        let hex = build_id::hex(id);
        let (first, rest) = hex.split_at_checked(2)?;
        let base = path.rsplit('/').next()?;
        let names = [
            path.trim_start_matches("../").to_owned(),
            format!("usr/lib/debug/.dwz/{base}"),
            format!(".dwz/{base}"),
            format!(".build-id/{first}/{rest}.debug"),
            format!("usr/lib/debug/.build-id/{first}/{rest}.debug"),
            format!("{hex}/debuginfo"),
            base.to_owned(),
        ];
        let folders = self.symfs.iter().chain(&self.debug);
        let mut entries = folders.flat_map(|folder| names.iter().map(|name| folder.entry(name)));
        entries.find_map(|entry| {
            let Entry::File { real, .. } = entry else { return None };
            let bytes = read::read_file(&real).ok()?;
            let summary = Summary::of(&bytes).ok()?;
            summary.build_id.is_some_and(|found| build_id::same(&found, id)).then_some(bytes)
        })
    }

    /// Files that may be the package of a program's split debug information (`PROGRAM.dwp`).
    pub fn packages(&self, module: &Module) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let path = path_in_capture(module);
        let base = path.rsplit('/').next().unwrap_or(path);
        let mut names = vec![
            format!("{path}.dwp"),
            format!("{base}.dwp"),
            format!("usr/lib/debug/{path}.dwp"),
            format!("usr/lib/debug/{path}.debug.dwp"),
        ];
        if let Some((hex, first, rest)) = split_build_id(module.build_id.as_ref()) {
            names.push(format!(".build-id/{first}/{rest}.dwp"));
            names.push(format!(".build-id/{first}/{rest}.debug.dwp"));
            names.push(format!("{hex}.dwp"));
        }
        self.files(names)
    }

    /// Files that may hold a unit's debug information (`.dwo`): where the compiler put it, or copied beside the program.
    pub fn unit_files(
        &self,
        module: &Module,
        unit: &Wanted,
    ) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let path = path_in_capture(module);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let base = unit.name.rsplit('/').next().unwrap_or(&unit.name);
        let made = if unit.name.starts_with('/') {
            without_dots(&unit.name)
        } else {
            without_dots(&format!("{}/{}", unit.folder, unit.name))
        };
        self.files(vec![
            made,
            without_dots(&unit.name),
            format!("{folder}/{base}"),
            base.to_owned(),
        ])
    }

    /// The files of these names that are there, each once.
    fn files(&self, names: Vec<String>) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
        let mut seen = Vec::new();
        let folders = self.symfs.iter().chain(&self.debug);
        let entries = folders.flat_map(move |folder| {
            let entries: Vec<Entry> = names.iter().map(|name| folder.entry(name)).collect();
            entries
        });
        entries.filter_map(move |entry| {
            let Entry::File { shown, real } = entry else { return None };
            if seen.contains(&real) {
                return None;
            }
            let bytes = read::read_file(&real).ok()?;
            seen.push(real);
            Some((shown, bytes))
        })
    }

    fn looked_for(&self, module: &Module) -> Sentence {
        let folders = self.symfs.iter().chain(&self.cache).chain(&self.debug);
        let folders: Vec<Sentence> =
            folders.map(|folder| Sentence::default().path(folder.shown().display())).collect();
        if folders.is_empty() {
            return "no folder with the captured machine's binaries was named".into();
        }
        let id =
            module.build_id.as_ref().map_or(String::new(), |id| format!(" and for build id {id}"));
        let looked_for = Sentence::from("looked for ").path(path_in_capture(module));
        looked_for.words(&format!("{id} in ")).sentence(&Sentence::list(&folders))
    }
}

/// A search under way.
struct Search {
    /// The build id that a file must have. The capture's; without one, that of the first program found.
    id: Option<Vec<u8>>,
    unchecked: bool,
    files: Vec<FoundFile>,
    seen: Vec<PathBuf>,
    refused: Vec<Sentence>,
    mismatch: bool,
    unreadable: bool,
}

impl Search {
    fn new(module: &Module) -> Self {
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

    fn has_code(&self) -> bool {
        self.files.iter().any(|file| file.summary.code)
    }

    fn is_complete(&self) -> bool {
        self.has_code() && self.files.iter().any(|file| file.summary.debug_info)
    }

    fn consider_all(&mut self, folder: &Folder, names: &[String]) {
        for name in names {
            for name in [name.clone(), format!("{name}.zst")] {
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
    fn debug_link(&self) -> Option<DebugLink> {
        let code = self.files.iter().find(|file| file.summary.code)?;
        if self.is_complete() { None } else { DebugLink::of(&code.bytes) }
    }

    /// Without build ids, the link's checksum proves that the file is meant.
    fn consider_linked(&mut self, folder: &Folder, link: &DebugLink, program: &str) {
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

    fn consider_entry(&mut self, entry: Entry) {
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

    fn finish(mut self, looked_for: Sentence) -> Found {
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

/// Where a folder that stands for the captured machine's root, or that binaries were simply copied to, may
/// have a module, most specific first.
fn names_in_symfs(module: &Module) -> Vec<String> {
    let path = path_in_capture(module);
    let base = path.rsplit('/').next().unwrap_or(path);
    let mut names = vec![path.to_owned(), base.to_owned()];
    names.extend(names_by_build_id(module.build_id.as_ref()));
    names.push(format!("usr/lib/debug/{path}.debug"));
    names.push(format!("{path}.debug"));
    names.push(format!("{base}.debug"));
    names.dedup();
    names
}

fn names_by_build_id(id: Option<&BuildId>) -> Vec<String> {
    let Some((hex, first, rest)) = split_build_id(id) else { return Vec::new() };
    vec![
        format!(".build-id/{first}/{rest}"),
        format!(".build-id/{first}/{rest}.debug"),
        format!("usr/lib/debug/.build-id/{first}/{rest}.debug"),
        hex.clone(),
        format!("{hex}.debug"),
        // As perf's cache, which `perf archive` packs, and as debuginfod's.
        format!(".build-id/{first}/{rest}/elf"),
        format!(".build-id/{first}/{rest}/vdso"),
        format!(".build-id/{first}/{rest}/debug"),
        format!("{hex}/executable"),
        format!("{hex}/debuginfo"),
    ]
}

/// In perf's cache, `.build-id/ab/cdef...` is a link to a folder; of old versions, to the file itself.
fn names_in_cache(module: &Module) -> Vec<String> {
    let Some((_, first, rest)) = split_build_id(module.build_id.as_ref()) else {
        return Vec::new();
    };
    let names = ["/elf", "/debug", "/vdso", ""];
    names.map(|name| format!(".build-id/{first}/{rest}{name}")).to_vec()
}

/// A build id as text: whole, its first byte, the rest.
fn split_build_id(id: Option<&BuildId>) -> Option<(String, String, String)> {
    let hex = id?.to_string();
    let (first, rest) = hex.split_at_checked(2)?;
    (!rest.is_empty()).then(|| (hex.clone(), first.to_owned(), rest.to_owned()))
}

/// The kernel marks a mapped file that was removed or replaced since.
fn path_in_capture(module: &Module) -> &str {
    module.path.strip_suffix(" (deleted)").unwrap_or(&module.path)
}

/// The process whose code `/tmp/perf-PID.map` names.
pub(super) fn pid_of_made_code(module: &Module) -> Option<u32> {
    let base = module.path.rsplit('/').next()?;
    base.strip_prefix("perf-")?.strip_suffix(".map")?.parse().ok()
}

/// A path with its `.` and `..` followed, as far as there is something to go back over.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
