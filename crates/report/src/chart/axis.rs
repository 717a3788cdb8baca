//! An axis of time: where its ticks stand and what is written at them.

use coldcase_ingest::capture::{Span, Timestamp};

/// A tick.
pub(crate) struct Tick {
    /// From 0 at the axis' begin to 1 at its end.
    pub at: f64,
    pub label: String,
}

/// Ticks at round distances from `origin`, about `wanted` of them, in one unit for all.
pub(crate) fn ticks(span: Span, origin: Timestamp, wanted: u32) -> Vec<Tick> {
    let length = span.duration().0;
    if length == 0 || wanted == 0 {
        return Vec::new();
    }
    let step = round_step(length / u64::from(wanted));
    let unit = Unit::of(step, length);
    // Signed nanoseconds from the origin; i128 because both are full u64.
    let first = i128::from(span.start.0) - i128::from(origin.0);
    let last = i128::from(span.end.0) - i128::from(origin.0);
    let step = i128::from(step);
    let mut tick = first.div_euclid(step) * step;
    let mut ticks = Vec::new();
    while tick <= last {
        if tick >= first {
            let at = (tick - first) as f64 / length as f64;
            ticks.push(Tick { at, label: unit.label(tick) });
        }
        tick += step;
    }
    ticks
}

/// The next of 1, 2, 5, 10, 20, ... that is not below `least`.
fn round_step(least: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            if step >= least {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

struct Unit {
    nanos: f64,
    name: &'static str,
    decimals: usize,
}

impl Unit {
    fn of(step: u64, length: u64) -> Self {
        let (nanos, name) = match length {
            1_000_000_000.. => (1e9, "s"),
            1_000_000.. => (1e6, "ms"),
            1_000.. => (1e3, "µs"),
            _ => (1.0, "ns"),
        };
        let mut decimals = 0;
        let mut size = step as f64 / nanos;
        while size < 0.999 {
            size *= 10.0;
            decimals += 1;
        }
        Self { nanos, name, decimals }
    }

    fn label(&self, nanos: i128) -> String {
        if nanos == 0 {
            return "0".to_owned();
        }
        let sign = if nanos < 0 { "−" } else { "+" };
        let value = nanos.unsigned_abs() as f64 / self.nanos;
        format!("{sign}{value:.*} {}", self.decimals, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(start: u64, end: u64, origin: u64) -> Vec<String> {
        let span = Span::new(Timestamp(start), Timestamp(end));
        ticks(span, Timestamp(origin), 5).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_seen_from_the_origin() {
        let ms = 1_000_000;
        assert_eq!(
            labels(200 * ms, 3_000 * ms, 1_108 * ms),
            ["0", "+1 s"],
            "a step of one second is the next round one above 0.56 s"
        );
        assert_eq!(labels(0, 10 * ms, 0), ["0", "+2 ms", "+4 ms", "+6 ms", "+8 ms", "+10 ms"]);
        assert_eq!(
            labels(0, 2_000 * ms, 1_000 * ms),
            ["−1.0 s", "−0.5 s", "0", "+0.5 s", "+1.0 s"]
        );
    }

    #[test]
    fn extreme_spans_end() {
        assert!(labels(7, 7, 0).is_empty());
        assert!(labels(0, u64::MAX, u64::MAX).len() < 12);
        assert_eq!(labels(0, 3, 0), ["0", "+1 ns", "+2 ns", "+3 ns"]);
    }
}
