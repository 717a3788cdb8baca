//! Mappings and programs of the processes that a bundle tells of.
//!
//! `/proc/PID/maps` takes `mmap_lock`, so this is done when the freeze is over, and never waited for long: it may not be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use coldcase_ingest::bundle::ProcessNote;
use object::{Object, ReadCache};

use crate::proc::Process;

/// What is known of some processes.
#[derive(Default)]
pub struct Concerned {
    /// Who they are.
    pub processes: Vec<ProcessNote>,
    /// Their `/proc/PID/maps`: name in the bundle, and the text.
    pub maps: Vec<(String, String)>,
    /// The files that code was mapped from, and their debug files: name in the bundle, and where they can be read.
    pub binaries: BTreeMap<String, PathBuf>,
}

/// Looks at these processes, and for their binaries if asked to; `None` if that takes longer than `patience`, because one of
/// them is still frozen.
pub fn look(processes: Vec<Process>, with_binaries: bool, patience: Duration) -> Option<Concerned> {
    let (sender, answer) = channel();
    let thread = std::thread::Builder::new().name("maps".to_owned());
    thread.spawn(move || sender.send(read(&processes, with_binaries)).ok()).ok()?;
    answer.recv_timeout(patience).ok()
}

fn read(processes: &[Process], with_binaries: bool) -> Concerned {
    let mut concerned = Concerned::default();
    for Process { pid, comm, .. } in processes {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let exe = exe.map(|path| path.display().to_string());
        concerned.processes.push(ProcessNote { pid: *pid, comm: comm.clone(), exe });
        let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else { continue };
        // As the process sees its files: it may live in a container.
        let root = format!("/proc/{pid}/root");
        for path in maps.lines().filter_map(program).filter(|_| with_binaries) {
            if concerned.binaries.contains_key(&format!("binaries{path}")) {
                continue;
            }
            let Some(debug) = debug_files(Path::new(&root), path) else { continue };
            for path in debug.iter().map(String::as_str).chain([path]) {
                let place = PathBuf::from(format!("{root}{path}"));
                concerned.binaries.insert(format!("binaries{path}"), place);
            }
        }
        concerned.maps.push((format!("maps/{pid}.txt"), maps));
    }
    concerned
}

/// The file that a line's mapping has code from.
fn program(line: &str) -> Option<&str> {
    let executable = line.split_whitespace().nth(1)?.contains('x');
    let path = &line[line.find('/')?..];
    let safe = !path.ends_with(" (deleted)") && !path.split('/').any(|part| part == "..");
    (executable && safe).then_some(path)
}

/// Where below `root` the debug files of a program are, by its build id or by its own word; `None` if it is no program: its place
/// may be taken by something else meanwhile.
fn debug_files(root: &Path, path: &str) -> Option<Vec<String>> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let is_file = |path: &str| fs::metadata(below(path)).is_ok_and(|metadata| metadata.is_file());
    if !is_file(path) {
        return None;
    }
    let cache = ReadCache::new(File::open(below(path)).ok()?);
    let file = object::File::parse(&cache).ok()?;
    let mut names = Vec::new();
    if let Ok(Some([first, rest @ ..])) = file.build_id() {
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        names.push(format!("/usr/lib/debug/.build-id/{first:02x}/{rest}.debug"));
    }
    if let Ok(Some((name, _))) = file.gnu_debuglink() {
        let name = String::from_utf8_lossy(name);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !name.contains('/') {
            names.extend(["", "/.debug"].map(|inner| format!("{folder}{inner}/{name}")));
            names.push(format!("/usr/lib/debug{folder}/{name}"));
        }
    }
    names.retain(|name| is_file(name));
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_a_file_and_data_has_not() {
        let code = "7f00-7f10 r-xp 00001000 08:01 42    /usr/lib/a b.so";
        assert_eq!(program(code), Some("/usr/lib/a b.so"));
        for other in [
            "7f00-7f10 rw-p 00001000 08:01 42    /usr/lib/a.so",
            "7f00-7f10 r-xp 00000000 00:00 0     [vdso]",
            "7f00-7f10 r-xp 00001000 08:01 42    /usr/lib/a.so (deleted)",
        ] {
            assert_eq!(program(other), None, "{other}");
        }
    }

    #[test]
    fn this_process_is_described() {
        let own = crate::proc::process(std::process::id()).unwrap();
        let concerned = look(vec![own.clone()], true, Duration::from_secs(20)).unwrap();
        assert!(concerned.maps[0].1.contains("[stack]"));
        let exe = std::env::current_exe().unwrap();
        assert!(concerned.binaries.contains_key(&format!("binaries{}", exe.display())));
        assert!(look(vec![own], false, Duration::from_secs(20)).unwrap().binaries.is_empty());
    }

    #[test]
    fn a_debug_file_is_found_by_build_id_and_what_is_no_program_is_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::copy(std::env::current_exe().unwrap(), root.path().join("db")).unwrap();
        fs::write(root.path().join("notes"), "x").unwrap();
        assert_eq!(debug_files(root.path(), "/notes"), None);
        assert_eq!(debug_files(root.path(), "/gone"), None);
        assert_eq!(debug_files(root.path(), "/db"), Some(Vec::new()));
        let cache = ReadCache::new(File::open(root.path().join("db")).unwrap());
        let program = object::File::parse(&cache).unwrap();
        let id: String =
            program.build_id().unwrap().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        let debug = format!("/usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]);
        let place = root.path().join(&debug[1..]);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, "x").unwrap();
        assert_eq!(debug_files(root.path(), "/db"), Some(vec![debug]));
    }
}
