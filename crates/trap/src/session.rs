//! One running `perf record`: started with its events off, told what to do through pipes, and never left behind.
//!
//! perf's workload is `cat`, whose standard input only the trap holds open. When the trap ends, in whatever way (`kill -9`
//! too), `cat` reads the end of its input, and perf ends with its workload. Nothing has to clean up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::error::TrapError;
use crate::perf::Perf;

/// How often pipes and files are looked at while perf is waited for.
const GLANCE: Duration = Duration::from_millis(5);

/// A running `perf record`.
pub struct Session {
    child: Child,
    control: File,
    answers: File,
    log: PathBuf,
    folder: PathBuf,
    ended: bool,
}

impl Session {
    /// Starts perf with its events off. Its files are `NAME.*` in `folder`; `arguments` name events and options.
    pub fn start(
        perf: &Perf,
        folder: &Path,
        name: &str,
        arguments: &[&str],
    ) -> Result<Self, TrapError> {
        let place = |ending: &str| folder.join(format!("{name}.{ending}"));
        let (control, answers) = (place("control"), place("answers"));
        let log = place("log");
        for pipe in [&control, &answers] {
            fs::remove_file(pipe).ok();
            let made = mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
            made.map_err(|error| TrapError::file("make", pipe)(error.into()))?;
        }
        let said = File::create(&log).map_err(TrapError::file("write", &log))?;
        let pipes = format!("--control=fifo:{},{}", control.display(), answers.display());
        let mut command = Command::new(&perf.program);
        command.args(["record", "-a", "-k", "CLOCK_MONOTONIC", "-N", "-D", "-1"]).arg(pipes);
        command.args(arguments).arg("-o").arg(place("data")).args(["--", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said);
        // What ends the trap from the keyboard must not end perf before its files are written.
        command.process_group(0).current_dir(folder);
        let child = command.spawn();
        let child = child.map_err(|error| TrapError::Perf(error.to_string()))?;
        // Both ways, so that opening waits for nobody.
        let open = |path: &Path| {
            let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
            let file =
                OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path);
            file.map_err(TrapError::file("open", path))
        };
        let (control, answers) = (open(&control)?, open(&answers)?);
        Ok(Self { child, control, answers, log, folder: folder.to_owned(), ended: false })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells perf something (`enable`, `disable`, `stop`) and waits until it has done it.
    pub fn tell(&mut self, word: &str, patience: Duration) -> Result<(), TrapError> {
        let until = Instant::now() + patience;
        let written = self.control.write_all(format!("{word}\n").as_bytes());
        written.map_err(|error| TrapError::Perf(error.to_string()))?;
        let mut answer = Vec::new();
        while !answer.contains(&b'\n') {
            let mut bytes = [0; 16];
            match self.answers.read(&mut bytes) {
                Ok(count) => answer.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(TrapError::Perf(error.to_string())),
            }
            if !self.is_running() {
                return Err(TrapError::Perf(self.last_words()));
            }
            if Instant::now() > until {
                return Err(TrapError::Perf(format!("no answer to {word:?} in {patience:?}")));
            }
            sleep(GLANCE);
        }
        Ok(())
    }

    /// Whether perf still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets a flight recorder write its ring into a file, and says which.
    pub fn dump(&mut self, patience: Duration) -> Result<PathBuf, TrapError> {
        let until = Instant::now() + patience;
        let before = self.dumps().len();
        self.signal(Signal::USR2);
        loop {
            if let Some(path) = self.dumps().get(before) {
                return Ok(path.clone());
            }
            if !self.is_running() {
                return Err(TrapError::Perf(self.last_words()));
            }
            if Instant::now() > until {
                return Err(TrapError::Perf(format!("the ring was not written in {patience:?}")));
            }
            sleep(GLANCE);
        }
    }

    /// Files that perf says to have written whole.
    fn dumps(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let paths = text.lines().filter_map(|line| {
            Some(line.strip_prefix("[ perf record: Dump ")?.strip_suffix(" ]")?.to_owned())
        });
        paths.map(|path| self.folder.join(path)).collect()
    }

    /// Ends perf and waits until its file is whole; one that does not end is killed.
    pub fn end(mut self, patience: Duration) -> Result<(), TrapError> {
        let until = Instant::now() + patience;
        drop(self.child.stdin.take());
        while self.is_running() {
            if Instant::now() > until {
                return Err(TrapError::Perf(format!("it did not end in {patience:?}")));
            }
            sleep(GLANCE);
        }
        self.ended = true;
        Ok(())
    }

    /// What perf said last.
    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.len().saturating_sub(3);
        if lines.is_empty() {
            "it ended without a word".to_owned()
        } else {
            lines[last..].join(" ")
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = pid_of(self.child.id()) {
            // It may have ended: then it is found out by what it does not do.
            kill_process(pid, signal).ok();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if self.ended || !self.is_running() {
            return;
        }
        if let Some(pid) = pid_of(self.child.id()) {
            kill_process_group(pid, Signal::KILL).ok();
        }
        self.child.wait().ok();
    }
}

/// A process number as the system takes it.
pub fn pid_of(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}
