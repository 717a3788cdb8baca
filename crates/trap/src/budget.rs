//! What events cost, and which of them the flight recorder can afford.
//!
//! The ring costs the trap nothing: whoever raises an event pays for it, in the kernel, and the processes' own CPU time grows. So
//! the cost is what was counted each second times what one costs.

use std::collections::BTreeMap;

use crate::events::{Group, slows_all_calls};

/// What one event with its stack costs, in nanoseconds, where stacks and unwind tables are not in the caches: measured with redis
/// on a virtual machine of 2026 with kernel 6.18. In a loop that does nothing else it is a quarter (docs/trap.md).
const EVENT_NS: f64 = 5000.0;
/// What every system call of the machine costs more while any of them is recorded, in nanoseconds: twice what a loop of nothing
/// else shows there.
const CALL_NS: f64 = 20.0;
/// What one event takes in a ring, in bytes, with its stack.
pub const EVENT_BYTES: f64 = 280.0;
/// The event that counts all system calls.
pub const ALL_CALLS: &str = "raw_syscalls:sys_enter";

/// How many of each event came, a second.
pub type Rates = BTreeMap<String, f64>;

/// A group and what it costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Priced {
    /// The events.
    pub group: Group,
    /// How many of them come, a second.
    pub per_second: f64,
    /// What that costs, in percent of one CPU.
    pub percent: f64,
}

/// Which events are recorded, and which would cost too much.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What is recorded; empty if even switches and wakeups cost too much.
    pub kept: Vec<Priced>,
    /// What is not.
    pub dropped: Vec<Priced>,
}

/// What each group costs.
pub fn price(groups: Vec<Group>, rates: &Rates) -> Vec<Priced> {
    let rate = |name: &str| rates.get(name).copied().unwrap_or(0.0);
    let price = |group: Group| {
        let per_second: f64 = group.events.iter().map(|event| rate(event.name())).sum();
        let calls = if slows_all_calls(&group) { rate(ALL_CALLS) } else { 0.0 };
        let percent = (per_second * EVENT_NS + calls * CALL_NS) / 1e7;
        Priced { group, per_second, percent }
    };
    groups.into_iter().map(price).collect()
}

impl Plan {
    /// Drops the costliest groups until the rest stays within `budget` percent of one CPU; those without which nothing
    /// can be told go last.
    pub fn within(budget: f64, mut priced: Vec<Priced>) -> Self {
        let mut dropped = Vec::new();
        while priced.iter().map(|row| row.percent).sum::<f64>() > budget {
            let worst = (0..priced.len()).max_by(|&a, &b| {
                let key = |row: &Priced| (!row.group.vital, row.percent);
                key(&priced[a]).partial_cmp(&key(&priced[b])).unwrap_or(std::cmp::Ordering::Equal)
            });
            let Some(worst) = worst else { break };
            dropped.push(priced.remove(worst));
        }
        // Who waits is not told by the rest.
        if !priced.iter().any(|row| row.group.vital) {
            dropped.append(&mut priced);
        }
        Self { kept: priced, dropped }
    }

    /// What is recorded costs, in percent of one CPU.
    pub fn percent(&self) -> f64 {
        // A sum of nothing is -0.0.
        self.kept.iter().fold(0.0, |sum, row| sum + row.percent)
    }

    /// What a ring takes each second, in bytes.
    pub fn bytes_per_second(&self) -> f64 {
        self.kept.iter().map(|row| row.per_second * EVENT_BYTES).sum()
    }

    /// Whether to record by this plan instead of `current`: if something has become too dear, or if much more could be had.
    pub fn replaces(&self, current: &Self, budget: f64) -> bool {
        let names = |plan: &Self| plan.kept.iter().map(|row| row.group.name).collect::<Vec<_>>();
        let (new, old) = (names(self), names(current));
        let too_dear = old.iter().any(|name| !new.contains(name));
        let much_more = new.len() > old.len() && self.percent() < budget / 2.0;
        too_dear || much_more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events;

    fn plan(budget: f64, rates: &[(&str, f64)]) -> Plan {
        let rates = rates.iter().map(|(name, rate)| ((*name).to_owned(), *rate)).collect();
        Plan::within(budget, price(events::all(), &rates))
    }

    fn dropped(plan: &Plan) -> Vec<&str> {
        plan.dropped.iter().map(|row| row.group.name).collect()
    }

    #[test]
    fn the_costliest_go_first_and_switches_last() {
        let quiet = plan(1.0, &[("sched:sched_switch", 500.0)]);
        assert_eq!(dropped(&quiet), [""; 0]);
        let busy = [
            ("sched:sched_switch", 1500.0),
            ("mmap_lock:mmap_lock_released", 1000.0),
            ("block:block_rq_issue", 50.0),
        ];
        assert_eq!(dropped(&plan(1.0, &busy)), ["holds of mmap_lock"]);
        assert!((plan(1.0, &busy).percent() - 0.775).abs() < 1e-9);
        assert_eq!(dropped(&plan(0.75, &busy)), ["holds of mmap_lock", "disk requests"]);
        // Nothing is told by disk requests alone.
        assert!(plan(0.5, &busy).kept.is_empty());
    }

    #[test]
    fn system_calls_cost_by_all_calls_of_the_machine() {
        let plan = plan(1.0, &[(ALL_CALLS, 1e6)]);
        assert_eq!(dropped(&plan), ["memory and fork calls"]);
    }

    #[test]
    fn a_plan_is_replaced_when_it_is_too_dear_or_much_too_poor() {
        let rich = plan(1.0, &[]);
        let poor = plan(1.0, &[("mmap_lock:mmap_lock_released", 2500.0)]);
        assert!(poor.replaces(&rich, 1.0));
        assert!(rich.replaces(&poor, 1.0));
        assert!(!rich.replaces(&rich, 1.0));
        let barely = plan(1.0, &[("mmap_lock:mmap_lock_released", 1750.0)]);
        assert!(!barely.replaces(&poor, 1.0));
    }
}
