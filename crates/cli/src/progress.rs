//! A progress bar, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress through a capture; hidden where standard error is no terminal, and on short work.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar that shows itself once the work takes a while.
    pub fn new(what: &str) -> Self {
        const SHOWN_AFTER: Duration = Duration::from_millis(300);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        let style = ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(SHOWN_AFTER);
        Self { bar }
    }

    /// `done` of `total` bytes are read.
    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
