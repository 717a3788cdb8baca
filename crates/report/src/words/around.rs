//! What the machine counted and the kernel logged around a freeze, as a bundle has it.

use coldcase_analyze::findings::Freeze;
use coldcase_ingest::capture::{Gauge, Incident, Nanos, Span, Timestamp};

use crate::{names, units};

/// `In the 6.2 s around it, tasks waited 1.6 s for memory; 345 times a task had to reclaim memory itself.`
pub(super) fn around(incident: &Incident, freeze: &Freeze, span: Span) -> Option<String> {
    let times = || incident.readings.iter().map(|reading| reading.time);
    let from = times().take_while(|&time| time <= span.start).last()?;
    let until = times().find(|&time| time >= span.end)?;
    let interval = Span::new(from, until).duration();
    let counted = |gauge, pid| {
        let at = |time| {
            let mut readings = incident.readings.iter().filter(|reading| reading.time == time);
            readings.find(|reading| (reading.gauge, reading.pid) == (gauge, pid))
        };
        Some(at(until)?.value.saturating_sub(at(from)?.value))
    };
    let waited: Vec<String> = PRESSURES
        .iter()
        .filter_map(|&(gauge, what)| {
            let time = Nanos(counted(gauge, None)?.saturating_mul(1000));
            let much = time.0 >= interval.0 / 10;
            much.then(|| format!("{} for {what}", units::duration(time)))
        })
        .collect();
    let waited =
        (!waited.is_empty()).then(|| format!("tasks waited {} (pressure)", waited.join(" and ")));
    let others = COUNTS.iter().filter_map(|&gauge| {
        let of_group = matches!(gauge, Gauge::LimitHits | Gauge::ThrottledPeriods);
        let pid = freeze.pid.filter(|_| of_group);
        let count = counted(gauge, pid).filter(|_| of_group == pid.is_some())?;
        times_counted(gauge, count)
    });
    let parts: Vec<String> = waited.into_iter().chain(others).collect();
    let known = PRESSURES.iter().all(|&(gauge, _)| counted(gauge, None).is_some());
    let interval = units::duration(interval);
    match parts.as_slice() {
        [] if known => Some(format!(
            " In the {interval} around it nobody waited long for memory, a disk or a CPU, as the kernel counts (pressure)."
        )),
        [] => None,
        parts => Some(format!(" In the {interval} around it, {}.", parts.join("; "))),
    }
}

/// What tasks wait for. A tenth of the time is much.
const PRESSURES: [(Gauge, &str); 3] =
    [(Gauge::MemoryPressure, "memory"), (Gauge::IoPressure, "I/O"), (Gauge::CpuPressure, "a CPU")];
/// In the order in which they are told.
const COUNTS: [Gauge; 7] = [
    Gauge::LimitHits,
    Gauge::ThrottledPeriods,
    Gauge::OomKills,
    Gauge::DirectReclaims,
    Gauge::SwappedIn,
    Gauge::SwappedOut,
    Gauge::MajorFaults,
];

/// In words, if it is so much that it tells something.
fn times_counted(gauge: Gauge, count: u64) -> Option<String> {
    /// Pages, and page faults, of which any machine has some.
    const MANY: u64 = 256;
    let number = units::count(count);
    match gauge {
        _ if count == 0 => None,
        Gauge::LimitHits => {
            Some(format!("its control group was at its memory limit {}", times(count)))
        }
        Gauge::ThrottledPeriods => Some(format!(
            "its control group had no CPU quota left in {}",
            units::counted(count, "period", "periods")
        )),
        Gauge::OomKills => Some(format!(
            "the kernel killed {} for memory",
            units::counted(count, "process", "processes")
        )),
        Gauge::DirectReclaims => {
            Some(format!("a task had to reclaim memory itself {}", times(count)))
        }
        _ if count < MANY => None,
        Gauge::SwappedIn => Some(format!("{number} pages came back from swap")),
        Gauge::SwappedOut => Some(format!("{number} pages went to swap")),
        Gauge::MajorFaults => Some(format!("{number} page faults read from a disk")),
        Gauge::MemoryPressure | Gauge::IoPressure | Gauge::CpuPressure => None,
    }
}

fn times(count: u64) -> String {
    units::counted(count, "time", "times")
}

/// ` The kernel logged: task db:7 blocked for more than 120 seconds.`
pub(super) fn logged(incident: &Incident, span: Span) -> Option<String> {
    /// The log's clock and the trace's differ by less.
    const SLACK: u64 = 1_000_000_000;
    const MOST: usize = 3;
    let from = Timestamp(span.start.0.saturating_sub(SLACK));
    let until = Timestamp(span.end.0.saturating_add(SLACK));
    let lines: Vec<String> = incident
        .kernel_log
        .iter()
        .filter(|(time, _)| (from..=until).contains(time))
        .map(|(_, line)| names::text(line))
        .collect();
    let more = match lines.len().checked_sub(MOST) {
        Some(more @ 1..) => format!(
            "; and {} in kernel.log",
            units::counted(more as u64, "more line", "more lines")
        ),
        _ => String::new(),
    };
    let shown = lines.get(..MOST).unwrap_or(&lines).join("; ");
    (!lines.is_empty()).then(|| format!(" Meanwhile the kernel logged: {shown}{more}."))
}
