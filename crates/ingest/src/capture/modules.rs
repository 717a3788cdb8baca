//! The files that code was mapped from.

use std::fmt;

use super::ModuleId;
use super::SeededMap;

/// A file (or a stretch of kernel memory) that frames point into.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Module {
    /// As the capture names it: `/usr/bin/redis-server`, `[kernel.kallsyms]`, `[vdso]`, `//anon`.
    pub path: String,
    /// What kind of file.
    pub kind: ModuleKind,
    /// Its identity; names are taken only from a file with the same one.
    pub build_id: Option<BuildId>,
}

/// Code that the kernel made at run time, with its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MadeCode {
    /// Its first byte's kernel address.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its name: `bpf_prog_6deef7357e7b4530_sys_enter`.
    pub name: String,
}

/// A loadable kernel module at its place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadedModule {
    /// Which, by its file as perf names it (`/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko`), or `[ext4]`.
    pub module: ModuleId,
    /// Its first byte's kernel address.
    pub address: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// Kinds of module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ModuleKind {
    /// The kernel image.
    Kernel,
    /// A loadable kernel module.
    KernelModule,
    /// A user-space file.
    User,
    /// The vDSO.
    Vdso,
    /// Memory without a file, such as code made by a JIT.
    Anonymous,
}

/// A build id: the bytes of the `NT_GNU_BUILD_ID` note, 20 as a rule.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(pub Box<[u8]>);

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// Unique modules.
#[derive(Clone, Default)]
pub struct ModuleTable {
    rows: Vec<Module>,
    ids: SeededMap<Module, ModuleId>,
}

impl fmt::Debug for ModuleTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleTable").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl ModuleTable {
    /// The id of a module, new or known.
    pub fn intern(&mut self, module: Module) -> ModuleId {
        if let Some(&id) = self.ids.get(&module) {
            return id;
        }
        let id = ModuleId::from_index(self.rows.len());
        self.rows.push(module.clone());
        self.ids.insert(module, id);
        id
    }

    /// Gives the modules of a path a build id, where they have none.
    pub fn identify(&mut self, path: &str, build_id: &BuildId) {
        let unknown = |module: &&mut Module| module.path == path && module.build_id.is_none();
        for module in self.rows.iter_mut().filter(unknown) {
            module.build_id = Some(build_id.clone());
        }
    }

    /// Gives every module another path. They are no longer found by their old ones.
    pub fn rename(&mut self, mut rename: impl FnMut(&str) -> String) {
        self.ids.clear();
        for module in &mut self.rows {
            module.path = rename(&module.path);
        }
    }

    /// The module of an id.
    #[must_use]
    pub fn get(&self, id: ModuleId) -> &Module {
        &self.rows[id.index()]
    }

    /// All modules, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.rows.iter().enumerate().map(|(index, module)| (ModuleId::from_index(index), module))
    }
}
