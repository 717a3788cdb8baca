//! The folders that may hold the captured machine's files, and nothing else of this machine.

use std::path::PathBuf;

use super::binary::Summary;
use super::file_names::{
    by_build_id, in_build_id_cache, in_symfs, path_in_capture, pid_of_made_code, split_build_id,
    without_dots,
};
use super::folder::{Entry, Folder};
use super::search::{Found, Search};
use super::split::Wanted;
use super::{SymbolSources, build_id, read};
use crate::capture::{BuildId, Module, ModuleTable, Sentence};

/// The folders that may be searched.
pub(super) struct Places {
    symfs: Vec<Folder>,
    cache: Option<Folder>,
    debug: Vec<Folder>,
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
            search.consider_all(folder, &in_symfs(module));
        }
        if let Some(folder) = &self.cache {
            search.consider_all(folder, &in_build_id_cache(module));
        }
        for folder in &self.debug {
            // The capture's; without one, that of the program that was found.
            let id = search.id.clone().map(|id| BuildId(id.into()));
            search.consider_all(folder, &by_build_id(id.as_ref()));
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
