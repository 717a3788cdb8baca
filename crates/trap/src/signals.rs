//! What others tell the trap by signals.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

/// Signals that came and were not heeded yet.
#[derive(Default)]
pub(crate) struct Signals {
    end: Arc<AtomicBool>,
    by_hand: Arc<AtomicBool>,
}

impl Signals {
    /// Takes signals from now on.
    pub fn listen() -> io::Result<Self> {
        let signals = Self::default();
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&signals.end))?;
        }
        signal_hook::flag::register(SIGUSR1, Arc::clone(&signals.by_hand))?;
        Ok(signals)
    }

    /// Whether the trap is to end.
    pub fn must_end(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether somebody asked for a capture since this was last asked.
    pub fn asks_for_capture(&self) -> bool {
        self.by_hand.swap(false, Ordering::Relaxed)
    }

    /// As SIGUSR1 does.
    #[cfg(test)]
    pub fn ask_for_capture(&self) {
        self.by_hand.store(true, Ordering::Relaxed);
    }
}
