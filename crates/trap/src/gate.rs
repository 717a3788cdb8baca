//! Which alarms become captures: not more than so many an hour, and none in the quiet time after one.

use std::collections::VecDeque;
use std::time::Duration;

const HOUR: u64 = 3_600_000_000_000;

/// Lets alarms pass.
#[derive(Debug)]
pub struct Gate {
    at_most: usize,
    quiet: u64,
    passed: VecDeque<u64>,
    /// Alarms that were not captured.
    pub refused: u64,
}

impl Gate {
    /// At most so many an hour, and none before `quiet` has gone by since the last capture's end.
    pub fn new(at_most: usize, quiet: Duration) -> Self {
        let quiet = u64::try_from(quiet.as_nanos()).unwrap_or(u64::MAX);
        Self { at_most, quiet, passed: VecDeque::new(), refused: 0 }
    }

    /// Whether an alarm at `now` (CLOCK_MONOTONIC, nanoseconds) is captured; if not, why.
    pub fn admit(&mut self, now: u64) -> Result<(), &'static str> {
        while self.passed.front().is_some_and(|&past| now.saturating_sub(past) >= HOUR) {
            self.passed.pop_front();
        }
        let last = self.passed.back().copied();
        let refusal = if last.is_some_and(|last| now.saturating_sub(last) < self.quiet) {
            Some("it is the quiet time after a capture (--quiet)")
        } else if self.passed.len() >= self.at_most {
            Some("there were as many in the last hour as are allowed (--at-most)")
        } else {
            None
        };
        self.refused += u64::from(refusal.is_some());
        refusal.map_or(Ok(()), Err)
    }

    /// A capture ended at `now`.
    pub fn captured(&mut self, now: u64) {
        self.passed.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_times_and_hours_are_kept() {
        const SECOND: u64 = 1_000_000_000;
        let mut gate = Gate::new(2, Duration::from_secs(60));
        assert!(gate.admit(0).is_ok());
        gate.captured(10 * SECOND);
        assert!(gate.admit(69 * SECOND).unwrap_err().contains("--quiet"));
        assert!(gate.admit(70 * SECOND).is_ok());
        gate.captured(80 * SECOND);
        assert!(gate.admit(200 * SECOND).unwrap_err().contains("--at-most"));
        assert_eq!(gate.refused, 2);
        assert!(gate.admit(10 * SECOND + HOUR).is_ok());
    }
}
