//! The program as a child process with its memory watched and its time limited.
//!
//! Its peak is the kernel's own figure (`VmHWM` of `/proc/PID/status`, proc(5)): what was resident at most. A counting
//! allocator would need `unsafe` code, and would not see the stack.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing in these tests may take longer.
const TOO_LONG: Duration = Duration::from_secs(60);

/// What a run came to.
pub struct Run {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Most bytes resident at a time.
    pub peak: u64,
    pub took: Duration,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// It ended by itself: analysed, or refused with a message that says where and why.
    pub fn ended_well(&self, what: &str) -> &Self {
        let Self { code, stderr, .. } = self;
        assert!(matches!(code, Some(0 | 3)), "{what}: {code:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        if *code == Some(3) {
            assert!(stderr.starts_with("error: cannot read "), "{what}: {stderr}");
        }
        self
    }

    /// Its peak was below so many bytes for each byte of the input, beside what the program needs anyway.
    pub fn within(&self, input: u64, times: u64) -> &Self {
        let most = PROGRAM + input * times;
        assert!(self.peak <= most, "{} bytes for an input of {input}: {}", self.peak, self.stderr);
        self
    }

    /// It warned of this, or refused for it.
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "{text:?} is not said: {}", self.stderr);
        self
    }
}

/// What the program takes for a capture of a few kilobytes, with room for its findings and a page.
const PROGRAM: u64 = 48 << 20;

/// Runs the program in a folder.
pub fn run(folder: &Path, arguments: &[&str]) -> Run {
    run_with(folder, arguments, |_, _| Ok(()))
}

/// Runs the program, and beside it what is given its standard input and its process id.
pub fn run_with(
    folder: &Path,
    arguments: &[&str],
    beside: impl FnOnce(&mut dyn Write, u32) -> std::io::Result<()> + Send,
) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_coldcase"))
        .current_dir(folder)
        .env("HOME", folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let id = child.id();
    let (mut stdin, mut out, mut err) =
        (child.stdin.take().unwrap(), child.stdout.take().unwrap(), child.stderr.take().unwrap());
    thread::scope(|scope| {
        // A program that refuses its input early closes the pipe.
        scope.spawn(move || drop(beside(&mut stdin, id)));
        let stdout = scope.spawn(move || text(&mut out));
        let stderr = scope.spawn(move || text(&mut err));
        let peak = watch(&mut child, started);
        let code = child.wait().unwrap().code();
        let took = started.elapsed();
        Run { code, peak, took, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    })
}

fn text(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the end, and returns the highest peak that was seen.
fn watch(child: &mut Child, started: Instant) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_in(&fs::read_to_string(&status).unwrap_or_default()));
        if started.elapsed() > TOO_LONG {
            child.kill().unwrap();
            panic!("still running after {TOO_LONG:?}, with {peak} bytes");
        }
        thread::sleep(Duration::from_millis(1));
    }
    peak
}

fn peak_in(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
