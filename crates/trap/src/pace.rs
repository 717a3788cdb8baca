//! How fast the machine switches threads: read for next to nothing, so that a load that grows is noticed between counts.

use std::fs;
use std::time::{Duration, Instant};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);
/// Below this growth a count is not worth its price.
const GROWTH: f64 = 1.5;

/// Context switches of the whole machine over time (`ctxt` of `/proc/stat`, proc(5)).
#[derive(Debug)]
pub struct Pace {
    last: (Instant, u64),
    /// Switches a second when events were counted last; `None` until the first look after that.
    counted: Option<f64>,
}

impl Pace {
    /// From now on.
    pub fn new() -> Self {
        Self { last: (Instant::now(), switches()), counted: None }
    }

    /// Whether so much more is going on than when events were counted, that what cost `percent` then costs more than
    /// `budget` now, if everything grew alike.
    pub fn outgrows(&mut self, percent: f64, budget: f64) -> bool {
        let (then, before) = self.last;
        let passed = then.elapsed();
        if passed < EVERY {
            return false;
        }
        let now = switches();
        self.last = (Instant::now(), now);
        self.judge(now.saturating_sub(before) as f64 / passed.as_secs_f64(), percent, budget)
    }

    fn judge(&mut self, rate: f64, percent: f64, budget: f64) -> bool {
        let growth = rate / self.counted.get_or_insert(rate).max(1.0);
        growth > GROWTH && percent * growth > budget
    }

    /// Events were counted, at so many switches a second; 0 where nobody knows.
    pub fn counted(&mut self, rate: f64) {
        self.counted = (rate > 0.0).then_some(rate);
    }
}

fn switches() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("ctxt "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_grows_beyond_the_budget_is_noticed_and_one_within_it_is_not() {
        let mut pace = Pace::new();
        pace.counted(1000.0);
        assert!(!pace.judge(1400.0, 0.9, 1.0), "counting would not be worth it");
        assert!(!pace.judge(4000.0, 0.2, 1.0), "still within the budget");
        assert!(pace.judge(6000.0, 0.2, 1.0));
        pace.counted(6000.0);
        assert!(!pace.judge(6500.0, 0.9, 1.0), "it was counted meanwhile");
        pace.counted(0.0);
        assert!(!pace.judge(9000.0, 0.9, 1.0), "the first look sets what is normal");
        assert!(pace.judge(90_000.0, 0.9, 1.0));
    }

    #[test]
    fn this_machine_switches() {
        assert!(switches() > 0);
        assert!(!Pace::new().outgrows(100.0, 0.0), "too early to tell");
    }
}
