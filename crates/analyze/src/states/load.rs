//! How many CPUs were busy, and when.

use std::ops::Range;

use coldcase_ingest::capture::{Capture, Nanos, Span, Timestamp};

use crate::states::ThreadStates;

/// Time for which threads ran, in bins over a capture. Summed up while the states are made: a list of all moments at
/// which somebody began or ceased to run took a fifth of a report's memory, and its time.
pub(crate) struct Bins {
    start: Timestamp,
    /// Bins are so long, as a power of two of nanoseconds.
    power: u32,
    /// The first bin holds what came before it too, and the last what came after.
    bins: Vec<Nanos>,
}

impl Bins {
    /// Bins, at most: of a minute, each is a quarter of a millisecond. With a quarter of them, every second question
    /// for the length of a turn on a CPU is left open.
    const MOST: u64 = 1 << 18;

    pub fn new(capture: Span) -> Self {
        let length = capture.duration().0;
        let power = (0..u64::BITS).find(|power| length >> power < Self::MOST).unwrap_or(0);
        let bins = usize::try_from((length >> power) + 1).unwrap_or(1);
        Self { start: capture.start, power, bins: vec![Nanos::ZERO; bins] }
    }

    /// Somebody ran.
    pub fn add(&mut self, span: Span) {
        let mut at = span.start;
        for bin in self.bin(at)..self.bin(span.end) {
            let end = self.start_of(bin + 1);
            self.bins[bin] += end.since(at);
            at = end;
        }
        let last = self.bin(span.end);
        self.bins[last] += span.end.since(at);
    }

    fn bin(&self, time: Timestamp) -> usize {
        let bin = usize::try_from(time.since(self.start).0 >> self.power);
        bin.unwrap_or(usize::MAX).min(self.bins.len() - 1)
    }

    fn start_of(&self, bin: usize) -> Timestamp {
        self.start.plus(Nanos((bin as u64) << self.power))
    }
}

/// How much of the time some thread ran.
pub(crate) struct Busy {
    /// Each holds what was run up to its end.
    sums: Bins,
}

impl Busy {
    pub fn new(mut bins: Bins) -> Self {
        let mut sum = Nanos::ZERO;
        for bin in &mut bins.bins {
            sum += *bin;
            *bin = sum;
        }
        Self { sums: bins }
    }

    /// What was run in some bins.
    fn in_bins(&self, bins: Range<usize>) -> Nanos {
        let before = |bin: usize| bin.checked_sub(1).map_or(0, |last| self.sums.bins[last].0);
        Nanos(before(bins.end) - before(bins.start))
    }

    /// The bins that lie in a span as a whole, and its ends, where they lie in bins that do not.
    fn parts(&self, span: Span) -> (Range<usize>, [Span; 2]) {
        let (first, last) = (self.sums.bin(span.start), self.sums.bin(span.end));
        if first == last {
            return (0..0, [span, Span::new(span.end, span.end)]);
        }
        let inside = Span::new(self.sums.start_of(first + 1), self.sums.start_of(last));
        let ends = [Span::new(span.start, inside.start), Span::new(inside.end, span.end)];
        (first + 1..last, ends)
    }

    /// Whether anybody is seen to run at all.
    fn any(&self) -> bool {
        self.sums.bins.last().is_some_and(|&all| all > Nanos::ZERO)
    }

    /// Least and most that was run in a span, as far as bins tell.
    fn bounds(&self, span: Span) -> (Nanos, Nanos) {
        let (inside, ends) = self.parts(span);
        let least = self.in_bins(inside);
        let bins = ends.iter().filter(|end| !end.is_empty()).map(|end| {
            let bin = self.sums.bin(end.start);
            self.in_bins(bin..bin + 1)
        });
        (least, least + bins.sum())
    }

    /// What was run in a span.
    fn exact(&self, span: Span, states: &ThreadStates) -> Nanos {
        let (inside, ends) = self.parts(span);
        let of_end =
            |&end: &Span| -> Nanos { states.threads().map(|thread| states.ran(thread, end)).sum() };
        self.in_bins(inside) + ends.iter().map(of_end).sum()
    }
}

/// The CPUs of which [`Busy`] tells how long somebody had them.
pub(crate) struct Load {
    cpus: u64,
}

impl Load {
    pub fn new(capture: &Capture, states: &ThreadStates) -> Self {
        let cpus = u64::from(capture.origin.cpus.unwrap_or(0)).max(states.cpus.seen());
        Self { cpus }
    }

    /// All CPUs' time in a span.
    pub fn whole(&self, span: Span) -> Nanos {
        Nanos(span.duration().0.saturating_mul(self.cpus))
    }

