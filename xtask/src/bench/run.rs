//! One run of one program: how long it took, and how much memory at most.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::programs::Program;

/// What a run took.
#[derive(Clone, Copy)]
pub struct Measured {
    /// From start to end.
    pub seconds: f64,
    /// The largest resident size, in bytes; mapped files count, as they do in all other tools that show this.
    pub peak: u64,
}

/// Runs a program, without its output.
pub fn measure(program: &Program) -> Result<Measured> {
    let cannot = || format!("cannot run {}", program.name);
    let mut command = program.to_command();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let start = Instant::now();
        let mut child = command.spawn().with_context(cannot)?;
        let status = format!("/proc/{}/status", child.id());
        let over = &over;
        let peak = scope.spawn(move || watch(&status, over));
        let ended = child.wait();
        let seconds = start.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        ensure!(ended.with_context(cannot)?.success(), "{} failed", program.name);
        let peak = peak.join().unwrap_or(0);
        Ok(Measured { seconds, peak })
    })
}

/// The high-water mark of a process that runs, looked at again and again: nothing of it is left at its end.
fn watch(status: &str, over: &AtomicBool) -> u64 {
    const LOOK_EVERY: Duration = Duration::from_millis(2);
    let mut peak = 0;
    while !over.load(Ordering::Relaxed) {
        let text = fs::read_to_string(status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        thread::sleep(LOOK_EVERY);
    }
    peak
}
