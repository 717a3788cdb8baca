//! Whether threads that wanted to run found no CPU, or were not allowed to use one.

use coldcase_ingest::capture::{Nanos, Span, Timestamp};
use rustc_hash::FxHashMap;

use crate::findings::Cause;
use crate::model::Model;
use crate::windows::RawWindow;

/// A CPU that is idle while threads want to run is held back from them: a quota of their cgroup (CFS
/// bandwidth control, `kernel/sched/fair.c`) or an affinity.
const IDLE_SHARE: f64 = 0.3;

/// Starved or throttled, with the figure that tells.
pub(crate) fn starved_or_throttled(model: &Model<'_>, raw: &RawWindow) -> (Cause, Vec<String>) {
    let Some(idle) = idle_share(model, raw.span) else {
        return (Cause::CpuStarvation, Vec::new());
    };
    let percent = 100.0 * idle;
    if idle > IDLE_SHARE {
        let text = format!(
            "CPUs were idle for {percent:.0} % of the window while these threads wanted to run: they were \
             not allowed to"
        );
        (Cause::CpuThrottle, vec![text])
    } else {
        let text = format!("the CPUs were idle for only {percent:.0} % of the window");
        (Cause::CpuStarvation, vec![text])
    }
}

/// How much of all CPUs' time in a span was idle; `None` if the capture does not say.
pub(crate) fn idle_share(model: &Model<'_>, span: Span) -> Option<f64> {
    let capture = model.capture;
    let mut idle_since: FxHashMap<u32, Option<Timestamp>> = FxHashMap::default();
    let mut idle = Nanos::ZERO;
    for switch in capture.switches.iter().take_while(|switch| switch.time < span.end) {
        let Some(cpu) = switch.cpu else { continue };
        let is_idle = |thread: Option<_>| thread.is_some_and(|id| capture.threads.get(id).is_idle_task());
        if let Some(Some(since)) = idle_since.insert(cpu, is_idle(switch.into).then_some(switch.time)) {
            idle += Span::new(since, switch.time).overlap(span);
        }
    }
    let still = idle_since.values().flatten();
    idle += still.map(|&since| Span::new(since, span.end).overlap(span)).sum();
    let cpus = u64::from(capture.origin.cpus.unwrap_or(0)).max(idle_since.len() as u64);
    if cpus == 0 {
        return None;
    }
    Some(idle.share_of(Nanos(span.duration().0.saturating_mul(cpus))))
}