    /// How much of all CPUs' time in a span was idle, or at most was ([`Load::in_words`]); `None` if the capture does not say.
    pub fn idle_share(&self, states: &ThreadStates, span: Span) -> Option<f64> {
        let whole = self.whole(span);
        (whole > Nanos::ZERO && states.busy.any())
            .then(|| idle(states.busy.exact(span, states), whole))
    }

    /// An idle share as the end of a sentence that goes `the ...`, with what it does not know.
    pub fn in_words(&self, states: &ThreadStates, idle: f64) -> String {
        // Who runs there is known from its wakings and samples, and from when it leaves.
        let unknown = states.cpus.that_never_wake();
        let of = match unknown {
            0 => return format!("CPUs were idle for {:.0} % of the window", 100.0 * idle),
            1 => "one of them".to_owned(),
            more => format!("{more} of them"),
        };
        let percent = |share: f64| format!("{:.0}", 100.0 * share);
        let (least, most) =
            (percent((idle - unknown as f64 / self.cpus as f64).max(0.0)), percent(idle));
        let from = if least == "0" || least == most {
            "at most".to_owned()
        } else {
            format!("{least} to")
        };
        format!(
            "CPUs were idle for {from} {most} % of the window (when {of} woke from idling is not recorded)"
        )
    }

    /// Whether more than a part of all CPUs' time in a span is known to have been idle. Mostly the bins tell.
    pub fn is_more_idle(&self, states: &ThreadStates, span: Span, part: f64) -> bool {
        let whole = self.whole(span);
        if whole == Nanos::ZERO || !states.busy.any() {
            return false;
        }
        // Where a CPU is never seen to wake from idling, a thread that seems to wait may run there.
        let doubtful = span.duration().0.saturating_mul(states.cpus.not_seen_to_wake());
        let is_more = |busy: Nanos| idle(busy + Nanos(doubtful), whole) > part;
        let (least, most) = states.busy.bounds(span);
        is_more(least) && (is_more(most) || is_more(states.busy.exact(span, states)))
    }
}

fn idle(busy: Nanos, whole: Nanos) -> f64 {
    (1.0 - busy.share_of(whole)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    /// What is said of the whole of a script, of a machine of so many CPUs.
    fn idle_in(cpus: u32, script: &str) -> String {
        let mut capture = script::record(Capture::default(), script);
        capture.origin.cpus = Some(cpus);
        let states = ThreadStates::new(&capture);
        let load = Load::new(&capture, &states);
        load.in_words(&states, load.idle_share(&states, capture.whole()).unwrap())
    }

    #[test]
    fn an_idle_task_that_is_sampled_or_wakes_somebody_does_not_run() {
        let said = idle_in(1, "0 .-,20 -!a,20 ->a,30 a>-,60 .-,70 ->a,80 a>-,100 .-");
        assert_eq!(said, "CPUs were idle for 80 % of the window");
    }

    #[test]
    fn what_a_cpu_that_is_never_seen_to_wake_did_is_not_known_for_certain() {
        let script = "1 b>-,20 w:a,30 a>-,70 w:a,79 a>-,100 .-";
        let unknown = "of the window (when one of them woke from idling is not recorded)";
        assert_eq!(idle_in(1, script), format!("CPUs were idle for at most 80 % {unknown}"));
        assert_eq!(idle_in(2, script), format!("CPUs were idle for 40 to 90 % {unknown}"));
    }

    #[test]
    fn what_ran_in_a_span_is_exact_wherever_it_begins_and_ends() {
        // a runs for 3 ms of each 7, on the one CPU, and b for the next 2.
        let script: Vec<String> = (0..40)
            .map(|round| {
                let at = round * 7;
                format!("{at}ms ->a,{}ms a>b,{}ms b>-", at + 3, at + 5)
            })
            .collect();
        let capture = script::record(Capture::default(), &script.join(","));
        let states = ThreadStates::new(&capture);
        let busy = |span| -> Nanos {
            let ran = |thread| states.ran(thread, span);
            states.threads().map(ran).sum()
        };
        for (start, length) in [(0, 278), (1, 1), (3, 4), (10, 100), (11, 3), (100, 178)] {
            for shift in [0, 1, 499_999] {
                let start = Timestamp(start * 1_000_000 + shift);
                let span = Span::new(start, start.plus(Nanos::from_millis(length)));
                assert_eq!(states.busy.exact(span, &states), busy(span), "{span:?}");
                let (least, most) = states.busy.bounds(span);
                assert!(least <= busy(span) && busy(span) <= most, "{span:?}");
            }
        }
    }
}
