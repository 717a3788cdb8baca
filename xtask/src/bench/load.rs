//! What captures are recorded of.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// A small service that freezes, of which `pop` is a capture: eight threads do work of a fraction of a millisecond each, for which they
/// map and unmap memory; after a second, a ninth unmaps gigabytes.
pub fn freeze() {
    const WORKERS: usize = 8;
    const GIGABYTES: usize = 4;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Of this size, malloc(3) maps memory, and free(3) unmaps it.
                    black_box(vec![1_u8; 256 << 10]);
                    thread::sleep(Duration::from_micros(400));
                }
            });
        }
        let table = black_box(vec![1_u8; GIGABYTES << 30]);
        thread::sleep(Duration::from_secs(1));
        drop(table);
        thread::sleep(Duration::from_secs(1));
        over.store(true, Ordering::Relaxed);
    });
}

/// A machine at work, of which `busy` is a capture: the service freezes a few times, beside processes that send each other messages,
/// programs that start and end, and a file that is written to its disk again and again.
///
/// # Errors
///
/// If a program cannot be run, or the file not be written.
pub fn busy() -> Result<()> {
    const FREEZES: usize = 8;
    const LAUNCHERS: usize = 2;
    let over = AtomicBool::new(false);
    let path = std::env::temp_dir().join(format!("coldcase-busy-{}", std::process::id()));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    std::fs::remove_file(&path)?;
    let mut messages = Command::new("perf")
        .args(["bench", "sched", "messaging", "-g", "4", "-l", "12000"])
        .stdout(Stdio::null())
        .spawn()
        .context("cannot run perf")?;
    let done = thread::scope(|scope| {
        let starts = || -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                ensure!(Command::new("true").status()?.success(), "true fails");
            }
            Ok(())
        };
        let launchers: Vec<_> = (0..LAUNCHERS).map(|_| scope.spawn(starts)).collect();
        let writer = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                file.write_all_at(&[1; 64 << 10], 0)?;
                file.sync_data()?;
            }
            Ok(())
        });
        (0..FREEZES).for_each(|_| freeze());
        over.store(true, Ordering::Relaxed);
        let mut all = launchers.into_iter().chain([writer]);
        all.try_for_each(|thread| thread.join().expect("no thread panics"))
    });
    messages.wait()?;
    done
}
