//! A version 1 control group, made for one scenario and given as a folder.

use std::path::PathBuf;

pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    pub fn create(folder: &str) -> Cgroup {
        std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
        Cgroup { folder: folder.into() }
    }

    /// Moves a process, with all its threads, into the group.
    pub fn add(&self, pid: u32) {
        self.set("cgroup.procs", &pid.to_string());
    }

    pub fn set(&self, file: &str, value: &str) {
        let path = self.folder.join(file);
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn get(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file))
            .unwrap_or_default()
            .trim()
            .replace('\n', " ")
    }
}
