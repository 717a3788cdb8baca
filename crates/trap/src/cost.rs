//! What the trap costs: its own processes are measured, the events are counted.

use std::time::Instant;

use coldcase_ingest::bundle::CostNote;

use crate::proc;

/// Adds up since the trap was armed.
#[derive(Debug)]
pub struct Meter {
    since: Instant,
    /// Percent-seconds of the events so far, and when the rate was last changed.
    spent: f64,
    rate: (Instant, f64),
}

impl Meter {
    /// From now on.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { since: now, spent: 0.0, rate: (now, 0.0) }
    }

    /// From now on the events cost so many percent of one CPU.
    pub fn set(&mut self, percent: f64) {
        self.spent += self.rate.0.elapsed().as_secs_f64() * self.rate.1;
        self.rate = (Instant::now(), percent);
    }

    /// What it all cost so far; `perfs` are the processes that run now.
    pub fn read(&self, perfs: &[u32], ring_bytes: u64) -> CostNote {
        let armed_s = self.since.elapsed().as_secs_f64();
        let spent = self.spent + self.rate.0.elapsed().as_secs_f64() * self.rate.1;
        let own = std::process::id();
        let all = || perfs.iter().copied().chain([own]);
        CostNote {
            armed_s,
            own_cpu_s: all().filter_map(proc::cpu_seconds).sum(),
            events_percent: if armed_s > 0.0 { spent / armed_s } else { 0.0 },
            memory_bytes: all().filter_map(proc::process).map(|process| process.resident).sum(),
            ring_bytes,
            written_bytes: all().filter_map(proc::written_bytes).sum(),
        }
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}
