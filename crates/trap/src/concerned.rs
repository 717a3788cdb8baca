//! Mappings and programs of the processes that a bundle tells of.
//!
//! `/proc/PID/maps` takes `mmap_lock`, so this is done when the freeze is over, and never waited for long: it may not be.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use coldcase_ingest::bundle::ProcessNote;

use crate::proc::Process;

/// What is known of some processes.
#[derive(Default)]
pub struct Concerned {
    /// Who they are.
    pub processes: Vec<ProcessNote>,
    /// Their `/proc/PID/maps`: name in the bundle, and the text.
    pub maps: Vec<(String, String)>,
    /// The files that code was mapped from: name in the bundle, and where they can be read.
    pub binaries: BTreeMap<String, PathBuf>,
}

/// Looks at these processes; `None` if that takes longer than `patience`, because one of them is still frozen.
pub fn look(processes: Vec<Process>, patience: Duration) -> Option<Concerned> {
    let (sender, answer) = channel();
    let thread = std::thread::Builder::new().name("maps".to_owned());
    thread.spawn(move || sender.send(read(&processes)).ok()).ok()?;
    answer.recv_timeout(patience).ok()
}

fn read(processes: &[Process]) -> Concerned {
    let mut concerned = Concerned::default();
    for Process { pid, comm, .. } in processes {
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let exe = exe.map(|path| path.display().to_string());
        concerned.processes.push(ProcessNote { pid: *pid, comm: comm.clone(), exe });
        let Ok(maps) = fs::read_to_string(format!("/proc/{pid}/maps")) else { continue };
        for path in maps.lines().filter_map(program) {
            // As the process sees it: it may live in a container.
            let place = PathBuf::from(format!("/proc/{pid}/root{path}"));
            concerned.binaries.entry(format!("binaries{path}")).or_insert(place);
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
        let concerned = look(vec![own], Duration::from_secs(20)).unwrap();
        assert!(concerned.maps[0].1.contains("[stack]"));
        let own = std::env::current_exe().unwrap();
        assert!(concerned.binaries.contains_key(&format!("binaries{}", own.display())));
    }
}
